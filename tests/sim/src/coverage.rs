//! What of the machines and of the shells was gone through. A run over many seeds that leaves a transition out proves
//! nothing about it, and says so.

use std::collections::BTreeMap;

use sallyport_agent_core::outbox;
use sallyport_relay_core::commit::Transition;
use sallyport_subscriber_core::reach::Heard;

use crate::{
    broker::Came,
    ways::{self, Way},
};

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

/// Why what was told of a custody is recalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recalled {
    /// It was refused for good: told to nobody.
    Refused,
    /// A refusal for good, of what a later event said anew.
    RefusedAndSaidAnew,
    /// It was accepted after all.
    AcceptedAfterAll,
    /// A fact was stated again after it had been refused, and told anew.
    ToldAgain,
}

impl Recalled {
    const ALL: [Self; 4] = [Self::Refused, Self::RefusedAndSaidAnew, Self::AcceptedAfterAll, Self::ToldAgain];
}

/// What came of a node's wish to state a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HeadStep {
    Stated,
    /// The broker stored another node's; both are handed on.
    AnotherWasFirst,
    /// Not stored, or nobody knows.
    NotStored,
    /// The last one cannot be read.
    NotRead,
    /// There is one of this minute.
    NotDue,
    /// The model is not known to be whole.
    NotWhole,
    /// The last head is of a node whose model is further.
    AnotherIsFurther,
}

impl HeadStep {
    const ALL: [Self; 7] = [
        Self::Stated,
        Self::AnotherWasFirst,
        Self::NotStored,
        Self::NotRead,
        Self::NotDue,
        Self::NotWhole,
        Self::AnotherIsFurther,
    ];
}

/// What came of a node's look at what the jails numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MendStep {
    /// The model is not known to be whole: nothing is compared.
    NotWhole,
    /// Everything is held.
    NothingMissing,
    /// Something is missing, and may be on its way.
    Waits,
    /// The jail was asked.
    Asked,
    /// It was asked a moment ago, by this node or another.
    AskedAlready,
    /// Whether it was asked, or the request itself: the broker did not answer.
    CannotAsk,
}

impl MendStep {
    const ALL: [Self; 6] =
        [Self::NotWhole, Self::NothingMissing, Self::Waits, Self::Asked, Self::AskedAlready, Self::CannotAsk];
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

/// Points that a notice seldom passes: programs die there more readily.
pub(crate) const SELDOM_PASSED: [&str; 4] = [
    "relay.answer.after-parking",
    "subscriber.outbox.before-publish",
    "subscriber.outbox.after-puback",
    "subscriber.log.torn",
];

/// What was seen over one run, or over many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    transitions: BTreeMap<Transition, u64>,
    outbox: BTreeMap<outbox::Transition, u64>,
    ways: BTreeMap<Way, u64>,
    mended: BTreeMap<MendStep, u64>,
    settlings: BTreeMap<Settling, u64>,
    came: BTreeMap<Came, u64>,
    heads: BTreeMap<HeadStep, u64>,
    heard: BTreeMap<Heard, u64>,
    recalled: BTreeMap<Recalled, u64>,
    passed: BTreeMap<&'static str, u64>,
    crashed: BTreeMap<&'static str, u64>,
    /// Crashes of programs.
    pub(crate) crashes: u64,
}

impl Coverage {
    pub(crate) fn passed(&mut self, point: &'static str) {
        count(&mut self.passed, point, 1);
    }

    pub(crate) fn crashed_at(&mut self, point: &'static str) {
        count(&mut self.crashed, point, 1);
    }

    pub(crate) fn transitions(&mut self, trail: &[Transition]) {
        trail.iter().for_each(|transition| count(&mut self.transitions, *transition, 1));
    }

    pub(crate) fn settled(&mut self, how: Settling) {
        count(&mut self.settlings, how, 1);
    }

    pub(crate) fn came(&mut self, why: Came) {
        count(&mut self.came, why, 1);
    }

    pub(crate) fn head(&mut self, step: HeadStep) {
        count(&mut self.heads, step, 1);
    }

