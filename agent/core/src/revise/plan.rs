//! Which events say the difference between what is so now and what was told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::Part,
    ids::{CustodyKey, EventId, RequestId, SubscriberId},
    provenance::AgreementId,
    time::Moment,
    vocabulary::{Purpose, ReleaseState},
};

use super::{
    HeadFacts, digest,
    memory::{Memory, Standing, Told},
};
use crate::{
    custody::{Custody, FacilitySecret},
    disclose::{Allowed, Decisions, Grants},
};

/// Everything a plan depends on.
pub struct Input<'a> {
    /// Of the custody.
    pub custody_key: &'a CustodyKey,
    /// As it was read now.
    pub custody: &'a Custody,
    /// Who may be told now.
    pub decisions: &'a Decisions,
    /// What was told before.
    pub memory: &'a Memory,
    /// Keys the digests of what is told.
    pub secret: &'a FacilitySecret,
    /// Which agreements stand: not even CLOSED goes past the end of one.
    pub grants: &'a dyn Grants,
    /// When it is planned.
    pub now: Timestamp,
}

/// What kind of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftKind {
    /// The fact, to everyone who may be told it.
    Main,
    /// Nothing more will be said, to those who may no longer be told.
    Closed,
    /// The fact was wrong, to everyone who was told it.
    Retracted,
}

impl DraftKind {
    /// Of an event in this release state: CLOSED and RETRACTED are never anything else.
    pub fn of(state: ReleaseState) -> Self {
        match state {
            ReleaseState::Closed => Self::Closed,
            ReleaseState::Retracted => Self::Retracted,
            _ => Self::Main,
        }
    }

    /// How things stand with whoever is told by it.
    pub fn standing(self) -> Standing {
        match self {
            Self::Main => Standing::Open,
            Self::Closed => Standing::Closed,
            Self::Retracted => Standing::Retracted,
        }
    }
}

/// An event that is to leave, before it has an id, a number and salts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Main, closed or retracted.
    pub kind: DraftKind,
    /// Stands for the booking.
    pub custody_key: CustodyKey,
    /// Dense over what left of this custody, from 1.
    pub revision: u32,
    /// The latest main event before this plan.
    pub supersedes: Option<EventId>,
    /// What the head says.
    pub facts: HeadFacts,
    /// t2 of the reading that caused it.
    pub observed: Moment,
    /// Who is told, sorted by subscriber; never empty, at most `limits::RECIPIENTS_MAX`.
    pub recipients: Vec<Recipient>,
}

/// One recipient of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub subscriber: SubscriberId,
    /// The request that it answers.
    pub request_id: Option<RequestId>,
    /// Under which agreement.
    pub agreement: AgreementId,
    /// For what.
    pub purpose: Purpose,
    /// Which rule.
    pub rule_id: String,
    /// Which version of the rules.
    pub pack_version: String,
    /// Names of the fields the part may hold; none without a part.
    pub fields: Vec<String>,
    /// Its own cut; none in RETRACTED and CLOSED.
    pub part: Option<Part>,
    /// Keyed digest of what it sees, for the memory.
    pub digest: String,
}

/// The events that are to leave, in the order of their revisions. Empty when nobody would see a difference.
///
/// - A release that anyone allowed would see differently, or that somebody allowed does not hold: one main event to all
///   who are allowed.
/// - Those who hold it and are no longer allowed: one CLOSED after it, without content, superseding what they hold.
/// - A retraction, said by a person or by a record that no longer shows any release: one event to everyone who was told
///   and not yet told to disregard it, whatever the rules say now.
/// - A custody under the floor leaves nothing: no fact, and no CLOSED, which would say that it has come under one. Only
///   a retraction of what was told before goes out.
pub fn plan(input: &Input<'_>) -> Vec<Draft> {
    match &input.custody.release {
        Some(release) if release.state != ReleaseState::Retracted => {
            if input.custody.floor.is_some() {
                return Vec::new();
            }
            let facts = HeadFacts::of(release);
            let mut drafts = Vec::new();
            drafts.extend(main(input, facts));
            drafts.extend(closed(input, drafts.len()));
            drafts
        }
        None if input.custody.floor.is_some() => Vec::new(),
        _ => retracted(input),
    }
}

