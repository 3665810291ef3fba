//! Whether others on this machine can read the seeds and secrets that a configuration names. Whether they are good:
//! `config`.

use std::path::{Path, PathBuf};

use super::{Code, Finding};
use crate::{config::beside, private};

/// Looks at every seed and secret that a configuration names.
pub fn look(config: &Path) -> Vec<Finding> {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    let named = named(&text).into_iter();
    named
        .map(|(key, path)| (key, beside(config, &path)))
        .filter(|(_, path)| private::is_open_to_others(path))
        .map(|(key, path)| {
            Finding::unsafe_(
                Code::SeedOpen,
                format!("others on this machine can read {} ({key}) and speak for its owner", path.display()),
                format!("chmod 600 {}; if others may have read it, make another key", path.display()),
            )
        })
        .collect()
}

/// Every key of any section that names a seed or a secret, by the way all our configurations name them.
fn named(text: &str) -> Vec<(String, PathBuf)> {
    let Ok(toml::Value::Table(sections)) = toml::from_str::<toml::Value>(text) else { return Vec::new() };
    let mut found = Vec::new();
    for (section, value) in sections {
        let toml::Value::Table(keys) = value else { continue };
        for (key, value) in keys {
            let is_secret = key.ends_with("seed_file") || key == "secret_file";
            if let (true, Some(path)) = (is_secret, value.as_str()) {
                found.push((format!("{section}.{key}"), path.into()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn every_example_names_its_seeds_where_they_are_looked_for() {
        let count = |text| named(text).len();
        assert_eq!(count(include_str!("../../../deploy/examples/agent.toml")), 3);
        assert_eq!(count(include_str!("../../../deploy/examples/relay.toml")), 4);
        assert_eq!(count(include_str!("../../../deploy/examples/subscriber.toml")), 2);
    }

    #[test]
    fn a_seed_that_others_can_read_is_found_beside_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let (config, seed) = (dir.path().join("a.toml"), dir.path().join("a.nk"));
        std::fs::write(&config, "[node]\nsigning_seed_file = 'a.nk'\n").unwrap();
        std::fs::write(&seed, "x").unwrap();
        let mode = |mode| std::fs::set_permissions(&seed, Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert_eq!(look(&config), []);
        mode(0o640);
        assert_eq!(look(&config)[0].code, Code::SeedOpen);
    }
}
