//! Builds our programs in two kinds: plain ones for people, demo and bench, and ones with crash points and mutants
//! compiled in (feature `faults`) for the tests, kept apart so that neither is ever taken for the other.

use std::{ffi::OsStr, fs};

use anyhow::{Context, Result};
use sallyport_harness::{paths, program};

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

/// The plain programs, unless somebody named a folder with programs of their own choice, such as a release build: those
/// are run as they are.
pub(crate) fn plain_unless_chosen() -> Result<()> {
    if are_chosen(std::env::var_os(program::PROGRAMS_DIR).as_deref()) { Ok(()) } else { plain() }
}

/// What the soak runs: both kinds. Those with crash points are always the workspace's own.
pub(crate) fn both_unless_chosen() -> Result<()> {
    with_faults()?;
    plain_unless_chosen()
}

/// As `Recipe::new` has it: a variable that is there counts, whatever it says.
fn are_chosen(programs_dir: Option<&OsStr>) -> bool {
    programs_dir.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_ones_own_choice_are_not_built() {
        assert!(!are_chosen(None));
        assert!(are_chosen(Some(OsStr::new("/opt/sallyport/bin"))));
    }

    /// Whoever runs programs for a person asks here, and not whether to build by itself.
    #[test]
    fn demo_bench_load_and_soak_leave_chosen_programs_as_they_are() {
        let tasks = [
            ("demo", include_str!("demo/mod.rs")),
            ("bench", include_str!("bench.rs")),
            ("load", include_str!("load.rs")),
            ("soak", include_str!("soak.rs")),
        ];
        for (task, text) in tasks {
            assert!(text.contains("_unless_chosen()"), "{task}");
            assert!(!text.contains("build::plain()") && !text.contains("build::both()"), "{task}");
        }
    }
}
