//! What the figures were taken on. Absolute figures mean nothing without it.

use serde::Serialize;

/// The machine while the bench ran.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// One-minute load when the bench began: what else ran.
    pub load_before: f64,
    /// Seconds since 1970.
    pub at: i64,
}

impl Machine {
    /// Looks now.
    pub fn look() -> Self {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
        let load = read("/proc/loadavg");
        Self {
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            load_before: load.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
            at: jiff::Timestamp::now().as_second(),
        }
    }

    /// Whether others had a good part of the processors when the bench began.
    pub fn was_busy(&self) -> bool {
        self.load_before > 0.5 * self.cores as f64
    }
}
