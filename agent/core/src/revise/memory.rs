//! What was told of one custody, and to whom: everything that the next revision depends on. Holds no person data.

use std::collections::BTreeMap;

use sallyport_proto::{
    ids::{EventId, RequestId, SubscriberId},
    provenance::AgreementId,
    vocabulary::Purpose,
};
use serde::{Deserialize, Serialize};

use super::plan::{Draft, DraftKind};

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

impl Memory {
    /// Records that `draft` leaves as `event`. To be stored in the transaction that stores the event.
    pub fn record(&mut self, draft: &Draft, event: &EventId) {
        self.revision = draft.revision;
        let standing = match draft.kind {
            DraftKind::Main => Standing::Open,
            DraftKind::Closed => Standing::Closed,
            DraftKind::Retracted => Standing::Retracted,
        };
        if draft.kind != DraftKind::Closed {
            self.latest_main = Some(event.clone());
        }
        for recipient in &draft.recipients {
            let told = Told {
                event: event.clone(),
                standing,
                digest: recipient.digest.clone(),
                request_id: recipient.request_id.clone(),
                agreement: recipient.agreement.clone(),
                purpose: recipient.purpose,
                rule_id: recipient.rule_id.clone(),
                pack_version: recipient.pack_version.clone(),
            };
            self.told.insert(recipient.subscriber.clone(), told);
        }
    }

    /// Whose last event this one is.
    pub fn told_by<'m>(&'m self, event: &'m EventId) -> impl Iterator<Item = &'m SubscriberId> {
        self.told.iter().filter(move |(_, told)| told.event == *event).map(|(subscriber, _)| subscriber)
    }

    /// The relay refused `event` for good. Its recipients hold what they were told before it, if anything; the next event
    /// supersedes `main_before`. Whatever they hold counts as out of date: the next reading tells them.
    pub fn forget(
        &mut self,
        event: &EventId,
        told_before: Vec<(SubscriberId, Option<EventId>)>,
        main_before: Option<EventId>,
    ) {
        for (subscriber, before) in told_before {
            match (before, self.told.get_mut(&subscriber)) {
                (Some(before), Some(told)) => {
                    (told.event, told.standing) = (before, Standing::Open);
                    told.digest.clear();
                }
                _ => {
                    self.told.remove(&subscriber);
                }
            }
        }
        if self.latest_main.as_ref() == Some(event) {
            self.latest_main = main_before;
        }
    }

    /// Nothing of this custody ever left.
    pub fn is_empty(&self) -> bool {
        self.revision == 0
    }
}
