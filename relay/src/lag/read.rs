//! Reads the figures out of the model, all of one state of it.

use std::{collections::BTreeMap, path::Path};

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_proto::{
    ids::{Ori, SubscriberId},
    registry::Registry,
    time::Moment,
    vocabulary::{EndpointRefusalCode, RefusalCode, Severity, SourceClock, TrafficKind},
};
use sallyport_relay_core::{
    delivery::Credit,
    latency::{Interval, Stage, Times},
    ledger::{Stream, rows::NoticeRow, view::NoticeFacts},
};

use super::{
    Deliveries, Kind, Lag, Latency, Lead, NotPassedOn, Oldest, Overall, Parked, Refused, StageFigures, State,
    StreamAge, Unanswered, Unreadable, Unsubscribed,
};
use crate::track::store::{
    Loaded, Positions, STALE_AFTER, StoreError,
    value::{Columns, micros},
};

/// A receipt that the relay believes goes on to the jail within milliseconds; a leader change takes 9 s, a redelivery 15.
const PASSED_ON_WITHIN: SignedDuration = SignedDuration::from_secs(60);

impl Lag {
    /// Reads the model in `store_dir`, which a running relay may be writing. The registry names the facilities that
    /// never spoke.
    pub fn read(
        store_dir: &Path,
        registry: &Registry,
        window: SignedDuration,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        Loaded::open(store_dir)?.at_one_time(|loaded| Self::of(loaded, registry, window, now))
    }

    fn of(
        loaded: &Loaded,
        registry: &Registry,
        window: SignedDuration,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let positions = ages(&loaded.positions()?, now);
        let known = !positions.iter().any(|position| position.stale);
        let since = micros(now.checked_sub(window).unwrap_or(Timestamp::MIN));
        let mut groups = Groups::default();
        let mut whole = Whole::default();
        measure(loaded, since, &mut groups, &mut whole)?;
        wait(loaded, now, &mut groups)?;
        let (messages, oldest) = loaded.unanswered()?;
        Ok(Self {
            at: now,
            window_s: window.as_secs(),
            known,
            positions,
            overall: Overall {
                delivered: Latency::of(&whole.delivered),
                whole_loop: Latency::of(&whole.whole_loop),
                pending: groups
                    .iter()
                    .filter(|((_, _, kind), _)| *kind != Kind::Ping)
                    .map(|(_, group)| group.pending)
                    .sum(),
            },
            deliveries: groups.into_iter().map(|(key, group)| group.figures(key, known)).collect(),
            unsubscribed: unsubscribed(loaded, since)?,
            refused: refused(loaded, since)?,
            parked: parked(loaded, since)?,
            not_passed_on: not_passed_on(loaded, since, now)?,
            facilities: crate::mend::pulses(loaded, registry, now)?,
            unanswered: Unanswered {
                messages,
                oldest_age_s: oldest.map(|at| now.duration_since(at).as_secs()),
            },
            unreadable: unreadable(loaded)?,
        })
    }
}

fn ages(positions: &Positions, now: Timestamp) -> Vec<StreamAge> {
    let age = |stream: &Stream| {
        let position = positions.get(stream);
        let age = position.and_then(|position| position.whole_at).map(|at| now.duration_since(at));
        StreamAge {
            stream: *stream,
            sequence: position.map(|position| position.sequence).unwrap_or_default(),
            age_s: age.map(|age| age.as_secs()),
            stale: age.is_none_or(|age| age > STALE_AFTER),
        }
    };
    Stream::ALL.iter().map(age).collect()
}

/// The whole way of every notice, pings apart.
#[derive(Default)]
struct Whole {
    delivered: Vec<Interval>,
    whole_loop: Vec<Interval>,
}

type Groups = BTreeMap<(SubscriberId, Ori, Kind), Group>;

