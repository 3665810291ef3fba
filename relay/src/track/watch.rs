//! Looks at the model every few seconds and says what it sees: gauges for `/metrics`, judgement for `/healthz`.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{
    ids::{NoticeId, Ori, SubscriberId},
    registry::Registry,
    vocabulary::TrafficKind,
};
use sallyport_relay_core::{
    latency::{Stage, Times, percentile},
    ledger::Stream,
};

use super::{
    Fold,
    store::{
        Loaded, Positions, StoreError, Waiting,
        value::{Columns, micros},
    },
};
use crate::{
    http::Stalled,
    metrics::{Metrics, of_stream, of_subscriber},
};

/// Gauges are as old as this; a scrape comes every 10 or 15 s.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The oldest notice of a subscriber may stand for so long before work counts as standing still: twice the usual
/// deadline of the machine.
const STALLED_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Stage gauges cover this much of the past...
const STAGES_WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// ...but at most so many notices: under a burst the newest say enough, and the look stays cheap.
const STAGES_NOTICES_MAX: i64 = 5_000;
/// Disclosures without a subscription are counted over a day.
const UNSUBSCRIBED_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// Looks until it is dropped.
pub(super) async fn run(fold: &Fold, mut loaded: Loaded) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heads = Heads::default();
    loop {
        look.tick().await;
        let now = clock::now();
        let job = tokio::task::spawn_blocking(move || {
            let seen = loaded.at_one_time(|loaded| Seen::of(loaded, now));
            (loaded, seen)
        });
        let seen;
        match job.await {
            Ok(done) => (loaded, seen) = done,
            Err(panic) => {
                tracing::error!(%panic, "the look at the read model fell; figures stand still");
                return std::future::pending().await;
            }
        }
        match seen {
            Ok(Seen { positions, figures: Some(figures) }) => {
                let stalled = heads.judge(&figures.waiting, now);
                fold.health.seen(positions.clone(), figures.unanswered, stalled);
                figures.show(&positions, &fold.metrics, &fold.registry.load(), now);
            }
            Ok(Seen { positions, figures: None }) => fold.health.seen(positions, (0, None), Vec::new()),
            Err(error) => tracing::warn!(error = %chain(&error), "the read model cannot be looked at"),
        }
    }
}

/// The oldest waiting notice of each subscriber and facility, and since when it is the oldest.
#[derive(Default)]
struct Heads {
    oldest: BTreeMap<(SubscriberId, Ori), (NoticeId, Timestamp)>,
}

impl Heads {
    /// Who stands still: the same notice is the oldest for too long, by its own age and by our watching.
    fn judge(&mut self, waiting: &[Waiting], now: Timestamp) -> Vec<Stalled> {
        let mut before = std::mem::take(&mut self.oldest);
        let mut stalled = Vec::new();
        for one in waiting.iter().filter(|waiting| !waiting.ping) {
            let key = (one.subscriber.clone(), one.ori.clone());
            let same = before.remove(&key).filter(|(oldest, _)| *oldest == one.oldest);
            let head = self.oldest.entry(key).or_insert_with(|| same.unwrap_or((one.oldest.clone(), now)));
            let stood = now.duration_since(head.1).min(now.duration_since(one.oldest_t5));
            if stood >= STALLED_AFTER {
                stalled.push(Stalled {
                    subscriber: one.subscriber.clone(),
                    ori: one.ori.clone(),
                    pending: one.notices,
                    oldest_age_s: now.duration_since(one.oldest_t5).as_secs(),
                });
            }
        }
        stalled
    }
}

/// One state of the model.
struct Seen {
    positions: Positions,
    /// None while the model is still read in: half of a model would say that half of it waits.
    figures: Option<Figures>,
}

struct Figures {
    waiting: Vec<Waiting>,
    unanswered: (u64, Option<Timestamp>),
    stages: Vec<(SubscriberId, Times)>,
    unsubscribed: BTreeMap<SubscriberId, i64>,
}

impl Seen {
    fn of(loaded: &Loaded, now: Timestamp) -> Result<Self, StoreError> {
        let positions = loaded.positions()?;
        let read_in = |stream| positions.get(stream).is_some_and(|position| position.whole_at.is_some());
        let figures = if Stream::ALL.iter().all(read_in) { Some(Figures::of(loaded, now)?) } else { None };
        Ok(Self { positions, figures })
    }
}

