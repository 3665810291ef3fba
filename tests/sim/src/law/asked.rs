//! Whether a jail may be asked to send again what it is asked for: only what INGEST does not hold, or what was accepted and
//! has no record on DELIVER, and only if that is so now, or was a moment ago.

use sallyport_proto::{
    event::UnverifiedEvent,
    ids::{EventId, Ori},
    subject,
};

use super::Law;
use crate::{
    broker::Broker,
    exec::{S, Us},
    ground::JURISDICTION,
};

/// A node asks by a model that may be half a minute old, and looks first whether another one has asked.
const MAY_BE_BEHIND: Us = 60 * S;

/// What INGEST holds under one number: the event, and since when.
type Held = Option<(EventId, Us)>;

impl Law {
    /// A node is about to ask for these. Gives what of it is asked for though nothing of it was missing.
    pub(crate) fn asked(&self, ori: &Ori, seqs: &[u64], broker: &Broker, now: Us) -> Vec<String> {
        let needless = |seq: &&u64| {
            let since = self.held_since(ori, **seq, broker);
            since.is_some_and(|since| since + MAY_BE_BEHIND < now)
        };
        let all = seqs.iter().filter(needless);
        all.map(|seq| format!("a node asked to send again what was not lost: {seq} of {ori}")).collect()
    }

    /// Since when nothing of a number is missing; none: something is.
    fn held_since(&self, ori: &Ori, seq: u64, broker: &Broker) -> Option<Us> {
        let (event, stored) = held(ori, seq, broker)?;
        let st = JURISDICTION.parse().expect("a jurisdiction");
        let routed = broker.stream(subject::DELIVER).last_of(&subject::hub_routed(&st, ori, &event));
        match routed {
            Some(routed) => Some(stored.max(routed.stored)),
            None if self.accepted.contains(&(ori.to_string(), event.to_string())) => None,
            // Refused, or not looked at yet.
            None => Some(stored),
        }
    }
}

fn held(ori: &Ori, seq: u64, broker: &Broker) -> Held {
    broker.stream(subject::INGEST).held().find_map(|message| {
        let event = UnverifiedEvent::read(&message.payload).ok()?;
        let head = event.claimed_head().ok()?;
        (head.ori == *ori && head.seq == seq).then(|| (head.event_id.clone(), message.stored))
    })
}
