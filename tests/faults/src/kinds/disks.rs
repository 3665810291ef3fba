//! Disks that are full for a while: of a server, of an agent (its outbox), of a relay node (its read model), of a bridge.
//! Small file systems of their own; without the right to mount them this is said and skipped.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Done;
use crate::{World, flow::Pace, ground::Volume, world::Volumes};

const FULL_FOR: Duration = Duration::from_secs(6);
/// As SQLite, the system and nats-server say it.
const COMPLAINTS: [&str; 3] = ["disk is full", "o space left", "insufficient storage"];
/// Between two looks of the service manager.
const REVIVE_EVERY: Duration = Duration::from_millis(500);

pub(super) fn server(world: &mut World) -> Result<Done> {
    let done = full(world, "a server's store", |volumes| &volumes.server)?;
    if matches!(done, Done::Applied { .. }) {
        // A nats-server that met a full disk has switched its JetStream off: an operator starts it again.
        let node = world.cluster.nodes().last_mut().context("a cluster has nodes")?;
        node.restart()?;
        world.cluster.wait_until_whole()?;
    }
    Ok(done)
}

pub(super) fn outbox(world: &mut World) -> Result<Done> {
    full(world, "an agent's store", |volumes| &volumes.outbox)
}

pub(super) fn read_model(world: &mut World) -> Result<Done> {
    full(world, "a relay node's read model", |volumes| &volumes.read_model)
}

pub(super) fn bridge(world: &mut World) -> Result<Done> {
    full(world, "a bridge's store", |volumes| &volumes.bridge)
}

fn full(world: &mut World, what: &str, which: impl Fn(&Volumes) -> &Volume) -> Result<Done> {
    if world.volumes.is_none() {
        return Ok(Done::Skipped("no small file system: mounting one is not permitted here".into()));
    }
    // Enough that no file has room left inside itself.
    let burst = world.jails.flow(Pace::BURST)?;
    let before = complaints(world)?;
    if let Some(volumes) = &world.volumes {
        which(volumes).fill()?;
    }
    let end = Instant::now() + FULL_FOR;
    let mut restarts = 0;
    while Instant::now() < end {
        crate::lasting(REVIVE_EVERY);
        restarts += world.revive()?;
    }
    if let Some(volumes) = &world.volumes {
        which(volumes).free()?;
    }
    restarts += world.revive()?;
    burst.finish()?;
    // Without a disk a program may end; a service manager starts it again.
    world.ended_by_themselves();
    let met = complaints(world)? - before;
    ensure!(met > 0, "nobody met the full disk of {what}");
    Ok(Done::noted(format!(
        "{what} (a small tmpfs of its own) full for {} s, {met} writes refused, {restarts} restarts",
        FULL_FOR.as_secs()
    )))
}

/// How often anybody said that there is no room.
fn complaints(world: &mut World) -> Result<usize> {
    let mut logs: Vec<String> = world.from_the_start().iter().map(|name| world.log_of(name)).collect();
    for node in world.cluster.nodes() {
        logs.push(std::fs::read_to_string(node.dir().join("nats.log")).context("read a server's log")?);
    }
    Ok(logs.iter().map(|log| COMPLAINTS.iter().map(|text| log.matches(text).count()).sum::<usize>()).sum())
}
