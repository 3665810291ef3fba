//! Keeps one batch in one transaction: notices by id and attempt, which revision of each custody is the newest, what is
//! set apart, and the signed receipts that answer all of it. Once it is committed, nothing of the batch can be lost,
//! and nothing of it can happen a second time: a copy finds its notice and gets the receipt that is stored.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use rusqlite::Transaction;
use sallyport_proto::{
    ids::Ori,
    limits::NOTICES_PER_RECEIPT_MAX,
    provenance::{AgreementId, TrafficClass},
    receipt::ReceiptFor,
    vocabulary::TrafficKind,
};

use super::{
    SinkPlace, Store, StoreError, What, apart,
    custody::{Custodies, Custody},
    from_micros, micros, notice,
    outbox::{self, Lane},
    rank,
    reach::{self, Place},
};
use crate::{
    log::HandedOver,
    outbox::Outgoing,
    receipt::Maker,
    verify::{Fault, Judged, Refused, Verified},
};

/// One message of a batch, judged.
pub struct Arrival<'a> {
    /// What it turned out to be.
    pub judged: &'a Judged,
    /// As it came.
    pub bytes: &'a [u8],
    /// Of its message on DELIVER; none for what is judged again.
    pub place: Option<Place>,
}

/// What the batch led to.
#[derive(Debug, Default)]
pub struct Kept {
    /// Receipts that must be published before the batch may be settled: new ones, and for copies the stored ones.
    pub answers: Vec<Outgoing>,
    /// Notices to be handed over, in order.
    pub handed_over: Vec<HandedOver>,
    /// The last notice that is stored.
    pub through: i64,
    /// How it went, for metrics.
    pub counts: Counts,
}

/// How many of a batch were what.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Handed over from here on.
    pub new: u64,
    /// Of these: a newer revision was there already.
    pub late: u64,
    /// Pings: receipted, never handed over.
    pub pings: u64,
    /// Further attempts of known notices.
    pub attempts: u64,
    /// Same notice, same attempt.
    pub copies: u64,
    /// Answered with a refusal, by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// Could not be answered.
    pub unreadable: u64,
}

/// A notice or attempt of this batch that has no receipt yet.
struct Unanswered<'a> {
    seq: i64,
    verified: &'a Verified,
    /// The notice itself came with this batch, not only a further attempt of it.
    fresh: bool,
    /// A newer revision of the custody is there.
    late: bool,
}

impl Unanswered<'_> {
    fn is_ping(&self) -> bool {
        self.verified.notice.traffic.kind() == TrafficKind::Ping
    }
}

impl Store {
    /// Keeps `batch`; `now` is t6 of everything new in it, which waits for the sink at `sink`.
    pub fn keep(
        &mut self,
        batch: &[Arrival<'_>],
        maker: &Maker,
        now: Timestamp,
        sink: SinkPlace,
    ) -> Result<Kept, StoreError> {
        // As the store keeps it, so that log, receipt and store say the same.
        let t6 = from_micros(micros(now))?;
        let tx = self.begin()?;
        let mut work = Work::new(&tx, maker, t6, sink);
        for arrival in batch {
            work.take(arrival)?;
        }
        work.supersede()?;
        work.rank()?;
        work.answer()?;
        work.hand_over();
        let kept = work.kept;
        tx.commit().what("commit a batch")?;
        Ok(kept)
    }
}

struct Work<'t, 'a> {
    tx: &'t Transaction<'t>,
    maker: &'t Maker,
    t6: Timestamp,
    sink: SinkPlace,
    kept: Kept,
    unanswered: Vec<Unanswered<'a>>,
    /// Receipts that are stored and go out again.
    again: Vec<i64>,
    /// What of this batch will get a receipt: a copy in the same batch needs none of its own.
    named: HashSet<(i64, u32)>,
}

impl<'t, 'a> Work<'t, 'a> {
    fn new(tx: &'t Transaction<'t>, maker: &'t Maker, t6: Timestamp, sink: SinkPlace) -> Self {
        let kept = Kept::default();
        Self { tx, maker, t6, sink, kept, unanswered: Vec::new(), again: Vec::new(), named: HashSet::new() }
    }

    fn take(&mut self, arrival: &Arrival<'a>) -> Result<(), StoreError> {
        if let Some(place) = arrival.place {
            reach::note(self.tx, place)?;
        }
        match arrival.judged {
            Judged::Notice(verified) => self.take_notice(verified, arrival),
            Judged::Refused(refused) => self.refuse(refused, arrival.bytes),
            Judged::Unreadable(why) => {
                self.kept.counts.unreadable += 1;
                apart::set_unreadable(self.tx, arrival.bytes, *why, self.t6)
            }
        }
    }

    fn take_notice(&mut self, verified: &'a Verified, arrival: &Arrival<'a>) -> Result<(), StoreError> {
        let (notice, bytes) = (&verified.notice, arrival.bytes);
        let place = arrival.place.unwrap_or(Place { sequence: 0, stored: self.t6 });
        let Some(known) = notice::find(self.tx, &notice.notice_id)? else {
            let seq = notice::insert(self.tx, verified, bytes, self.place(verified), self.t6, place)?;
            self.named.insert((seq, notice.attempt));
            self.unanswered.push(Unanswered { seq, verified, fresh: true, late: false });
            return Ok(());
        };
        if known.event_digest != notice.event_digest {
            let refused = Refused {
                notice_id: notice.notice_id.clone(),
                attempt: notice.attempt,
                event_digest: notice.event_digest,
                traffic: notice.traffic.clone(),
                fault: Fault::Conflict,
            };
            return self.refuse(&refused, bytes);
        }
        if arrival.place.is_some() {
            reach::came_again(self.tx, known.seq, place)?;
        }
        if self.named.contains(&(known.seq, notice.attempt)) {
            self.kept.counts.copies += 1;
            return Ok(());
        }
        match notice::receipt_of(self.tx, known.seq, notice.attempt)? {
            // A copy of what failed later never earns the receipt of success again.
            Some(receipt) => {
                self.kept.counts.copies += 1;
                self.again.push(known.failed_receipt.unwrap_or(receipt));
            }
            None => {
                self.kept.counts.attempts += 1;
                self.named.insert((known.seq, notice.attempt));
                let (seq, late) = (known.seq, known.superseded);
                self.unanswered.push(Unanswered { seq, verified, fresh: false, late });
            }
        }
        Ok(())
    }

