//! Which events of an archive no `routed` record of it answers, nor a Refusal: a relay routes them once they are back,
//! whether or not it did so before. Few are usual, which were on their way when the archive was written; many mean that
//! the end of its DELIVER is not here.

use std::collections::HashSet;

use sallyport_proto::{
    answer::{Answer, Body},
    envelope::Digest,
    event::UnverifiedEvent,
    registry::Registry,
    subject::{self, DeliverSubject},
};
use sallyport_relay_core::dense::{Dense, Gap};

use crate::archive::segment::Record;

/// Half a hash: enough to tell events apart, and half the memory.
type Key = [u8; 16];

/// Records as they are read, in `ORDER`: INGEST last.
pub(super) struct Unrouted<'a> {
    registry: &'a Registry,
    routed: HashSet<Key>,
    refused: HashSet<Digest>,
    sequences: Dense,
}

impl<'a> Unrouted<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        Self { registry, routed: HashSet::new(), refused: HashSet::new(), sequences: Dense::default() }
    }

    /// Takes in one record of `stream`.
    pub(super) fn take_in(&mut self, stream: &str, record: &Record) {
        match stream {
            subject::DELIVER => {
                if let Some(DeliverSubject::Routed) = subject::deliver_subject(&record.subject) {
                    // The last two tokens: facility and event.
                    let mut tokens = record.subject.rsplit('.');
                    if let (Some(event), Some(ori)) = (tokens.next(), tokens.next()) {
                        self.routed.insert(key(ori, event));
                    }
                }
            }
            subject::ANSWERS => {
                if let Ok(Answer { body: Body::Refusal(refusal), .. }) =
                    Answer::open(&record.payload, self.registry.relay_keys())
                {
                    self.refused.insert(refusal.digest);
                }
            }
            subject::INGEST => self.event(record),
            _ => {}
        }
    }

    fn event(&mut self, record: &Record) {
        // What is no event is refused or parked, never routed.
        let (Some((_, ori)), Ok(event)) =
            (subject::facility_of_ingest(&record.subject), UnverifiedEvent::read(&record.payload))
        else {
            return;
        };
        let routed = self.routed.contains(&key(ori.as_str(), event.claimed_event_id()));
        if routed || self.refused.contains(&Digest::of(&record.payload)) {
            return;
        }
        self.sequences.insert(record.sequence);
    }

    /// Sequences of INGEST.
    pub(super) fn sequences(self) -> Vec<Gap> {
        self.sequences.ranges().collect()
    }
}

fn key(ori: &str, event: &str) -> Key {
    let hash = Digest::of(format!("{ori}.{event}").as_bytes());
    let mut key = Key::default();
    key.copy_from_slice(&hash.as_bytes()[..16]);
    key
}
