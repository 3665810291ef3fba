//! Faults at random for as long as one likes: world after world, each with some faults one after the other, every kind
//! about as often as any other. A seed gives the same choice of faults and victims; the moments are the machine's.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::Serialize;

use crate::{Disks, Outcome, Trial, World, ground, kinds, kinds::Kind};

/// Faults on one world: enough that they meet each other's consequences, few enough that its audit stays quick.
const FAULTS_PER_WORLD: usize = 12;

/// What runs beside the faults, such as simulation seeds: takes the first seed and the time it has, and gives how many
/// seeds it ran. An error ends the soak as a loss does.
pub type Beside<'a> = &'a (dyn Fn(u64, Duration) -> Result<u64> + Sync);

/// How to soak.
pub struct Options<'a> {
    /// For how long new faults are begun.
    pub lasting: Duration,
    /// Chooses faults and victims.
    pub seed: u64,
    /// Only these kinds; all when empty.
    pub only: Vec<String>,
    /// Mounts nothing, as if it were not permitted.
    pub no_mount: bool,
    /// Runs beside the faults for as long.
    pub beside: Option<Beside<'a>>,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// How long it took.
    pub minutes: f64,
    /// Simulation seeds that ran beside.
    pub seeds: u64,
    /// Faults that were survived.
    pub faults: u64,
    /// The same by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Events that left the jails.
    pub events: u64,
    /// Notices never handed over.
    pub lost: u64,
    /// Notices handed over twice, in a log or in a folder of files.
    pub duplicates: u64,
    /// Of any event between the jail's store and a hand-over, beyond the undisturbed p99.
    pub longest_stall_s: f64,
    /// The same by kind.
    pub stall_by_kind_s: BTreeMap<&'static str, f64>,
    /// Until what a dead relay node had begun was done by others, at most.
    pub longest_takeover_s: f64,
    /// To repeat it with.
    pub seed: u64,
    /// Kinds that cannot happen here, and why.
    pub skipped: BTreeMap<&'static str, String>,
    /// Whatever else went wrong: findings of the audit, and faults after which no rest came.
    pub failures: Vec<String>,
}

impl Summary {
    /// Nothing lost, nothing twice, nothing else wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.failures.is_empty()
    }

    fn add(&mut self, outcome: &Outcome) {
        self.events += outcome.events;
        self.lost += outcome.lost;
        self.duplicates += outcome.duplicates;
        self.failures.extend(outcome.findings.iter().map(|finding| format!("{}: {finding}", outcome.kind)));
        if let Some(why) = &outcome.skipped {
            self.skipped.insert(outcome.kind, why.clone());
            return;
        }
        if outcome.is_clean() {
            self.faults += 1;
            *self.by_kind.entry(outcome.kind).or_default() += 1;
        }
        self.longest_stall_s = self.longest_stall_s.max(outcome.stall_s);
        self.longest_takeover_s = self.longest_takeover_s.max(outcome.takeover_s.unwrap_or_default());
        let stall = self.stall_by_kind_s.entry(outcome.kind).or_default();
        *stall = stall.max(outcome.stall_s);
    }
}

/// Soaks, and says a line about each fault.
pub fn soak(options: &Options<'_>, say: &dyn Fn(&str)) -> Result<Summary> {
    let began = Instant::now();
    let mut summary = Summary { seed: options.seed, ..Summary::default() };
    std::thread::scope(|scope| {
        let beside = options.beside.map(|run| scope.spawn(|| run(options.seed, options.lasting)));
        rounds(options, began + options.lasting, &mut summary, say)?;
        match beside.map(std::thread::ScopedJoinHandle::join) {
            None => {}
            Some(Ok(Ok(seeds))) => summary.seeds = seeds,
            Some(Ok(Err(error))) => summary.failures.push(format!("beside the faults: {error:#}")),
            Some(Err(_)) => summary.failures.push("what ran beside the faults panicked".into()),
        }
        anyhow::Ok(())
    })?;
    summary.minutes = (began.elapsed().as_secs_f64() / 6.0).round() / 10.0;
    Ok(summary)
}

fn rounds(options: &Options<'_>, end: Instant, summary: &mut Summary, say: &dyn Fn(&str)) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut begun: BTreeMap<&'static str, u64> = BTreeMap::new();
    let may_mount = if options.no_mount { Err(anyhow!("asked not to")) } else { ground::may_mount() };
    let disks = match may_mount {
        Ok(()) => vec![Disks::Small, Disks::OneMachine],
        Err(error) => {
            say(&format!(
                "no disk of its own can be mounted here ({error:#}): full disks are stores that refuse to grow and a \
                 server's quota, and power cuts are skipped"
            ));
            for kind in kinds::ALL.iter().filter(|kind| !Disks::Refusing.serve(kind.disks)) {
                summary.skipped.insert(kind.name, format!("nothing is mounted: {error:#}"));
            }
            vec![Disks::Refusing]
        }
    };
    let wanted =
        |kind: &&'static Kind| options.only.is_empty() || options.only.iter().any(|name| name == kind.name);
    let any = |kind: &'static Kind| wanted(&kind) && disks.iter().any(|disks| disks.serve(kind.disks));
    if !kinds::ALL.iter().any(any) {
        say("no fault that was asked for can happen here");
        return Ok(());
    }
    for round in 0.. {
        let disks = disks.get(round % disks.len()).copied().context("a kind of disks")?;
        let possible: Vec<_> =
            kinds::ALL.iter().filter(wanted).filter(|kind| disks.serve(kind.disks)).collect();
        if Instant::now() >= end {
            return Ok(());
        }
        if possible.is_empty() {
            continue;
        }
        let seed = rng.random();
        say(&format!("world {round}, seed {seed}, disks {disks:?}"));
        let mut trial = Trial::of(World::start(seed, disks)?)?;
        for _ in 0..FAULTS_PER_WORLD {
            if Instant::now() >= end {
                return Ok(());
            }
            let kind = seldom(&possible, &begun, &mut rng).context("a kind of fault")?;
            *begun.entry(kind.name).or_default() += 1;
            match trial.apply(kind) {
                Ok(outcome) => {
                    say(&outcome.line());
                    summary.add(&outcome);
                    if !outcome.is_clean() {
                        say(&trial.world.logs());
                        break;
                    }
                }
                Err(error) => {
                    say(&format!("{} FAILED: {error:#}", kind.name));
                    let first = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                    summary.failures.push(first);
                    break;
                }
            }
        }
    }
    Ok(())
}

/// One of those that came up least so far.
fn seldom(
    possible: &[&'static Kind],
    begun: &BTreeMap<&'static str, u64>,
    rng: &mut StdRng,
) -> Option<&'static Kind> {
    let times = |kind: &Kind| begun.get(kind.name).copied().unwrap_or_default();
    let least = possible.iter().map(|kind| times(kind)).min()?;
    let fewest: Vec<_> = possible.iter().filter(|kind| times(kind) == least).collect();
    fewest.choose(rng).map(|kind| **kind)
}
