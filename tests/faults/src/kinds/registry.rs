//! The registry is signed and put into place again and again while a burst passes.

use std::time::Duration;

use anyhow::Result;

use super::Done;
use crate::{World, calm, flow::Pace};

const TIMES: u64 = 5;
/// Programs look once a second.
const BETWEEN: Duration = Duration::from_millis(1_300);
/// Until everybody has the last of them.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn reload(world: &mut World) -> Result<Done> {
    let burst = world.jails.flow(Pace::BURST)?;
    for _ in 0..TIMES {
        world.instance.rewrite_registry()?;
        crate::lasting(BETWEEN);
    }
    let taken_up = format!("\"version\":{}", world.instance.version);
    for name in world.from_the_start() {
        calm::until(&format!("{name} takes up the registry"), TAKEN_UP_WITHIN, || {
            let log = world.log_of(&name);
            let has = |line: &str| line.contains("a new registry is in force") && line.contains(&taken_up);
            Ok(log.lines().any(has).then_some(()))
        })?;
    }
    burst.finish()?;
    Ok(Done::noted(format!("{TIMES} versions, up to {}", world.instance.version)))
}
