//! Events as a busy region states them, one by one at an even pace: `POST /v1/events` at a jail's agent, timed until the
//! subscriber has the notice (t6) and until the receipt is back at the jail. All programs share this machine's clock.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::{
    broker::{Broker, between},
    input,
    percentiles::{self, Percentiles},
    stage::{self, Stage, subscriber_id},
    usage,
};

/// A request that takes longer is a fault, not a figure.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The agent listens before it is asked the first time.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);
/// The last receipt is at the jail soon after the relay settled it.
const RECEIPT_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Steps of an event on its way, each from the end of the one before.
const STEPS: [(&str, &str); 9] = [
    ("stored", "POST -> on the agent's disk"),
    ("first_sent", "-> taken from the outbox"),
    ("t4_stored", "-> stored on INGEST"),
    ("t5_routed", "-> pulled, verified and routed by the relay"),
    ("committed", "-> committed to DELIVER"),
    ("t6_received", "-> pulled and verified by the subscriber"),
    ("relay_stored", "-> stored and logged there; its receipt stored on RECEIPTS"),
    ("arrived", "-> pulled, verified and forwarded by the relay; at the jail"),
    ("", "whole loop"),
];

/// What the paced run of the product came to.
#[derive(Debug, Clone, Serialize)]
pub struct Paced {
    /// Events stated.
    pub events: u64,
    /// From the POST to its answer, milliseconds: the event is on disk.
    pub accept_ms: Percentiles,
    /// From the POST until the subscriber has it, milliseconds.
    pub deliver_ms: Percentiles,
    /// From the POST until the receipt is at the jail, milliseconds.
    pub loop_ms: Percentiles,
    /// The agent's resident memory at the end, MiB.
    pub agent_rss_mib: f64,
    /// Where the time went, in order.
    pub steps: Vec<Step>,
}

/// One step of the way.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// In words.
    pub step: &'static str,
    /// Milliseconds.
    pub ms: Percentiles,
}

/// One event that was stated.
struct Stated {
    event_id: String,
    posted: Timestamp,
    answered: Timestamp,
}

/// States `events` events at an agent, `every` so often. The agent is started for it and ended.
pub(crate) async fn run(
    stage: &mut Stage,
    broker: &Broker,
    (ori, port): (&str, u16),
    events: u64,
    every: Duration,
) -> Result<Paced> {
    let subscribers = [subscriber_id(1)];
    broker.wait_until_pulled(&subscribers).await?;
    let mut agent = stage.start_agent(ori)?;
    let caller = Caller::new(port);
    caller.wait_until_served().await?;
    // The first event of a connection and of a prepared statement is not what a day consists of.
    caller.state(u64::MAX).await?;
    let mark = broker.mark().await?;
    let stated = caller.state_all(events, every).await?;
    broker.wait_until_done(mark, events, &subscribers).await?;
    let mut figures = Figures::new();
    let mut views = Vec::with_capacity(stated.len());
    for event in &stated {
        views.push(caller.receipted(&event.event_id).await?);
    }
    let committed = broker.notices_stored(mark).await?;
    for (event, view) in stated.iter().zip(&mut views) {
        view["committed"] = committed.get(&event.event_id).context("a notice on DELIVER")?.to_string().into();
        figures.take(event, view)?;
    }
    stage.all_run()?;
    let agent_rss_mib = usage::resident_mib(agent.pid())?;
    stage::end(&mut agent)?;
    Ok(figures.into_paced(agent_rss_mib))
}

/// A jail's program that states events.
#[derive(Clone)]
struct Caller {
    http: ureq::Agent,
    base: String,
}

