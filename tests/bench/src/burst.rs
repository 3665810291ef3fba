//! Bursts: everything a full outbox holds, as fast as the whole loop takes it. Timed by the broker's own clock alone, from
//! the first message stored on INGEST to the last receipt stored on RECEIPTS.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{
    broker::{Broker, Mark, Stored, between},
    input,
    stage::{self, Stage, subscriber_id},
    usage,
};

/// One burst that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Burst {
    /// Events in the outbox.
    pub events: u64,
    /// Notices receipted.
    pub notices: u64,
    /// The whole loop, seconds.
    pub whole_s: f64,
    /// Events a second through the whole loop.
    pub loop_per_s: f64,
    /// Microseconds of the whole loop for one notice.
    pub us_per_notice: f64,
    /// Signed answers of the relay: Acceptances and Progress.
    pub answers: u64,
    /// Signed receipts of the subscribers.
    pub receipts: u64,
    /// The agent's resident memory at the end, MiB.
    pub agent_rss_mib: f64,
    /// Where the time went, by stream: when its first and last message of the burst were stored, seconds after the start.
    pub streams: Vec<Span>,
    /// Processor time by program, microseconds for one event.
    pub cpu_us_per_event: BTreeMap<&'static str, f64>,
}

/// Messages of the burst on one stream.
#[derive(Debug, Clone, Serialize)]
pub struct Span {
    /// Its name.
    pub stream: &'static str,
    /// How many.
    pub messages: u64,
    /// Seconds after the start of the burst.
    pub first_s: f64,
    /// Seconds after the start of the burst.
    pub last_s: f64,
}

/// What a burst is made of.
pub(crate) struct Plan<'a> {
    /// The jail, whose agent has never run.
    pub(crate) ori: &'a str,
    /// Events in its outbox.
    pub(crate) events: u64,
    /// How many subscribers it tells of each.
    pub(crate) told: usize,
}

/// Fills the outbox of an agent while it does not run, then starts it.
pub(crate) async fn run(stage: &mut Stage, broker: &Broker, plan: &Plan<'_>) -> Result<Burst> {
    let Plan { ori, events, told } = *plan;
    let export = stage.instance.dir.join(format!("{ori}.csv"));
    input::write_export(&export, ori, events)?;
    stage.ingest(ori, &export, events)?;
    let subscribers: Vec<String> = (1..=told).map(subscriber_id).collect();
    broker.wait_until_pulled(&subscribers).await?;
    let logged = hand_overs(stage, &subscribers)?;
    let mark = broker.mark().await?;
    let pids = stage.pids();
    let cpu_before = pids.iter().map(|(_, pids)| usage::cpu(pids)).collect::<Result<Vec<_>>>()?;

    let mut agent = stage.start_agent(ori)?;
    let outcome = finish(stage, broker, mark, events, &subscribers).await;
    stage.all_run()?;
    let stored = outcome?;

    let agent_rss_mib = usage::resident_mib(agent.pid())?;
    let mut cpu = vec![("agent", usage::cpu(&[agent.pid()])?)];
    for ((name, pids), before) in pids.iter().zip(cpu_before) {
        cpu.push((name, usage::cpu(pids)?.saturating_sub(before)));
    }
    stage::end(&mut agent)?;
    let notices = events * told as u64;
    let handed_over = hand_overs(stage, &subscribers)? - logged;
    ensure!(handed_over == notices, "{handed_over} notices were handed over instead of {notices}");
    Ok(Burst::of(plan, &stored, agent_rss_mib, &cpu))
}

async fn finish(
    stage: &mut Stage,
    broker: &Broker,
    mark: Mark,
    events: u64,
    subscribers: &[String],
) -> Result<[Stored; 4]> {
    let done = broker.wait_until_done(mark, events, subscribers).await;
    // A program that ended explains a stall better than the stall does.
    stage.all_run()?;
    done?;
    broker.since(mark).await
}

/// Lines of the hand-over logs.
fn hand_overs(stage: &Stage, subscribers: &[String]) -> Result<u64> {
    let mut lines = 0;
    for id in subscribers {
        let log = std::fs::read(stage.instance.hand_over_log(id)).unwrap_or_default();
        lines += log.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    Ok(lines)
}

impl Burst {
    fn of(
        plan: &Plan<'_>,
        stored: &[Stored; 4],
        agent_rss_mib: f64,
        cpu: &[(&'static str, Duration)],
    ) -> Self {
        let [ingest, _, receipts, answers] = stored;
        let began = ingest.first;
        let whole = between(began, receipts.last);
        let notices = plan.events * plan.told as u64;
        let whole_s = whole.as_secs_f64();
        let after = |at| between(began, at).as_secs_f64();
        let micros = |time: &Duration| time.as_secs_f64() * 1e6;
        Self {
            events: plan.events,
            notices,
            whole_s,
            loop_per_s: plan.events as f64 / whole_s,
            us_per_notice: micros(&whole) / notices as f64,
            answers: answers.messages,
            receipts: receipts.messages,
            agent_rss_mib,
            streams: stored
                .iter()
                .map(|stored| Span {
                    stream: stored.stream,
                    messages: stored.messages,
                    first_s: after(stored.first),
                    last_s: after(stored.last),
                })
                .collect(),
            cpu_us_per_event: cpu
                .iter()
                .map(|(name, time)| (*name, micros(time) / plan.events as f64))
                .collect(),
        }
    }
}
