//! What was told of one custody, and to whom: everything that the next revision depends on. Holds no person data.

use std::collections::BTreeMap;

use sallyport_proto::{
    ids::{EventId, RequestId, SubscriberId},
    provenance::AgreementId,
    vocabulary::Purpose,
};
use serde::{Deserialize, Serialize};

use super::plan::{Draft, DraftKind, Recipient};

/// The memory of one custody. Empty before anything was told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// The last revision that was given; 0 before the first.
    pub revision: u32,
    /// The latest event that was no CLOSED: what the next one supersedes.
    pub latest_main: Option<EventId>,
    /// Everyone who was ever told.
    pub told: BTreeMap<SubscriberId, Told>,
}

/// What one subscriber holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The last event it was told of this custody.
    pub event: EventId,
    /// How things stand with it.
    pub standing: Standing,
    /// Keyed digest of what it saw.
    pub digest: String,
    /// The request that it answered.
    pub request_id: Option<RequestId>,
    /// Under which agreement.
    pub agreement: AgreementId,
    /// For what.
    pub purpose: Purpose,
    /// Which rule.
    pub rule_id: String,
    /// Which version of the rules.
    pub pack_version: String,
}

/// How things stand with a subscriber that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Holds the latest that it may have.
    Open,
    /// Was told that nothing more will be said.
    Closed,
    /// Was told to disregard what it had been told.
    Retracted,
}

/// An event of a custody that left, as the outbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub event: EventId,
    /// Main, closed or retracted.
    pub kind: DraftKind,
    /// The relay will never take it: nobody is told by it.
    pub refused: bool,
    /// Whom it tells, and what they hold then.
    pub told: BTreeMap<SubscriberId, Told>,
}

impl Left {
    /// `draft` leaves as `event`.
    pub fn of(draft: &Draft, event: &EventId) -> Self {
        let told = |recipient: &Recipient| Told {
            event: event.clone(),
            standing: draft.kind.standing(),
            digest: recipient.digest.clone(),
            request_id: recipient.request_id.clone(),
            agreement: recipient.agreement.clone(),
            purpose: recipient.purpose,
            rule_id: recipient.rule_id.clone(),
            pack_version: recipient.pack_version.clone(),
        };
        let recipients = draft.recipients.iter();
        let told = recipients.map(|recipient| (recipient.subscriber.clone(), told(recipient))).collect();
        Self { event: event.clone(), kind: draft.kind, refused: false, told }
    }
}

impl Memory {
    /// Records that `draft` leaves as `event`. To be stored in the transaction that stores the event.
    pub fn record(&mut self, draft: &Draft, event: &EventId) {
        self.revision = draft.revision;
        if draft.kind != DraftKind::Closed {
            self.latest_main = Some(event.clone());
        }
        self.told.extend(Left::of(draft, event).told);
    }

    /// The relay's word on an event of this custody changed: it is refused for good, and so nobody was told by it, or it is
    /// accepted after all. Whoever it concerns holds what the last event told it that was not refused, and that counts as
    /// out of date: the next reading tells it. `left` is everything of this custody that left, in order; who was told only
    /// by what is no longer kept there stays as it is.
    pub fn recall(&mut self, left: &[Left]) {
        let stands = || left.iter().filter(|left| !left.refused);
        let mut held: BTreeMap<&SubscriberId, &Told> = BTreeMap::new();
        stands().for_each(|left| held.extend(&left.told));
        let is_refused = |event: &EventId| left.iter().any(|left| left.refused && left.event == *event);
        self.told.retain(|subscriber, told| held.contains_key(subscriber) || !is_refused(&told.event));
        for (subscriber, told) in held {
            if self.told.get(subscriber).is_none_or(|known| known.event != told.event) {
                let out_of_date = Told { digest: String::new(), ..told.clone() };
                self.told.insert(subscriber.clone(), out_of_date);
            }
        }
        match stands().rfind(|left| left.kind != DraftKind::Closed) {
            Some(main) => self.latest_main = Some(main.event.clone()),
            None => self.latest_main = self.latest_main.take().filter(|event| !is_refused(event)),
        }
    }

    /// Nothing of this custody ever left.
    pub fn is_empty(&self) -> bool {
        self.revision == 0
    }
}
