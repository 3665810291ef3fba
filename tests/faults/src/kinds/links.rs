//! Links between the programs and the servers: cut, silent, slow, half-open.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};

use super::Done;
use crate::{World, calm, judge, link::Link};

const CUT_FOR: Duration = Duration::from_secs(8);
/// Longer than it takes to notice a vanished peer, so that reconnects fail as well.
const SILENT_FOR: Duration = Duration::from_secs(20);
const DELAYED_FOR: Duration = Duration::from_secs(10);
/// Half-open connections stay dead after it; only new ones work.
const HALF_OPEN_FOR: Duration = Duration::from_secs(5);
/// Each way: a satellite link.
const DELAY: Duration = Duration::from_millis(300);
/// Two pings without an answer, and a reconnect.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);
/// As a program logs it.
const CONNECTED: &str = "connected to NATS";

pub(super) fn cut(world: &mut World) -> Result<Done> {
    broken(world, CUT_FOR, "cut", Link::cut)
}

pub(super) fn silent(world: &mut World) -> Result<Done> {
    broken(world, SILENT_FOR, "silent", Link::silence)
}

pub(super) fn delay(world: &mut World) -> Result<Done> {
    let mark = judge::mark(&world.instance);
    let (hit, note) = some(world, DELAYED_FOR, "delayed", |link| link.delay(DELAY))?;
    // A relay node shares its work with one that is not slow: only the jail and the agency are certain.
    let waited = judge::since(&world.instance, &mark)
        .into_iter()
        .filter(|line| hit.iter().any(|name| name.ends_with(&line.ori) || name.ends_with(&line.subscriber)));
    let longest = waited.map(|line| line.waited()).max().unwrap_or_default();
    ensure!(longest >= DELAY, "nothing of theirs took longer than {longest:?}: the links were not slow");
    Ok(Done::noted(note))
}

pub(super) fn half_open(world: &mut World) -> Result<Done> {
    broken(world, HALF_OPEN_FOR, "half-open", Link::half_open)
}

/// Breaks links so that connections die of it: each program must have noticed, and be connected anew.
fn broken(world: &mut World, lasting: Duration, how: &str, break_it: impl Fn(&Link)) -> Result<Done> {
    let connections = |world: &World, name: &str| world.log_of(name).matches(CONNECTED).count();
    let before: BTreeMap<String, usize> =
        world.running("").into_iter().map(|name| (name.clone(), connections(world, &name))).collect();
    let (hit, note) = some(world, lasting, how, break_it)?;
    for name in hit {
        let known = before.get(&name).copied().unwrap_or_default();
        calm::until(&format!("{name} is connected anew"), NOTICED_WITHIN, || {
            Ok((connections(world, &name) > known).then_some(()))
        })?;
    }
    Ok(Done::noted(note))
}

/// A relay node, an agent and a bridge, by chance, at the same time.
fn some(
    world: &mut World,
    lasting: Duration,
    how: &str,
    break_it: impl Fn(&Link),
) -> Result<([String; 3], String)> {
    let hit = [world.any("relay-")?, world.any("agent-")?, world.any("subscriber-")?];
    for name in &hit {
        break_it(world.link(name)?);
    }
    crate::lasting(lasting);
    for name in &hit {
        world.link(name)?.restore();
    }
    let note = format!("{how} for {} s: {}", lasting.as_secs(), hit.join(", "));
    Ok((hit, note))
}
