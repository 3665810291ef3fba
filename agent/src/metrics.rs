//! Every metric of the agent: name, labels, unit, help. Labels hold words of closed vocabularies only, and nothing here
//! counts a custody under the floor.
//!
//! What has to do with time is read from the store at each scrape, so that a restart neither forgets nor counts twice.

use std::sync::{Arc, atomic::AtomicU64};

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
use sallyport_link::{connect::LinkCounters, registry::too_old};

use crate::{intake::BUILD, status::Vitals};

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
    /// Gauge, from the store.
    OUTBOX_DEPTH: "sallyport_agent_outbox_depth_events", [],
        "Events stored and not yet answered by the relay";
    /// Gauge, from the store.
    OUTBOX_OLDEST: "sallyport_agent_outbox_oldest_age_seconds", [],
        "Age of the oldest event not yet answered by the relay; 0 when there is none";
    /// Gauge, from the store.
    OUTBOX_REFUSED: "sallyport_agent_outbox_refused_events", [],
        "Events that the relay refused for good and a person has to look at, of the last 30 days";
    /// Gauge, from the store.
    ALLOWED_TO_NOBODY: "sallyport_agent_allowed_to_nobody_custodies", [],
        "Custodies with a release that nobody may be told; never leaves the jail otherwise";
    /// Gauge, from the store.
    KEPT_ASIDE: "sallyport_agent_kept_aside_custodies", [],
        "Custodies kept aside because a row was bad";
    /// Gauge.
    CONNECTED: "sallyport_agent_connected", [],
        "1 while the connection to NATS stands";
    /// Gauge.
    REGISTRY_VERSION: "sallyport_agent_registry_version", [],
        "Version of the registry in force";
    /// Gauge.
    BELOW_MINIMUM_VERSION: "sallyport_agent_below_minimum_version", [],
        "1 while the registry in force asks for a newer agent: this one goes on and will not start again";
    /// Counter.
    CUSTODIES: "sallyport_agent_intake_custodies", ["outcome"],
        "Custodies read from exports, by what became of them";
    /// Counter.
    CALLER_EVENTS: "sallyport_agent_intake_caller_events", ["status"],
        "Events stated by callers, by the answer they got";
    /// Histogram.
    ACCEPT: "sallyport_agent_accept_seconds", [],
        "Time from a caller's request to the answer that it is stored";
    /// Counter.
    ATTEMPTS: "sallyport_agent_publish_attempts", ["result"],
        "Attempts to publish an event, by whether the broker acknowledged it";
    /// Counter.
    ACCEPTED: "sallyport_agent_accepted_events", [],
        "Events that the relay accepted";
    /// Counter.
    REFUSED: "sallyport_agent_refused_events", ["code", "permanent"],
        "Refusals of the relay";
    /// Counter.
    REOPENED: "sallyport_agent_reopened_events", [],
        "Accepted events that the relay lost and that were sent again at its request; each one wants a look";
    /// Counter.
    RECEIPTS: "sallyport_agent_receipts", ["result"],
        "Receipts of subscribers: credited, repeated, or strays that are nobody's here";
    /// Counter.
    BAD_ANSWERS: "sallyport_agent_bad_answers", ["why"],
        "Messages on the answer subject that do not count: unsigned, of another facility, unreadable";
    /// Counter.
    CATCHUPS: "sallyport_agent_catchups", ["result"],
        "Requests for missed answers";
    /// Counter.
    PERMISSION_VIOLATIONS: "sallyport_agent_permission_violations", [],
        "Publishes or subscriptions of ours that the server refused: always a fault of configuration";
    /// Counter.
    DISCONNECTS: "sallyport_agent_disconnects", [],
        "Times the connection to NATS was lost";
    /// Counter.
    SLOW_READS: "sallyport_agent_slow_reads", [],
        "Times the client dropped messages because the agent read too slowly";
}

/// A commit takes 0.2 ms on a good disk; 1 s is a broken one.
const ACCEPT_BUCKETS: (f64, f64, u16) = (0.000_25, 2.0, 13);

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;

/// Counts what the agent does. Cheap to call from every task; share it in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    outbox_depth: Gauge,
    outbox_oldest: Gauge<f64, AtomicU64>,
    outbox_refused: Gauge,
    allowed_to_nobody: Gauge,
    aside: Gauge,
    connected: Gauge,
    registry_version: Gauge,
    below_minimum_version: Gauge,
    custodies: Counters,
    caller_events: Counters,
    accept: Histogram,
    attempts: Counters,
    accepted: Counter,
    refused: Counters,
    reopened: Counter,
    receipts: Counters,
    bad_answers: Counters,
    catchups: Counters,
}

impl Metrics {
    /// Registers every metric. `link` counts what goes wrong on the connection.
    pub fn new(link: Arc<LinkCounters>) -> Self {
        let (start, factor, count) = ACCEPT_BUCKETS;
        let mut metrics = Self {
            registry: Registry::default(),
            outbox_depth: Gauge::default(),
            outbox_oldest: Gauge::default(),
            outbox_refused: Gauge::default(),
            allowed_to_nobody: Gauge::default(),
            aside: Gauge::default(),
            connected: Gauge::default(),
            registry_version: Gauge::default(),
            below_minimum_version: Gauge::default(),
            custodies: Family::default(),
            caller_events: Family::default(),
            accept: Histogram::new(exponential_buckets(start, factor, count)),
            attempts: Family::default(),
            accepted: Counter::default(),
            refused: Family::default(),
            reopened: Counter::default(),
            receipts: Family::default(),
            bad_answers: Family::default(),
            catchups: Family::default(),
        };
        metrics.register(link);
        metrics
    }