impl Figures {
    fn of(loaded: &Loaded, now: Timestamp) -> Result<Self, StoreError> {
        let since = |window: SignedDuration| micros(now.checked_sub(window).unwrap_or(Timestamp::MIN));
        let lists = loaded.rows(
            "SELECT unsubscribed FROM routed WHERE t5 >= ?1 AND unsubscribed <> '' AND traffic <> ?2",
            params![since(UNSUBSCRIBED_WINDOW), i32::from(TrafficKind::Ping)],
            |row| row.parsed_list::<SubscriberId>("unsubscribed"),
        )?;
        let mut unsubscribed = BTreeMap::new();
        for subscriber in lists.into_iter().flatten() {
            *unsubscribed.entry(subscriber).or_default() += 1;
        }
        Ok(Self {
            waiting: loaded.waiting()?,
            unanswered: loaded.unanswered()?,
            stages: stages(loaded, since(STAGES_WINDOW))?,
            unsubscribed,
        })
    }

    fn show(&self, positions: &Positions, metrics: &Metrics, registry: &Registry, now: Timestamp) {
        let known = |id: &SubscriberId| registry.subscribers.contains_key(id);
        metrics.refresh(|metrics| {
            // Every subscriber of the registry has a gauge: a series that vanishes at zero cannot be alarmed on.
            for subscriber in registry.subscribers.keys() {
                let labels = of_subscriber(subscriber);
                metrics.unsubscribed.get_or_create(&labels).set(0);
                metrics.pending.get_or_create(&labels).set(0);
                metrics.oldest_unreceived.get_or_create(&labels).set(0.0);
            }
            for one in self.waiting.iter().filter(|one| !one.ping && known(&one.subscriber)) {
                let (labels, notices) = (of_subscriber(&one.subscriber), i64::try_from(one.notices));
                let notices = notices.unwrap_or(i64::MAX);
                let age = now.duration_since(one.oldest_t5).as_secs_f64();
                metrics.pending.get_or_create(&labels).inc_by(notices);
                // Pairs only where something waits: a country has millions of them.
                metrics.pending_by_facility.get_or_create(&pair(&one.subscriber, &one.ori)).inc_by(notices);
                let oldest = metrics.oldest_unreceived.get_or_create_owned(&labels);
                oldest.set(oldest.get().max(age));
            }
            for (subscriber, count) in self.unsubscribed.iter().filter(|(id, _)| known(id)) {
                metrics.unsubscribed.get_or_create(&of_subscriber(subscriber)).set(*count);
            }
            let mut by_subscriber: BTreeMap<&SubscriberId, Vec<&Times>> = BTreeMap::new();
            for (subscriber, times) in self.stages.iter().filter(|(id, _)| known(id)) {
                by_subscriber.entry(subscriber).or_default().push(times);
            }
            for (subscriber, times) in by_subscriber {
                show_stages(metrics, subscriber, &times);
            }
            for stream in Stream::ALL {
                let whole_at = positions.get(stream).and_then(|position| position.whole_at);
                if let Some(whole_at) = whole_at {
                    let age = now.duration_since(whole_at).as_secs_f64();
                    metrics.position_age.get_or_create(&of_stream(stream.name())).set(age);
                }
            }
        });
    }
}

fn show_stages(metrics: &Metrics, subscriber: &SubscriberId, times: &[&Times]) {
    for stage in [Stage::Store, Stage::Route, Stage::Deliver] {
        let mut values: Vec<f64> =
            times.iter().filter_map(|times| Some(times.stage(stage)?.value.as_secs_f64())).collect();
        values.sort_by(f64::total_cmp);
        for (share, name) in [(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")] {
            if let Some(value) = percentile(&values, share) {
                let labels = vec![
                    ("subscriber", subscriber.to_string()),
                    ("stage", stage.as_str().to_owned()),
                    ("quantile", name.to_owned()),
                ];
                metrics.stage.get_or_create(&labels).set(value);
            }
        }
    }
}

/// The machines' times of the newest notices: t6 as the first receipt states it.
fn stages(loaded: &Loaded, since: i64) -> Result<Vec<(SubscriberId, Times)>, StoreError> {
    loaded.rows(
        "SELECT n.subscriber, n.t2, n.t2_src, n.t4, n.t4_src, n.t5, n.t5_src, r.t6, r.t6_src
         FROM notice n LEFT JOIN receipt r
           ON r.sequence = n.received AND r.event_id = n.event_id AND r.ori = n.ori AND r.named = n.subscriber
         WHERE n.t5 >= ?1 AND n.attempt = 0 AND n.traffic <> ?2 ORDER BY n.t5 DESC LIMIT ?3",
        params![since, i32::from(TrafficKind::Ping), STAGES_NOTICES_MAX],
        |row| {
            let times = Times {
                t2: row.moment_or_none("t2")?,
                t4: row.moment_or_none("t4")?,
                t5: row.moment_or_none("t5")?,
                t6: row.moment_or_none("t6")?,
                ..Times::default()
            };
            Ok((row.parsed("subscriber")?, times))
        },
    )
}

fn pair(subscriber: &SubscriberId, ori: &Ori) -> Vec<(&'static str, String)> {
    vec![("subscriber", subscriber.to_string()), ("ori", ori.to_string())]
}
