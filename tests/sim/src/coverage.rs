//! What of the machines and of the shells was gone through. A run over many seeds that leaves a transition out proves
//! nothing about it, and says so.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_agent_core::outbox::{Effect, Status};
use sallyport_relay_core::commit::Transition;

use crate::broker::Came;

/// How a message was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Settling {
    /// By a plain ack.
    Ack,
    /// And the broker confirmed it.
    Confirmed,
    /// Nobody knows.
    NotConfirmed,
    /// After it had been delivered again.
    Late,
    /// It had been settled before.
    Again,
    /// Given back for a while.
    Nak,
}

impl Settling {
    const ALL: [Self; 6] =
        [Self::Ack, Self::Confirmed, Self::NotConfirmed, Self::Late, Self::Again, Self::Nak];
}

/// Every point at which a program may die, in the order of an event's way. Those of the product's own programs have the
/// names that they have there.
pub(crate) const POINTS: [&str; 31] = [
    "agent.intake.before-commit",
    "agent.intake.after-commit",
    "agent.publish.before-send",
    "agent.publish.after-puback",
    "agent.answer.before-store",
    "agent.answer.after-store",
    "relay.intake.after-pull",
    "relay.commit.before",
    "relay.commit.before-last-message",
    "relay.commit.after-batch-ack",
    "relay.commit.after-batch",
    "relay.commit.after",
    "relay.answer.before-publish",
    "relay.answer.after-publish",
    "relay.answer.after-parking",
    "relay.answer.before-settle",
    "relay.answer.after-settle",
    "relay.forward.after-pull",
    "relay.forward.before-settle",
    "relay.track.before-commit",
    "relay.track.after-commit",
    "subscriber.receive.after-pull",
    "subscriber.store.after-commit",
    "subscriber.log.torn",
    "subscriber.log.after-append",
    "subscriber.receipt.before-publish",
    "subscriber.receipt.after-puback",
    "subscriber.settle.after",
    "subscriber.outbox.before-publish",
    "subscriber.outbox.after-puback",
    "agent.disk.torn",
];

/// The outbox row's table: where it stands, what comes, what that does.
pub(crate) const OUTBOX: [&str; 15] = [
    "open + due -> sent",
    "open + early -> nothing",
    "open + unsent -> due",
    "open + acceptance -> closed",
    "open + acceptance of other bytes -> not this row",
    "open + permanent refusal -> closed",
    "open + curable refusal -> stays open",
    "accepted + acceptance -> already closed",
    "accepted + refusal -> already closed",
    "accepted + due -> nothing",
    "refused + acceptance -> closed",
    "refused + acceptance of other bytes -> not this row",
    "refused + refusal -> already closed",
    "refused + due -> nothing",
    "accepted + unsent -> nothing",
];

/// What was seen over one run, or over many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    transitions: BTreeSet<Transition>,
    outbox: BTreeSet<String>,
    settlings: BTreeSet<Settling>,
    came: BTreeSet<Came>,
    passed: BTreeMap<&'static str, u64>,
    crashed: BTreeMap<&'static str, u64>,
    /// Crashes of programs.
    pub(crate) crashes: u64,
}

impl Coverage {
    pub(crate) fn passed(&mut self, point: &'static str) {
        *self.passed.entry(point).or_default() += 1;
    }

    pub(crate) fn crashed_at(&mut self, point: &'static str) {
        *self.crashed.entry(point).or_default() += 1;
    }

    pub(crate) fn transitions(&mut self, trail: &[Transition]) {
        self.transitions.extend(trail);
    }

    pub(crate) fn settled(&mut self, how: Settling) {
        self.settlings.insert(how);
    }

    pub(crate) fn came(&mut self, why: Came) {
        self.came.insert(why);
    }

    /// One step of an outbox row.
    pub(crate) fn outbox(&mut self, stood: Status, input: &str, effect: &str) {
        let stood = match stood {
            Status::Open { .. } => "open",
            Status::Accepted => "accepted",
            Status::Refused(_) => "refused",
        };
        self.outbox.insert(format!("{stood} + {input} -> {effect}"));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.transitions.extend(other.transitions);
        self.outbox.extend(other.outbox);
        self.settlings.extend(other.settlings);
        self.came.extend(other.came);
        for (point, times) in other.passed {
            *self.passed.entry(point).or_default() += times;
        }
        for (point, times) in other.crashed {
            *self.crashed.entry(point).or_default() += times;
        }
        self.crashes += other.crashes;
    }

    /// Everything that was not gone through, by name.
    pub(crate) fn not_visited(&self) -> Vec<String> {
        let transitions = Transition::ALL
            .iter()
            .filter(|t| !self.transitions.contains(t))
            .map(|t| format!("commit: {t:?}"));
        let outbox = OUTBOX.iter().filter(|t| !self.outbox.contains(**t)).map(|t| format!("outbox: {t}"));
        let settlings =
            Settling::ALL.iter().filter(|t| !self.settlings.contains(t)).map(|t| format!("settling: {t:?}"));
        let came = [Came::New, Came::AckWait, Came::Nak];
        let came = came.iter().filter(|t| !self.came.contains(t)).map(|t| format!("delivery: {t:?}"));
        let points = POINTS.iter().filter(|p| !self.crashed.contains_key(**p)).map(|p| format!("crash: {p}"));
        transitions.chain(outbox).chain(settlings).chain(came).chain(points).collect()
    }
}

/// The table's word for an effect.
pub(crate) fn word(effect: Effect) -> &'static str {
    match effect {
        Effect::Closed => "closed",
        Effect::StaysOpen => "stays open",
        Effect::AlreadyClosed => "already closed",
        Effect::NotThisRow => "not this row",
    }
}