/// What was measured for one subscriber, facility and kind.
#[derive(Default)]
struct Group {
    notices: u64,
    received: u64,
    late: u64,
    refused: u64,
    pending: u64,
    oldest: Option<Oldest>,
    breached: bool,
    stages: BTreeMap<Stage, Vec<Interval>>,
    way_back: Vec<Interval>,
    lead_received: Vec<SignedDuration>,
    lead_answered: Vec<SignedDuration>,
}

impl Group {
    fn add(&mut self, times: &Times) {
        for stage in Stage::ALL {
            if let Some(interval) = times.stage(*stage) {
                self.stages.entry(*stage).or_default().push(interval);
            }
        }
        let lead = times.lead();
        self.lead_received.extend(lead.received);
        self.lead_answered.extend(lead.answered);
    }

    fn figures(self, (subscriber, ori, kind): (SubscriberId, Ori, Kind), known: bool) -> Deliveries {
        let stages = self.stages.iter().filter_map(|(stage, intervals)| {
            Some(StageFigures { stage: *stage, latency: Latency::of(intervals)? })
        });
        Deliveries {
            subscriber,
            ori,
            kind,
            state: match (known, self.breached) {
                (false, _) => State::Unknown,
                (true, true) => State::Breached,
                (true, false) => State::Ok,
            },
            notices: self.notices,
            received: self.received,
            late: self.late,
            refused: self.refused,
            pending: self.pending,
            oldest: self.oldest,
            stages: stages.collect(),
            way_back: Latency::of(&self.way_back),
            lead_received: Lead::of(&self.lead_received),
            lead_answered: Lead::of(&self.lead_answered),
        }
    }
}

fn kind(traffic: TrafficKind, backfill: bool) -> Kind {
    match (traffic, backfill) {
        (TrafficKind::Ping, _) => Kind::Ping,
        (_, true) => Kind::Backfill,
        (_, false) => Kind::Live,
    }
}

/// Figures of every notice routed within the window, from its own receipts.
fn measure(loaded: &Loaded, since: i64, groups: &mut Groups, whole: &mut Whole) -> Result<(), StoreError> {
    let notices = loaded.notices_since(since)?;
    // Attempts of one notice stand side by side, in order.
    for attempts in notices.chunk_by(|a, b| a.notice_id == b.notice_id) {
        let Some(first) = attempts.first() else { continue };
        let said = loaded.said_of(&first.notice_id)?;
        // How a delivery ended does not matter here: its times are the same.
        let facts = NoticeFacts {
            attempts: attempts.to_vec(),
            receipts: said.receipts,
            passed_on: said.passed_on.keys().copied().collect(),
            discredited: said.discredited,
            later_received: None,
            decisions: Vec::new(),
        };
        let Some(standing) = facts.standing() else { continue };
        let group = groups.entry(key(first)).or_default();
        let credited = standing.delivery.credited();
        group.notices += 1;
        group.received += u64::from(credited.first_stored.is_some());
        group.late += u64::from(standing.credits.contains(&Credit::Counted { late: true }));
        let failed = |refusal: (EndpointRefusalCode, Severity)| refusal.1 == Severity::Failure;
        group.refused += u64::from(credited.refusal.is_some_and(failed));
        group.add(&standing.times);
        let observed = standing.times.t2.filter(|_| first.traffic != TrafficKind::Ping);
        if let (Some(observed), Some(received)) = (observed, standing.times.t6) {
            whole.delivered.push(Interval::between(observed, received));
        }
        let received = facts.receipts.iter().find(|receipt| {
            facts.is_believed(receipt) && attempts.iter().any(|attempt| receipt.receives(attempt))
        });
        if let Some(receipt) = received
            && let Some(passed_on) = said.passed_on.get(&receipt.sequence)
        {
            let broker = |at| Moment::exact(at, SourceClock::Broker);
            group.way_back.push(Interval::between(broker(receipt.stored), broker(*passed_on)));
            if let Some(observed) = observed {
                whole.whole_loop.push(Interval::between(observed, broker(*passed_on)));
            }
        }
    }
    Ok(())
}

fn key(notice: &NoticeRow) -> (SubscriberId, Ori, Kind) {
    let id = &notice.notice_id;
    (id.subscriber(), id.ori(), kind(notice.traffic, notice.backfill))
}

