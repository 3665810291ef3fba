//! The books: what the records of each stream say, under the keys by which they are compared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sallyport_proto::{
    answer::{Answer, Body},
    envelope::Digest,
    ids::{EventId, Jurisdiction, NoticeId, Ori, SubscriberId},
    registry::Registry,
    subject,
};
use serde::Serialize;

use super::{
    finding::{Arrow, Finding},
    open::{self, Said},
};
use crate::{
    dense::Dense,
    ledger::{Record, Stream},
};

/// Whether a record is judged, or was only asked for to judge another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Within the time that is audited.
    Audited,
    /// Read because something within refers to it.
    Aside,
    /// Stored before the audited time, and read for its number alone: what comes after it was given later.
    Before,
}

/// A record outside of what was read that decides about one within.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The last message of a subject.
    Subject(Stream, String),
    /// One message.
    Sequence(Stream, u64),
}

/// How much was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Different events on INGEST.
    pub events: u64,
    /// Messages on INGEST that were no acceptable event, each refused.
    pub refused: u64,
    /// `routed` records.
    pub routed: u64,
    /// Notices.
    pub notices: u64,
    /// Receipts.
    pub receipts: u64,
    /// Receipts that went on to a jail.
    pub progressed: u64,
    /// Events that were accepted.
    pub accepted: u64,
    /// Heartbeats.
    pub heartbeats: u64,
}

/// Where a fact stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) sequence: u64,
    pub(super) stored: Timestamp,
    pub(super) scope: Scope,
}

pub(super) type Event = (Ori, EventId);

pub(super) struct Ingested {
    pub(super) jurisdiction: Jurisdiction,
    /// First message of each digest.
    pub(super) copies: BTreeMap<Digest, At>,
}

pub(super) struct RoutedFact {
    pub(super) at: At,
    pub(super) jurisdiction: Jurisdiction,
    pub(super) digest: Digest,
    pub(super) recipients: Vec<SubscriberId>,
    pub(super) ingest_sequence: u64,
}

pub(super) struct NoticeFact {
    pub(super) digest: Digest,
    /// By attempt.
    pub(super) attempts: BTreeMap<u32, At>,
    pub(super) jurisdiction: Option<Jurisdiction>,
}

pub(super) struct ReceiptFact {
    pub(super) at: At,
    pub(super) subscriber: SubscriberId,
    pub(super) ori: Ori,
    pub(super) notices: Vec<(NoticeId, u32)>,
    /// By the subscriber's clock: when it was received.
    pub(super) stated: Timestamp,
}

pub(super) struct AcceptedFact {
    pub(super) at: At,
    /// When the event was routed.
    pub(super) t5: Timestamp,
}

/// The numbers of one epoch of a facility.
#[derive(Default)]
pub(super) struct Numbers {
    /// All that INGEST holds, also from before the audited time.
    pub(super) held: Dense,
    /// The highest that is known to have been given before the audited time: held, or stated by a heartbeat.
    pub(super) before: Option<u64>,
    /// The lowest that was given within the audited time.
    pub(super) from: Option<u64>,
    /// The lowest that a heartbeat of the audited time stated: what lies above it was given later.
    pub(super) stated: Option<u64>,
    /// From here on the jail itself kept what it sent, by its newest heartbeat, and when that came.
    pub(super) kept_from: Option<(u64, Timestamp)>,
    /// The highest that a heartbeat stated, and when.
    pub(super) head: Option<(u64, Timestamp)>,
}

/// What was read so far.
#[derive(Default)]
pub struct Books {
    /// From when on; none: everything the streams hold.
    pub(super) since: Option<Timestamp>,
    pub(super) ingested: BTreeMap<Event, Ingested>,
    pub(super) no_event: BTreeMap<Digest, (At, Option<Ori>, String)>,
    pub(super) routed: BTreeMap<Event, RoutedFact>,
    pub(super) notices: BTreeMap<NoticeId, NoticeFact>,
    /// What each notice was receipted for.
    pub(super) received: BTreeMap<NoticeId, BTreeSet<Digest>>,
    pub(super) receipts: BTreeMap<Digest, ReceiptFact>,
    pub(super) progressed: BTreeSet<Digest>,
    pub(super) accepted: BTreeMap<(Event, Digest), AcceptedFact>,
    pub(super) refused: BTreeSet<Digest>,
    pub(super) numbers: BTreeMap<(Ori, String), Numbers>,
    pub(super) found: Vec<Finding>,
    asked: BTreeSet<Place>,
    heartbeats: u64,
}

