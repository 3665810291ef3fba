//! Every metric of this program: name, labels, unit, help. Labels carry no person data.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use sallyport_link::{connect::LinkCounters, registry::TooOld};

use crate::store::{Counts, Reach};

type Labels = Vec<(&'static str, &'static str)>;

/// From half a millisecond to 16 s: below lies no disk, above every deadline.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

/// What the program counts. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    notices: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    receipts: Family<Labels, Counter>,
    settled: Family<Labels, Counter>,
    hand_overs: Family<Labels, Counter>,
    sink_downs: Counter,
    stored_seconds: Histogram,
    answered_seconds: Histogram,
    settle_seconds: Histogram,
    state: State,
}

/// What is looked up when somebody asks.
#[derive(Clone, Default)]
struct State {
    connected: Gauge,
    registry_version: Gauge,
    below_minimum_version: Gauge,
    sink_waiting: Gauge,
    sink_oldest_seconds: Gauge,
    sink_breaker_open: Gauge,
    outbox_waiting: Gauge,
    outbox_oldest_seconds: Gauge,
    head_age_seconds: Gauge,
    missing: Gauge,
    not_at_relay: Gauge,
    permission_violations: Gauge,
    disconnects: Gauge,
    slow_consumers: Gauge,
}

/// A look at the program's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether the link to NATS stands.
    pub connected: bool,
    /// Registry in force.
    pub registry_version: u64,
    /// That registry asks for a newer bridge.
    pub too_old: Option<TooOld>,
    /// Notices that wait for the sink.
    pub sink_waiting: i64,
    /// Since when the oldest, seconds.
    pub sink_oldest_seconds: i64,
    /// The sink is down and left alone, since so many seconds.
    pub sink_breaker_open_seconds: Option<i64>,
    /// Receipts the broker has not stored.
    pub outbox_waiting: i64,
    /// Since when the oldest, seconds.
    pub outbox_oldest_seconds: i64,
    /// What the relay says of our notices, and what came.
    pub reach: Reach,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sallyport_subscriber");
        let (notices, refused, receipts) = (Family::default(), Family::default(), Family::default());
        let (settled, hand_overs) = (Family::default(), Family::default());
        let (stored_seconds, answered_seconds, settle_seconds) = (seconds(), seconds(), seconds());
        let r = &mut registry;
        r.register(
            "notices",
            "Messages from the relay, by what they turned out to be (what)",
            notices.clone(),
        );
        r.register("notices_refused", "Notices answered with a refusal (code)", refused.clone());
        r.register("receipts", "Receipts the broker stored, by who waits for them (lane)", receipts.clone());
        r.register("settles", "Messages settled, or not (result)", settled.clone());
        r.register("hand_overs", "Hand-overs to the sink (result)", hand_overs.clone());
        let sink_downs = Counter::default();
        r.register("sink_breaker_opened", "Times the sink was found to be down", sink_downs.clone());
        r.register("stored_seconds", "Pull of a batch to its commit and log line", stored_seconds.clone());
        r.register(
            "answered_seconds",
            "Pull of a batch to the PubAck of its receipts",
            answered_seconds.clone(),
        );
        r.register("settle_seconds", "Settling of a batch", settle_seconds.clone());
        let state = State::default();
        state.register(r);
        Self {
            registry: Arc::new(registry),
            notices,
            refused,
            receipts,
            settled,
            hand_overs,
            sink_downs,
            stored_seconds,
            answered_seconds,
            settle_seconds,
            state,
        }
    }

    /// A batch is stored and in the log.
    pub fn kept(&self, counts: &Counts, since_pull: Duration) {
        let whats = [
            ("new", counts.new - counts.late),
            ("superseded", counts.late),
            ("ping", counts.pings),
            ("attempt", counts.attempts),
            ("copy", counts.copies),
            ("unreadable", counts.unreadable),
        ];
        for (what, count) in whats.into_iter().filter(|(_, count)| *count > 0) {
            add(&self.notices, ("what", what), count);
        }
        for (code, count) in &counts.refused {
            add(&self.refused, ("code", code), *count);
        }
        self.stored_seconds.observe(since_pull.as_secs_f64());
    }

    /// The broker stored a batch's receipts.
    pub fn answered(&self, receipts: usize, since_pull: Duration) {
        add(&self.receipts, ("lane", "machine"), receipts as u64);
        self.answered_seconds.observe(since_pull.as_secs_f64());
    }

    /// The broker stored a receipt of the outbox.
    pub fn sent_later(&self) {
        add(&self.receipts, ("lane", "later"), 1);
    }

    /// A batch's messages were settled, or not.
    pub fn settled(&self, done: usize, failed: usize, took: Duration) {
        add(&self.settled, ("result", "done"), done as u64);
        add(&self.settled, ("result", "failed"), failed as u64);
        self.settle_seconds.observe(took.as_secs_f64());
    }

    /// The sink took a notice, or not: `done`, `failed`, `given-up`.
    pub fn handed_over(&self, result: &'static str, notices: usize) {
        add(&self.hand_overs, ("result", result), notices as u64);
    }

    /// The sink is down: its breaker opened.
    pub fn sink_down(&self) {
        self.sink_downs.inc();
    }

    /// The text of `/metrics`.
    pub fn text(&self, look: Look, link: &LinkCounters) -> Result<String, std::fmt::Error> {
        let state = &self.state;
        state.connected.set(i64::from(look.connected));
        state.registry_version.set(i64::try_from(look.registry_version).unwrap_or(i64::MAX));
        state.below_minimum_version.set(i64::from(look.too_old.is_some()));
        state.sink_waiting.set(look.sink_waiting);
        state.sink_oldest_seconds.set(look.sink_oldest_seconds);
        state.sink_breaker_open.set(i64::from(look.sink_breaker_open_seconds.is_some()));
        state.outbox_waiting.set(look.outbox_waiting);
        state.outbox_oldest_seconds.set(look.outbox_oldest_seconds);
        // Absent heads are an age of -1, never of zero: no head ever came.
        state.head_age_seconds.set(look.reach.head_age_s.unwrap_or(-1));
        state.missing.set(i64::try_from(look.reach.missing).unwrap_or(i64::MAX));
        // What an operator knows of is no alarm any more.
        let lost = if look.reach.lost { look.reach.not_there.saturating_add(look.reach.owed) } else { 0 };
        state.not_at_relay.set(i64::try_from(lost).unwrap_or(i64::MAX));
        let counted = |counter: &std::sync::atomic::AtomicU64| {
            i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
        };
        state.permission_violations.set(counted(&link.permission_violations));
        state.disconnects.set(counted(&link.disconnects));
        state.slow_consumers.set(counted(&link.slow_consumers));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl State {
    fn register(&self, r: &mut Registry) {
        r.register("connected", "Whether the link to NATS stands", self.connected.clone());
        r.register("registry_version", "Version of the registry in force", self.registry_version.clone());
        let below = self.below_minimum_version.clone();
        r.register(
            "below_minimum_version",
            "1 while the registry in force asks for a newer bridge: this one goes on and will not start again",
            below,
        );
        r.register("sink_waiting", "Notices that wait for the sink", self.sink_waiting.clone());
        r.register("sink_oldest_seconds", "Age of the oldest of them", self.sink_oldest_seconds.clone());
        let open = self.sink_breaker_open.clone();
        r.register(
            "sink_breaker_open",
            "1 while the sink is down and is tried with one notice now and then",
            open,
        );
        r.register("outbox_waiting", "Receipts the broker has not stored", self.outbox_waiting.clone());
        r.register("outbox_oldest_seconds", "Age of the oldest of them", self.outbox_oldest_seconds.clone());
        let age = self.head_age_seconds.clone();
        r.register("relay_head_age_seconds", "Age of the relay's last head; -1: none ever came", age);
        r.register(
            "missing",
            "Notices that were sent to us, by the relay's count, and are not here",
            self.missing.clone(),
        );
        r.register(
            "not_at_relay",
            "Notices that we hold or were told of, and that the relay's stream does not hold since it was made anew",
            self.not_at_relay.clone(),
        );
        let violations = self.permission_violations.clone();
        r.register("permission_violations", "Publishes and subscribes refused by the server", violations);
        r.register("disconnects", "Times the link to NATS was lost", self.disconnects.clone());
        r.register("slow_consumers", "Times the client dropped messages", self.slow_consumers.clone());
    }
}

fn add(family: &Family<Labels, Counter>, label: (&'static str, &'static str), count: u64) {
    family.get_or_create(&vec![label]).inc_by(count);
}
