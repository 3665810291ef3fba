//! Our own programs: killed without warning, stopped in time.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use super::{Blind, Done, takeover};
use crate::{World, flow::Pace};

/// A program stays dead for at most so long.
const DEAD_FOR_MAX_MS: u64 = 3_000;
/// Beyond every ack_wait, so that what a frozen program holds is given to others and it settles late.
const FROZEN_FOR: Duration = Duration::from_secs(12);

/// `kill -9` of any program of this family, at a moment of chance.
pub(super) fn kill9(world: &mut World, family: &str) -> Result<Done> {
    let name = world.any(family)?;
    pause(world);
    world.kill9(&name)?;
    pause(world);
    world.revive()?;
    Ok(Done::noted(name))
}

/// `kill -9` of a relay node in the middle of a burst: what it had begun is taken over.
pub(super) fn kill9_relay(world: &mut World) -> Result<Done> {
    let name = world.any("relay-")?;
    let burst = world.jails.flow(Pace::BURST)?;
    pause(world);
    world.kill9(&name)?;
    let took = takeover(world)?;
    burst.finish()?;
    world.revive()?;
    Ok(Done::Applied { note: name, takeover: Some(took.whole), blind: Blind::Nobody })
}

/// SIGSTOP of any program of this family.
pub(super) fn freeze(world: &mut World, family: &str) -> Result<Done> {
    let name = world.any(family)?;
    world.program(&name)?.freeze()?;
    crate::lasting(FROZEN_FOR);
    world.program(&name)?.thaw()?;
    Ok(Done::noted(format!("{name} for {} s", FROZEN_FOR.as_secs())))
}

fn pause(world: &mut World) {
    let ms = world.rng.random_range(100..DEAD_FOR_MAX_MS);
    crate::lasting(Duration::from_millis(ms));
}
