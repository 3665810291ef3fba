//! Programs that die at a named point between two steps of an arrow, while a day passes it. All points, one by one and
//! on one server, are `tests/e2e/tests/kills.rs`; here each family on a cluster, beside its other nodes.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::seq::IndexedRandom;

use super::{Done, takeover};
use crate::World;

/// A point that the flow does not pass within this time is not on its way.
const PASSED_WITHIN: Duration = Duration::from_secs(60);

/// Where a node has something in hand that is not settled.
pub(crate) const RELAY: [&str; 11] = [
    "relay.intake.after-pull",
    "relay.commit.before",
    "relay.commit.before-last-message",
    "relay.commit.after-batch-ack",
    "relay.commit.after-batch",
    "relay.commit.after",
    "relay.answer.before-publish",
    "relay.answer.after-publish",
    "relay.answer.before-settle",
    "relay.forward.after-pull",
    "relay.forward.before-settle",
];
const AGENT: [&str; 7] = [
    "agent.intake.before-commit",
    "agent.intake.after-commit",
    "agent.publish.before-send",
    "agent.publish.after-send",
    "agent.publish.after-puback",
    "agent.answer.before-store",
    "agent.answer.after-store",
];
const SUBSCRIBER: [&str; 8] = [
    "subscriber.receive.after-pull",
    "subscriber.store.after-commit",
    "subscriber.log.after-append",
    "subscriber.receipt.before-publish",
    "subscriber.receipt.after-puback",
    "subscriber.settle.after",
    "subscriber.sink.before-rename",
    "subscriber.sink.after-rename",
];

pub(super) fn relay(world: &mut World) -> Result<Done> {
    let (note, _) = die_at_any(world, "relay-", &RELAY)?;
    let took = takeover(world)?;
    world.revive()?;
    Ok(Done::Applied { note, takeover: Some(took.whole), blind: None })
}

pub(super) fn agent(world: &mut World) -> Result<Done> {
    let (note, name) = die_at_any(world, "agent-", &AGENT)?;
    world.begin(&name, None)?;
    Ok(Done::noted(note))
}

pub(super) fn subscriber(world: &mut World) -> Result<Done> {
    let (note, name) = die_at_any(world, "subscriber-", &SUBSCRIBER)?;
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
