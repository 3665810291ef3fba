//! The continuous loss audit between the jails and the relay: compares what heartbeats state with what INGEST and DELIVER
//! hold, names exactly what is missing, alarms, and asks the jail to send it again: no operator is needed
//! (docs/adr/0006). `audit` is the whole comparison, on demand.
//!
//! Reads the read model, and only while that is known to be whole; decides nothing that must happen once: a request that
//! is made twice, by two nodes or again, reopens rows that are open, and a copy is absorbed by its `routed` record.

mod lacking;
mod look;
mod pulse;
mod put_back;
#[cfg(test)]
mod tests;
mod unmatched;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{
    answer::{Answer, Body, ResendRequest},
    ids::{Jurisdiction, Ori},
    limits::SEQS_PER_RESEND_MAX,
    subject::{self, AnswerKind},
};
use sallyport_relay_core::{dense::Gap, ledger::Stream, missed::Missed};
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::{
    answer,
    http::{self, Health},
    metrics::{of_facility, of_stream},
    node::Node,
    track::store::{Loaded, StoreError},
};
use look::{Compared, Key, View};
pub use pulse::{Pulse, Silent};
pub(crate) use pulse::{SILENT_NAMED_MAX, pulses};

/// A heartbeat comes once a minute.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// A shorter grace time is looked at more often: never more than this.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
/// The jail's link, a full outbox and a relay that is behind may take some time: asked again after so many grace times.
const ASK_AGAIN_GRACES: i32 = 5;
/// Requests about one epoch in a row: a lost stream is asked for piece by piece, so that other jails' events go between.
const REQUESTS_AT_ONCE: usize = 4;
/// Events whose notices are put back in one look: some hundred reads at the leader, and the jails are compared meanwhile.
const PUT_BACK_AT_ONCE: usize = 50;
/// Ranges that an alarm names; the rest is a count, and `lag` names all.
const RANGES_NAMED_MAX: usize = 50;
/// Epochs that `/healthz` names: more are a lost stream, which its first hundred say.
const MISSING_NAMED_MAX: usize = 100;

/// What the audit runs with.
pub(crate) struct Mend {
    pub(crate) node: Arc<Node>,
    pub(crate) health: Arc<Health>,
    pub(crate) store_dir: PathBuf,
    /// What is missing for less than this may be on its way.
    pub(crate) grace: SignedDuration,
}

/// What one epoch of a facility numbered and the streams do not hold, for `/healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Which facility.
    pub ori: Ori,
    /// Which of its numberings.
    pub epoch: String,
    /// The numbers, as ranges.
    pub seqs: String,
    /// How many.
    pub count: u64,
    /// The jail may still have some of them: it is asked. Otherwise only an archive has them.
    pub kept: bool,
}

/// Since when one epoch misses something, and what was done about it.
struct Case {
    missed: Missed,
    alarmed: Vec<Gap>,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    cases: BTreeMap<Key, Case>,
    silence: pulse::Silence,
    waits: u64,
}

