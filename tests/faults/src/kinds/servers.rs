//! Nodes of the cluster: killed, stopped in time.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;

use super::Done;
use crate::World;

/// Long enough for elections, and for clients that must notice by themselves.
const FROZEN_FOR: Duration = Duration::from_secs(12);
/// A dead node stays away for so long: leaders move meanwhile.
const DEAD_FOR: Duration = Duration::from_secs(3);

/// `kill -9` of any node; it comes back on its store.
pub(super) fn kill9(world: &mut World) -> Result<Done> {
    let index = world.rng.random_range(0..3);
    let node = world.cluster.nodes().get_mut(index).context("a node")?;
    node.kill9()?;
    crate::lasting(DEAD_FOR);
    node.restart()?;
    world.cluster.wait_until_whole()?;
    Ok(Done::noted(format!("node-{}", index + 1)))
}

/// SIGSTOP of any node: its connections stay open and nothing answers.
pub(super) fn freeze(world: &mut World) -> Result<Done> {
    let index = world.rng.random_range(0..3);
    let node = world.cluster.nodes().get_mut(index).context("a node")?;
    node.freeze()?;
    crate::lasting(FROZEN_FOR);
    node.thaw()?;
    world.cluster.wait_until_whole()?;
    Ok(Done::noted(format!("node-{} for {} s", index + 1, FROZEN_FOR.as_secs())))
}
