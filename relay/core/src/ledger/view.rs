//! What follows from several facts together: how one notice stands, and its times.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_proto::{
    time::Moment,
    vocabulary::{ControlKind, ControlPhase, SourceClock},
};

use super::rows::{ControlRow, NoticeRow, ReceiptRow};
use crate::{
    delivery::{Attempt, Credit, Delivery, Happened, Mismatch, Said, What},
    latency::Times,
};

/// Everything that decides how one notice stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeFacts {
    /// Its attempts, by number; at least one.
    pub attempts: Vec<NoticeRow>,
    /// The receipts that name it, by sequence.
    pub receipts: Vec<ReceiptRow>,
    /// Of these, by sequence, those that the relay verified and passed on.
    pub passed_on: BTreeSet<u64>,
    /// And those that it parked.
    pub discredited: BTreeSet<u64>,
    /// The first receipt of a later revision by the same subscriber: broker's time and sequence on RECEIPTS.
    pub later_received: Option<(Timestamp, u64)>,
    /// Decisions of the relay about it, by sequence.
    pub decisions: Vec<ControlRow>,
}

/// How one notice stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its life so far.
    pub delivery: Delivery,
    /// What each of its receipts counted for, in the order of `NoticeFacts::receipts`.
    pub credits: Vec<Credit>,
    /// Its times.
    pub times: Times,
}

impl NoticeRow {
    /// Whether `later` is a later revision of the same custody for the same subscriber.
    pub fn is_followed_by(&self, later: &NoticeRow) -> bool {
        later.revision > self.revision
            && later.custody_key == self.custody_key
            && later.notice_id.ori() == self.notice_id.ori()
            && later.notice_id.subscriber() == self.notice_id.subscriber()
    }

    fn attempt(&self) -> Attempt {
        Attempt { number: self.attempt, digest: self.digest, deadlines: self.deadlines }
    }
}

impl ReceiptRow {
    /// Whether this receipt, if it is believed, says that the notice was received.
    pub fn receives(&self, notice: &NoticeRow) -> bool {
        self.belongs_to(notice) && !matches!(self.what, What::Refusal { .. })
    }

    /// Whether notice, attempt, digest and subscriber agree.
    pub fn belongs_to(&self, notice: &NoticeRow) -> bool {
        self.notice_id == notice.notice_id
            && self.attempt == notice.attempt
            && self.digest == notice.digest
            && self.is_of_its_subscriber()
    }

    fn is_of_its_subscriber(&self) -> bool {
        self.subscriber == self.notice_id.subscriber()
    }

    fn said(&self) -> Said {
        Said {
            attempt: self.attempt,
            digest: self.digest,
            what: self.what,
            superseded: self.superseded,
            stored: Moment::exact(self.stored, SourceClock::Broker),
            t6_received: self.t6,
            t7_seen: self.t7,
            t8_answered: self.t8,
        }
    }
}

/// What happened, with where it stands in the order of all happenings.
struct Step {
    stored: Timestamp,
    sequence: u64,
    receipt: Option<usize>,
    happened: Happened,
}

impl NoticeFacts {
    /// Whether the relay verified it and passed it on.
    pub fn is_believed(&self, receipt: &ReceiptRow) -> bool {
        self.passed_on.contains(&receipt.sequence) && !self.discredited.contains(&receipt.sequence)
    }

    /// Replays its life. Happenings of several streams are ordered by the broker's time, which is a fact: the result
    /// does not depend on what was read first.
    pub fn standing(&self) -> Option<Standing> {
        let first = self.attempts.first()?;
        let mut credits = vec![Credit::NotPassedOn; self.receipts.len()];
        let mut steps = Vec::new();
        for (at, receipt) in self.receipts.iter().enumerate() {
            if self.discredited.contains(&receipt.sequence) {
                credits[at] = Credit::Discredited;
            }
            if !self.is_believed(receipt) {
                continue;
            }
            if !receipt.is_of_its_subscriber() {
                credits[at] = Credit::Mismatched(Mismatch::Subscriber);
                continue;
            }
            let happened = Happened::Said(receipt.said());
            steps.push(Step {
                stored: receipt.stored,
                sequence: receipt.sequence,
                receipt: Some(at),
                happened,
            });
        }
        if let Some((stored, sequence)) = self.later_received {
            steps.push(Step { stored, sequence, receipt: None, happened: Happened::LaterReceived });
        }
        for decision in &self.decisions {
            if let Some(happened) = decided(decision) {
                let (stored, sequence) = (decision.stored, decision.sequence);
                steps.push(Step { stored, sequence, receipt: None, happened });
            }
        }
        // A receipt goes before what follows from the same record.
        steps.sort_by_key(|step| (step.stored, step.receipt.is_none(), step.sequence));
        let (delivery, outcome) = Delivery::replay(
            first.release_state,
            self.attempts.iter().map(NoticeRow::attempt),
            steps.iter().map(|step| step.happened.clone()),
        );
        for (step, credit) in steps.iter().zip(outcome) {
            if let Some(at) = step.receipt {
                credits[at] = credit;
            }
        }
        let credited = delivery.credited();
        let times = Times {
            t0: first.t0,
            t2: Some(first.t2),
            t4: Some(first.t4),
            t5: Some(first.t5),
            t6: credited.t6_received,
            t7: credited.t7_seen,
            t8: credited.t8_answered,
            t10: first.t10,
            backfill: first.backfill,
        };
        Some(Standing { delivery, credits, times })
    }
}

/// What a decision of the relay does to a delivery; most only tell people.
fn decided(decision: &ControlRow) -> Option<Happened> {
    match (decision.kind, decision.phase) {
        (ControlKind::DeadLettered | ControlKind::Discarded, ControlPhase::Decided) => {
            Some(Happened::DeadLettered)
        }
        _ => None,
    }
}