    pub(crate) fn heard(&mut self, heard: Heard) {
        count(&mut self.heard, heard, 1);
    }

    pub(crate) fn recalled(&mut self, why: Recalled) {
        count(&mut self.recalled, why, 1);
    }

    /// One step of an outbox row, by the machine's own table.
    pub(crate) fn outbox(&mut self, step: outbox::Transition) {
        count(&mut self.outbox, step, 1);
    }

    pub(crate) fn mended(&mut self, step: MendStep) {
        count(&mut self.mended, step, 1);
    }

    /// The ways that deliveries went.
    pub(crate) fn ways(&mut self, gone: BTreeMap<Way, u64>) {
        add(&mut self.ways, gone);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        add(&mut self.transitions, other.transitions);
        add(&mut self.outbox, other.outbox);
        add(&mut self.ways, other.ways);
        add(&mut self.mended, other.mended);
        add(&mut self.settlings, other.settlings);
        add(&mut self.came, other.came);
        add(&mut self.heads, other.heads);
        add(&mut self.heard, other.heard);
        add(&mut self.recalled, other.recalled);
        add(&mut self.passed, other.passed);
        add(&mut self.crashed, other.crashed);
        self.crashes += other.crashes;
    }

    /// Everything that there is to go through, with how often it was.
    fn visited(&self) -> Vec<(String, u64)> {
        let times = |times: Option<&u64>| times.copied().unwrap_or_default();
        let transitions =
            Transition::ALL.iter().map(|t| (format!("commit: {t:?}"), times(self.transitions.get(t))));
        let outbox =
            outbox::Transition::ALL.iter().map(|t| (format!("outbox: {t}"), times(self.outbox.get(t))));
        let ways =
            ways::all().map(|way| (format!("delivery: {} + {:?}", way.0, way.1), times(self.ways.get(&way))));
        let mended = MendStep::ALL.iter().map(|t| (format!("mend: {t:?}"), times(self.mended.get(t))));
        let settlings =
            Settling::ALL.iter().map(|t| (format!("settling: {t:?}"), times(self.settlings.get(t))));
        let came = Came::ALL.iter().map(|t| (format!("came: {t:?}"), times(self.came.get(t))));
        let heads = HeadStep::ALL.iter().map(|t| (format!("head: {t:?}"), times(self.heads.get(t))));
        let heard = Heard::ALL.iter().map(|t| (format!("reach: {t:?}"), times(self.heard.get(t))));
        let recalled = Recalled::ALL.iter().map(|t| (format!("memory: {t:?}"), times(self.recalled.get(t))));
        let passed = POINTS.iter().filter(|point| !point.ends_with("torn"));
        let passed = passed.map(|p| (format!("point: {p}"), times(self.passed.get(p))));
        let crashed = POINTS.iter().map(|p| (format!("crash: {p}"), times(self.crashed.get(p))));
        transitions
            .chain(outbox)
            .chain(ways)
            .chain(mended)
            .chain(settlings)
            .chain(came)
            .chain(heads)
            .chain(heard)
            .chain(recalled)
            .chain(passed)
            .chain(crashed)
            .collect()
    }

    /// Everything that was not gone through, by name.
    pub(crate) fn not_visited(&self) -> Vec<String> {
        self.visited().into_iter().filter(|(_, times)| *times == 0).map(|(name, _)| name).collect()
    }

    /// What was gone through most seldom: how much luck a run needs.
    pub(crate) fn seldom(&self) -> Vec<(String, u64)> {
        let mut visited = self.visited();
        visited.sort_by_key(|(_, times)| *times);
        visited.truncate(SELDOM_MAX);
        visited
    }
}

/// As many of the most seldom ones are named.
const SELDOM_MAX: usize = 5;

fn count<K: Ord>(counted: &mut BTreeMap<K, u64>, key: K, times: u64) {
    *counted.entry(key).or_default() += times;
}

fn add<K: Ord>(counted: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    more.into_iter().for_each(|(key, times)| count(counted, key, times));
}
