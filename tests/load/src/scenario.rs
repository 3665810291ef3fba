//! What is played: a day, a burst, the backlog of an outage; and what came of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sallyport_bench::{stage::Stage, usage};
use sallyport_proto::ids::SubscriberId;
use serde::Serialize;
use tokio::{runtime::Runtime, time::Instant};

use crate::{
    chaos,
    jails::{Jail, Jails},
    report::{Process, Run},
    tally::Tally,
    world::Country,
};

/// Publishes in flight over all jails.
const IN_FLIGHT: usize = 512;
/// Between two looks at what came.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// No progress for this long: something is stuck.
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(90);
/// No progress for this long: some answers were lost.
const LOST_AFTER: Duration = Duration::from_secs(15);
/// For so long the cost of a country in which nothing happens is measured.
pub(crate) const QUIET: Duration = Duration::from_secs(15);
/// Between two words on how far it is.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// The same choices every time.
const SEED: u64 = 3_143;

/// One thing to play.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case", tag = "scenario")]
pub enum Scenario {
    /// A day's events, evenly over a time.
    Day {
        /// How many.
        events: u64,
        /// In this time.
        over: Duration,
        /// A server is killed this often.
        kill_every: Option<Duration>,
    },
    /// All jails at once: everybody reconnects.
    Burst {
        /// How many events.
        events: u64,
    },
    /// No relay runs while the jails publish; then all nodes start.
    Backlog {
        /// How many events wait.
        events: u64,
    },
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day { events, over, kill_every: None } => {
                write!(f, "day: {events} events in {} s", over.as_secs())
            }
            Self::Day { events, over, kill_every: Some(every) } => {
                let (over, every) = (over.as_secs(), every.as_secs());
                write!(f, "day with a server killed every {every} s: {events} events in {over} s")
            }
            Self::Burst { events } => write!(f, "burst: {events} events at once"),
            Self::Backlog { events } => write!(f, "backlog: {events} events while no relay ran"),
        }
    }
}

impl Scenario {
    fn events(&self) -> u64 {
        match self {
            Self::Day { events, .. } | Self::Burst { events } | Self::Backlog { events } => *events,
        }
    }
}

/// What every program takes while nobody is released: pulls, heartbeats, heads.
pub(crate) fn quiet(country: &mut Country, runtime: &Runtime) -> Result<Vec<Process>> {
    let before = Usage::of(&mut country.stage)?;
    runtime.block_on(tokio::time::sleep(QUIET));
    before.until(&mut country.stage)
}

/// Plays one scenario to its end: every event accepted, every notice received.
pub(crate) fn play(
    scenario: Scenario,
    country: &mut Country,
    runtime: &Runtime,
    say: &dyn Fn(&str),
) -> Result<Run> {
    let Country { stage, jails, agencies, tally } = country;
    let mine = Arc::new(Tally::new());
    tally.store(mine.clone());
    let plan = plan(scenario.events(), jails, &agencies.ids);
    match scenario {
        Scenario::Day { over, kill_every, .. } => {
            let before = Usage::of(stage)?;
            let began = Instant::now();
            let pace = over.div_f64(plan.len().max(1) as f64);
            let kills = beside(stage, kill_every, || {
                runtime.block_on(telling(&mine, say, async {
                    publish(plan, Some(pace)).await?;
                    arrived(&mine, jails).await
                }))
            })?;
            // Killed servers have counters of their own: figures of processor time would be too low.
            let usage = if kills > 0 { Vec::new() } else { before.until(stage)? };
            Ok(Run::of(scenario, &mine, began.elapsed(), usage, kills))
        }
        Scenario::Burst { .. } => {
            let before = Usage::of(stage)?;
            let began = Instant::now();
            runtime.block_on(telling(&mine, say, async {
                publish(plan, None).await?;
                arrived(&mine, jails).await
            }))?;
            Ok(Run::of(scenario, &mine, began.elapsed(), before.until(stage)?, 0))
        }
        Scenario::Backlog { .. } => {
            stage.end_relays()?;
            // Nobody answers for as long as this takes: copies of all of it would say nothing.
            jails.hold_resends(true);
            runtime.block_on(telling(&mine, say, publish(plan, None)))?;
            stage.start_relays()?;
            let before = Usage::of(stage)?;
            let began = runtime.block_on(first_arrival(&mine))?;
            runtime.block_on(telling(&mine, say, arrived(&mine, jails)))?;
            jails.hold_resends(false);
            Ok(Run::of(scenario, &mine, began.elapsed(), before.until(stage)?, 0))
        }
    }
}

/// Who states each event, and to whom: most jails are small, most events interest one agency.
type Plan = Vec<(Arc<Jail>, Vec<SubscriberId>)>;

