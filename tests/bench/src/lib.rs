//! The bench: in one run on the same server the bare floor, the signed floor and the product's whole loop, and how the one
//! compares with the others. What the figures are aims for stands in `docs/performance.md`; nothing here asserts one.
//!
//! `cargo xtask bench` builds the programs and calls [`run`]. What `tests/load` needs of it as well is public: the servers
//! ([`stage`]), the [`mod@floor`], and how a program's memory and time are read ([`usage`]),
//! and what its jails state ([`input`]).

mod broker;
mod burst;
pub mod floor;
pub mod input;
mod machine;
mod paced;
pub mod percentiles;
mod report;
mod route;
pub mod signatures;
pub mod stage;
pub mod usage;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use nkeys::KeyPair;
use sallyport_proto::key::Signer;

use crate::{
    broker::Broker,
    burst::Plan,
    floor::Floor,
    signatures::{BARE, Shares, WAY_FROM_OUTBOX},
    stage::{Stage, facility},
};
pub use crate::{
    burst::{Burst, Span},
    machine::Machine,
    paced::{Paced, Step},
    percentiles::Percentiles,
    report::{FanOut, FloorCpu, FloorPaced, Report, Round},
    route::{Routes, SUBSCRIPTIONS},
};

/// How to run it.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Replicas of every stream: 1 on one server, 3 on a cluster of three.
    pub replicas: usize,
    /// Smaller, for a look: its figures scatter.
    pub quick: bool,
}

/// How much is measured.
struct Size {
    burst: u64,
    rounds: usize,
    paced: u64,
    fan_out_notices: u64,
}

const FULL: Size = Size { burst: 5_000, rounds: 3, paced: 1_000, fan_out_notices: 5_000 };
const QUICK: Size = Size { burst: 1_000, rounds: 1, paced: 250, fan_out_notices: 1_000 };
/// A first burst that is not counted: connections, caches and files are new then.
const WARM_UP: u64 = 200;
/// 50 events a second: ten times the busiest hour of every jail of a large state.
const PACE: Duration = Duration::from_millis(20);
/// Subscribers told of each event.
const FAN_OUT: [usize; 3] = [1, 10, 100];

/// Where the paced events are stated.
const PACED_ORI: &str = "zzpaced01";
const WARM_UP_ORI: &str = "zzwarmup1";

fn burst_ori(round: usize) -> String {
    format!("zzburst{round:02}")
}

fn fan_out_ori(told: usize) -> String {
    format!("zzfan{told:04}")
}

/// Measures everything, with its files in `dir`; `say` hears how far it is.
pub fn run(options: Options, dir: &Path, say: &dyn Fn(&str)) -> Result<Report> {
    let size = if options.quick { QUICK } else { FULL };
    let machine = Machine::look(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    say(&format!("Route decisions over {SUBSCRIPTIONS} subscriptions, in this process ..."));
    let routes = route::measure()?;

    let port = stage::free_port()?;
    let mut facilities = vec![facility(PACED_ORI, 1, port), facility(WARM_UP_ORI, 1, 0)];
    facilities.extend((1..=size.rounds).map(|round| facility(&burst_ori(round), 1, 0)));
    say("Starting the server, the relay and one subscriber ...");
    let mut stage = Stage::set(dir, options.replicas, facilities)?;
    let bench = Bench { size, replicas: options.replicas, floor: floor(&stage, options.replicas)?, say };
    runtime.block_on(bench.measure(&mut stage, port, machine, routes))
}

/// The floor on the servers of a stage.
pub fn floor(stage: &Stage, replicas: usize) -> Result<Floor> {
    let pair = KeyPair::new_service();
    let signer = Signer::from_seed(&pair.seed().context("a seed")?).context("a signing key")?;
    let key = pair.public_key().parse().context("a public key")?;
    Ok(Floor { url: stage.url(), login: stage::FLOOR_LOGIN, replicas, agencies: 1, keys: (signer, key) })
}

/// One run of a floor.
struct FloorBurst {
    per_s: f64,
    cpu_us_per_event: FloorCpu,
}

impl FloorBurst {
    fn mean(self, other: Self) -> Self {
        let (a, b) = (self.cpu_us_per_event, other.cpu_us_per_event);
        Self {
            per_s: (self.per_s + other.per_s) / 2.0,
            cpu_us_per_event: FloorCpu {
                server: (a.server + b.server) / 2.0,
                programs: (a.programs + b.programs) / 2.0,
            },
        }
    }
}

struct Bench<'a> {
    size: Size,
    replicas: usize,
    floor: Floor,
    say: &'a dyn Fn(&str),
}

