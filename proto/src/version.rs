//! Versions of programs, as far as one is compared with the oldest that a registry lets start: numbers, and whether it
//! comes before its release. Which registry asks for what: `registry`; what a program does about it: its shell.
//!
//! Ordered as <https://semver.org> 2.0.0 orders them (9 to 11), but that two pre-releases of one release are not told
//! apart: the floor is always a release.

use std::{fmt, str::FromStr};

/// A released version: three numbers. `0.10.0` is above `0.9.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Changes what operators rely on.
    pub major: u64,
    /// Adds.
    pub minor: u64,
    /// Mends.
    pub patch: u64,
}

/// Why a text names no released version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Something else, or a number with a zero before it.
    #[error("is no version: three numbers with dots between them, such as 0.1.0")]
    Form,
    /// `0.2.0-rc.1`: below its release, and so no floor for it.
    #[error(
        "is a pre-release or names a build; only a release can be asked for: three numbers, such as 0.1.0"
    )]
    NoRelease,
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = core.split('.').map(number);
        let mut next = || numbers.next().flatten().ok_or(VersionError::Form);
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        match (numbers.next(), core == text) {
            (Some(_), _) => Err(VersionError::Form),
            (None, false) => Err(VersionError::NoRelease),
            (None, true) => Ok(version),
        }
    }
}

/// Digits only, without a zero before them: `str::parse` takes `+1` and `01`.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The version in a `build`, as every message states it: `sallyport-agent/0.1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildVersion {
    release: Version,
    is_pre_release: bool,
}

impl BuildVersion {
    /// What stands behind the program's name; none when that is no version. A build is what its writer says of itself.
    pub fn of(build: &str) -> Option<Self> {
        let (_, version) = build.rsplit_once('/')?;
        // Metadata does not count for the order.
        let version = version.split('+').next()?;
        let (release, is_pre_release) = match version.split_once('-') {
            Some((release, _)) => (release, true),
            None => (version, false),
        };
        Some(Self { release: release.parse().ok()?, is_pre_release })
    }

    /// Whether it comes before `floor`.
    pub fn is_below(self, floor: Version) -> bool {
        self.release < floor || self.release == floor && self.is_pre_release
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers_and_not_by_their_letters() {
        let ascending = ["0.0.9", "0.1.0", "0.9.0", "0.9.10", "0.10.0", "1.0.0", "2.0.0", "10.0.0"];
        let versions: Vec<Version> = ascending.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        assert_eq!(versions.iter().map(Version::to_string).collect::<Vec<_>>(), ascending);
    }

    #[test]
    fn what_is_no_released_version_is_refused_for_what_it_is() {
        let check = |text: &str, error| assert_eq!(text.parse::<Version>(), Err(error), "{text:?}");
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "1.2.x",
            " 1.2.3",
            "1.2.3 ",
            "01.2.3",
            "1.+2.3",
            "1..3",
            "-1.2.3",
            "1.2.99999999999999999999",
            "1,2,3",
            "sallyport-relay/1.2.3",
        ] {
            check(text, VersionError::Form);
        }
        for text in ["0.2.0-rc.1", "0.2.0+abc", "0.2.0-rc.1+abc"] {
            check(text, VersionError::NoRelease);
        }
    }

    #[test]
    fn a_build_is_below_the_floor_by_its_version_whatever_program_it_is() {
        let check = |build: &str, floor: &str, below: bool| {
            let version = BuildVersion::of(build).unwrap();
            assert_eq!(version.is_below(floor.parse().unwrap()), below, "{build} under {floor}");
        };
        check("sallyport-agent/0.1.0", "0.1.0", false);
        check("sallyport-relay/0.1.0", "0.1.1", true);
        check("sallyport-relay/0.10.0", "0.9.0", false);
        check("somebody-elses/bridge/2.0.0", "1.9.9", false);
        // A pre-release comes before its release, and after the one before.
        check("sallyport-agent/0.2.0-rc.1", "0.2.0", true);
        check("sallyport-agent/0.2.0-rc.1", "0.1.9", false);
        // What it was built from does not count.
        check("sallyport-agent/0.2.0+7f3c2a1", "0.2.0", false);
        check("sallyport-agent/0.2.0-rc.1+a-b", "0.2.0", true);
    }

    #[test]
    fn a_build_without_a_version_has_none() {
        for build in ["", "sallyport-agent", "sallyport-agent/", "sallyport-agent/test", "test/0", "0.1.0"] {
            assert_eq!(BuildVersion::of(build), None, "{build:?}");
        }
    }
}