    fn register(&mut self, link: Arc<LinkCounters>) {
        let registry = &mut self.registry;
        for (described, gauge) in [
            (OUTBOX_DEPTH, &self.outbox_depth),
            (OUTBOX_REFUSED, &self.outbox_refused),
            (ALLOWED_TO_NOBODY, &self.allowed_to_nobody),
            (KEPT_ASIDE, &self.aside),
            (CONNECTED, &self.connected),
            (REGISTRY_VERSION, &self.registry_version),
            (BELOW_MINIMUM_VERSION, &self.below_minimum_version),
        ] {
            registry.register(described.name, described.help, gauge.clone());
        }
        for (described, family) in [
            (CUSTODIES, &self.custodies),
            (CALLER_EVENTS, &self.caller_events),
            (ATTEMPTS, &self.attempts),
            (REFUSED, &self.refused),
            (RECEIPTS, &self.receipts),
            (BAD_ANSWERS, &self.bad_answers),
            (CATCHUPS, &self.catchups),
        ] {
            registry.register(described.name, described.help, family.clone());
        }
        registry.register(OUTBOX_OLDEST.name, OUTBOX_OLDEST.help, self.outbox_oldest.clone());
        registry.register(ACCEPT.name, ACCEPT.help, self.accept.clone());
        registry.register(ACCEPTED.name, ACCEPTED.help, self.accepted.clone());
        registry.register(REOPENED.name, REOPENED.help, self.reopened.clone());
        registry.register_collector(Box::new(Link(link)));
    }

    /// A custody of an export was taken.
    pub(crate) fn taken(&self, outcome: &'static str) {
        self.custodies.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    /// So many custodies of an export were kept aside.
    pub(crate) fn kept_aside(&self, custodies: usize) {
        let custodies = u64::try_from(custodies).unwrap_or(u64::MAX);
        self.custodies.get_or_create(&vec![("outcome", "refused".to_owned())]).inc_by(custodies);
    }

    /// A caller's event was answered.
    pub(crate) fn answered(&self, status: &'static str) {
        self.caller_events.get_or_create(&vec![("status", status.to_owned())]).inc();
    }

    /// A caller's request was answered after so long.
    pub(crate) fn accept_took(&self, took: std::time::Duration) {
        self.accept.observe(took.as_secs_f64());
    }

    /// An attempt was made.
    pub(crate) fn attempt(&self, acked: bool) {
        let result = if acked { "acked" } else { "unacked" };
        self.attempts.get_or_create(&vec![("result", result.to_owned())]).inc();
    }

    /// The relay accepted an event.
    pub(crate) fn accepted(&self) {
        self.accepted.inc();
    }

    /// The relay lost events and asked for them again.
    pub(crate) fn reopened(&self, events: u64) {
        self.reopened.inc_by(events);
    }

    /// The relay refused an event.
    pub(crate) fn refused(&self, code: &'static str, closed: bool) {
        self.refused.get_or_create(&vec![("code", code.to_owned()), ("permanent", closed.to_string())]).inc();
    }

    /// A receipt came.
    pub(crate) fn receipt(&self, result: &'static str) {
        self.receipts.get_or_create(&vec![("result", result.to_owned())]).inc();
    }

    /// Something came that does not count.
    pub(crate) fn bad_answer(&self, why: &'static str) {
        self.bad_answers.get_or_create(&vec![("why", why.to_owned())]).inc();
    }

    /// A catch-up ended.
    pub(crate) fn catchup(&self, result: &'static str) {
        self.catchups.get_or_create(&vec![("result", result.to_owned())]).inc();
    }

    /// Another registry is in force.
    pub(crate) fn registry(&self, in_force: &sallyport_proto::registry::Registry) {
        self.registry_version.set(i64::try_from(in_force.version).unwrap_or(i64::MAX));
        self.below_minimum_version.set(i64::from(too_old(in_force, BUILD).is_some()));
    }

    /// What `/metrics` answers, with the store as it is now.
    pub fn export(&self, vitals: &Vitals) -> Result<String, std::fmt::Error> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.outbox_depth.set(count(vitals.outbox_depth));
        self.outbox_oldest.set(vitals.outbox_oldest_age_s.unwrap_or(0.0));
        self.outbox_refused.set(count(vitals.refused_events));
        self.allowed_to_nobody.set(count(vitals.allowed_to_nobody));
        self.aside.set(count(vitals.kept_aside));
        self.connected.set(i64::from(vitals.connected == Some(true)));
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
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
            let metric =
                encoder.encode_descriptor(described.name, described.help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_described_metric_is_exported_under_its_name_with_its_labels() {
        let metrics = Metrics::new(Arc::default());
        metrics.taken("stored");
        metrics.answered("stored");
        metrics.attempt(true);
        metrics.refused("UNKNOWN_KEY", false);
        metrics.receipt("credited");
        metrics.bad_answer("signature");
        metrics.catchup("done");
        let text = metrics.export(&Vitals::default()).unwrap();
        for described in ALL {
            let help = format!("# HELP {} {}", described.name, described.help);
            assert!(text.contains(&help), "{help}");
            let line = text.lines().find(|line| !line.starts_with('#') && line.starts_with(described.name));
            let line = line.unwrap_or_else(|| panic!("no sample of {}", described.name));
            for label in described.labels {
                assert!(line.contains(&format!("{label}=\"")), "{line}");
            }
        }
    }
}
