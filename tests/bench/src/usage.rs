//! What a process takes: memory and processor time, as Linux tells it.

use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel counts processor time for others in hundredths of a second, on every architecture that Rust's tier 1 names.
const TICKS_PER_S: f64 = 100.0;
/// Places of `utime` and `stime` in `/proc/<pid>/stat`, counted behind the program's name.
const UTIME: usize = 11;
const STIME: usize = 12;

/// Resident memory, MiB.
pub fn resident_mib(pid: u32) -> Result<f64> {
    memory_mib(pid, "VmRSS:")
}

/// The most that was ever resident, MiB.
pub fn peak_mib(pid: u32) -> Result<f64> {
    memory_mib(pid, "VmHWM:")
}

fn memory_mib(pid: u32, name: &'static str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read a program's memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
    let kib: f64 =
        line.trim().trim_end_matches(" kB").trim().parse().with_context(|| format!("{name} in kB"))?;
    Ok(kib / 1024.0)
}

/// Processor time so far, of all of them together.
pub fn cpu(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu_of(*pid)).sum()
}

fn cpu_of(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("read a program's time")?;
    // The name stands in brackets and may hold anything.
    let (_, rest) = text.rsplit_once(')').context("a program's name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |place: usize| -> Result<f64> { Ok(fields.get(place).context("a field")?.parse()?) };
    Ok(Duration::from_secs_f64((ticks(UTIME)? + ticks(STIME)?) / TICKS_PER_S))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_its_own_memory_and_time() {
        let me = std::process::id();
        assert!(resident_mib(me).unwrap() > 0.5);
        assert!(peak_mib(me).unwrap() >= resident_mib(me).unwrap());
        assert!(cpu(&[me]).unwrap() < Duration::from_secs(60));
    }
}
