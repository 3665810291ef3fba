//! A caller of a real agent: states events one by one and sees when each reached the subscriber, by the times that the
//! agent shows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use sallyport_bench::input;
use serde::Serialize;
use serde_json::Value;

/// A local agent answers in milliseconds; one with a busy disk in less than this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// An event that waited for a whole backlog would take longer only where something is stuck.
const ARRIVES_WITHIN: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long events waited that were stated one after the other, milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Waits {
    /// To the relay's decision, of each.
    pub routed_ms: Vec<f64>,
    /// To the subscriber, of each.
    pub received_ms: Vec<f64>,
}

impl Waits {
    /// The middle one to the relay's decision.
    pub fn routed_median_ms(&self) -> f64 {
        median(&self.routed_ms)
    }

    /// The middle one to the subscriber.
    pub fn received_median_ms(&self) -> f64 {
        median(&self.received_ms)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One jail's caller.
pub(super) struct Caller {
    http: ureq::Agent,
    base: String,
    next: u64,
}

impl Caller {
    pub(super) fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT));
        Self { http: config.build().into(), base: format!("http://127.0.0.1:{port}"), next: 0 }
    }

    pub(super) fn wait_until_served(&self) -> Result<()> {
        let began = Instant::now();
        while self.get("/v1/status").is_err() {
            ensure!(began.elapsed() < REQUEST_TIMEOUT, "the agent at {} does not listen", self.base);
            pause();
        }
        Ok(())
    }

    /// States one event and waits until its receipt is back.
    pub(super) fn state(&mut self, waits: &mut Waits) -> Result<()> {
        self.next += 1;
        let event = input::event(self.next);
        let posted = Timestamp::now();
        let mut answer = self.http.post(format!("{}/v1/events", self.base)).send_json(event)?;
        let said: Value = answer.body_mut().read_json().context("read the agent's answer")?;
        ensure!(said["status"] == "stored", "an event was not stored: {said}");
        let path = format!("/v1/status/{}", said["event_ids"][0].as_str().context("the event's id")?);
        let view = loop {
            let view: Value = serde_json::from_str(&self.get(&path)?).context("read an event's status")?;
            if view["recipients"][0]["receipts"][0].is_object() {
                break view;
            }
            let waited = Timestamp::now().duration_since(posted);
            ensure!(waited.unsigned_abs() < ARRIVES_WITHIN, "an event did not arrive: {view}");
            pause();
        };
        let time = |value: &Value| -> Result<f64> {
            let at: Timestamp = value.as_str().context("a time of the event")?.parse()?;
            Ok(at.duration_since(posted).as_secs_f64() * 1e3)
        };
        waits.routed_ms.push(time(&view["t5_routed"])?);
        waits.received_ms.push(time(&view["recipients"][0]["receipts"][0]["t6_received"])?);
        Ok(())
    }

    /// Events that the relay has not answered.
    pub(super) fn depth(&self) -> Result<u64> {
        const NAME: &str = "sallyport_agent_outbox_depth_events ";
        let page = self.get("/metrics")?;
        let Some(value) = page.lines().find_map(|line| line.strip_prefix(NAME)) else {
            bail!("the agent shows no depth");
        };
        Ok(value.trim().parse::<f64>().context("a depth")? as u64)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut answer = self.http.get(format!("{}{path}", self.base)).call()?;
        answer.body_mut().read_to_string().with_context(|| format!("read {path}"))
    }
}

/// Between two looks.
#[allow(clippy::disallowed_methods, reason = "a thread of its own, no runtime")]
pub(super) fn pause() {
    std::thread::sleep(LOOK_EVERY);
}
