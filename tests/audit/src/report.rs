//! What the audit found, in counts and in findings that each name a notice. Out of scope: latencies and lead times.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a custody stands in the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The export file.
    pub export: PathBuf,
    /// Line of the custody's first row there.
    pub line: u64,
}

/// The notice that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `<ori>.<event>.<subscriber>`, when any log line tells the event's id.
    pub notice_id: Option<String>,
    /// The jail.
    pub ori: String,
    /// The custody.
    pub custody_key: String,
    /// The revision.
    pub revision: u32,
    /// The subscriber.
    pub subscriber: String,
    /// Where the input speaks of it; absent for a custody that no export holds.
    pub place: Option<Place>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notice = self.notice_id.as_deref().unwrap_or("a notice without an id");
        let Self { ori, custody_key, revision, subscriber, .. } = self;
        write!(f, "{notice} (custody {custody_key} at {ori}, revision {revision}, to {subscriber}")?;
        match &self.place {
            Some(Place { export, line }) => write!(f, "; {} line {line})", export.display()),
            None => write!(f, "; in no export)"),
        }
    }
}

/// A notice that was due and never handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Which.
    pub notice: Named,
    /// The release state it would have told.
    pub release_state: String,
}

/// A notice that was handed over more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// Which.
    pub notice: Named,
    /// The lines of the subscriber's log.
    pub log_lines: Vec<u64>,
    /// Their notice ids, which differ when one revision travelled under two event ids.
    pub notice_ids: Vec<String>,
}

/// A hand-over to a subscriber that the jail did not allow to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unallowed {
    /// Which.
    pub notice: Named,
    /// The line of the subscriber's log.
    pub log_line: u64,
}

/// A hand-over that was allowed by the jail but due to nobody: not asked for, or of a revision that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unexpected {
    /// Which.
    pub notice: Named,
    /// The line of the subscriber's log.
    pub log_line: u64,
    /// Why it was not due.
    pub why: String,
}

/// A hand-over that was due but said something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Which.
    pub notice: Named,
    /// The line of the subscriber's log.
    pub log_line: u64,
    /// What differs.
    pub what: String,
    /// What it should have said.
    pub expected: String,
    /// What it said.
    pub found: String,
}

/// A line that a crash cut short. Tolerated: what it would have said is judged as not handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TornLine {
    /// The log.
    pub log: PathBuf,
    /// Its line.
    pub line: u64,
}

/// A line that is whole and still no hand-over: it could hide anything, so it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadableLine {
    /// The log.
    pub log: PathBuf,
    /// Its line.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// A row that keeps its custody aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRow {
    /// The export and the row's own line.
    pub place: Place,
    /// Its custody, when the row names one.
    pub custody_key: Option<String>,
    /// The column at fault, when one can be named.
    pub column: Option<String>,
    /// What is wrong with it.
    pub why: String,
}

/// An export that could not be read as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedExport {
    /// The file.
    pub export: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// The result of an audit. `custodies = withheld + refused + custodies_with_event`; `notices = received + lost`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Distinct custodies in the input.
    pub custodies: u64,
    /// Custodies that lead to no event at all.
    pub withheld: u64,
    /// Those of them that hit the floor.
    pub withheld_by_floor: u64,
    /// Custodies kept aside for a bad row, of which nothing left.
    pub refused: u64,
    /// Custodies of which something left.
    pub custodies_with_event: u64,
    /// Revisions that leave the jail.
    pub events: u64,
    /// Events that are addressed to at least one subscriber.
    pub events_addressed: u64,
    /// (event, subscriber) pairs that are due.
    pub notices: u64,
    /// Pairs that were handed over.
    pub received: u64,
    /// Pairs that were not.
    pub lost: Vec<Missing>,
    /// Pairs that were handed over more than once.
    pub duplicates: Vec<Duplicate>,
    /// Hand-overs that the jail did not allow.
    pub unallowed: Vec<Unallowed>,
    /// Hand-overs that were allowed but not due.
    pub unexpected: Vec<Unexpected>,
    /// Hand-overs that were due and said something else.
    pub mismatched: Vec<Mismatch>,
    /// Lines of a log that are no hand-over.
    pub unreadable_lines: Vec<UnreadableLine>,
    /// Lines that a crash cut short.
    pub torn_lines: Vec<TornLine>,
    /// Custodies whose rows map to more than one reason.
    pub disagreeing: u64,
    /// Texts that the mapping does not know, with the rows that hold them last.
    pub unmapped_texts: BTreeMap<String, u64>,
    /// (event, subscriber) pairs that the jail allows and no subscription asks for.
    pub allowed_not_subscribed: u64,
    /// Notices due, by subscriber.
    pub notices_by_subscriber: BTreeMap<String, u64>,
    /// Custodies by the reason they state last, custodies under the floor included.
    pub reasons: BTreeMap<String, u64>,
    /// Times in a repeated hour that were read as the earlier.
    pub repeated_hours: u64,
    /// Rows that keep their custody aside.
    pub refused_rows: Vec<RefusedRow>,
    /// Exports that were not read at all.
    pub refused_exports: Vec<RefusedExport>,
}

impl Report {
    /// Nothing lost, nothing twice, nobody told who may not be, nothing said otherwise than it is.
    pub fn is_clean(&self) -> bool {
        self.findings().is_empty()
    }

    /// Every error, in words, one line each. Bad input rows are no errors of the programs and not among them.
    pub fn findings(&self) -> Vec<String> {
        let lost = self.lost.iter().map(|x| format!("lost: {} would say {}", x.notice, x.release_state));
        let twice = self.duplicates.iter().map(|x| {
            format!("duplicate: {} in log lines {:?} as {}", x.notice, x.log_lines, x.notice_ids.join(", "))
        });
        let unallowed =
            self.unallowed.iter().map(|x| format!("unallowed: {} in log line {}", x.notice, x.log_line));
        let unexpected = self
            .unexpected
            .iter()
            .map(|x| format!("unexpected: {} in log line {}: {}", x.notice, x.log_line, x.why));
        let mismatched = self.mismatched.iter().map(|x| {
            format!(
                "mismatched: {} in log line {}: {} is {:?}, should be {:?}",
                x.notice, x.log_line, x.what, x.found, x.expected
            )
        });
        let unreadable = self
            .unreadable_lines
            .iter()
            .map(|x| format!("unreadable: {} line {}: {}", x.log.display(), x.line, x.why));
        lost.chain(twice).chain(unallowed).chain(unexpected).chain(mismatched).chain(unreadable).collect()
    }
}
