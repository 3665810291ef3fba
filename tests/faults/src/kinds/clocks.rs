//! A program's wall clock jumps, forwards and backwards, and is put right again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::seq::IndexedRandom;

use super::Done;
use crate::World;

/// An hour's mistake of a time zone, a day's, and a small step back.
const JUMPS_S: [i64; 4] = [3_600, -3_600, 86_400, -90];
/// Between two jumps.
const WRONG_FOR: Duration = Duration::from_secs(4);

pub(super) fn jump(world: &mut World, family: &str) -> Result<Done> {
    let name = world.any(family)?;
    let file = world.clock_file(&name);
    let set = |seconds: i64| {
        let aside = file.with_extension("aside");
        std::fs::write(&aside, seconds.to_string())?;
        std::fs::rename(&aside, &file)
    };
    let mut jumps = Vec::new();
    for _ in 0..2 {
        let seconds = JUMPS_S.choose(&mut world.rng).copied().context("a jump")?;
        set(seconds).context("set the clock wrong")?;
        jumps.push(format!("{seconds:+} s"));
        crate::lasting(WRONG_FOR);
        let seen = std::fs::read_to_string(file.with_extension("clock-seen")).unwrap_or_default();
        ensure!(seen == seconds.to_string(), "{name} did not look at its clock: it last saw {seen:?} s");
    }
    set(0).context("set the clock right")?;
    let note = format!("{name}: {}, and back", jumps.join(", "));
    Ok(Done::Applied { note, takeover: None, blind: (family != "relay-").then_some(name) })
}
