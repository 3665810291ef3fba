//! Relay nodes join and leave at will.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Done;
use crate::{World, flow::Pace};

/// Between two changes.
const BETWEEN: Duration = Duration::from_millis(1_500);

pub(super) fn come_and_go(world: &mut World) -> Result<Done> {
    let burst = world.jails.flow(Pace::BURST)?;
    world.begin("relay-c", None)?;
    crate::lasting(BETWEEN);
    let left = world.end("relay-a")?;
    ensure!(left.success(), "relay-a ended with {left}");
    crate::lasting(BETWEEN);
    world.begin("relay-a", None)?;
    world.kill9("relay-b")?;
    crate::lasting(BETWEEN);
    world.revive()?;
    let left = world.end("relay-c")?;
    ensure!(left.success(), "relay-c ended with {left}");
    burst.finish()?;
    Ok(Done::noted("c joined, a left and came back, b was killed, c left"))
}