impl Bench<'_> {
    async fn measure(
        &self,
        stage: &mut Stage,
        port: u16,
        machine: Machine,
        routes: Routes,
    ) -> Result<Report> {
        let broker = Broker::connect(&stage.instance).await?;
        self.warm_up(stage, &broker).await?;
        let rounds = self.bursts(stage, &broker).await?;
        let (floor_paced, paced) = self.paced(stage, &broker, port).await?;
        let fan_out = self.fan_out(stage).await?;
        Ok(Report {
            machine,
            replicas: self.replicas,
            n: self.size.burst,
            rounds,
            floor_paced,
            paced,
            fan_out,
            routes,
        })
    }

    async fn warm_up(&self, stage: &mut Stage, broker: &Broker) -> Result<()> {
        (self.say)("Warming up ...");
        self.floor.run(WARM_UP, None, WAY_FROM_OUTBOX).await?;
        let plan = Plan { ori: WARM_UP_ORI, events: WARM_UP, told: 1 };
        burst::run(stage, broker, &plan).await.map(drop)
    }

    /// Both floors before and after the product in turns, so that a machine that slows down slows all of them.
    async fn bursts(&self, stage: &mut Stage, broker: &Broker) -> Result<Vec<Round>> {
        let mut rounds = Vec::new();
        for number in 1..=self.size.rounds {
            (self.say)(&format!("Burst {number} of {}: floors, product, floors ...", self.size.rounds));
            let bare_before = self.floor_burst(stage, BARE).await?;
            let signed_before = self.floor_burst(stage, WAY_FROM_OUTBOX).await?;
            let ori = burst_ori(number);
            let plan = Plan { ori: &ori, events: self.size.burst, told: 1 };
            let product = burst::run(stage, broker, &plan).await?;
            let bare = bare_before.mean(self.floor_burst(stage, BARE).await?);
            let signed = signed_before.mean(self.floor_burst(stage, WAY_FROM_OUTBOX).await?);
            rounds.push(Round {
                bare_per_s: bare.per_s,
                signed_per_s: signed.per_s,
                signed_cpu_us_per_event: signed.cpu_us_per_event,
                product,
            });
        }
        Ok(rounds)
    }

    async fn floor_burst(&self, stage: &mut Stage, shares: Shares) -> Result<FloorBurst> {
        let events = self.size.burst;
        let servers = stage.server_pids();
        let took = || Ok::<_, anyhow::Error>([usage::cpu(&servers)?, usage::cpu(&[std::process::id()])?]);
        let before = took()?;
        let reached = self.floor.run(events, None, shares).await?;
        let [server, programs] = took()?;
        let each =
            |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() * 1e6 / events as f64;
        Ok(FloorBurst {
            per_s: events as f64 / reached.whole.as_secs_f64(),
            cpu_us_per_event: FloorCpu {
                server: each(server, before[0]),
                programs: each(programs, before[1]),
            },
        })
    }

    async fn paced(&self, stage: &mut Stage, broker: &Broker, port: u16) -> Result<(FloorPaced, Paced)> {
        let half = self.size.paced / 2;
        (self.say)("At 50 events/s: bare floor, product, bare floor ...");
        let mut before = self.floor.run(half, Some(PACE), BARE).await?;
        let paced = paced::run(stage, broker, (PACED_ORI, port), self.size.paced, PACE).await?;
        let after = self.floor.run(half, Some(PACE), BARE).await?;
        before.deliver_us.add(&after.deliver_us).context("add up latencies")?;
        before.loop_us.add(&after.loop_us).context("add up latencies")?;
        let floor = FloorPaced {
            deliver_ms: Percentiles::from(&before.deliver_us),
            loop_ms: Percentiles::from(&before.loop_us),
        };
        Ok((floor, paced))
    }

    /// The same number of notices each time, to 1, 10 and 100 subscribers, each a process of its own.
    async fn fan_out(&self, stage: &mut Stage) -> Result<Vec<FanOut>> {
        let most = FAN_OUT.into_iter().max().unwrap_or(1);
        (self.say)(&format!("Starting {most} subscribers ..."));
        let facilities = FAN_OUT.iter().map(|told| facility(&fan_out_ori(*told), *told, 0));
        stage.widen(most, facilities.collect())?;
        let broker = Broker::connect(&stage.instance).await?;
        let all: Vec<String> = (1..=most).map(stage::subscriber_id).collect();
        broker.wait_until_pulled(&all).await?;
        let mut fan_out = Vec::new();
        for told in FAN_OUT {
            let events = self.size.fan_out_notices / told as u64;
            (self.say)(&format!("{events} events to {told} subscribers each ..."));
            let ori = fan_out_ori(told);
            let burst = burst::run(stage, &broker, &Plan { ori: &ori, events, told }).await?;
            fan_out.push(FanOut { subscribers: told, burst });
        }
        Ok(fan_out)
    }
}
