//! The programs of the version before: what the last tag built, or whatever revision `SALLYPORT_PREVIOUS` names, built
//! once from its own sources and kept in the target folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use sallyport_e2e::world::{AGENT, RELAY, SUBSCRIBER};
use sallyport_harness::paths;

/// Names a revision to take instead of the last tag.
pub const PREVIOUS: &str = "SALLYPORT_PREVIOUS";

/// The revision to upgrade from; none when nothing was ever tagged.
pub fn revision() -> Result<Option<String>> {
    let name = match std::env::var(PREVIOUS) {
        Ok(name) => name,
        Err(_) => match git(&["describe", "--tags", "--abbrev=0"]) {
            Ok(tag) => tag,
            Err(_) => return Ok(None),
        },
    };
    git(&["rev-parse", "--short=12", &format!("{name}^{{commit}}")]).map(Some)
}

/// The folder with that revision's programs, built now unless they are there.
pub fn programs(revision: &str) -> Result<PathBuf> {
    let base = paths::target_dir().join("previous");
    let kept = base.join(revision);
    let names = [AGENT, RELAY, SUBSCRIBER];
    if names.iter().all(|name| kept.join(name).is_file()) {
        return Ok(kept);
    }
    let sources = base.join("sources").join(revision);
    unpack(revision, &sources)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--bins"]).current_dir(&sources);
    cargo.env("CARGO_TARGET_DIR", base.join("build"));
    for name in names {
        cargo.args(["-p", name]);
    }
    ensure!(cargo.status().context("run cargo")?.success(), "revision {revision} does not build");
    std::fs::create_dir_all(&kept).with_context(|| format!("make {}", kept.display()))?;
    for name in names {
        std::fs::copy(base.join("build/debug").join(name), kept.join(name))
            .with_context(|| format!("keep {name}"))?;
    }
    std::fs::remove_dir_all(&sources).context("remove the sources")?;
    Ok(kept)
}

/// Without a work tree: the repository's own list of them stays as it is.
fn unpack(revision: &str, into: &Path) -> Result<()> {
    std::fs::create_dir_all(into).with_context(|| format!("make {}", into.display()))?;
    let mut archive = Command::new("git")
        .args(["archive", revision])
        .current_dir(paths::workspace_root())
        .stdout(Stdio::piped())
        .spawn()
        .context("run git archive")?;
    let stdout = archive.stdout.take().context("its output is piped")?;
    let unpacked =
        Command::new("tar").arg("-x").current_dir(into).stdin(stdout).status().context("run tar")?;
    let archived = archive.wait().context("wait for git archive")?;
    ensure!(unpacked.success() && archived.success(), "cannot unpack revision {revision}");
    Ok(())
}

fn git(args: &[&str]) -> Result<String> {
    let done =
        Command::new("git").args(args).current_dir(paths::workspace_root()).output().context("run git")?;
    ensure!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
