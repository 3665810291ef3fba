//! Loopback ports that stay ours: outside the range the kernel gives to outgoing connections (a client that retries
//! against a server that is down could otherwise connect to itself), and claimed by a lock that other test processes
//! see, so that a server which is down for a moment finds its port free again.

use std::fs::File;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// Below Linux' outgoing ports (32768 and up), above the well-known ones.
const RANGE: std::ops::Range<u32> = 20_000..32_000;

/// A port, ours until dropped.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _claim: File,
}

/// Claims a port on which nobody listens now.
pub(crate) fn claim() -> Result<Port> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let claims = std::env::temp_dir().join("sallyport-ports");
    std::fs::create_dir_all(&claims).with_context(|| format!("make {}", claims.display()))?;
    // Processes start at different places of the range, so that they seldom try the same port.
    let start = std::process::id().wrapping_mul(97);
    for _ in RANGE {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let number = RANGE.start + start.wrapping_add(step) % (RANGE.end - RANGE.start);
        let number = u16::try_from(number).context("ports have 16 bits")?;
        let path = claims.join(number.to_string());
        // Another user's claim cannot be opened: their port.
        let Ok(file) = File::options().create(true).append(true).open(&path) else { continue };
        if file.try_lock().is_err() || TcpListener::bind(("127.0.0.1", number)).is_err() {
            continue;
        }
        return Ok(Port { number, _claim: file });
    }
    bail!("no free loopback port between {} and {}", RANGE.start, RANGE.end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn never_gives_one_port_to_two_owners() {
        let ports: Vec<Port> = (0..50).map(|_| claim().unwrap()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }

    #[test]
    fn passes_over_a_port_on_which_somebody_listens() {
        let first = claim().unwrap();
        let busy = TcpListener::bind(("127.0.0.1", first.number + 1)).ok();
        let second = claim().unwrap();
        assert!(busy.is_none() || second.number != first.number + 1);
    }
}
