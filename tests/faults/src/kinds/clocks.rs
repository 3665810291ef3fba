//! A program's wall clock jumps, forwards and backwards, and is put right again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use rand::seq::IndexedRandom;

use super::{Blind, Done};
use crate::World;

/// An hour's mistake of a time zone, a day's, and a small step back.
const JUMPS_S: [i64; 4] = [3_600, -3_600, 86_400, -90];
/// Between two jumps.
const WRONG_FOR: Duration = Duration::from_secs(4);

pub(super) fn jump(world: &mut World, family: &str) -> Result<Done> {
    let name = world.any(family)?;
    let mut jumps = Vec::new();
    for _ in 0..2 {
        let seconds = JUMPS_S.choose(&mut world.rng).copied().context("a jump")?;
        world.set_clock_wrong(&name, SignedDuration::from_secs(seconds))?;
        jumps.push(format!("{seconds:+} s"));
        crate::lasting(WRONG_FOR);
        ensure!(world.saw_its_clock(&name), "{name} did not look at its clock");
    }
    world.set_clock_right(&name)?;
    let note = format!("{name}: {}, and back", jumps.join(", "));
    // A relay's times are not in the hand-over logs.
    let blind = if family == "relay-" { Blind::Nobody } else { Blind::One(name) };
    Ok(Done::Applied { note, takeover: None, blind })
}
