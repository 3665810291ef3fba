//! What the figures were taken on. Absolute figures mean nothing without it.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Serialize;

/// For how long the disk is asked to sync, one write after the other.
const DISK_LOOK: Duration = Duration::from_secs(1);
/// As a page of SQLite, about what a block of a stream grows by.
const DISK_WRITE: [u8; 4096] = [0; 4096];

/// The machine while the bench ran.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// One-minute load when the bench began: what else ran.
    pub load_before: f64,
    /// Writes of 4 KiB that the folder's disk syncs in a second, one after the other.
    pub syncs_per_s: f64,
    /// Seconds since 1970.
    pub at: i64,
}

impl Machine {
    /// Looks now, at the disk under `dir` for a second.
    pub fn look(dir: &Path) -> Result<Self> {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
        let load = read("/proc/loadavg");
        Ok(Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            load_before: load.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
            syncs_per_s: syncs_per_s(dir)?,
            at: jiff::Timestamp::now().as_second(),
        })
    }

    /// Whether others had a good part of the processors when the bench began.
    pub fn was_busy(&self) -> bool {
        self.load_before > 0.5 * self.cores as f64
    }
}

fn syncs_per_s(dir: &Path) -> Result<f64> {
    let path = dir.join("disk-look");
    let mut file = File::create(&path).context("make a file to sync")?;
    let (began, mut syncs) = (Instant::now(), 0_u32);
    while began.elapsed() < DISK_LOOK {
        file.write_all(&DISK_WRITE).and_then(|()| file.sync_data()).context("sync a write")?;
        syncs += 1;
    }
    let took = began.elapsed();
    std::fs::remove_file(&path).context("remove the file again")?;
    Ok(f64::from(syncs) / took.as_secs_f64())
}