fn plan(events: u64, jails: &Jails, agencies: &[SubscriberId]) -> Plan {
    let mut chance = StdRng::seed_from_u64(SEED);
    (0..events)
        .map(|_| {
            // A tenth of the jails has about a third of the releases.
            let skewed = chance.random::<f64>().powf(1.5);
            let jail = (skewed * jails.all.len() as f64) as usize;
            let told = match chance.random_range(0..20) {
                0 => 5,
                1..4 => 2,
                _ => 1,
            };
            let first = chance.random_range(0..agencies.len());
            let told = (0..told.min(agencies.len())).map(|n| agencies[(first + n) % agencies.len()].clone());
            (jails.all[jail.min(jails.all.len() - 1)].clone(), told.collect())
        })
        .collect()
}

async fn publish(plan: Plan, pace: Option<Duration>) -> Result<()> {
    let began = Instant::now();
    let due = stream::iter(plan.into_iter().enumerate()).then(|(number, event)| async move {
        if let Some(pace) = pace {
            tokio::time::sleep_until(began + pace.mul_f64(number as f64)).await;
        }
        Ok::<_, anyhow::Error>(event)
    });
    let stating = due.map_ok(|(jail, told)| async move { jail.state(&told).await });
    stating.try_buffer_unordered(IN_FLIGHT).try_collect().await
}

/// Says now and then how far `work` is.
async fn telling(tally: &Tally, say: &dyn Fn(&str), work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::pin!(work);
    loop {
        match tokio::time::timeout(SAY_EVERY, &mut work).await {
            Ok(done) => return done,
            Err(_) => {
                let [accepted, published, received, due] = tally.progress();
                say(&format!(
                    "  ... {accepted} of {published} events accepted, {received} of {due} notices received"
                ));
            }
        }
    }
}

/// Waits until everything that was published is accepted and received.
async fn arrived(tally: &Tally, jails: &Jails) -> Result<()> {
    let (mut seen, mut moved) = ([0; 4], Instant::now());
    loop {
        let now = tally.progress();
        let [accepted, published, received, due] = now;
        if accepted >= published && received >= due {
            return Ok(());
        }
        if now != seen {
            (seen, moved) = (now, Instant::now());
        }
        if moved.elapsed() > LOST_AFTER {
            // An answer was lost on its way: an agent would ask for it, these send again.
            jails.hold_resends(false);
        }
        if moved.elapsed() > STALLED_AFTER {
            bail!("stuck: {accepted} of {published} events accepted, {received} of {due} notices received");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// When a relay that just started has delivered the first notice.
async fn first_arrival(tally: &Tally) -> Result<Instant> {
    let began = Instant::now();
    while tally.received.load(Ordering::Relaxed) == 0 {
        if began.elapsed() > STALLED_AFTER {
            bail!("no notice came after the relays started");
        }
        tokio::time::sleep(LOOK_EVERY / 10).await;
    }
    Ok(Instant::now())
}

/// Runs `play` while servers are killed beside it, if they are to be; gives how often.
fn beside(stage: &mut Stage, every: Option<Duration>, play: impl FnOnce() -> Result<()>) -> Result<u32> {
    let Some(every) = every else { return play().map(|()| 0) };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let chaos = scope.spawn(|| chaos::run(stage, every, &stop));
        let played = play();
        stop.store(true, Ordering::Relaxed);
        let kills = chaos.join().map_err(|_| anyhow::anyhow!("the thread that kills servers panicked"))??;
        played.map(|()| kills)
    })
}

/// Processor time and memory of every program at some moment.
struct Usage(Vec<(&'static str, Vec<u32>, Duration)>);

impl Usage {
    fn of(stage: &mut Stage) -> Result<Self> {
        let mut programs = stage.pids();
        programs.retain(|(_, pids)| !pids.is_empty());
        programs.push(("jails and agencies", vec![std::process::id()]));
        let with_cpu = programs.into_iter().map(|(name, pids)| {
            let cpu = usage::cpu(&pids)?;
            Ok((name, pids, cpu))
        });
        with_cpu.collect::<Result<_>>().map(Self)
    }

    fn until(self, stage: &mut Stage) -> Result<Vec<Process>> {
        stage.all_run()?;
        let of = |(name, pids, before): (&'static str, Vec<u32>, Duration)| {
            let cpu = usage::cpu(&pids)?.saturating_sub(before);
            let resident_mib = pids.iter().map(|pid| usage::resident_mib(*pid)).sum::<Result<f64>>()?;
            Ok(Process { name, cpu_s: cpu.as_secs_f64(), resident_mib })
        };
        self.0.into_iter().map(of).collect()
    }
}
