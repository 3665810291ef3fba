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
    /// As many as fit, and on until they are enough to prove what was visited, but never longer than 5 minutes. A run
    /// that must prove it and cannot within that time fails.
    Covering(Duration),
}

/// A slow machine is given time, as a gate that fails on every slow machine would be switched off; but not without end.
const COVERS_BY: Duration = Duration::from_secs(5 * 60);

impl Budget {
    fn is_used_up(self, fresh: u64, took: Duration) -> bool {
        match self {
            Self::Seeds(seeds) => fresh >= seeds,
            Self::Time(time) => took >= time,
            Self::Covering(time) => took >= time && (fresh >= SEEDS_FOR_COVERAGE || took >= COVERS_BY),
        }
    }
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
    /// They had to be.
    pub must_cover: bool,
}

impl Summary {
    /// No seed failed, and everything was visited where enough seeds were run; where that had to be shown, it was.
    pub fn is_good(&self) -> bool {
        let shown = if self.covers { self.not_visited.is_empty() } else { !self.must_cover };
        self.failures.is_empty() && shown
    }

    /// Why nothing is proven about what was visited, if so.
    pub fn too_few(&self) -> Option<String> {
        (!self.covers).then(|| {
            let Self { seeds, .. } = self;
            let slow = format!(": this machine is too slow for them in {} minutes", COVERS_BY.as_secs() / 60);
            let why = if self.must_cover { slow } else { String::new() };
            format!(
                "{seeds} seeds prove nothing about what was visited, which takes {SEEDS_FOR_COVERAGE}{why}"
            )
        })
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
///
/// `failed` is told of every seed that fails, as soon as it does.
pub fn many(from: u64, budget: Budget, failed: &(dyn Fn(&Failure) + Sync)) -> Summary {
    let began = Instant::now();
    let kept = kept_seeds();
    let seed_of = |n: u64| usize::try_from(n).ok().and_then(|n| kept.get(n).copied());
    let next = AtomicU64::new(0);
    let all = Mutex::new((Summary::default(), Coverage::default()));
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let fresh = n.saturating_sub(kept.len() as u64);
            let over = budget.is_used_up(fresh, began.elapsed());
            let is_kept = seed_of(n).is_some();
            if over && !is_kept {
                return;
            }
            let outcome = run(seed_of(n).unwrap_or(from + fresh), &Options::default());
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.0.add(&outcome);
            if !outcome.findings.is_empty()
                && let Some(failure) = all.0.failures.last()
            {
                failed(failure);
            }
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
    summary.must_cover = matches!(budget, Budget::Covering(_));
    summary.covers = summary.seeds >= SEEDS_FOR_COVERAGE;
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(covers: bool, must_cover: bool, not_visited: &[&str]) -> Summary {
        let not_visited = not_visited.iter().map(ToString::to_string).collect();
        Summary { covers, must_cover, not_visited, ..Summary::default() }
    }

    #[test]
    fn what_must_be_proven_fails_when_something_was_not_visited_and_when_the_seeds_were_too_few() {
        assert!(summary(true, true, &[]).is_good());
        assert!(!summary(true, true, &["a transition"]).is_good());
        assert!(!summary(false, true, &[]).is_good(), "by luck is no proof");
        assert!(summary(false, true, &[]).too_few().is_some_and(|why| why.contains("too slow")));
    }

    #[test]
    fn a_few_seeds_of_ones_own_pass_and_say_that_they_prove_nothing() {
        let few = summary(false, false, &["a transition"]);
        assert!(few.is_good() && few.too_few().is_some());
        assert!(!summary(true, false, &["a transition"]).is_good(), "many are held to it");
    }

    #[test]
    fn a_slow_machine_goes_on_until_it_has_seeds_enough_and_not_for_ever() {
        let budget = Budget::Covering(Duration::from_secs(120));
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert!(!budget.is_used_up(SEEDS_FOR_COVERAGE, minutes(1)), "its time is its time");
        assert!(budget.is_used_up(SEEDS_FOR_COVERAGE, minutes(2)));
        assert!(!budget.is_used_up(SEEDS_FOR_COVERAGE - 1, minutes(4)));
        assert!(budget.is_used_up(SEEDS_FOR_COVERAGE - 1, COVERS_BY));
    }
}
