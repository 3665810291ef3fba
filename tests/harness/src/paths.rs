//! Where the build puts things: the target folder, the programs in it, and the copy of nats-server beside them.

use std::path::{Path, PathBuf};

/// Cargo writes this file into every target folder it makes.
const TARGET_MARK: &str = "CACHEDIR.TAG";

/// The folder cargo builds into: `CARGO_TARGET_DIR` when it is absolute, else the one this very program was built
/// into (a relative `CARGO_TARGET_DIR` means nothing once a test runs in its own package's folder), else
/// `<workspace>/target`.
pub fn target_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from)
        && dir.is_absolute()
    {
        return dir;
    }
    own_target_dir().unwrap_or_else(|| workspace_root().join("target"))
}

/// The folder of the workspace that is being worked in: the one cargo runs us from, else the one this crate was built
/// from. Several clones may share a target folder, and then what was built from one runs in another.
pub fn workspace_root() -> PathBuf {
    let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let is_root = |dir: &&Path| dir.join("Cargo.lock").is_file() && dir.join("xtask").is_dir();
    if let Some(root) = running.as_deref().and_then(|dir| dir.ancestors().find(is_root)) {
        return root.to_path_buf();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Where plain builds of our programs lie: the folder of the profile this program was built with.
pub fn programs_dir() -> PathBuf {
    let target = target_dir();
    let profile = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.strip_prefix(&target).ok()?.components().next()?.as_os_str().to_owned()));
    target.join(profile.unwrap_or_else(|| "debug".into()))
}

/// Where the builds with crash points compiled in are kept, apart from the plain ones.
pub fn faulty_programs_dir() -> PathBuf {
    target_dir().join("faults")
}

fn own_target_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    exe.ancestors().find(|dir| dir.join(TARGET_MARK).is_file()).map(Path::to_path_buf)
}
