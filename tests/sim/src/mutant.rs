//! Deliberate defects of the simulated shells: tests of the tests. Each must be found within a few seeds.

/// One defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// The agent closes a row when the broker has acked it.
    RetireOnPubAck,
    /// A node settles what it pulled before it is committed.
    SettleBeforeCommit,
    /// A node takes a refused or unanswered batch for another node's success, without asking the leader.
    AnswerWithoutLeaderRead,
    /// `routed` records are written without an expected sequence.
    NoExpectedSequence,
    /// The fold passes receipts on to the jail as well, to be quicker than the durable that does it.
    EffectInFold,
    /// A subscriber settles what it pulled before it is stored and answered.
    SettleBeforeStore,
    /// A subscriber hands over what came before it has looked whether it is stored.
    HandOverBeforeStore,
    /// Found here once: a row waits until the time that a clock which was ahead has given it.
    WaitForAClockThatWasAhead,
    /// Found here once: a node settles receipts that its older registry cannot place.
    SettleUnplacedReceipts,
    /// The agent takes what was refused for good for told.
    RefusedCountsAsTold,
    /// Found here once: what one node refused and another had taken counts as told to nobody.
    AcceptedAfterRefusalIsForgotten,
    /// A node counts a subscriber's notices when it begins to commit them, beside its read model.
    HeadCountsBeforeCommit,
    /// The agent takes what was accepted for safe, whatever it is asked for again.
    IgnoreResendOfAccepted,
    /// A node compares numbers with INGEST and does not look whether what was accepted is on DELIVER still.
    MendLooksAtNumbersOnly,
    /// A node compares what the jails numbered with a model that it is only building.
    MendByAPartOfTheModel,
    /// A subscriber counts only what comes for the first time: what was on its way when it died never counts.
    RedeliveriesDoNotCount,
}

impl Mutant {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::RetireOnPubAck,
        Self::SettleBeforeCommit,
        Self::AnswerWithoutLeaderRead,
        Self::NoExpectedSequence,
        Self::EffectInFold,
        Self::SettleBeforeStore,
        Self::HandOverBeforeStore,
        Self::WaitForAClockThatWasAhead,
        Self::SettleUnplacedReceipts,
        Self::RefusedCountsAsTold,
        Self::AcceptedAfterRefusalIsForgotten,
        Self::HeadCountsBeforeCommit,
        Self::IgnoreResendOfAccepted,
        Self::MendLooksAtNumbersOnly,
        Self::MendByAPartOfTheModel,
        Self::RedeliveriesDoNotCount,
    ];
}
