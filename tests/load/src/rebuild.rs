//! A read model that was thrown away: how long a relay node takes until it holds everything again.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rusqlite::{Connection, OpenFlags};
use sallyport_bench::{Machine, usage};
use serde::Serialize;

use crate::{Scenario, Size, overload::store_bytes, scenario, world::Country};

/// Jails and agencies do not matter for it: rows are rows.
const FACILITIES: usize = 50;
const SUBSCRIBERS: usize = 5;
/// Where the node keeps its model, in the instance's folder.
const MODEL: &str = "relay-n0";
const FILE: &str = "read-model.sqlite";
/// Streams that a node folds.
const STREAMS: i64 = 7;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Nothing was folded for so long: nothing happens any more.
const CALM_FOR: Duration = Duration::from_secs(4);
/// No record was folded for so long: something is stuck.
const STALLED_AFTER: Duration = Duration::from_secs(90);

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Rebuild {
    /// Where it ran.
    pub machine: Machine,
    /// Deliveries: a notice with its receipt.
    pub deliveries: u64,
    /// Messages of all streams that were read.
    pub messages: u64,
    /// From the start of the program until the model was known to hold everything.
    pub seconds: f64,
    /// Processor time of the relay meanwhile, of all its threads.
    pub cpu_s: f64,
    /// Peak resident memory of the relay, MiB.
    pub peak_mib: f64,
    /// The model's files, MiB.
    pub model_mib: f64,
}

/// Makes about so many deliveries, throws the model away, and has it built again.
pub fn rebuild(deliveries: u64, dir: &Path, say: &dyn Fn(&str)) -> Result<Rebuild> {
    let machine = Machine::look(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    let size = Size { facilities: FACILITIES, subscribers: SUBSCRIBERS, cases: 0, replicas: 1, nodes: 1 };
    // Most events are told to one agency, some to two or five: 1.3 each.
    let events = (deliveries * 10).div_ceil(13).max(1);
    say(&format!("{size}: {events} events are told ..."));
    let mut country = Country::with_store(&size, dir, &runtime, store_bytes(events))?;
    let played = scenario::play(Scenario::Backlog { events }, &mut country, &runtime, say)?;
    ensure!(played.lost == 0, "{} notices were lost", played.lost);
    let model = country.stage.instance.dir.join(MODEL);
    // Also the way back: what is still to be passed on to the jails would be passed on meanwhile.
    let before = runtime.block_on(until_calm(&model))?;
    country.stage.end_relays()?;
    std::fs::remove_dir_all(&model).with_context(|| format!("throw {} away", model.display()))?;
    say(&format!("{} notices; the model is thrown away and built again ...", played.notices));
    let began = Instant::now();
    country.stage.start_relays()?;
    let messages = runtime.block_on(until_whole(&model))?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(messages >= before, "{messages} messages were folded, and {before} before");
    let relays = country.stage.pids().into_iter().filter(|(name, _)| *name == "relay");
    let pids: Vec<u32> = relays.flat_map(|(_, pids)| pids).collect();
    let pid = *pids.first().context("a relay runs")?;
    let (cpu_s, peak_mib) = (usage::cpu(&pids)?.as_secs_f64(), usage::peak_mib(pid)?);
    let model_mib = bytes_in(&model)? as f64 / (1024.0 * 1024.0);
    country.end()?;
    Ok(Rebuild { machine, deliveries: played.notices, messages, seconds, cpu_s, peak_mib, model_mib })
}

/// Waits until nothing happens any more; gives how many messages there are.
async fn until_calm(model: &Path) -> Result<u64> {
    loop {
        let before = until_whole(model).await?;
        tokio::time::sleep(CALM_FOR).await;
        if positions(model) == Some((before, true)) {
            return Ok(before);
        }
    }
}

/// Waits until every stream is folded to its end; gives how many messages that were.
async fn until_whole(model: &Path) -> Result<u64> {
    let (mut folded, mut moved) = (0, Instant::now());
    loop {
        // Not there in the first moments, or written to just now.
        if let Some((now, whole)) = positions(model) {
            if whole {
                return Ok(now);
            }
            if now != folded {
                (folded, moved) = (now, Instant::now());
            }
        }
        if moved.elapsed() > STALLED_AFTER {
            bail!("the read model stands still at {folded} messages");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Messages that are folded, of all streams together, and whether that is everything. Read from the file, because a
/// command that counts would take its share of the machine.
fn positions(model: &Path) -> Option<(u64, bool)> {
    let file: PathBuf = model.join(FILE);
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let sql = "SELECT count(*), coalesce(sum(sequence), 0), count(whole_at) FROM position";
    let (streams, sequences, whole): (i64, i64, i64) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).ok()?;
    Some((u64::try_from(sequences).ok()?, streams == STREAMS && whole == streams))
}

fn bytes_in(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

impl fmt::Display for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a read model of {} deliveries ({} messages) is built again in {:.1} s: {:.0} deliveries a second, \
             {:.0} us of processor time each; peak resident {:.0} MiB, the model {:.0} MiB",
            self.deliveries,
            self.messages,
            self.seconds,
            self.deliveries as f64 / self.seconds,
            self.cpu_s * 1e6 / self.deliveries.max(1) as f64,
            self.peak_mib,
            self.model_mib
        )
    }
}
