//! Asks a nats-server for its version.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A server's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// 2 of 2.15.1.
    pub major: u16,
    /// 15 of 2.15.1.
    pub minor: u16,
    /// 1 of 2.15.1.
    pub patch: u16,
}

/// Why a file is not taken for a nats-server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not run.
    #[error("it cannot be run")]
    Run(#[source] std::io::Error),
    /// It runs and says something else.
    #[error("it says {0:?}")]
    Text(String),
}

impl Version {
    /// Whether both are 2.15.x.
    pub fn same_minor(self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The version `server` says it has.
pub(super) fn of(server: &Path) -> Result<Version, Error> {
    let mut command = Command::new(server);
    let output = command.arg("--version").stdin(Stdio::null()).output().map_err(Error::Run)?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| Error::Text(text.lines().next().unwrap_or_default().to_owned()))
}

/// Reads `nats-server: v2.15.1`, with or without a pre-release behind the patch.
fn parse(text: &str) -> Option<Version> {
    let version = text.trim().strip_prefix("nats-server: v")?;
    let mut numbers = version.split(['-', '+']).next()?.split('.').map(str::parse);
    let found =
        Version { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()?, patch: numbers.next()?.ok()? };
    numbers.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(parse(text).map(|version| version.to_string()).as_deref(), expect, "{text:?}");
    }

    #[test]
    fn reads_what_servers_say() {
        check("nats-server: v2.15.1\n", Some("2.15.1"));
        check("nats-server: v2.15.0-RC.2\n", Some("2.15.0"));
        check("nats-server: v2.9.10", Some("2.9.10"));
    }

    #[test]
    fn refuses_what_is_no_server() {
        check("", None);
        check("nats: v2.15.1", None);
        check("nats-server: v2.15", None);
        check("nats-server: v2.15.1.4", None);
    }
}
