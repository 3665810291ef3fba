//! The contracts in `proto/`: their style, and that a reader of the last release still understands them.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Outcome;
use crate::workspace::{ask, root, run};

pub(super) fn lint(buf: &Path) -> Result<Outcome> {
    run(Command::new(buf).current_dir(root()).args(["lint", "proto"])).map(|()| Outcome::Passed)
}

/// Compares with the last tag, or before any tag with the first commit that had contracts.
pub(super) fn breaking(buf: &Path) -> Result<Outcome> {
    if ask(git().args(["rev-parse", "--is-inside-work-tree"])).is_none() {
        return Ok(Outcome::Skipped("this is no git checkout: there is nothing to compare with".into()));
    }
    if ask(git().args(["rev-parse", "--is-shallow-repository"])).as_deref() == Some("true") {
        return Ok(Outcome::Skipped(
            "this clone is shallow: the history to compare with is not in it".into(),
        ));
    }
    let Some(base) = base() else {
        return Ok(Outcome::Skipped("no commit has contracts yet: there is nothing to compare with".into()));
    };
    println!("compared with {base}");
    let old = tempfile::tempdir().context("make a folder for the old contracts")?;
    extract(&base, old.path())?;
    let against = old.path().join("proto");
    run(Command::new(buf).current_dir(root()).args(["breaking", "proto", "--against"]).arg(against))?;
    Ok(Outcome::PassedWith(vec![format!("compared with {base}")]))
}

fn base() -> Option<String> {
    ask(git().args(["describe", "--tags", "--abbrev=0"])).or_else(|| {
        let added =
            ask(git().args(["log", "--reverse", "--diff-filter=A", "--format=%h", "--", "proto/sallyport"]))?;
        added.lines().next().map(str::to_owned)
    })
}

/// `proto/` as it was at `base`. Not by buf's own git input: that wants to clone.
fn extract(base: &str, into: &Path) -> Result<()> {
    let mut archive = git()
        .args(["archive", "--format=tar", base, "proto"])
        .stdout(Stdio::piped())
        .spawn()
        .context("start git archive")?;
    let tar = archive.stdout.take().context("its output is piped")?;
    let unpacked =
        Command::new("tar").arg("-x").current_dir(into).stdin(tar).status().context("start tar")?;
    let archived = archive.wait().context("wait for git archive")?;
    if !archived.success() || !unpacked.success() {
        bail!("cannot take proto/ out of {base}");
    }
    Ok(())
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(root());
    git
}