    /// A ping stops before the sink.
    fn place(&self, verified: &Verified) -> SinkPlace {
        if verified.notice.traffic.kind() == TrafficKind::Ping { SinkPlace::None } else { self.sink }
    }

    fn refuse(&mut self, refused: &Refused, bytes: &[u8]) -> Result<(), StoreError> {
        let receipt = match apart::receipt_of(self.tx, bytes)? {
            Some(receipt) => receipt,
            None => {
                *self.kept.counts.refused.entry(refused.fault.code().as_str()).or_default() += 1;
                let made = self.maker.refused(refused, self.t6);
                let receipt = outbox::insert(self.tx, Lane::Machine, &made, self.t6)?;
                apart::set_refused(self.tx, bytes, refused, receipt, self.t6)?;
                receipt
            }
        };
        self.again.push(receipt);
        Ok(())
    }

    /// Finds the newest revision of every custody of the batch, among what came and what was there, and marks the
    /// others.
    fn supersede(&mut self) -> Result<(), StoreError> {
        let mut custodies = Custodies::default();
        // Pings are about no custody.
        for fresh in self.unanswered.iter().filter(|u| u.fresh && !u.is_ping()) {
            custodies.add(self.tx, Custody::of(fresh.verified), fresh.seq)?;
        }
        custodies.set(self.tx)?;
        for unanswered in &mut self.unanswered {
            unanswered.late |= custodies.has_newer_than(&Custody::of(unanswered.verified));
            if unanswered.fresh && unanswered.late {
                notice::mark_late(self.tx, unanswered.seq)?;
            }
        }
        Ok(())
    }

    /// What waits for the sink does so in an order.
    fn rank(&self) -> Result<(), StoreError> {
        let fresh = self.unanswered.iter().filter(|unanswered| unanswered.fresh && !unanswered.is_ping());
        fresh.into_iter().try_for_each(|new| rank::set(self.tx, new.seq, new.verified, new.late))
    }

    /// One RECEIVED per facility and traffic class, naming at most so many notices as a receipt may; and for copies
    /// the receipts that are stored.
    fn answer(&mut self) -> Result<(), StoreError> {
        let mut groups: Vec<((&Ori, &TrafficClass), Vec<&Unanswered<'a>>)> = Vec::new();
        for unanswered in &self.unanswered {
            let key = (&unanswered.verified.head.ori, &unanswered.verified.notice.traffic);
            match groups.iter_mut().find(|(group, _)| *group == key) {
                Some((_, members)) => members.push(unanswered),
                None => groups.push((key, vec![unanswered])),
            }
        }
        for ((ori, traffic), members) in groups {
            for chunk in members.chunks(NOTICES_PER_RECEIPT_MAX) {
                let notices = chunk.iter().map(|unanswered| named(unanswered)).collect();
                let agreement = common_agreement(chunk);
                let made = self.maker.received(ori.clone(), notices, traffic.clone(), agreement, self.t6);
                let id = outbox::insert(self.tx, Lane::Machine, &made, self.t6)?;
                for unanswered in chunk {
                    notice::insert_attempt(
                        self.tx,
                        unanswered.seq,
                        &unanswered.verified.notice,
                        id,
                        self.t6,
                    )?;
                }
                self.kept.answers.push(Outgoing::new(id, made));
            }
        }
        self.again.sort_unstable();
        self.again.dedup();
        for id in &self.again {
            self.kept.answers.push(outbox::read(self.tx, *id)?);
        }
        Ok(())
    }

    /// What is new goes to the log and the sink; a further attempt shows on the notice that is there.
    fn hand_over(&mut self) {
        for unanswered in self.unanswered.iter().filter(|unanswered| unanswered.fresh) {
            self.kept.through = unanswered.seq;
            if unanswered.is_ping() {
                self.kept.counts.pings += 1;
                continue;
            }
            self.kept.counts.new += 1;
            self.kept.counts.late += u64::from(unanswered.late);
            let line = HandedOver::of(unanswered.seq, unanswered.verified, unanswered.late, self.t6);
            self.kept.handed_over.push(line);
        }
    }
}

fn named(unanswered: &Unanswered<'_>) -> ReceiptFor {
    let notice = &unanswered.verified.notice;
    ReceiptFor {
        notice_id: notice.notice_id.clone(),
        event_digest: notice.event_digest,
        attempt: notice.attempt,
        superseded: unanswered.late,
        t6_received: None,
    }
}

/// The agreement of all, where it is one: a receipt names one or none.
fn common_agreement(members: &[&Unanswered<'_>]) -> Option<AgreementId> {
    let mut agreements = members.iter().map(|unanswered| &unanswered.verified.disclosure.agreement);
    let first = agreements.next()?;
    agreements.all(|other| other == first).then(|| first.clone())
}
