//! Compares the books, arrow by arrow, in the direction in which an event goes.

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    envelope::Digest,
    ids::{NoticeId, Ori},
};

use super::{
    books::{At, Books, Numbers, Scope, lowest},
    finding::{Arrow, Finding},
};
use crate::ledger::Stream;

/// DELIVER keeps its records for 30 days: what is two days short of that may be gone by its age, and is not missed.
const DELIVER_REACH: SignedDuration = SignedDuration::from_hours(28 * 24);

/// A jail keeps what was answered for 30 days, INGEST for 90: what a jail kept so long ago at most is still there.
const KEPT_REACH: SignedDuration = SignedDuration::from_hours(28 * 24);

impl Books {
    /// Everything that is missing, or does not verify. `ingest_is_whole`: INGEST still holds its very first message, so
    /// that nothing left it by its age. With a time to begin at, all of INGEST and HEARTBEATS must have been read, what
    /// lies before as [`Scope::Before`].
    pub fn findings(&self, now: Timestamp, grace: SignedDuration, ingest_is_whole: bool) -> Vec<Finding> {
        let due = |at: &At| at.scope == Scope::Audited && now.duration_since(at.stored) >= grace;
        let in_reach = |at: Timestamp| now.duration_since(at) < DELIVER_REACH;
        let mut found = self.found.clone();
        self.gaps(now, grace, ingest_is_whole, &mut found);
        self.after_ingest(&due, &mut found);
        self.after_routing(&due, &mut found);
        self.after_delivery(&due, &in_reach, &mut found);
        found.sort_by_key(|finding| (finding.arrow, finding.stream, finding.sequence));
        found
    }

    fn gaps(&self, now: Timestamp, grace: SignedDuration, whole: bool, found: &mut Vec<Finding>) {
        for ((ori, epoch), numbers) in &self.numbers {
            let stated = numbers.head.filter(|(_, at)| now.duration_since(*at) >= grace).map(|(seq, _)| seq);
            let Some(to) = numbers.held.last().max(stated) else { continue };
            for gap in numbers.held.missing(self.first_due(ori, numbers, now, whole), to) {
                found.push(Finding {
                    ori: Some(ori.clone()),
                    epoch: Some(epoch.clone()),
                    missing: Some(gap),
                    text: Some("never stored on INGEST, or lost from it".into()),
                    ..Finding::on(Arrow::SequenceGap)
                });
            }
        }
    }

    /// The lowest number that INGEST must hold and that may have been lost within the audited time. Where nobody knows
    /// what was there before, it is the lowest that something still vouches for: what aged out is not missed.
    fn first_due(&self, ori: &Ori, numbers: &Numbers, now: Timestamp, whole: bool) -> u64 {
        let aged = |held: Option<u64>| {
            // Above what its first heartbeat stated nothing can be older than that heartbeat.
            let later = numbers.stated.or(numbers.head.map(|(seq, _)| seq)).map(|seq| seq.saturating_add(1));
            let kept = numbers.kept_from.filter(|(_, at)| now.duration_since(*at) < KEPT_REACH);
            lowest(lowest(held, kept.map(|(from, _)| from)), later).unwrap_or(u64::MAX)
        };
        match (self.since, numbers.before) {
            (None, _) if whole => 1,
            (None, _) => aged(numbers.held.first()),
            (Some(_), Some(before)) => before.saturating_add(1),
            (Some(_), None) if whole || self.had_another_epoch(ori) => 1,
            (Some(_), None) => aged(numbers.from),
        }
    }

    /// Whether the facility numbered otherwise before the audited time: an epoch of which nothing is known there began
    /// within it.
    fn had_another_epoch(&self, ori: &Ori) -> bool {
        self.numbers.iter().any(|((of, _), numbers)| of == ori && numbers.before.is_some())
    }

    fn after_ingest(&self, due: &dyn Fn(&At) -> bool, found: &mut Vec<Finding>) {
        for (key, event) in &self.ingested {
            let routed = self.routed.get(key).map(|fact| fact.digest);
            for (digest, at) in &event.copies {
                // Other bytes under a known event id are answered with a CONFLICT.
                if due(at) && routed != Some(*digest) && !self.refused.contains(digest) {
                    found.push(Finding {
                        ori: Some(key.0.clone()),
                        event_id: Some(key.1.clone()),
                        digest: Some(*digest),
                        ..Finding::at(Arrow::IngestWithoutVerdict, Stream::Ingest, at.sequence, at.stored)
                    });
                }
            }
        }
        for (digest, (at, ori, why)) in &self.no_event {
            if due(at) && !self.refused.contains(digest) {
                found.push(Finding {
                    ori: ori.clone(),
                    digest: Some(*digest),
                    text: Some(format!("not acceptable ({why}), and never refused")),
                    ..Finding::at(Arrow::IngestWithoutVerdict, Stream::Ingest, at.sequence, at.stored)
                });
            }
        }
    }

