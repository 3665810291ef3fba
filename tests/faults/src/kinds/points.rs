//! Programs that die at a named point between two steps of an arrow, while a day passes it. All points, one by one and
//! on one server, are `tests/e2e/tests/kills.rs`; here each family on a cluster, beside its other nodes.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::seq::IndexedRandom;
use sallyport_e2e::points;

use super::{Blind, Done, takeover};
use crate::World;

/// A point that the flow does not pass within this time is not on its way.
const PASSED_WITHIN: Duration = Duration::from_secs(60);

pub(super) fn relay(world: &mut World) -> Result<Done> {
    let (note, _) = die_at_any(world, "relay-", &points::relay_at_work())?;
    let took = takeover(world)?;
    world.revive()?;
    Ok(Done::Applied { note, takeover: Some(took.whole), blind: Blind::Nobody })
}

pub(super) fn agent(world: &mut World) -> Result<Done> {
    let (note, name) = die_at_any(world, "agent-", &points::AGENT)?;
    world.begin(&name, None)?;
    Ok(Done::noted(note))
}

pub(super) fn subscriber(world: &mut World) -> Result<Done> {
    let (note, name) = die_at_any(world, "subscriber-", &points::SUBSCRIBER)?;
    world.begin(&name, None)?;
    Ok(Done::noted(note))
}

fn die_at_any(world: &mut World, family: &str, points: &[&str]) -> Result<(String, String)> {
    let name = world.any(family)?;
    let point = points.choose(&mut world.rng).copied().context("a point")?;
    die_at(world, &name, point)?;
    Ok((format!("{name} at {point}"), name))
}

/// Starts a program again so that it dies when it passes this point, and waits for that.
pub(crate) fn die_at(world: &mut World, name: &str, point: &str) -> Result<()> {
    world.kill9(name)?;
    world.begin(name, Some(&format!("crash:{point}")))?;
    let died = world.wait_for_end(name, PASSED_WITHIN);
    died.with_context(|| format!("{name} did not pass {point}")).map(drop)
}