fn wait(loaded: &Loaded, now: Timestamp, groups: &mut Groups) -> Result<(), StoreError> {
    for waiting in loaded.waiting()? {
        let kind = kind(if waiting.ping { TrafficKind::Ping } else { TrafficKind::Actual }, waiting.backfill);
        let group = groups.entry((waiting.subscriber, waiting.ori, kind)).or_default();
        group.pending = waiting.notices;
        group.breached = waiting.first_due.is_some_and(|due| due < now);
        let age_s = now.duration_since(waiting.oldest_t5).as_secs();
        group.oldest = Some(Oldest { notice: waiting.oldest, age_s });
    }
    Ok(())
}

fn unsubscribed(loaded: &Loaded, since: i64) -> Result<Vec<Unsubscribed>, StoreError> {
    let lists = loaded.rows(
        "SELECT ori, unsubscribed FROM routed WHERE t5 >= ?1 AND unsubscribed <> '' AND traffic <> ?2",
        params![since, i32::from(TrafficKind::Ping)],
        |row| Ok((row.parsed::<Ori>("ori")?, row.parsed_list::<SubscriberId>("unsubscribed")?)),
    )?;
    let mut counts: BTreeMap<(SubscriberId, Ori), u64> = BTreeMap::new();
    for (ori, subscribers) in lists {
        for subscriber in subscribers {
            *counts.entry((subscriber, ori.clone())).or_default() += 1;
        }
    }
    let row = |((subscriber, ori), disclosures)| Unsubscribed { subscriber, ori, disclosures };
    Ok(counts.into_iter().map(row).collect())
}

fn refused(loaded: &Loaded, since: i64) -> Result<Vec<Refused>, StoreError> {
    let sql = "SELECT ori, code, count(*) AS messages FROM refused WHERE stored >= ?1
               GROUP BY ori, code ORDER BY ori, code";
    loaded.rows(sql, params![since], |row| {
        Ok(Refused {
            ori: row.parsed("ori")?,
            code: row.word("code", RefusalCode::from_wire)?,
            messages: row.unsigned("messages")?,
        })
    })
}

fn parked(loaded: &Loaded, since: i64) -> Result<Vec<Parked>, StoreError> {
    let sql = "SELECT ori, reason, count(*) AS messages FROM parked WHERE stored >= ?1
               GROUP BY ori, reason ORDER BY ori, reason";
    loaded.rows(sql, params![since], |row| {
        Ok(Parked {
            ori: row.parsed_or_none("ori")?,
            reason: row.get("reason")?,
            messages: row.unsigned("messages")?,
        })
    })
}

/// Receipts without a Progress, once the relay has had its time.
fn not_passed_on(loaded: &Loaded, since: i64, now: Timestamp) -> Result<Vec<NotPassedOn>, StoreError> {
    let until = micros(now.checked_sub(PASSED_ON_WITHIN).unwrap_or(Timestamp::MIN));
    let sql = "SELECT subscriber, count(DISTINCT sequence) AS receipts FROM receipt r
               WHERE stored >= ?1 AND stored < ?2
                 AND NOT EXISTS (SELECT 1 FROM progress p WHERE p.receipts_sequence = r.sequence)
               GROUP BY subscriber ORDER BY subscriber";
    loaded.rows(sql, params![since, until], |row| {
        Ok(NotPassedOn { subscriber: row.parsed("subscriber")?, receipts: row.unsigned("receipts")? })
    })
}

fn unreadable(loaded: &Loaded) -> Result<Vec<Unreadable>, StoreError> {
    let sql = "SELECT stream, count(*) AS records FROM unreadable GROUP BY stream ORDER BY stream";
    let found = loaded.rows(sql, [], |row| {
        let (name, records): (String, u64) = (row.get("stream")?, row.unsigned("records")?);
        Ok(Stream::named(&name).map(|stream| Unreadable { stream, records }))
    })?;
    Ok(found.into_iter().flatten().collect())
}
