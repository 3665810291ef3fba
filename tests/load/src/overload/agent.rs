//! A backlog in one agent: its outbox is filled while it does not run, then it starts, and drains beside another jail.

use std::{fmt, path::Path, time::Instant};

use anyhow::{Result, ensure};
use sallyport_bench::{
    input,
    stage::{self, Stage, facility, free_port},
    usage,
};
use serde::Serialize;

use super::{
    jail::{Caller, Waits, pause},
    store_bytes,
};

/// The jail with the backlog, and one without.
const DEEP: &str = "zzdeep000";
const OTHER: &str = "zzother00";
/// Custodies of one file: an export of more is read as a whole by whoever takes it.
const CUSTODIES_PER_FILE: u64 = 50_000;
/// Events that are stated at each jail before, and at most as many meanwhile.
const STATED: usize = 9;
/// INGEST holds 500,000 messages of one jail (docs/operating.md): what is beyond stays in the outbox, which it may.
const DRAINED_MAX: u64 = 450_000;
/// The first events of a start wait for what a start does: none of them is counted.
const WARM_UP: usize = 5;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct AgentRun {
    /// Events in the outbox.
    pub events: u64,
    /// Peak resident memory of the agent while they drained, MiB.
    pub agent_peak_mib: f64,
    /// Of the relay, since it started.
    pub relay_peak_mib: f64,
    /// Of the subscriber's bridge, since it started.
    pub subscriber_peak_mib: f64,
    /// How many of them were drained: one jail's share of INGEST at most.
    pub drained: u64,
    /// From the agent's start to the last of these answers.
    pub drain_s: f64,
    /// Events a second meanwhile.
    pub events_per_s: f64,
    /// A live event of either jail without a backlog.
    pub without: Waits,
    /// Of the same jail while its backlog drained.
    pub same_jail: Waits,
    /// Of the other jail meanwhile.
    pub other_jail: Waits,
    /// What still waited when the last of these had arrived.
    pub still_waiting: u64,
}

pub(super) fn play(events: u64, dir: &Path, say: &dyn Fn(&str)) -> Result<AgentRun> {
    let ports = [free_port()?, free_port()?];
    let facilities = vec![facility(DEEP, 1, ports[0]), facility(OTHER, 1, ports[1])];
    let mut stage = Stage::set_with(dir, 1, facilities, store_bytes(events))?;
    let (mut deep, mut other) = (Caller::new(ports[0]), Caller::new(ports[1]));
    let mut other_agent = stage.start_agent(OTHER)?;
    let mut deep_agent = stage.start_agent(DEEP)?;
    say("live events without a backlog ...");
    let mut without = Waits::default();
    for caller in [&mut deep, &mut other] {
        caller.wait_until_served()?;
        (0..WARM_UP).try_for_each(|_| caller.state(&mut Waits::default()))?;
        (0..STATED).try_for_each(|_| caller.state(&mut without))?;
    }
    stage::end(&mut deep_agent)?;
    say(&format!("filling an outbox with {events} events ..."));
    fill(&stage, dir, events)?;

    say("the agent starts ...");
    let began = Instant::now();
    let mut deep_agent = stage.start_agent(DEEP)?;
    deep.wait_until_served()?;
    // In the middle of it, not at its beginning.
    drained_to(&mut stage, &deep, events - events / 10)?;
    let (mut same_jail, mut other_jail) = (Waits::default(), Waits::default());
    let mut still_waiting = 0;
    for _ in 0..STATED {
        deep.state(&mut same_jail)?;
        other.state(&mut other_jail)?;
        still_waiting = deep.depth()?;
        // What is stated when little is left has little to wait behind.
        if still_waiting < events / 2 {
            break;
        }
    }
    say(&format!("{still_waiting} still wait ..."));
    let drained = events.min(DRAINED_MAX);
    drained_to(&mut stage, &deep, events - drained)?;
    let drain_s = began.elapsed().as_secs_f64();
    let agent_peak_mib = usage::peak_mib(deep_agent.pid())?;
    let peak = |programs: &[(&str, Vec<u32>)], wanted: &str| -> Result<f64> {
        let pids = programs.iter().filter(|(name, _)| *name == wanted).flat_map(|(_, pids)| pids);
        pids.map(|pid| usage::peak_mib(*pid)).sum()
    };
    let programs = stage.pids();
    let (relay_peak_mib, subscriber_peak_mib) = (peak(&programs, "relay")?, peak(&programs, "subscribers")?);
    stage::end(&mut deep_agent)?;
    stage::end(&mut other_agent)?;
    Ok(AgentRun {
        events,
        agent_peak_mib,
        relay_peak_mib,
        subscriber_peak_mib,
        drained,
        drain_s,
        events_per_s: drained as f64 / drain_s,
        without,
        same_jail,
        other_jail,
        still_waiting,
    })
}

fn fill(stage: &Stage, dir: &Path, events: u64) -> Result<()> {
    let mut filled = 0;
    while filled < events {
        let some = CUSTODIES_PER_FILE.min(events - filled);
        let file = dir.join("backlog.csv");
        input::write_export(&file, &format!("{DEEP}-{filled}"), some)?;
        stage.ingest(DEEP, &file, some)?;
        filled += some;
    }
    Ok(())
}

/// Waits until no more than this waits; as long as it goes down it is not stuck.
fn drained_to(stage: &mut Stage, caller: &Caller, left: u64) -> Result<()> {
    let (mut least, mut moved) = (u64::MAX, Instant::now());
    loop {
        let depth = caller.depth()?;
        if depth <= left {
            return Ok(());
        }
        if depth < least {
            (least, moved) = (depth, Instant::now());
        }
        stage.all_run()?;
        ensure!(moved.elapsed() < crate::scenario::STALLED_AFTER, "stuck: {depth} events wait in the outbox");
        // A deep outbox takes a moment to count: it is not asked all the time.
        (0..if depth > 100_000 { 100 } else { 5 }).for_each(|_| pause());
    }
}

impl fmt::Display for AgentRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = |waits: &Waits| {
            let (routed, received) = (waits.routed_median_ms(), waits.received_median_ms());
            format!("{routed:.0} ms to the relay's decision, {received:.0} ms to the subscriber")
        };
        writeln!(
            f,
            "{} events in one agent's outbox: {} of them drained in {:.0} s, {:.0} a second",
            self.events, self.drained, self.drain_s, self.events_per_s
        )?;
        writeln!(
            f,
            "  peak resident: agent {:.1} MiB, relay {:.1} MiB, subscriber {:.1} MiB",
            self.agent_peak_mib, self.relay_peak_mib, self.subscriber_peak_mib
        )?;
        writeln!(f, "  live event without a backlog: {}", waits(&self.without))?;
        writeln!(f, "  of the same jail while it drains: {}", waits(&self.same_jail))?;
        write!(
            f,
            "  of another jail meanwhile: {}; {} still waited then",
            waits(&self.other_jail),
            self.still_waiting
        )
    }
}
