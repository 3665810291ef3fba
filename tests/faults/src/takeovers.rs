//! How soon what a dead relay node had begun is done by the others: many kills, one after the other, while events flow.
//! Most die at a named point, with work in hand; some at a moment of chance, when they may have none.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::{Rng, seq::IndexedRandom};
use sallyport_e2e::points;
use serde::Serialize;

use crate::{
    Disks, World,
    flow::Pace,
    kinds::{self, takeover},
    world::NODES,
};

/// What is asked for.
pub const AIM_S: f64 = 10.0;
/// One in so many dies at a moment of chance.
const CHANCE_EVERY: usize = 5;
/// A moment of chance lies within.
const CHANCE_MS: u64 = 1_500;

/// The distribution.
#[derive(Debug, Serialize)]
pub struct Takeovers {
    /// Nodes killed.
    pub kills: usize,
    /// Of them, with something in hand that nobody had settled; the figures below are of these.
    pub with_work_in_hand: usize,
    /// Seconds until everything stored before the death was settled: half of the kills were below.
    pub p50_s: f64,
    /// Nine in ten.
    pub p90_s: f64,
    /// The longest.
    pub max_s: f64,
    /// How many took longer than the aim of ten seconds, which a command that measures it ends with 1 for.
    pub over_10_s: usize,
    /// Events that left the jails.
    pub events: u64,
    /// Notices never handed over.
    pub lost: usize,
    /// Notices handed over twice.
    pub duplicates: usize,
    /// To repeat it with.
    pub seed: u64,
    /// Every such kill, in order.
    pub all_s: Vec<f64>,
}

/// Kills nodes `kills` times on one world of three nodes, and says a line about each.
pub fn takeovers(kills: usize, seed: u64, say: &dyn Fn(&str)) -> Result<Takeovers> {
    let mut world = World::start(seed, Disks::Plain)?;
    world.begin(&crate::world::relay(NODES[2]), None)?;
    world.wait_until_up()?;
    let flow = world.jails.flow(Pace::STEADY)?;
    let mut all = Vec::with_capacity(kills);
    for kill in 1..=kills {
        let name = world.any("relay-")?;
        let how = if kill % CHANCE_EVERY > 0 {
            let point = points::relay_at_work().choose(&mut world.rng).copied().context("a point")?;
            kinds::die_at(&mut world, &name, point)?;
            point
        } else {
            let burst = world.jails.flow(Pace { exports: Some(1), ..Pace::BURST })?;
            crate::lasting(Duration::from_millis(world.rng.random_range(0..CHANCE_MS)));
            world.kill9(&name)?;
            drop(burst);
            "chance"
        };
        let took = takeover(&world)?;
        let seconds = (took.whole.as_secs_f64() * 1_000.0).round() / 1_000.0;
        say(&format!("kill {kill}: {name} at {how}, {} in hand, taken over in {seconds:.1} s", took.begun));
        // A node that died idle leaves nothing to take over.
        if took.begun > 0 {
            all.push(seconds);
        }
        world.revive()?;
        world.wait_until_up()?;
    }
    flow.end()?;
    let report = world.calm()?;
    let mut sorted = all.clone();
    sorted.sort_by(f64::total_cmp);
    let below = |percent: usize| {
        sorted
            .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    Ok(Takeovers {
        kills,
        with_work_in_hand: all.len(),
        p50_s: below(50),
        p90_s: below(90),
        max_s: below(100),
        over_10_s: all.iter().filter(|seconds| **seconds > AIM_S).count(),
        events: report.events,
        lost: report.lost.len(),
        duplicates: report.duplicates.len(),
        seed,
        all_s: all,
    })
}