impl Mend {
    /// Looks until shutdown.
    pub(crate) async fn run(self) -> Result<(), Infallible> {
        let grace = Duration::try_from(self.grace).unwrap_or(LOOK_EVERY);
        let mut every = tokio::time::interval((grace / 4).clamp(LOOK_EVERY_MIN, LOOK_EVERY));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Seen::default();
        let mut numbers = look::Numbers::default();
        let mut unmatched = unmatched::Unmatched::default();
        let mut notices = lacking::Notices::default();
        loop {
            tokio::select! {
                biased;
                () = self.node.shutdown.cancelled() => return Ok(()),
                _ = every.tick() => {}
            }
            let settled = self.settled().await;
            let (dir, now, grace) = (self.store_dir.clone(), clock::now(), self.grace);
            let job = tokio::task::spawn_blocking(move || {
                let compared = Loaded::open(&dir).and_then(|loaded| {
                    loaded.at_one_time(|loaded| {
                        unmatched.compare(loaded, now, grace)?;
                        notices.compare(loaded, now)?;
                        numbers.compare(loaded, now, grace, settled)
                    })
                });
                (numbers, unmatched, notices, compared)
            });
            let compared;
            match job.await {
                Ok(done) => (numbers, unmatched, notices, compared) = done,
                Err(panic) => {
                    tracing::error!(%panic, "the comparison with the jails fell; begun anew");
                    numbers = look::Numbers::default();
                    unmatched = unmatched::Unmatched::default();
                    notices = lacking::Notices::default();
                    continue;
                }
            }
            for (stream, count) in [(Stream::Deliver, notices.count()), (Stream::Receipts, unmatched.count())]
            {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                self.node.metrics.unmatched.get_or_create(&of_stream(stream.name())).set(count);
            }
            unmatched.alarm();
            notices.alarm();
            self.put_back(&mut notices, now).await;
            match compared {
                Ok(Some(view)) => self.judge(view, &mut seen, now).await,
                Ok(None) => tracing::debug!("the read model is not whole; nothing is compared"),
                Err(StoreError::Missing(_)) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "the read model cannot be compared"),
            }
        }
    }

    /// Everything on INGEST up to there is done with; 0 when the server does not say.
    async fn settled(&self) -> u64 {
        let durable = async {
            let ingest = self.node.js.get_stream_no_info(subject::INGEST).await.ok()?;
            ingest.consumer_info(subject::RELAY_DURABLE).await.ok()
        };
        durable.await.map_or(0, |info| info.ack_floor.stream_sequence)
    }

    async fn judge(&self, view: View, seen: &mut Seen, now: Timestamp) {
        let View { epochs, waits } = view;
        if waits > 0 && seen.waits == 0 {
            tracing::error!(
                messages = waits,
                "so many events are without a routed record that the rest waits to be looked at"
            );
        }
        seen.waits = waits;
        self.show(&epochs, now);
        let silent = seen.silence.judge(&self.node.registry.load(), &epochs, now);
        let lacking: BTreeSet<&Key> =
            epochs.iter().filter(|one| one.count() > 0).map(|one| &one.key).collect();
        seen.cases.retain(|key, case| {
            let gone = !lacking.contains(key);
            if gone && !case.alarmed.is_empty() {
                tracing::info!(ori = %key.0, epoch = key.1, "nothing of this facility is missing any more");
            }
            !gone
        });
        let mut missing = Vec::new();
        for one in epochs {
            if one.differs {
                tracing::error!(ori = %one.key.0, epoch = one.key.1, "what the jail numbered and what INGEST holds under these numbers differ");
            }
            if one.count() == 0 {
                continue;
            }
            let fresh = || Case { missed: Missed::new(now), alarmed: Vec::new() };
            let case = seen.cases.entry(one.key.clone()).or_insert_with(fresh);
            if !case.missed.is_overdue(now, self.grace) {
                continue;
            }
            if missing.len() < MISSING_NAMED_MAX {
                missing.push(named(&one));
            }
            if !one.missing.iter().all(|gap| holds(&case.alarmed, gap)) {
                alarm(&one);
                case.alarmed.clone_from(&one.missing);
            }
            let again = self.grace.saturating_mul(ASK_AGAIN_GRACES);
            // Not asked now: tried again at the next look.
            if case.missed.may_ask(now, again)
                && let Some(asked) = self.ask(&one, again, now).await
            {
                case.missed.handle_asked(asked);
            }
        }
        self.health.compared(http::Compared { missing, silent });
    }

    /// Puts back the notices that DELIVER lost alone, some events at a look.
    async fn put_back(&self, notices: &mut lacking::Notices, now: Timestamp) {
        let again = self.grace.saturating_mul(ASK_AGAIN_GRACES);
        let is_due = |one: &mut lacking::Lacking| {
            one.missed.is_overdue(now, self.grace) && one.missed.may_ask(now, again)
        };
        let mut begun = 0;
        for lacking in notices.lacking.values_mut() {
            if begun < PUT_BACK_AT_ONCE && is_due(lacking) {
                put_back::put_back(&self.node, lacking).await;
                lacking.missed.handle_asked(now);
                begun += 1;
            }
        }
    }

    fn show(&self, compared: &[Compared], now: Timestamp) {
        let metrics = &self.node.metrics;
        let registry = self.node.registry.load();
        metrics.missing.clear();
        metrics.heartbeat_age.clear();
        let mut by_facility: BTreeMap<&Ori, Vec<&Compared>> = BTreeMap::new();
        for one in compared {
            by_facility.entry(&one.key.0).or_default().push(one);
        }
        for ori in registry.facilities.keys() {
            let of = by_facility.get(ori).map(Vec::as_slice).unwrap_or_default();
            let missing: u64 = of.iter().map(|one| one.count()).fold(0, u64::saturating_add);
            metrics.missing.get_or_create(&of_facility(ori)).set(i64::try_from(missing).unwrap_or(i64::MAX));
            // A facility that never spoke has no age: absent, never zero.
            if let Some(last) = of.iter().filter_map(|one| one.heard).max() {
                let age = now.duration_since(last).as_secs_f64();
                metrics.heartbeat_age.get_or_create(&of_facility(ori)).set(age);
            }
        }
    }

    /// Asks the jail for the first of what is missing, unless another node did a moment ago; gives when it was asked, none
    /// when it could not be.
    async fn ask(&self, one: &Compared, again: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let to = (one.jurisdiction.clone(), one.key.0.clone());
        match self.last_asked(&to).await {
            // A request of a time to come was stored by a clock that was ahead: nothing waits for it.
            Ok(Some((asked, epoch)))
                if epoch == one.key.1 && asked <= now && now.duration_since(asked) < again =>
            {
                return Some(asked);
            }
            Ok(_) => {}
            Err(reason) => {
                tracing::warn!(ori = %to.1, reason, "cannot see whether the jail was asked already");
                return None;
            }
        }
        let wanted = wanted(&one.missing, one.kept_from);
        if wanted.is_empty() {
            tracing::error!(ori = %to.1, epoch = one.key.1, "the jail does not keep them any more: bring them back from an archive");
            return Some(now);
        }
        for seqs in wanted.chunks(SEQS_PER_RESEND_MAX) {
            let request = ResendRequest { epoch: one.key.1.clone(), seqs: seqs.to_vec() };
            if answer::send(&self.node, &to, Body::Resend(request)).await.is_err() {
                return None;
            }
        }
        Some(now)
    }

    /// When a facility was last asked by any node, and about which epoch.
    async fn last_asked(
        &self,
        (st, ori): &(Jurisdiction, Ori),
    ) -> Result<Option<(Timestamp, String)>, String> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind as Kind;
        let bound = self.node.js.get_stream_no_info(subject::ANSWERS).await.map_err(|error| chain(&error))?;
        let subject = subject::hub_answer(st, ori, AnswerKind::Resend);
        let message = match bound.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => message,
            Err(error) if error.kind() == Kind::NoMessageFound => return Ok(None),
            Err(error) => return Err(chain(&error)),
        };
        let registry = self.node.registry.load();
        // A request that no node of ours signed asked nobody.
        let Ok(answer) = Answer::open(&message.payload, registry.relay_keys()) else { return Ok(None) };
        let Body::Resend(request) = answer.body else { return Ok(None) };
        let at = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).ok();
        Ok(at.map(|at| (at, request.epoch)))
    }
}

