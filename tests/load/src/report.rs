//! What a load run says: a table for people, one object for programs.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use sallyport_bench::{Machine, Percentiles};
use serde::Serialize;

use crate::{Scenario, scenario::QUIET, tally::Tally, world::Size};

/// What the same servers carry without the product's logic.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FloorRates {
    /// Messages a second through three durable hops.
    pub bare_per_s: f64,
    /// The same with the product's signatures.
    pub signed_per_s: f64,
    /// The same with a durable and a connection for each agency in the middle.
    pub agencies_per_s: f64,
}

impl FloorRates {
    pub(crate) fn mean(&self, other: &Self) -> Self {
        Self {
            bare_per_s: (self.bare_per_s + other.bare_per_s) / 2.0,
            signed_per_s: (self.signed_per_s + other.signed_per_s) / 2.0,
            agencies_per_s: (self.agencies_per_s + other.agencies_per_s) / 2.0,
        }
    }
}

/// What one program took.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Which; of several alike all together.
    pub name: &'static str,
    /// Processor time, seconds.
    pub cpu_s: f64,
    /// Resident at the end, MiB.
    pub resident_mib: f64,
}

impl Process {
    /// In words, for a time in which nothing happened.
    pub(crate) fn quiet(&self) -> String {
        let share = 100.0 * self.cpu_s / QUIET.as_secs_f64();
        format!("{}: {share:.0} % of a processor, {:.0} MiB", self.name, self.resident_mib)
    }
}

/// One scenario that was played.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// What.
    #[serde(flatten)]
    pub scenario: Scenario,
    /// Events that the jails stated.
    pub stated: u64,
    /// Notices that were due.
    pub notices: u64,
    /// Due and not received.
    pub lost: u64,
    /// Copies that the broker delivered again; an agency absorbs them by notice id and attempt.
    pub copies: u64,
    /// Refused by the relay, or not to be believed by an agency.
    pub bad: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Events a second.
    pub events_per_s: f64,
    /// From the jail's statement to the agency.
    pub deliver_ms: Percentiles,
    /// From the jail's statement to the relay's Acceptance at the jail.
    pub accept_ms: Percentiles,
    /// The longest time in which an agency waited for a notice that was stated, and nothing came, seconds.
    pub longest_stall_s: f64,
    /// Servers killed meanwhile.
    pub kills: u32,
    /// What each program took; empty when servers were killed.
    pub programs: Vec<Process>,
}

impl Run {
    pub(crate) fn of(
        scenario: Scenario,
        tally: &Tally,
        took: Duration,
        programs: Vec<Process>,
        kills: u32,
    ) -> Self {
        let [_, stated, received, notices] = tally.progress();
        let seconds = took.as_secs_f64();
        Self {
            scenario,
            stated,
            notices,
            lost: notices.saturating_sub(received),
            copies: tally.copies.load(Ordering::Relaxed),
            bad: tally.bad.load(Ordering::Relaxed) + tally.refused.load(Ordering::Relaxed),
            seconds,
            events_per_s: stated as f64 / seconds,
            deliver_ms: tally.deliver_ms(),
            accept_ms: tally.accept_ms(),
            longest_stall_s: tally.longest_stall_s(),
            kills,
            programs,
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events, {} notices in {:.1} s ({:.0} events/s); to the agency p50 {:.1} ms, p99 {:.1} ms; \
             longest stall {:.1} s; lost {}, delivered again {}, bad {}",
            self.stated,
            self.notices,
            self.seconds,
            self.events_per_s,
            self.deliver_ms.p50,
            self.deliver_ms.p99,
            self.longest_stall_s,
            self.lost,
            self.copies,
            self.bad,
        )?;
        if self.kills > 0 {
            write!(f, "; {} servers killed", self.kills)?;
        }
        for Process { name, cpu_s, resident_mib } in &self.programs {
            let us = cpu_s * 1e6 / self.notices.max(1) as f64;
            write!(f, "\n    {name}: {us:.0} us of processor time a notice, {resident_mib:.0} MiB")?;
        }
        Ok(())
    }
}

/// Everything that was played in one country.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// How large.
    pub size: Size,
    /// What the programs took while nothing happened.
    pub quiet: Vec<Process>,
    /// On the same servers, before and after.
    pub floors: FloorRates,
    /// What was played.
    pub runs: Vec<Run>,
}

impl Report {
    /// Nothing was lost, refused or unbelievable.
    pub fn is_clean(&self) -> bool {
        self.runs.iter().all(|run| run.lost == 0 && run.bad == 0)
    }

    /// The rate at which a backlog was drained, as a share of the signed floor: of the one with one durable in the middle,
    /// and of the one with as many as there are agencies.
    pub fn backlog_ratio(&self) -> Option<(f64, f64)> {
        let backlog = self.runs.iter().find(|run| matches!(run.scenario, Scenario::Backlog { .. }))?;
        let of = |floor| backlog.events_per_s / floor;
        Some((of(self.floors.signed_per_s), of(self.floors.agencies_per_s)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let busy = if self.machine.was_busy() { " BUSY WITH OTHER WORK when it began" } else { "" };
        let Machine { cores, cpu, syncs_per_s, .. } = &self.machine;
        writeln!(f, "{} on {cores} x {cpu}, {syncs_per_s:.0} syncs/s on its disk{busy}", self.size)?;
        writeln!(f, "while nothing happens")?;
        for program in &self.quiet {
            writeln!(f, "  {}", program.quiet())?;
        }
        let FloorRates { bare_per_s, signed_per_s, agencies_per_s } = self.floors;
        writeln!(
            f,
            "floors: {bare_per_s:.0}/s bare, {signed_per_s:.0}/s signed, {agencies_per_s:.0}/s signed with a durable for each agency"
        )?;
        for run in &self.runs {
            writeln!(f, "{}\n  {run}", run.scenario)?;
        }
        match self.backlog_ratio() {
            Some((one, each)) => write!(
                f,
                "a backlog drains at {one:.2} of the signed floor's rate, {each:.2} of the one with a durable for each agency"
            ),
            None => Ok(()),
        }
    }
}
