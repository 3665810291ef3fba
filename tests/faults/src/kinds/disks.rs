//! Disks that are full for a while: of a server, of an agent (its outbox), of a relay node (its read model), of a bridge.
//! Small file systems of their own where mounting is permitted. Elsewhere a program's store refuses to grow: SQLite's own
//! refusal in the middle of a transaction, of the database only, not of what lies beside it (the hand-over log, files of
//! notices). What a server does without mounting is `quota`.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{Done, quota};
use crate::{
    Disks, World,
    flow::Pace,
    ground::Volume,
    world::{OfLittleRoom, Volumes},
};

/// Room is missing for so long.
pub(super) const FULL_FOR: Duration = Duration::from_secs(6);
/// So often as long again, until somebody has met it.
const TRIES: usize = 5;
/// As SQLite, the system and nats-server say it; a server names its quota once in ten seconds.
const COMPLAINTS: [&str; 4] =
    ["disk is full", "o space left", "insufficient storage", "resource limits exceeded for server"];
/// Between two looks of the service manager.
const REVIVE_EVERY: Duration = Duration::from_millis(500);

/// How room is taken from a store.
enum Means<'a> {
    /// The file system that holds it is full.
    Volume(&'a Volume),
    /// While this file is there, it refuses to grow.
    Refusal(PathBuf),
}

impl Means<'_> {
    fn fill(&self) -> Result<()> {
        match self {
            Self::Volume(volume) => volume.fill(),
            Self::Refusal(file) => std::fs::write(file, "").context("let a store refuse to grow"),
        }
    }

    fn free(&self) -> Result<()> {
        match self {
            Self::Volume(volume) => volume.free(),
            Self::Refusal(file) => std::fs::remove_file(file).context("let a store grow again"),
        }
    }

    /// As reports name it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Volume(_) => "a small tmpfs of its own",
            Self::Refusal(_) => "a store that refuses to grow",
        }
    }
}

pub(super) fn server(world: &mut World) -> Result<Done> {
    if world.disks == Disks::Refusing {
        return quota::reached(world);
    }
    let done = full(world, "a server's store", |volumes| &volumes.server, None)?;
    if matches!(done, Done::Applied { .. }) {
        // A nats-server that met a full disk has switched its JetStream off: an operator starts it again.
        let node = world.cluster.nodes().last_mut().context("a cluster has nodes")?;
        node.restart()?;
        world.cluster.wait_until_whole()?;
    }
    Ok(done)
}

pub(super) fn outbox(world: &mut World) -> Result<Done> {
    full(world, "an agent's store", |volumes| &volumes.outbox, Some(|names| names.outbox))
}

pub(super) fn read_model(world: &mut World) -> Result<Done> {
    full(world, "a relay node's read model", |volumes| &volumes.read_model, Some(|names| names.read_model))
}

pub(super) fn bridge(world: &mut World) -> Result<Done> {
    full(world, "a bridge's store", |volumes| &volumes.bridge, Some(|names| names.bridge))
}

/// A program of ours can refuse by itself; `program` picks which.
fn full(
    world: &mut World,
    what: &str,
    volume: fn(&Volumes) -> &Volume,
    program: Option<fn(OfLittleRoom) -> String>,
) -> Result<Done> {
    let names = world.of_little_room()?;
    let program = program.map(|of| of(names));
    let refusal =
        program.as_ref().filter(|_| world.disks == Disks::Refusing).map(|name| world.full_file(name));
    if world.volumes.is_none() && refusal.is_none() {
        return Ok(Done::Skipped("this world's disks are as large as the machine's".into()));
    }
    // Enough that no file has room left inside itself.
    let burst = world.jails.flow(Pace::BURST)?;
    let before = complaints(world)?;
    means(world, volume, refusal.as_ref())?.fill()?;
    let mut restarts = kept_running(world, FULL_FOR)?;
    // On a busy machine the burst may take longer to come.
    let mut tries = 0;
    while complaints(world)? == before && tries < TRIES {
        restarts += kept_running(world, FULL_FOR)?;
        tries += 1;
    }
    let means = means(world, volume, refusal.as_ref())?;
    means.free()?;
    let by = means.name();
    if let Some(name) = program.filter(|name| restarts > 0 && world.program(name).is_ok()) {
        // It was started without room, and may yet end for that.
        world.kill9(&name)?;
    }
    restarts += world.revive()?;
    burst.finish()?;
    // Without a disk a program may end; a service manager starts it again.
    world.ended_by_themselves();
    let met = complaints(world)? - before;
    ensure!(met > 0, "nobody met the full disk of {what} ({by})");
    Ok(Done::noted(format!(
        "{what} ({by}) full for {} s, {met} writes refused, {restarts} restarts",
        FULL_FOR.as_secs() * (tries as u64 + 1)
    )))
}

fn means<'a>(
    world: &'a World,
    volume: fn(&Volumes) -> &Volume,
    refusal: Option<&PathBuf>,
) -> Result<Means<'a>> {
    match (refusal, &world.volumes) {
        (Some(file), _) => Ok(Means::Refusal(file.clone())),
        (None, Some(volumes)) => Ok(Means::Volume(volume(volumes))),
        (None, None) => anyhow::bail!("no disk can be full here"),
    }
}

/// As a service manager does, for so long; gives how often something was started again.
pub(super) fn kept_running(world: &mut World, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut restarts = 0;
    while Instant::now() < end {
        crate::lasting(REVIVE_EVERY);
        restarts += world.revive()?;
    }
    Ok(restarts)
}

/// How often anybody said that there is no room.
pub(super) fn complaints(world: &mut World) -> Result<usize> {
    let mut logs: Vec<String> = world.from_the_start().iter().map(|name| world.log_of(name)).collect();
    for node in world.cluster.nodes() {
        logs.push(std::fs::read_to_string(node.dir().join("nats.log")).context("read a server's log")?);
    }
    Ok(logs.iter().map(|log| COMPLAINTS.iter().map(|text| log.matches(text).count()).sum::<usize>()).sum())
}