    fn after_routing(&self, due: &dyn Fn(&At) -> bool, found: &mut Vec<Finding>) {
        for (key, fact) in self.routed.iter().filter(|(_, fact)| due(&fact.at)) {
            let on = |arrow| Finding {
                ori: Some(key.0.clone()),
                event_id: Some(key.1.clone()),
                digest: Some(fact.digest),
                ..Finding::at(arrow, Stream::Deliver, fact.at.sequence, fact.at.stored)
            };
            if !self.ingested.get(key).is_some_and(|event| event.copies.contains_key(&fact.digest)) {
                found.push(on(Arrow::RoutedWithoutIngest));
            }
            if !self.accepted.contains_key(&(key.clone(), fact.digest)) {
                found.push(on(Arrow::RoutedWithoutAcceptance));
            }
            for subscriber in &fact.recipients {
                let id = NoticeId::new(&key.0, &key.1, subscriber);
                if !self.notices.contains_key(&id) {
                    let subscriber = Some(subscriber.clone());
                    found.push(Finding { notice: Some(id), subscriber, ..on(Arrow::RoutedWithoutNotice) });
                }
            }
        }
    }

    fn after_delivery(
        &self,
        due: &dyn Fn(&At) -> bool,
        in_reach: &dyn Fn(Timestamp) -> bool,
        found: &mut Vec<Finding>,
    ) {
        for (id, fact) in &self.notices {
            let Some(at) = fact.attempts.values().find(|at| due(at)) else { continue };
            let on = |arrow| Finding {
                ori: Some(id.ori()),
                event_id: Some(id.event()),
                notice: Some(id.clone()),
                subscriber: Some(id.subscriber()),
                digest: Some(fact.digest),
                ..Finding::at(arrow, Stream::Deliver, at.sequence, at.stored)
            };
            if !self.says_routed(id, &fact.digest) {
                found.push(on(Arrow::NoticeWithoutRouted));
            }
            if !self.received.get(id).is_some_and(|digests| digests.contains(&fact.digest)) {
                found.push(on(Arrow::NoticeWithoutReceipt));
            }
        }
        for (digest, receipt) in self.receipts.iter().filter(|(_, receipt)| due(&receipt.at)) {
            let on = |arrow| Finding {
                ori: Some(receipt.ori.clone()),
                subscriber: Some(receipt.subscriber.clone()),
                digest: Some(*digest),
                ..Finding::at(arrow, Stream::Receipts, receipt.at.sequence, receipt.at.stored)
            };
            if !self.progressed.contains(digest) {
                found.push(on(Arrow::ReceiptWithoutProgress));
            }
            let unknown = receipt.notices.iter().filter(|(id, attempt)| {
                !self.notices.get(id).is_some_and(|fact| fact.attempts.contains_key(attempt))
            });
            for (id, attempt) in unknown.filter(|_| in_reach(receipt.stated)) {
                found.push(Finding {
                    event_id: Some(id.event()),
                    notice: Some(id.clone()),
                    text: Some(format!("attempt {attempt}")),
                    ..on(Arrow::ReceiptWithoutNotice)
                });
            }
        }
        for ((key, digest), fact) in self.accepted.iter().filter(|(_, fact)| due(&fact.at)) {
            let routed = self.routed.get(key).is_some_and(|routed| routed.digest == *digest);
            if !routed && in_reach(fact.t5) {
                found.push(Finding {
                    ori: Some(key.0.clone()),
                    event_id: Some(key.1.clone()),
                    digest: Some(*digest),
                    ..Finding::at(
                        Arrow::AcceptanceWithoutRouted,
                        Stream::Answers,
                        fact.at.sequence,
                        fact.at.stored,
                    )
                });
            }
        }
    }

    fn says_routed(&self, id: &NoticeId, digest: &Digest) -> bool {
        let routed = self.routed.get(&(id.ori(), id.event()));
        routed.is_some_and(|fact| fact.digest == *digest && fact.recipients.contains(&id.subscriber()))
    }
}