impl Caller {
    fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT));
        let http = config.http_status_as_error(false).build().into();
        Self { http, base: format!("http://127.0.0.1:{port}") }
    }

    async fn wait_until_served(&self) -> Result<()> {
        let asked = async {
            while self.on_a_thread(|caller| caller.get("/v1/status")).await.is_err() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(LISTENS_WITHIN, asked).await.context("the agent does not listen")
    }

    async fn state_all(&self, events: u64, every: Duration) -> Result<Vec<Stated>> {
        let mut ticks = tokio::time::interval(every);
        // A late tick is made up for: the pace is that of the jails, not ours.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut posts = JoinSet::new();
        for number in 0..events {
            ticks.tick().await;
            let caller = self.clone();
            // In work at once: the pace times the time of one request.
            posts.spawn_blocking(move || caller.post(number));
        }
        posts.join_all().await.into_iter().collect()
    }

    async fn state(&self, number: u64) -> Result<Stated> {
        self.on_a_thread(move |caller| caller.post(number)).await
    }

    /// The event as the agent shows it, once its receipt is there.
    async fn receipted(&self, event_id: &str) -> Result<Value> {
        let path = format!("/v1/status/{event_id}");
        let looked = async {
            loop {
                let path = path.clone();
                let view = self.on_a_thread(move |caller| caller.get(&path)).await?;
                if view["recipients"][0]["receipts"][0].is_object() {
                    return Ok(view);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(RECEIPT_WITHIN, looked).await.context("a receipt did not reach the jail")?
    }

    async fn on_a_thread<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = self.clone();
        tokio::task::spawn_blocking(move || ask(&caller)).await.context("a request")?
    }

    fn post(&self, number: u64) -> Result<Stated> {
        let event = input::event(number);
        let posted = Timestamp::now();
        let mut answer = self.http.post(format!("{}/v1/events", self.base)).send_json(event)?;
        let answered = Timestamp::now();
        let said: Value = answer.body_mut().read_json().context("read the agent's answer")?;
        ensure!(said["status"] == "stored", "an event was not stored: {said}");
        let event_id = said["event_ids"][0].as_str().context("the event's id")?.to_owned();
        Ok(Stated { event_id, posted, answered })
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut answer = self.http.get(format!("{}{path}", self.base)).call()?;
        if !answer.status().is_success() {
            bail!("{path} answers {}", answer.status());
        }
        answer.body_mut().read_json().with_context(|| format!("read {path}"))
    }
}

/// Collects the events' times.
struct Figures {
    events: u64,
    accept: Histogram<u64>,
    deliver: Histogram<u64>,
    whole: Histogram<u64>,
    steps: BTreeMap<&'static str, Histogram<u64>>,
}

impl Figures {
    fn new() -> Self {
        let steps = STEPS.into_iter().map(|(key, _)| (key, percentiles::histogram())).collect();
        let [accept, deliver, whole] = [(); 3].map(|()| percentiles::histogram());
        Self { events: 0, accept, deliver, whole, steps }
    }

    fn take(&mut self, event: &Stated, view: &Value) -> Result<()> {
        let receipt = &view["recipients"][0]["receipts"][0];
        let time = |key: &str| -> Result<Timestamp> {
            let value = if view[key].is_string() { &view[key] } else { &receipt[key] };
            value.as_str().with_context(|| format!("{key} is not known"))?.parse().context("a time")
        };
        let (t6, arrived) = (time("t6_received")?, time("arrived")?);
        self.events += 1;
        self.accept.saturating_record(micros(event.posted, event.answered));
        self.deliver.saturating_record(micros(event.posted, t6));
        self.whole.saturating_record(micros(event.posted, arrived));
        let mut before = event.posted;
        for (key, _) in STEPS {
            let (from, to) = if key.is_empty() { (event.posted, arrived) } else { (before, time(key)?) };
            before = to;
            if let Some(step) = self.steps.get_mut(key) {
                step.saturating_record(micros(from, to));
            }
        }
        Ok(())
    }

    fn into_paced(self, agent_rss_mib: f64) -> Paced {
        let steps = STEPS
            .into_iter()
            .filter_map(|(key, step)| Some(Step { step, ms: Percentiles::from(self.steps.get(key)?) }));
        Paced {
            events: self.events,
            accept_ms: Percentiles::from(&self.accept),
            deliver_ms: Percentiles::from(&self.deliver),
            loop_ms: Percentiles::from(&self.whole),
            agent_rss_mib,
            steps: steps.collect(),
        }
    }
}

fn micros(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(between(from, to).as_micros()).unwrap_or(u64::MAX)
}
