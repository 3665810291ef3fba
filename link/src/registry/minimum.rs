//! The version floor: whether a program is too old to start by a registry (docs/adr/0008).
//!
//! Out of scope: the oldest *registry* that counts, which is `floor`.

use sallyport_proto::{
    registry::Registry,
    version::{BuildVersion, Version},
};

/// This program is older than the oldest that the registry lets start. At its start it refuses; while it runs it goes on,
/// since nothing delays a release, and says so loudly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is {build}, and version {registry} of the registry asks for {minimum} or newer: install {minimum} or newer here (or, if the floor was raised too early, have the registrar lower `minimum_version` in the registry's next version)"
)]
pub struct TooOld {
    /// What this program states in every message.
    pub build: String,
    /// Of the registry: `minimum_version`.
    pub minimum: Version,
    /// Version of that registry.
    pub registry: u64,
}

/// Whether a program of this build is too old for this registry. A build that names no version is never called too old:
/// nobody could say what to install instead.
pub fn too_old(registry: &Registry, build: &str) -> Option<TooOld> {
    let minimum = registry.minimum_version.filter(|minimum| is_below(build, *minimum))?;
    Some(TooOld { build: build.to_owned(), minimum, registry: registry.version })
}

/// Lets a program of this build start, or not.
pub fn lets_start(registry: &Registry, build: &str) -> Result<(), TooOld> {
    too_old(registry, build).map_or(Ok(()), Err)
}

fn is_below(build: &str, minimum: Version) -> bool {
    BuildVersion::of(build).is_some_and(|version| version.is_below(minimum))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::registry::sample;

    #[test]
    fn a_program_below_the_floor_is_told_which_it_is_and_which_is_asked_for() {
        let registry = sample::registry(7, "minimum_version = '0.10.0'\n");
        let refused = lets_start(&registry, "sallyport-agent/0.9.3").unwrap_err();
        let said = refused.to_string();
        for word in ["sallyport-agent/0.9.3", "0.10.0 or newer", "version 7 of the registry", "install"] {
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(lets_start(&registry, "sallyport-agent/0.10.0"), Ok(()));
        assert_eq!(lets_start(&registry, "somebody's"), Ok(()));
        assert_eq!(lets_start(&sample::registry(7, ""), "sallyport-agent/0.0.1"), Ok(()));
    }
}
