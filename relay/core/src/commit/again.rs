//! Notices of an event that was routed and that DELIVER does not hold any more, while the `routed` record stands: who is
//! told was decided then and is not decided anew. Each goes out as it went then, under its own subject, which must hold no
//! message, so that it stands there once whichever node puts it back.
//!
//! Out of scope: which are missing (the relay's `mend`), and an event whose record is gone as well: its jail sends it again.

use std::collections::BTreeSet;

use sallyport_proto::{ids::SubscriberId, routed::Routed};

use super::draft::{Arrival, Author, Entry, notice};
use crate::route::Routing;

/// What can be told again.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// Each with whom it is for.
    pub entries: Vec<(SubscriberId, Entry)>,
    /// The registry of today has no subscription or agreement any more by which these could be told.
    pub untellable: Vec<SubscriberId>,
}

/// Writes the notices of `lacking`, recipients of `routed`, once more. The terms (deadlines, case number, purpose) are of the
/// registry in force, as of the time of routing; everything else is what it was.
pub fn again(
    author: &Author<'_>,
    routing: &Routing,
    arrival: &Arrival<'_>,
    routed: &Routed,
    lacking: &BTreeSet<SubscriberId>,
) -> Again {
    let event = arrival.event;
    let disclosures = event.disclosures.iter().map(|(disclosure, _)| disclosure);
    let followed = routed.recipients.iter().filter(|recipient| recipient.predecessor);
    let told: BTreeSet<SubscriberId> = followed.map(|recipient| recipient.subscriber.clone()).collect();
    let route = routing.index.route(&event.head, disclosures, Some(&told), routed.t5_routed.at);
    let mut again = Again::default();
    for recipient in routed.recipients.iter().filter(|recipient| lacking.contains(&recipient.subscriber)) {
        let matched = route.recipients.iter().find(|m| m.recipient.subscriber == recipient.subscriber);
        match matched {
            Some(matched) => {
                let mut matched = matched.clone();
                matched.recipient = recipient.clone();
                let missing = routed.predecessor_missing;
                let entry = notice(author, routing, arrival, &matched, missing, routed.t5_routed);
                let entry = Entry { first_of_subject: true, ..entry };
                again.entries.push((recipient.subscriber.clone(), entry));
            }
            None => again.untellable.push(recipient.subscriber.clone()),
        }
    }
    again
}
