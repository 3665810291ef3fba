//! Kills one server of the cluster after the other while a scenario runs, and starts it again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use sallyport_bench::stage::Stage;

/// A killed server stays away so long.
const AWAY: Duration = Duration::from_secs(10);
/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// Kills until told to stop; gives how often. All servers run when it returns.
pub(crate) fn run(stage: &mut Stage, every: Duration, stop: &AtomicBool) -> Result<u32> {
    let mut kills = 0;
    while wait(every, stop) {
        let servers = stage.servers();
        let one = kills as usize % servers.len();
        servers[one].kill9()?;
        kills += 1;
        wait(AWAY, stop);
        servers[one].restart()?;
    }
    Ok(kills)
}

/// Waits; false when it is over.
#[allow(clippy::disallowed_methods, reason = "a thread of its own, beside the runtime")]
fn wait(time: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(TICK);
    }
    true
}
