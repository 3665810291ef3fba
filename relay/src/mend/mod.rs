//! The continuous loss audit between the jails and the relay: compares what heartbeats state with what INGEST and DELIVER
//! hold, names exactly what is missing, alarms, and asks the jail to send it again: no operator is needed
//! (docs/adr/0006). `audit` is the whole comparison, on demand.
//!
//! Reads the read model, and only while that is known to be whole; decides nothing that must happen once: a request that
//! is made twice, by two nodes or again, reopens rows that are open, and a copy is absorbed by its `routed` record.

mod look;

use std::{collections::BTreeMap, convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{
    answer::{Body, ResendRequest},
    ids::{Jurisdiction, Ori},
    limits::SEQS_PER_RESEND_MAX,
    subject::{self, AnswerKind},
};
use sallyport_relay_core::dense::Gap;
use tokio::time::MissedTickBehavior;

use crate::{
    answer,
    metrics::of_facility,
    node::Node,
    track::store::{Loaded, StoreError},
};
use look::Compared;
pub use look::Pulse;
pub(crate) use look::pulses;

/// A heartbeat comes once a minute.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// A shorter grace time is looked at more often: never more than this.
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
/// The jail's link, a full outbox and a relay that is behind may take some time: asked again after so many grace times.
const ASK_AGAIN_GRACES: i32 = 5;
/// Requests to one facility in a row: a lost stream is asked for piece by piece, so that other jails' events go between.
const REQUESTS_AT_ONCE: usize = 4;

/// What the audit runs with.
pub(crate) struct Mend {
    pub(crate) node: Arc<Node>,
    pub(crate) store_dir: PathBuf,
    /// What is missing for less than this may be on its way.
    pub(crate) grace: SignedDuration,
}

/// What one epoch of a facility misses, and since when.
struct Missing {
    since: Timestamp,
    asked: Option<Timestamp>,
    alarmed: Vec<Gap>,
}

impl Mend {
    /// Looks until shutdown.
    pub(crate) async fn run(self) -> Result<(), Infallible> {
        let grace = Duration::try_from(self.grace).unwrap_or(LOOK_EVERY);
        let mut every = tokio::time::interval((grace / 4).clamp(LOOK_EVERY_MIN, LOOK_EVERY));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: BTreeMap<(Ori, String), Missing> = BTreeMap::new();
        let mut numbers = look::Numbers::default();
        loop {
            tokio::select! {
                biased;
                () = self.node.shutdown.cancelled() => return Ok(()),
                _ = every.tick() => {}
            }
            let (dir, now, grace) = (self.store_dir.clone(), clock::now(), self.grace);
            let job = tokio::task::spawn_blocking(move || {
                let compared = Loaded::open(&dir)
                    .and_then(|loaded| loaded.at_one_time(|loaded| numbers.compare(loaded, now, grace)));
                (numbers, compared)
            });
            let compared;
            match job.await {
                Ok(done) => (numbers, compared) = done,
                Err(panic) => {
                    tracing::error!(%panic, "the comparison with the jails fell; begun anew");
                    numbers = look::Numbers::default();
                    continue;
                }
            }
            match compared {
                Ok(Some(compared)) => self.judge(compared, &mut known, now).await,
                Ok(None) => tracing::debug!("the read model is not whole; nothing is compared"),
                Err(StoreError::Missing(_)) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "the read model cannot be compared"),
            }
        }
    }

    async fn judge(
        &self,
        compared: Vec<Compared>,
        known: &mut BTreeMap<(Ori, String), Missing>,
        now: Timestamp,
    ) {
        self.show(&compared, now);
        known.retain(|key, missing| {
            let gone = !compared.iter().any(|one| one.key == *key && one.count() > 0);
            if gone && !missing.alarmed.is_empty() {
                tracing::info!(ori = %key.0, epoch = key.1, "nothing of this facility is missing any more");
            }
            !gone
        });
        for one in compared {
            if one.differs {
                tracing::error!(ori = %one.key.0, epoch = one.key.1, "what the jail numbered and what INGEST holds under these numbers differ");
            }
            if one.count() == 0 {
                continue;
            }
            let fresh = || Missing { since: now, asked: None, alarmed: Vec::new() };
            let missing = known.entry(one.key.clone()).or_insert_with(fresh);
            if now.duration_since(missing.since) < self.grace {
                continue;
            }
            if missing.alarmed != one.missing {
                tracing::error!(
                    ori = %one.key.0,
                    epoch = one.key.1,
                    seqs = %ranges(&one.missing),
                    count = one.count(),
                    "events that the jail numbered are not held; it is asked to send them again"
                );
                missing.alarmed.clone_from(&one.missing);
            }
            let again = self.grace.saturating_mul(ASK_AGAIN_GRACES);
            if missing.asked.is_none_or(|asked| now.duration_since(asked) >= again)
                && self.ask(&one, again, now).await
            {
                missing.asked = Some(now);
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
            let missing: u64 = of.iter().map(|one| one.count()).sum();
            metrics.missing.get_or_create(&of_facility(ori)).set(i64::try_from(missing).unwrap_or(i64::MAX));
            // A facility that never spoke has no age: absent, never zero.
            if let Some(last) = of.iter().map(|one| one.heard).max() {
                let age = now.duration_since(last).as_secs_f64();
                metrics.heartbeat_age.get_or_create(&of_facility(ori)).set(age);
            }
        }
    }

    /// Asks the jail, unless another node did a moment ago; false: not now.
    async fn ask(&self, one: &Compared, again: SignedDuration, now: Timestamp) -> bool {
        let to = (one.jurisdiction.clone(), one.key.0.clone());
        match self.last_asked(&to).await {
            Ok(Some(asked)) if now.duration_since(asked) < again => return true,
            Ok(_) => {}
            Err(reason) => {
                tracing::warn!(ori = %to.1, reason, "cannot see whether the jail was asked already");
                return false;
            }
        }
        let wanted: Vec<u64> =
            one.missing.iter().flat_map(Gap::numbers).filter(|n| *n >= one.kept_from).collect();
        if wanted.is_empty() {
            tracing::error!(ori = %to.1, epoch = one.key.1, "the jail does not keep them any more: bring them back from an archive");
            return true;
        }
        for seqs in wanted.chunks(SEQS_PER_RESEND_MAX).take(REQUESTS_AT_ONCE) {
            let request = ResendRequest { epoch: one.key.1.clone(), seqs: seqs.to_vec() };
            if answer::send(&self.node, &to, Body::Resend(request)).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn last_asked(&self, (st, ori): &(Jurisdiction, Ori)) -> Result<Option<Timestamp>, String> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind as Kind;
        let bound = self.node.js.get_stream_no_info(subject::ANSWERS).await.map_err(|error| chain(&error))?;
        let subject = subject::hub_answer(st, ori, AnswerKind::Resend);
        match bound.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).ok()),
            Err(error) if error.kind() == Kind::NoMessageFound => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }
}

fn ranges(gaps: &[Gap]) -> String {
    gaps.iter().map(Gap::to_string).collect::<Vec<_>>().join(", ")
}
