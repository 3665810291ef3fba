//! Every test but those in the docs, against the programs with crash points; with nextest when it is there. What they
//! print goes on to the person; the summaries, and what skipped tests said, are kept for the end. The fault suite runs by
//! itself afterwards, so that nothing beside it takes of the time it has.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sallyport_faults::budget;
use sallyport_harness::{paths, program};

use super::Outcome;
use crate::workspace::{cargo, shown, tool};

const NEXTEST: &str = "cargo-nextest";
/// What a test writes, with its reason behind it, when something it needs is not there.
const SKIPPED: &str = "SKIPPED";
/// Lines between the reading threads and us; printing keeps up.
const LINES_WAITING: usize = 256;

/// The bounded suite of real faults, in nextest's words.
const FAULT_SUITE: &str = "package(=sallyport-faults) & binary(=suite)";
/// What it may take.
// It takes under five on two processors that do nothing else; twice that is no verdict on a busy machine.
const FAULT_SUITE_LIMIT: Duration = Duration::from_secs(10 * 60);

/// All but the fault suite, which only nextest can leave out.
pub(super) fn run() -> Result<Outcome> {
    let mut command = cargo();
    let nextest = tool(NEXTEST).is_some();
    if nextest {
        let others = format!("not ({FAULT_SUITE})");
        command.args(["nextest", "run", "--workspace", "--no-fail-fast", "-E", &others]);
    } else {
        command.args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--",
            "--show-output",
        ]);
    }
    judged(command, nextest)
}

/// The fault suite. Over its limit it fails, by the names of the faults that were being applied.
pub(super) fn faults() -> Result<Outcome> {
    if tool(NEXTEST).is_none() {
        return Ok(Outcome::Skipped("without cargo-nextest the fault suite runs among the tests".into()));
    }
    let mut command = cargo();
    // The whole workspace, as above: another choice of packages would build most of them a second time.
    command.args(["nextest", "run", "--workspace", "--no-fail-fast", "-E", FAULT_SUITE]);
    command.env(budget::SUITE_ENDS, budget::moment_after(FAULT_SUITE_LIMIT)?);
    judged(command, true)
}

fn judged(mut command: Command, nextest: bool) -> Result<Outcome> {
    command.env(program::PROGRAMS_DIR, paths::faulty_programs_dir());
    let (good, mut kept) = pass_on(&mut command)?;
    if nextest {
        // nextest keeps its records there, wherever the target folder is.
        kept.extend(skipped_of_nextest(&paths::workspace_root().join("target/nextest/default/junit.xml")));
    }
    if !good {
        bail!("{}\n{} failed", kept.join("\n"), shown(&command));
    }
    Ok(Outcome::PassedWith(kept))
}

/// Runs a command, prints what it prints, and returns whether it was good and the lines worth repeating.
fn pass_on(command: &mut Command) -> Result<(bool, Vec<String>)> {
    let said = format!("start {}", shown(command));
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(said)?;
    let stdout: Option<Box<dyn Read + Send>> = child.stdout.take().map(|output| Box::new(output) as _);
    let stderr: Option<Box<dyn Read + Send>> = child.stderr.take().map(|output| Box::new(output) as _);
    let kept = std::thread::scope(|scope| {
        let (lines, coming) = mpsc::sync_channel::<String>(LINES_WAITING);
        for output in stdout.into_iter().chain(stderr) {
            let lines = lines.clone();
            scope.spawn(move || {
                // An output that breaks off ends like one that closes; the exit status tells the rest.
                let mut read = BufReader::new(output).lines().map_while(Result::ok);
                read.try_for_each(|line| lines.send(line))
            });
        }
        drop(lines);
        let mut kept = Vec::new();
        for line in coming {
            anstream::println!("{line}");
            if is_worth_repeating(&line) {
                kept.push(line.trim().to_owned());
            }
        }
        kept
    });
    Ok((child.wait().context("wait for the tests")?.success(), kept))
}

fn is_worth_repeating(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("Summary [") || line.starts_with("test result:") || line.contains(SKIPPED)
}

/// nextest shows nothing of a test that passes; its record does. Each reason once, with how often it was given.
fn skipped_of_nextest(record: &Path) -> Vec<String> {
    let Ok(record) = std::fs::read_to_string(record) else {
        return vec![format!("what skipped tests said is unknown: no {}", record.display())];
    };
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for said in record.split("<system-err>").skip(1).filter_map(|rest| rest.split("</system-err>").next()) {
        for line in said.lines().map(str::trim).filter(|line| line.contains(SKIPPED)) {
            match counted.iter_mut().find(|(known, _)| *known == line) {
                Some((_, times)) => *times += 1,
                None => counted.push((line, 1)),
            }
        }
    }
    counted.into_iter().map(|(line, times)| format!("{line} ({times} x)")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_reason_once_in_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("junit.xml");
        let said = |what: &str| {
            format!(
                "<testcase><system-out>SKIPPED not here</system-out><system-err>{what}</system-err></testcase>"
            )
        };
        let all = [said("SKIPPED: no file"), said("a\nSKIPPED: no file\nb"), said("fine")].concat();
        std::fs::write(&record, format!("<testsuites skipped=\"0\">{all}</testsuites>")).unwrap();
        assert_eq!(skipped_of_nextest(&record), ["SKIPPED: no file (2 x)"]);
    }

    #[test]
    fn keeps_summaries_of_both_runners() {
        assert!(is_worth_repeating("     Summary [   2.342s] 39 tests run: 39 passed, 0 skipped"));
        assert!(is_worth_repeating("test result: ok. 3 passed; 0 failed"));
        assert!(!is_worth_repeating("test proxy::tests::summary ... ok"));
    }

    #[test]
    fn both_outputs_are_read_and_failure_is_seen() {
        let script = "echo 'Summary [1 s]'; echo 'SKIPPED: it' >&2; echo dull; exit 3";
        let (good, mut kept) = pass_on(Command::new("/bin/sh").args(["-c", script])).unwrap();
        kept.sort();
        assert!(!good);
        assert_eq!(kept, ["SKIPPED: it", "Summary [1 s]"]);
    }
}
