//! Where the workspace is and how its tools are called.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sallyport_harness::paths;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    paths::workspace_root()
}

/// Cargo, the very one that runs us, in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    // `cargo xtask` sets these for us; cargo's children would take us for their package.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Where `.ci/run` puts tools that are no crates of ours.
fn tools() -> [PathBuf; 2] {
    let tools = paths::target_dir().join("tools");
    [tools.join("bin"), tools.join("node_modules/.bin")]
}

/// A tool that may be missing: from the tools folder, else from `PATH`.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere: Vec<PathBuf> = std::env::split_paths(&path).collect();
    tools().iter().chain(&elsewhere).map(|dir| dir.join(name)).find(|candidate| candidate.is_file())
}

/// Runs it, with our own outputs; fails with its command line when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| format!("start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// What it prints on one line; `None` when it fails, which for a question to git means "there is none".
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The command line as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
