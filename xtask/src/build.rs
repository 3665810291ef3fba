//! Builds our programs in two kinds: plain ones for people, demo and bench, and ones with crash points and mutants
//! compiled in (feature `faults`) for the tests, kept apart so that neither is ever taken for the other.

use std::fs;

use anyhow::{Context, Result};
use sallyport_harness::paths;

use crate::workspace::{cargo, run};

/// The programs; each is a package of the same name.
pub(crate) const PROGRAMS: [&str; 3] = ["sallyport-agent", "sallyport-relay", "sallyport-subscriber"];

/// The plain programs and the faulty ones.
pub(crate) fn both() -> Result<()> {
    with_faults()?;
    plain()
}

/// The plain programs, in the target folder's `debug`.
pub(crate) fn plain() -> Result<()> {
    compile(&[])
}

/// The programs with crash points, in the target folder's `faults`. The plain ones must be built again afterwards:
/// cargo puts both kinds into the same place.
pub(crate) fn with_faults() -> Result<()> {
    let features = PROGRAMS.map(|program| format!("{program}/faults")).join(",");
    compile(&["--features", &features])?;
    let kept = paths::faulty_programs_dir();
    fs::create_dir_all(&kept).with_context(|| format!("make {}", kept.display()))?;
    for program in PROGRAMS {
        let built = paths::programs_dir().join(program);
        // By a rename: one of them may be running.
        let aside = kept.join(format!("{program}.new"));
        fs::copy(&built, &aside).with_context(|| format!("copy {}", built.display()))?;
        fs::rename(&aside, kept.join(program)).with_context(|| format!("put {program} in place"))?;
    }
    Ok(())
}

/// The whole workspace's programs, not only ours: cargo unites the features of what it builds together, and another set
/// than the tests' would build most dependencies a second time.
fn compile(options: &[&str]) -> Result<()> {
    run(cargo().args(["build", "--workspace", "--bins"]).args(options))
}
