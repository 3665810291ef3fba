//! Every metric of the relay: name, labels, unit, help. Labels hold opaque ids only: subscriber ids, ORIs, stream names
//! and words of closed vocabularies; never anything about a person or an event.
//!
//! The pipeline counts here as it works. What has to do with time since something happened (`lag`, positions) is set by
//! `track` from the read model, so that a restart neither forgets nor counts twice.

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use sallyport_link::connect::LinkCounters;
use sallyport_proto::{
    ids::{Ori, SubscriberId},
    vocabulary::RefusalCode,
};

/// One metric as dashboards and alert rules know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// Full name; a counter is exported with `_total` behind it. The last word is the unit.
    pub name: &'static str,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// For people, without the full stop that is added on export.
    pub help: &'static str,
}

macro_rules! described {
    ($($(#[$doc:meta])* $id:ident: $name:literal, [$($label:literal),*], $help:literal;)+) => {
        $(
            $(#[$doc])*
            pub const $id: Described = Described { name: $name, labels: &[$($label),*], help: $help };
        )+

        /// Every metric that `/metrics` exports.
        pub const ALL: &[Described] = &[$($id),+];
    };
}

described! {
    /// Counter.
    ACCEPTED: "sallyport_relay_accepted_events", ["ori"],
        "Events committed to DELIVER and answered with an Acceptance";
    /// Counter.
    COMMITTED: "sallyport_relay_committed_notices", ["subscriber"],
        "Notices committed to DELIVER";
    /// Counter.
    REFUSED: "sallyport_relay_refused_events", ["ori", "code"],
        "Messages of a facility answered with a Refusal, by its code";
    /// Counter.
    PARKED: "sallyport_relay_parked_messages", ["reason"],
        "Messages parked for a person, by reason";
    /// Counter.
    CONFLICTS: "sallyport_relay_conflicting_events", ["ori"],
        "Events that came again under their id with other bytes; each one wants a look";
    /// Counter.
    REDELIVERED: "sallyport_relay_redelivered_messages", ["stream"],
        "Messages that JetStream delivered to the relay more than once";
    /// Counter.
    FORWARDED: "sallyport_relay_forwarded_receipts", ["subscriber"],
        "Receipts forwarded to the jails as Progress";
    /// Gauge.
    IN_FLIGHT: "sallyport_relay_in_flight_events", [],
        "Events pulled from INGEST and not yet settled";
    /// Histogram.
    COMMIT: "sallyport_relay_commit_seconds", [],
        "Time of one atomic batch on DELIVER, from sending to the answer of the server";
    /// Counter.
    PERMISSION_VIOLATIONS: "sallyport_relay_permission_violations", [],
        "Publishes or subscriptions of ours that the server refused: always a fault of configuration";
    /// Counter.
    DISCONNECTS: "sallyport_relay_disconnects", [],
        "Times the connection to NATS was lost";
    /// Counter.
    SLOW_READS: "sallyport_relay_slow_reads", [],
        "Times the client dropped messages because the relay read too slowly";
    /// Gauge, from the read model.
    PENDING: "sallyport_relay_pending_notices", ["subscriber"],
        "Notices without a RECEIVED, pings left out";
    /// Gauge, from the read model.
    PENDING_BY_FACILITY: "sallyport_relay_pending_by_facility_notices", ["subscriber", "ori"],
        "Notices of one facility without a RECEIVED, pings left out; absent where there is none";
    /// Gauge, from the read model.
    OLDEST_UNRECEIVED: "sallyport_relay_oldest_unreceived_seconds", ["subscriber"],
        "Age of the oldest notice without a RECEIVED, pings left out; 0 when there is none";
    /// Gauge, from the read model.
    STAGE: "sallyport_relay_stage_seconds", ["subscriber", "stage", "quantile"],
        "Latency of a stage over the last five minutes; absent without notices; negative when two clocks disagree";
    /// Gauge, from the read model.
    UNSUBSCRIBED: "sallyport_relay_unsubscribed_disclosures", ["subscriber"],
        "Disclosures that matched no subscription, over the last 24 hours";
    /// Gauge, from the read model.
    POSITION_AGE: "sallyport_relay_position_age_seconds", ["stream"],
        "Time since the read model was known to hold everything of a stream";
    /// Gauge, from the read model.
    MISSING: "sallyport_relay_missing_events", ["ori"],
        "Events that a facility numbered and that INGEST or DELIVER do not hold; named in the log and by lag";
    /// Gauge, from the read model.
    LOST: "sallyport_relay_lost_records", ["stream"],
        "Messages that a stream lost before their age since the read model was built; named in the log";
    /// Gauge, from the read model.
    UNMATCHED: "sallyport_relay_unmatched_records", ["stream"],
        "Records that others prove and that the stream does not hold: notices of routed events, receipts passed on";
    /// Gauge, from the read model.
    HEARTBEAT_AGE: "sallyport_relay_heartbeat_age_seconds", ["ori"],
        "Time since the last heartbeat of a facility; absent when there never was one; over 180 it is silent";
    /// Gauge.
    BELOW_MINIMUM_VERSION: "sallyport_relay_below_minimum_version", [],
        "1 while the registry in force asks for a newer relay: this one goes on and will not start again";
    /// Counter.
    FOLDED: "sallyport_relay_folded_records", ["stream"],
        "Records folded into the read model since the process started";
    /// Counter.
    UNREADABLE: "sallyport_relay_unreadable_records", ["stream"],
        "Records that the read model could not read and passed over, since the process started";
    /// Counter.
    REBUILDS: "sallyport_relay_rebuilds", [],
        "Times the read model was thrown away and built again, since the process started";
}

/// A short atomic batch takes 0.4 ms, a leader change 9 s: doubling from the one past the other.
const COMMIT_BUCKETS: (f64, f64, u16) = (0.000_25, 2.0, 17);

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
pub(crate) type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;
pub(crate) type Counts = Family<Labels, Gauge>;

/// Counts what the relay does. Cheap to call from every task; share it in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    accepted: Counters,
    committed: Counters,
    refused: Counters,
    parked: Counters,
    conflicts: Counters,
    redelivered: Counters,
    forwarded: Counters,
    in_flight: Gauge,
    below_minimum_version: Gauge,
    commit: Histogram,
    folded: Counters,
    unreadable: Counters,
    rebuilds: Counter,
    pub(crate) pending: Counts,
    pub(crate) pending_by_facility: Counts,
    pub(crate) oldest_unreceived: Seconds,
    pub(crate) stage: Seconds,
    pub(crate) unsubscribed: Counts,
    pub(crate) position_age: Seconds,
    pub(crate) missing: Counts,
    pub(crate) lost: Counts,
    pub(crate) unmatched: Counts,
    pub(crate) heartbeat_age: Seconds,
    /// Held while gauges are cleared and set anew, and while they are exported: a scrape never sees half of it.
    refresh: Mutex<()>,
}

impl Metrics {
    /// Registers every metric. `link` counts what goes wrong on the connection.
    pub fn new(link: Arc<LinkCounters>) -> Self {
        let (start, factor, count) = COMMIT_BUCKETS;
        let mut metrics = Self {
            registry: Registry::default(),
            accepted: Family::default(),
            committed: Family::default(),
            refused: Family::default(),
            parked: Family::default(),
            conflicts: Family::default(),
            redelivered: Family::default(),
            forwarded: Family::default(),
            in_flight: Gauge::default(),
            below_minimum_version: Gauge::default(),
            commit: Histogram::new(exponential_buckets(start, factor, count)),
            folded: Family::default(),
            unreadable: Family::default(),
            rebuilds: Counter::default(),
            pending: Family::default(),
            pending_by_facility: Family::default(),
            oldest_unreceived: Family::default(),
            stage: Family::default(),
            unsubscribed: Family::default(),
            missing: Family::default(),
            lost: Family::default(),
            unmatched: Family::default(),
            heartbeat_age: Family::default(),
            position_age: Family::default(),
            refresh: Mutex::new(()),
        };
        metrics.register(link);
        metrics
    }

    fn register(&mut self, link: Arc<LinkCounters>) {
        let registry = &mut self.registry;
        let mut counter = |described: Described, family: &Counters| {
            registry.register(described.name, described.help, family.clone());
        };
        counter(ACCEPTED, &self.accepted);
        counter(COMMITTED, &self.committed);
        counter(REFUSED, &self.refused);
        counter(PARKED, &self.parked);
        counter(CONFLICTS, &self.conflicts);
        counter(REDELIVERED, &self.redelivered);
        counter(FORWARDED, &self.forwarded);
        counter(FOLDED, &self.folded);
        counter(UNREADABLE, &self.unreadable);
        registry.register(IN_FLIGHT.name, IN_FLIGHT.help, self.in_flight.clone());
        let below = self.below_minimum_version.clone();
        registry.register(BELOW_MINIMUM_VERSION.name, BELOW_MINIMUM_VERSION.help, below);
        registry.register(COMMIT.name, COMMIT.help, self.commit.clone());
        registry.register(PENDING.name, PENDING.help, self.pending.clone());
        let by_facility = self.pending_by_facility.clone();
        registry.register(PENDING_BY_FACILITY.name, PENDING_BY_FACILITY.help, by_facility);
        registry.register(OLDEST_UNRECEIVED.name, OLDEST_UNRECEIVED.help, self.oldest_unreceived.clone());
        registry.register(STAGE.name, STAGE.help, self.stage.clone());
        registry.register(MISSING.name, MISSING.help, self.missing.clone());
        registry.register(LOST.name, LOST.help, self.lost.clone());
        registry.register(UNMATCHED.name, UNMATCHED.help, self.unmatched.clone());
        registry.register(HEARTBEAT_AGE.name, HEARTBEAT_AGE.help, self.heartbeat_age.clone());
        registry.register(UNSUBSCRIBED.name, UNSUBSCRIBED.help, self.unsubscribed.clone());
        registry.register(POSITION_AGE.name, POSITION_AGE.help, self.position_age.clone());
        registry.register(REBUILDS.name, REBUILDS.help, self.rebuilds.clone());
        registry.register_collector(Box::new(Link(link)));
    }

    /// So many events of a facility were answered with an Acceptance.
    pub fn accepted(&self, ori: &Ori, events: u64) {
        self.accepted.get_or_create(&of_facility(ori)).inc_by(events);
    }

    /// So many notices to a subscriber were committed.
    pub fn committed(&self, subscriber: &SubscriberId, notices: u64) {
        self.committed.get_or_create(&of_subscriber(subscriber)).inc_by(notices);
    }

    /// A message from a facility's subject was answered with a Refusal.
    pub fn refused(&self, ori: &Ori, code: RefusalCode) {
        let labels = vec![("ori", ori.to_string()), ("code", code.as_str().to_owned())];
        self.refused.get_or_create(&labels).inc();
    }

    /// A message was parked. `reason` is the token of its subject: one of few words of ours, never a sender's.
    pub fn parked(&self, reason: &str) {
        self.parked.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    /// An event came again with other bytes.
    pub fn conflict(&self, ori: &Ori) {
        self.conflicts.get_or_create(&of_facility(ori)).inc();
    }

    /// JetStream delivered so many messages of a stream again.
    pub fn redelivered(&self, stream: &'static str, messages: u64) {
        self.redelivered.get_or_create(&of_stream(stream)).inc_by(messages);
    }

    /// So many receipts of a subscriber went on to jails.
    pub fn forwarded(&self, subscriber: &SubscriberId, receipts: u64) {
        self.forwarded.get_or_create(&of_subscriber(subscriber)).inc_by(receipts);
    }

    /// So many events are in work; the guard takes them off again, whatever becomes of them.
    pub fn in_flight(&self, events: i64) -> InFlight {
        self.in_flight.inc_by(events);
        InFlight { gauge: self.in_flight.clone(), events }
    }

    /// One atomic batch was answered by the server.
    pub fn commit_took(&self, took: std::time::Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    pub(crate) fn folded(&self, stream: &'static str, records: u64) {
        self.folded.get_or_create(&of_stream(stream)).inc_by(records);
    }

    pub(crate) fn unreadable(&self, stream: &'static str, records: u64) {
        self.unreadable.get_or_create(&of_stream(stream)).inc_by(records);
    }

    /// Whether the registry in force asks for a newer program than this one.
    pub(crate) fn below_minimum_version(&self, below: bool) {
        self.below_minimum_version.set(i64::from(below));
    }

    pub(crate) fn rebuilt(&self) {
        self.rebuilds.inc();
    }

    /// Sets gauges of the read model anew, unseen by a scrape until all are set.
    pub(crate) fn refresh(&self, set: impl FnOnce(&Self)) {
        let _whole = self.refresh.lock().unwrap_or_else(PoisonError::into_inner);
        self.pending.clear();
        self.pending_by_facility.clear();
        self.oldest_unreceived.clear();
        self.stage.clear();
        self.unsubscribed.clear();
        set(self);
    }

    /// What `/metrics` answers.
    pub fn export(&self) -> Result<String, std::fmt::Error> {
        let _whole = self.refresh.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Events in work; dropped when they are settled or given back.
#[must_use = "the events count as in flight only while this lives"]
#[derive(Debug)]
pub struct InFlight {
    gauge: Gauge,
    events: i64,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec_by(self.events);
    }
}

pub(crate) fn of_facility(ori: &Ori) -> Labels {
    vec![("ori", ori.to_string())]
}

pub(crate) fn of_subscriber(subscriber: &SubscriberId) -> Labels {
    vec![("subscriber", subscriber.to_string())]
}

pub(crate) fn of_stream(stream: &str) -> Labels {
    vec![("stream", stream.to_owned())]
}

/// Reads the counters of the connection at each scrape.
#[derive(Debug)]
struct Link(Arc<LinkCounters>);

impl Collector for Link {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counters = [
            (PERMISSION_VIOLATIONS, &self.0.permission_violations),
            (DISCONNECTS, &self.0.disconnects),
            (SLOW_READS, &self.0.slow_consumers),
        ];
        for (described, value) in counters {
            let counter = ConstCounter::new(value.load(std::sync::atomic::Ordering::Relaxed));
            // The registry adds the full stop to what is registered; here it is ours to add.
            let help = format!("{}.", described.help);
            let metric = encoder.encode_descriptor(described.name, &help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