fn main(input: &Input<'_>, facts: HeadFacts) -> Option<Draft> {
    let recipients: Vec<Recipient> =
        input.decisions.allowed.iter().map(|allowed| allowed_recipient(input, &facts, allowed)).collect();
    let is_news = |recipient: &Recipient| {
        !input
            .memory
            .told
            .get(&recipient.subscriber)
            .is_some_and(|told| told.standing == Standing::Open && told.digest == recipient.digest)
    };
    recipients.iter().any(is_news).then(|| Draft {
        kind: DraftKind::Main,
        custody_key: input.custody_key.clone(),
        revision: input.memory.revision + 1,
        supersedes: input.memory.latest_main.clone(),
        facts,
        observed: input.custody.observed,
        recipients,
    })
}

fn closed(input: &Input<'_>, drafted: usize) -> Vec<Draft> {
    let allowed = |subscriber: &SubscriberId| {
        input.decisions.allowed.iter().any(|allowed| allowed.subscriber == *subscriber)
    };
    let dropped = input.memory.told.iter().filter(|(subscriber, told)| {
        told.standing == Standing::Open
            && !allowed(subscriber)
            && input.grants.grant(subscriber, &told.agreement.id, input.now).is_some()
    });
    withdrawals(input, ReleaseState::Closed, dropped, drafted)
}

fn retracted(input: &Input<'_>) -> Vec<Draft> {
    let told = input.memory.told.iter().filter(|(_, told)| told.standing != Standing::Retracted);
    withdrawals(input, ReleaseState::Retracted, told, 0)
}

/// Events without content to everyone of `told`: one for all that were last told by the same event, which it supersedes,
/// because corrections follow the told and only that event's `routed` record names them (so none has more recipients than
/// an event may have). Those of the latest main event come last, so that what follows supersedes theirs.
fn withdrawals<'m>(
    input: &Input<'_>,
    state: ReleaseState,
    told: impl Iterator<Item = (&'m SubscriberId, &'m Told)>,
    drafted: usize,
) -> Vec<Draft> {
    let facts = HeadFacts::withdrawal(state);
    let mut groups: BTreeMap<(bool, &EventId), Vec<Recipient>> = BTreeMap::new();
    for (subscriber, told) in told {
        let of_latest = input.memory.latest_main.as_ref() == Some(&told.event);
        let recipient = told_recipient(input, &facts, subscriber, told);
        groups.entry((of_latest, &told.event)).or_default().push(recipient);
    }
    let kind = if state == ReleaseState::Closed { DraftKind::Closed } else { DraftKind::Retracted };
    (drafted..)
        .zip(groups)
        .map(|(n, ((_, before), recipients))| Draft {
            kind,
            custody_key: input.custody_key.clone(),
            revision: input.memory.revision.saturating_add(u32::try_from(n).unwrap_or(u32::MAX)) + 1,
            supersedes: Some(before.clone()),
            facts: facts.clone(),
            observed: input.custody.observed,
            recipients,
        })
        .collect()
}

fn allowed_recipient(input: &Input<'_>, facts: &HeadFacts, allowed: &Allowed) -> Recipient {
    Recipient {
        subscriber: allowed.subscriber.clone(),
        request_id: allowed.request_id.clone(),
        agreement: allowed.agreement.clone(),
        purpose: allowed.purpose,
        rule_id: allowed.rule_id.clone(),
        pack_version: allowed.pack_version.clone(),
        fields: allowed.fields.clone(),
        digest: digest::of(input.secret, facts, allowed.request_id.as_ref(), Some(&allowed.part)),
        part: Some(allowed.part.clone()),
    }
}

fn told_recipient(input: &Input<'_>, facts: &HeadFacts, subscriber: &SubscriberId, told: &Told) -> Recipient {
    Recipient {
        subscriber: subscriber.clone(),
        request_id: told.request_id.clone(),
        agreement: told.agreement.clone(),
        purpose: told.purpose,
        rule_id: told.rule_id.clone(),
        pack_version: told.pack_version.clone(),
        fields: Vec::new(),
        part: None,
        digest: digest::of(input.secret, facts, told.request_id.as_ref(), None),
    }
}
