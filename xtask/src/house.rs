//! Rules of the house that no compiler checks: what the pure crates may depend on, that every file says what it is for,
//! and which files have grown too long. What clippy can check is in the `clippy.toml` files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Crates without a clock, a network or a database: the border between logic and effects is kept by the compiler.
const PURE: [&str; 4] = ["proto", "agent/core", "relay/core", "subscriber/core"];
/// What clippy forbids a crate beside it.
const BANS: &str = "clippy.toml";
/// Names (or beginnings of names) of what a pure crate must not know.
const EFFECTS: [&str; 10] = [
    "tokio",
    "async-nats",
    "rusqlite",
    "axum",
    "ureq",
    "notify",
    "rand",
    "getrandom",
    "fs4",
    "sallyport-link",
];
/// A file longer than this should be two.
const LINES_MAX: usize = 400;
/// Folders that hold nothing of ours.
const FOREIGN: [&str; 4] = ["target", "node_modules", ".git", "gen"];

/// What breaks a rule, one line each; empty when the house is in order.
pub(crate) fn faults(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for package in PURE {
        let manifest = Path::new(package).join("Cargo.toml");
        let text = read(&root.join(&manifest))?;
        let names = dependencies(&text).with_context(|| format!("parse {}", manifest.display()))?;
        let known = names.iter().filter(|name| EFFECTS.iter().any(|effect| name.starts_with(effect)));
        faults.extend(known.map(|name| format!("{} is pure and may not name {name}", manifest.display())));
    }
    let bans = read(&root.join(PURE[0]).join(BANS))?;
    for package in &PURE[1..] {
        if read(&root.join(package).join(BANS))? != bans {
            faults.push(format!(
                "{package}/{BANS} and {}/{BANS} differ: pure crates have the same bans",
                PURE[0]
            ));
        }
    }
    for file in sources(root)? {
        if !read(&file)?.starts_with("//!") {
            faults.push(format!(
                "{} does not open with `//!`: what for, what not, who instead",
                shown(root, &file)
            ));
        }
    }
    Ok(faults)
}

/// Files that have grown past the length at which one still finds one's way, longest first.
pub(crate) fn long_files(root: &Path) -> Result<Vec<String>> {
    let mut long = Vec::new();
    for file in sources(root)? {
        let lines = read(&file)?.lines().count();
        if lines > LINES_MAX {
            long.push((lines, shown(root, &file)));
        }
    }
    long.sort_by(|one, other| other.cmp(one));
    Ok(long.into_iter().map(|(lines, file)| format!("{lines} lines: {file}")).collect())
}

/// Every name in every kind of dependency table, tests' and targets' own included.
fn dependencies(manifest: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = manifest.parse()?;
    let mut names = Vec::new();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let per_target =
        targets.into_iter().flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
    for table in std::iter::once(&manifest).chain(per_target) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                // A renamed dependency hides behind any name.
                let package = value.get("package").and_then(toml::Value::as_str);
                names.push(package.unwrap_or(name).to_owned());
            }
        }
    }
    Ok(names)
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().with_context(|| format!("look at {}", path.display()))?.is_dir() {
                if !FOREIGN.iter().any(|foreign| name == *foreign) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

fn shown(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_in_order() {
        assert_eq!(faults(&crate::workspace::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn sees_an_effect_in_every_kind_of_table() {
        let manifest = r#"
            [dependencies]
            serde.workspace = true
            [dev-dependencies]
            tokio = "1"
            [target.'cfg(unix)'.build-dependencies]
            store = { package = "rusqlite", version = "0.41" }
        "#;
        assert_eq!(dependencies(manifest).unwrap(), ["serde", "tokio", "rusqlite"]);
    }

    #[test]
    fn names_a_pure_crate_with_effects_or_other_bans_and_a_file_that_says_nothing() {
        let root = tempfile::tempdir().unwrap();
        for package in PURE {
            fs::create_dir_all(root.path().join(package)).unwrap();
            fs::write(root.path().join(package).join("Cargo.toml"), "[dependencies]\nasync-nats = '0.51'")
                .unwrap();
            fs::write(root.path().join(package).join(BANS), "").unwrap();
        }
        fs::write(root.path().join("proto/mute.rs"), "fn mute() {}\n".repeat(LINES_MAX + 1)).unwrap();
        fs::create_dir(root.path().join("proto/gen")).unwrap();
        fs::write(root.path().join("proto/gen/made.rs"), "").unwrap();
        fs::write(root.path().join(PURE[2]).join(BANS), "disallowed-methods = []").unwrap();
        assert_eq!(faults(root.path()).unwrap().len(), PURE.len() + 2);
        assert_eq!(long_files(root.path()).unwrap(), ["401 lines: proto/mute.rs"]);
    }
}
