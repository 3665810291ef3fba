//! One fault after the other on one world: events flow all the while, and after each fault everything must come to rest
//! and the audit must find nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    World,
    flow::Pace,
    judge,
    kinds::{Blind, Done, Kind},
};

/// Exports of the undisturbed stretch that the stall is measured against.
const UNDISTURBED: Pace = Pace { every: Duration::from_millis(200), custodies: 6, exports: Some(15) };
/// Before a fault something must be on its way.
const RUN_IN: Duration = Duration::from_millis(800);

/// What came of one fault.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Which.
    pub kind: &'static str,
    /// Not applied, and why.
    pub skipped: Option<String>,
    /// What was done, in words.
    pub note: String,
    /// Events that left the jails during it.
    pub events: u64,
    /// Notices that were never handed over.
    pub lost: u64,
    /// Notices handed over twice, in a log or in a folder.
    pub duplicates: u64,
    /// Everything that the audit says against it, in words.
    pub findings: Vec<String>,
    /// Whose event waited longest, and for whom.
    pub stalled: String,
    /// The longest wait of an event between the jail's store and a hand-over, beyond the undisturbed p99.
    pub stall_s: f64,
    /// Until what a dead relay node had begun was done by the others.
    pub takeover_s: Option<f64>,
    /// How long it all took.
    pub took_s: f64,
}

impl Outcome {
    /// Nothing lost, nothing twice, nothing else wrong.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.findings.is_empty()
    }

    /// One line for people.
    pub fn line(&self) -> String {
        if let Some(why) = &self.skipped {
            return format!("{:<26} SKIPPED: {why}", self.kind);
        }
        let takeover = self.takeover_s.map_or_else(String::new, |s| format!(", taken over in {s:.1} s"));
        format!(
            "{:<26} {:>5} events, lost {}, duplicates {}, longest stall {:.1} s ({}){takeover}, in {:.0} s: {}",
            self.kind,
            self.events,
            self.lost,
            self.duplicates,
            self.stall_s,
            self.stalled,
            self.took_s,
            self.note
        )
    }
}

/// A world with its undisturbed figure.
pub struct Trial {
    /// Where.
    pub world: World,
    /// Undisturbed, from the jail's store to the hand-over.
    pub undisturbed_p99: Duration,
    events: u64,
    duplicates: u64,
}

impl Trial {
    /// Lets the world run undisturbed for a while.
    pub fn of(mut world: World) -> Result<Self> {
        let mark = judge::mark(&world.instance);
        world.jails.flow(UNDISTURBED)?.finish()?;
        let report = world.calm()?;
        let findings = report.findings();
        anyhow::ensure!(findings.is_empty(), "undisturbed, the audit says:\n{}", findings.join("\n"));
        let waits = judge::since(&world.instance, &mark).iter().map(judge::HandOver::waited).collect();
        Ok(Self { undisturbed_p99: judge::p99(waits), events: report.events, duplicates: 0, world })
    }

    /// Applies one fault while events flow, lets everything come to rest, and judges.
    pub fn apply(&mut self, kind: &'static Kind) -> Result<Outcome> {
        let began = Instant::now();
        let mark = judge::mark(&self.world.instance);
        let panics = self.world.panics();
        let flow = self.world.jails.flow(Pace::STEADY)?;
        crate::lasting(RUN_IN);
        let done = (kind.apply)(&mut self.world);
        let done = done.with_context(|| format!("{}: {}", kind.name, self.world.logs()))?;
        self.world.revive()?;
        flow.end().with_context(|| format!("{}: {}", kind.name, self.world.logs()))?;
        let report = self.world.calm().with_context(|| kind.name)?;
        let folders = judge::folders(&self.world.instance)?;
        let mut findings = report.findings();
        findings.extend(folders.missing.iter().map(|id| format!("no file for {id}")));
        findings
            .extend(self.world.ended_by_themselves().iter().map(|name| format!("{name} ended by itself")));
        if self.world.panics() > panics {
            findings.push(format!("a program panicked: {}", self.world.logs()));
        }
        findings.extend(folders.wrong.iter().map(|name| format!("a file too much, or torn: {name}")));
        // A duplicate stays in the log: later faults are not blamed for it.
        let duplicates = (report.duplicates.len() + folders.wrong.len()) as u64;
        let (note, skipped, takeover, blind) = match done {
            Done::Applied { note, takeover, blind } => (note, None, takeover, blind),
            Done::Skipped(why) => (String::new(), Some(why), None, Blind::Nobody),
        };
        let handed_over = judge::since(&self.world.instance, &mark);
        let seen = handed_over.iter().filter(|line| !blind.covers(&line.ori, &line.subscriber));
        let slowest = seen.max_by_key(|line| line.waited());
        let longest = slowest.map(judge::HandOver::waited).unwrap_or_default();
        let stalled = slowest.map_or_else(String::new, |line| format!("{} to {}", line.ori, line.subscriber));
        let outcome = Outcome {
            kind: kind.name,
            skipped,
            note,
            events: report.events - self.events,
            lost: (report.lost.len() + folders.missing.len()) as u64,
            duplicates: duplicates - self.duplicates,
            findings,
            stalled,
            stall_s: longest.saturating_sub(self.undisturbed_p99).as_secs_f64(),
            takeover_s: takeover.map(|took| took.as_secs_f64()),
            took_s: began.elapsed().as_secs_f64(),
        };
        self.events = report.events;
        self.duplicates = duplicates;
        Ok(outcome)
    }
}