impl Books {
    /// Empty books about everything from `since` on.
    pub fn since(since: Option<Timestamp>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Takes in one record.
    pub fn record(&mut self, record: &Record<'_>, scope: Scope, registry: &Registry) {
        let at = At { sequence: record.sequence, stored: record.stored, scope };
        match open::open(record, registry) {
            Ok(said) => self.said(record, at, said, registry),
            // Not of the audited time.
            Err(_) if scope == Scope::Before => {}
            Err(why) => {
                let finding = Finding::at(Arrow::NotVerified, record.stream, record.sequence, record.stored);
                self.found.push(Finding { text: Some(why), ..finding });
            }
        }
    }

    fn said(&mut self, record: &Record<'_>, at: At, said: Said, registry: &Registry) {
        match said {
            Said::Event(jurisdiction, head, digest) => {
                let before = self.is_before(&at);
                let numbers = self.numbers.entry((head.ori.clone(), head.epoch.clone())).or_default();
                numbers.held.insert(head.seq);
                if before {
                    numbers.before = numbers.before.max(Some(head.seq));
                }
                if at.scope == Scope::Before {
                    return;
                }
                // Agent's time: a copy of an old event that was sent again is no beginning of the audited time.
                let within = self.since.is_none_or(|since| head.t2_observed.at >= since);
                if at.scope == Scope::Audited && within {
                    numbers.from = lowest(numbers.from, Some(head.seq));
                }
                let copies = BTreeMap::new();
                let event = self
                    .ingested
                    .entry((head.ori.clone(), head.event_id.clone()))
                    .or_insert(Ingested { jurisdiction, copies });
                event.copies.entry(digest).or_insert(at);
            }
            Said::NoEvent(..) if at.scope == Scope::Before => {}
            Said::NoEvent(ori, digest, why) => {
                self.no_event.entry(digest).or_insert((at, ori, why));
            }
            Said::Routed(routed) => {
                let fact = RoutedFact {
                    at,
                    jurisdiction: routed.jurisdiction,
                    digest: routed.event_digest,
                    recipients: routed.recipients.into_iter().map(|r| r.subscriber).collect(),
                    ingest_sequence: routed.ingest_sequence,
                };
                self.routed.entry((routed.ori, routed.event_id)).or_insert(fact);
            }
            Said::Notice(notice) => {
                let jurisdiction =
                    registry.facilities.get(&notice.notice_id.ori()).map(|f| f.jurisdiction.clone());
                let (digest, attempts) = (notice.event_digest, BTreeMap::new());
                let fact = self.notices.entry(notice.notice_id.clone()).or_insert(NoticeFact {
                    digest,
                    attempts,
                    jurisdiction,
                });
                match fact.attempts.get(&notice.attempt) {
                    Some(first) if first.sequence != at.sequence => {
                        let finding =
                            Finding::at(Arrow::NoticeTwice, Stream::Deliver, at.sequence, at.stored);
                        self.found.push(Finding { notice: Some(notice.notice_id), ..finding });
                    }
                    Some(_) => {}
                    None => {
                        fact.attempts.insert(notice.attempt, at);
                    }
                }
            }
            Said::Receipt(receipt, digest) => {
                for named in &receipt.notices {
                    self.received.entry(named.notice_id.clone()).or_default().insert(named.event_digest);
                }
                let stated = receipt.t6_received.map_or(receipt.published.at, |t6| t6.at);
                let notices = receipt.notices.into_iter().map(|n| (n.notice_id, n.attempt)).collect();
                let (subscriber, ori) = (receipt.subscriber, receipt.ori);
                let fact = ReceiptFact { at, subscriber, ori, notices, stated };
                self.receipts.entry(digest).or_insert(fact);
            }
            Said::Answer(answer) => self.answer(at, *answer),
            Said::Heartbeat(heartbeat) => {
                let before = self.is_before(&at);
                self.heartbeats += u64::from(!before);
                let numbers = self.numbers.entry((heartbeat.ori, heartbeat.epoch)).or_default();
                let (seq, stored) = (heartbeat.seq, record.stored);
                if before {
                    numbers.before = numbers.before.max(Some(seq));
                } else {
                    numbers.stated = lowest(numbers.stated, Some(seq));
                }
                if numbers.kept_from.is_none_or(|(_, at)| at <= stored) {
                    numbers.kept_from = heartbeat.kept_from.map(|from| (from, stored));
                }
                // The first heartbeat that states a number says since when it was known.
                if numbers.head.is_none_or(|(known, _)| known < seq) {
                    numbers.head = Some((seq, stored));
                }
            }
            Said::Else => {}
        }
    }

    fn is_before(&self, at: &At) -> bool {
        at.scope == Scope::Before || self.since.is_some_and(|since| at.stored < since)
    }

    fn answer(&mut self, at: At, answer: Answer) {
        let ori = answer.ori;
        match answer.body {
            Body::Acceptance(events) => {
                for event in events {
                    let key = ((ori.clone(), event.event_id), event.digest);
                    self.accepted.entry(key).or_insert(AcceptedFact { at, t5: event.t5_routed.at });
                }
            }
            Body::Refusal(refusal) => {
                self.refused.insert(refusal.digest);
            }
            Body::Progress(receipts) => {
                self.progressed.extend(receipts.iter().map(|relayed| Digest::of(&relayed.receipt)));
            }
            Body::Request(_) | Body::Resend(_) => {}
        }
    }

    /// What must be looked at before anything is said: records that were not read and that decide about one that was.
    /// Each is asked for once.
    pub fn wanted(&mut self, registry: &Registry) -> Vec<Place> {
        let mut wanted = BTreeSet::new();
        let routed = |st: &Jurisdiction, (ori, event): &Event| {
            Place::Subject(Stream::Deliver, subject::hub_routed(st, ori, event))
        };
        for (key, event) in &self.ingested {
            if !self.routed.contains_key(key) {
                wanted.insert(routed(&event.jurisdiction, key));
            }
        }
        for (key, fact) in &self.routed {
            let is_there =
                self.ingested.get(key).is_some_and(|event| event.copies.contains_key(&fact.digest));
            if fact.at.scope == Scope::Audited && !is_there {
                wanted.insert(Place::Sequence(Stream::Ingest, fact.ingest_sequence));
            }
            for subscriber in &fact.recipients {
                let id = NoticeId::new(&key.0, &key.1, subscriber);
                if fact.at.scope == Scope::Audited && !self.notices.contains_key(&id) {
                    let subject = subject::hub_deliver(subscriber, &fact.jurisdiction, &key.0, &key.1, 0);
                    wanted.insert(Place::Subject(Stream::Deliver, subject));
                }
            }
        }
        for (id, fact) in &self.notices {
            let key = (id.ori(), id.event());
            if let (Some(st), false) = (&fact.jurisdiction, self.routed.contains_key(&key)) {
                wanted.insert(routed(st, &key));
            }
        }
        for receipt in self.receipts.values() {
            let Some(facility) = registry.facilities.get(&receipt.ori) else { continue };
            for (id, attempt) in &receipt.notices {
                if !self.notices.get(id).is_some_and(|n| n.attempts.contains_key(attempt)) {
                    let (st, ori, event) = (&facility.jurisdiction, id.ori(), id.event());
                    let subject = subject::hub_deliver(&id.subscriber(), st, &ori, &event, *attempt);
                    wanted.insert(Place::Subject(Stream::Deliver, subject));
                }
            }
        }
        for (key, _) in self.accepted.keys() {
            if let (Some(facility), false) = (registry.facilities.get(&key.0), self.routed.contains_key(key))
            {
                wanted.insert(routed(&facility.jurisdiction, key));
            }
        }
        wanted.retain(|place| !self.asked.contains(place));
        self.asked.extend(wanted.iter().cloned());
        wanted.into_iter().collect()
    }

    /// How much of what was read.
    pub fn counts(&self) -> Counts {
        let audited = |at: &At| at.scope == Scope::Audited;
        let events = self.ingested.values().filter(|e| e.copies.values().any(audited));
        Counts {
            events: events.count() as u64,
            refused: self.no_event.keys().filter(|digest| self.refused.contains(digest)).count() as u64,
            routed: self.routed.values().filter(|fact| audited(&fact.at)).count() as u64,
            notices: self.notices.values().filter(|n| n.attempts.values().any(audited)).count() as u64,
            receipts: self.receipts.len() as u64,
            progressed: self.receipts.keys().filter(|digest| self.progressed.contains(digest)).count() as u64,
            accepted: self.accepted.len() as u64,
            heartbeats: self.heartbeats,
        }
    }
}

/// The lower of those that are known.
pub(super) fn lowest(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a.into_iter().chain(b).min()
}
