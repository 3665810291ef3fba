//! The registry is signed and put into place again and again while a burst passes.

use std::time::Duration;

use anyhow::Result;

use super::Done;
use crate::{World, flow::Pace};

const TIMES: u64 = 5;
/// Programs look once a second.
const BETWEEN: Duration = Duration::from_millis(1_300);

pub(super) fn reload(world: &mut World) -> Result<Done> {
    let burst = world.jails.flow(Pace::BURST)?;
    for _ in 0..TIMES {
        world.instance.rewrite_registry()?;
        crate::lasting(BETWEEN);
    }
    burst.finish()?;
    Ok(Done::noted(format!("{TIMES} versions, up to {}", world.instance.version)))
}
