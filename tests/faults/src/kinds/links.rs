//! Links between the programs and the servers: cut, silent, slow, half-open.

use std::time::Duration;

use anyhow::Result;

use super::Done;
use crate::{World, link::Link};

const CUT_FOR: Duration = Duration::from_secs(8);
/// Longer than it takes to notice a vanished peer, so that reconnects fail as well.
const SILENT_FOR: Duration = Duration::from_secs(20);
const DELAYED_FOR: Duration = Duration::from_secs(10);
/// Half-open connections stay dead after it; only new ones work.
const HALF_OPEN_FOR: Duration = Duration::from_secs(5);
/// Each way: a satellite link.
const DELAY: Duration = Duration::from_millis(300);

pub(super) fn cut(world: &mut World) -> Result<Done> {
    some(world, CUT_FOR, "cut", Link::cut)
}

pub(super) fn silent(world: &mut World) -> Result<Done> {
    some(world, SILENT_FOR, "silent", Link::silence)
}

pub(super) fn delay(world: &mut World) -> Result<Done> {
    some(world, DELAYED_FOR, "delayed", |link| link.delay(DELAY))
}

pub(super) fn half_open(world: &mut World) -> Result<Done> {
    some(world, HALF_OPEN_FOR, "half-open", Link::half_open)
}

/// A relay node, an agent and a bridge, by chance, at the same time.
fn some(world: &mut World, lasting: Duration, how: &str, break_it: impl Fn(&Link)) -> Result<Done> {
    let hit = [world.any("relay-")?, world.any("agent-")?, world.any("subscriber-")?];
    for name in &hit {
        break_it(world.link(name)?);
    }
    crate::lasting(lasting);
    for name in &hit {
        world.link(name)?.restore();
    }
    Ok(Done::noted(format!("{how} for {} s: {}", lasting.as_secs(), hit.join(", "))))
}