/// The first numbers that are missing and that the jail keeps: never more than one look asks for, whatever a heartbeat
/// states.
fn wanted(missing: &[Gap], kept_from: u64) -> Vec<u64> {
    let kept = missing.iter().filter_map(|gap| gap.not_below(kept_from));
    kept.flat_map(|gap| gap.numbers()).take(SEQS_PER_RESEND_MAX * REQUESTS_AT_ONCE).collect()
}

/// Whether all of a gap lies in one of these, which are joined and in order.
fn holds(gaps: &[Gap], gap: &Gap) -> bool {
    let at = gaps.partition_point(|known| known.last < gap.first);
    gaps.get(at).is_some_and(|known| known.first <= gap.first && gap.last <= known.last)
}

fn alarm(one: &Compared) {
    tracing::error!(
        ori = %one.key.0,
        epoch = one.key.1,
        seqs = ranges(&one.missing),
        count = one.count(),
        "events that the jail numbered are not held; it is asked to send them again"
    );
    if one.absurd {
        tracing::error!(
            ori = %one.key.0,
            epoch = one.key.1,
            "its heartbeat states numbers that nobody can have given: its store or its key is not to be trusted; only the first are asked for"
        );
    }
}

fn named(one: &Compared) -> Missing {
    Missing {
        ori: one.key.0.clone(),
        epoch: one.key.1.clone(),
        seqs: ranges(&one.missing),
        count: one.count(),
        kept: one.is_kept(),
    }
}

fn ranges(gaps: &[Gap]) -> String {
    let named: Vec<String> = gaps.iter().take(RANGES_NAMED_MAX).map(Gap::to_string).collect();
    match gaps.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more ranges", named.join(", ")),
    }
}
