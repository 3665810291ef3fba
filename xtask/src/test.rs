//! `test`: what CI runs, in one command. Every step is timed; what was skipped, and why, stands at the end where it
//! cannot be missed.

mod buf;
mod cases;
mod report;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use sallyport_harness::nats_binary;

use crate::workspace::{self, cargo, run as run_command, tool};
use crate::{build, house, proto, sim};
use report::{Outcome, Report};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Insist on the parts that need further tools (cargo-deny, buf) instead of skipping what is missing
    #[arg(long)]
    all: bool,
    /// With --all: do without this tool all the same, and say so
    #[arg(long, value_name = "TOOL", value_parser = [DENY, BUF])]
    without: Vec<String>,
}

const DENY: &str = "cargo-deny";
const BUF: &str = "buf";

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut report = Report::default();
    report.step("format", || passed(cargo().args(["fmt", "--all", "--check"])));
    report.step("house rules", house_rules);
    report.step("generated code is fresh", || proto::run(true).map(|()| Outcome::Passed));
    report.step("lints", || lints(&[]));
    report.step("lints of the crash points", || lints(&["--features", &faults()]));
    let built = report.step("programs", || build::both().map(|()| Outcome::Passed));
    let served = report.step("nats-server", || {
        println!("{}", nats_binary::find()?.display());
        Ok(Outcome::Passed)
    });
    if built && served {
        report.step("tests", cases::run);
        report.step("fault suite", cases::faults);
    } else {
        for tests in ["tests", "fault suite"] {
            report.skip(tests, "there are no programs or no nats-server to test with");
        }
    }
    report.step("simulation", || sim::of_test().map(|()| Outcome::Passed));
    report.step("tests in the docs", || passed(cargo().args(["test", "--quiet", "--doc", "--workspace"])));
    report.step("docs", || {
        passed(
            cargo().args(["doc", "--quiet", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings"),
        )
    });
    report.step("licences and bans", || {
        with_tool(DENY, options, |deny| {
            // Advisories are left out: they need the network and change without a change of ours.
            let checks = ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
            // Duplicate versions are warnings, a hundred lines of them: `cargo deny check bans` shows them.
            let quiet = ["--all-features", "--log-level", "error"];
            passed(Command::new(deny).current_dir(workspace::root()).args(quiet).args(checks))
        })
    });
    report.step("lint of the contracts", || with_tool(BUF, options, buf::lint));
    report.step("contracts break nobody", || with_tool(BUF, options, buf::breaking));
    report.long_files(house::long_files(&workspace::root())?);
    report.close()
}

fn passed(command: &mut Command) -> Result<Outcome> {
    run_command(command).map(|()| Outcome::Passed)
}

fn lints(features: &[&str]) -> Result<Outcome> {
    passed(
        cargo()
            .args(["clippy", "--quiet", "--workspace", "--all-targets"])
            .args(features)
            .args(["--", "-D", "warnings"]),
    )
}

fn faults() -> String {
    build::PROGRAMS.map(|program| format!("{program}/faults")).join(",")
}

fn house_rules() -> Result<Outcome> {
    let faults = house::faults(&workspace::root())?;
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(Outcome::Passed)
}

fn with_tool(name: &str, options: &Options, step: impl Fn(&Path) -> Result<Outcome>) -> Result<Outcome> {
    if options.without.iter().any(|without| without == name) {
        return Ok(Outcome::Skipped(format!("{name} was asked to be left out")));
    }
    match tool(name) {
        Some(path) => step(&path),
        None if options.all => bail!("{name} is not installed; `.ci/run` installs it"),
        None => Ok(Outcome::Skipped(format!("{name} is not installed; `.ci/run` installs it"))),
    }
}
