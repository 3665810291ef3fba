//! Many seeds: those that failed once first, then as many as the budget allows.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    coverage::Coverage,
    run::{Options, Outcome, run},
};

/// Seeds that failed once; always run first.
const KEPT: &str = include_str!("../seeds.txt");
/// Seeds from which on a transition that was not visited is a failure: fewer may miss one by chance.
const SEEDS_FOR_COVERAGE: u64 = 1_000;
/// Failing seeds after which there is nothing more to learn.
const FAILURES_MAX: usize = 20;
/// Runs beside each other: they need processors, and little else.
const BESIDE_EACH_OTHER_MAX: usize = 8;

/// How much to run.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// So many seeds.
    Seeds(u64),
    /// As many as fit.
    Time(Duration),
}

/// A seed that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// It.
    pub seed: u64,
    /// What must never be, and was.
    pub findings: Vec<String>,
}

/// What many runs came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Events that jails stored.
    pub events: u64,
    /// Notices that were handed over.
    pub notices: u64,
    /// Programs that died.
    pub crashes: u64,
    /// Faults that struck, by kind.
    pub faults_by_kind: BTreeMap<&'static str, u64>,
    /// The longest time from "stored" to a hand-over log, in simulated seconds.
    pub longest_stall_s: f64,
    /// Notices that should have been handed over and were not.
    pub lost: u64,
    /// Notices that were handed over twice.
    pub duplicates: u64,
    /// Events that were refused for good, for a reason that was there, and shown to a person.
    pub refused: u64,
    /// Transitions and crash points that no seed went through.
    pub not_visited: Vec<String>,
    /// What was gone through most seldom, and how often.
    pub seldom: Vec<(String, u64)>,
    /// Seeds that failed.
    pub failures: Vec<Failure>,
    /// Enough seeds were run that everything should have been visited.
    pub covers: bool,
}

impl Summary {
    /// No seed failed, and everything was visited where enough seeds were run.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && (!self.covers || self.not_visited.is_empty())
    }

    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.notices += outcome.notices;
        self.crashes += outcome.crashes;
        for (kind, times) in &outcome.faults {
            *self.faults_by_kind.entry(kind).or_default() += times;
        }
        self.longest_stall_s = self.longest_stall_s.max(outcome.longest_stall_s);
        self.lost += outcome.lost;
        self.duplicates += outcome.duplicates;
        self.refused += outcome.refused;
        if !outcome.findings.is_empty() {
            self.failures.push(Failure { seed: outcome.seed, findings: outcome.findings.clone() });
        }
    }
}

/// The seeds of `seeds.txt`: one a line, with what it found behind it.
pub fn kept_seeds() -> Vec<u64> {
    let lines = KEPT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Runs the kept seeds, then those from `from` on, until the budget is used up. A run has one thread; several runs go on
/// beside each other.
pub fn many(from: u64, budget: Budget) -> Summary {
    let began = Instant::now();
    let kept = kept_seeds();
    let seed_of = |n: u64| usize::try_from(n).ok().and_then(|n| kept.get(n).copied());
    let next = AtomicU64::new(0);
    let all = Mutex::new((Summary::default(), Coverage::default()));
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let fresh = n.saturating_sub(kept.len() as u64);
            let over = match budget {
                Budget::Seeds(seeds) => fresh >= seeds,
                Budget::Time(time) => began.elapsed() >= time,
            };
            let is_kept = seed_of(n).is_some();
            if over && !is_kept {
                return;
            }
            let outcome = run(seed_of(n).unwrap_or(from + fresh), &Options::default());
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.0.add(&outcome);
            all.1.merge(outcome.coverage);
            if all.0.failures.len() >= FAILURES_MAX {
                return;
            }
        }
    };
    let beside = std::thread::available_parallelism().map_or(1, usize::from).min(BESIDE_EACH_OTHER_MAX);
    std::thread::scope(|scope| {
        for _ in 0..beside {
            scope.spawn(work);
        }
    });
    let (mut summary, coverage) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort_by_key(|failure| failure.seed);
    summary.not_visited = coverage.not_visited();
    summary.seldom = coverage.seldom();
    summary.covers = summary.seeds >= SEEDS_FOR_COVERAGE;
    summary
}
