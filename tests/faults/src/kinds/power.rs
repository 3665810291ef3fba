//! All power goes at once: every program and every server dies, and of everything written only what had reached the disk
//! is there afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Done;
use crate::{World, flow::Pace};

/// A burst is in the middle of things by then.
const RUN_IN: Duration = Duration::from_millis(1_200);
const CANARY: &[u8] = b"never synced";

pub(super) fn cut(world: &mut World) -> Result<Done> {
    if world.machine.is_none() {
        return Ok(Done::Skipped(
            "no disk that forgets: mounting a file system image is not permitted here".into(),
        ));
    }
    let jails = world.jails.clone();
    let burst = jails.flow(Pace::BURST)?;
    crate::lasting(RUN_IN);
    // Written and not synced: that it is gone afterwards proves that such things are.
    let canary = world.instance.dir.join("canary");
    std::fs::write(&canary, CANARY).context("write the canary")?;
    let paused = jails.pause();
    world.power_off()?;
    // Whatever a command writes from here on is on the disk that is thrown away, and its jail brings it again.
    paused.wait();
    world.machine.as_mut().context("a machine")?.come_back()?;
    world.cluster.start_all()?;
    world.revive()?;
    drop(paused);
    ensure!(!std::fs::read(&canary).is_ok_and(|bytes| bytes == CANARY), "what was not synced survived");
    burst.finish()?;
    Ok(Done::noted("every program and server, unsynced pages dropped (a copy of the file system's image)"))
}
