//! The list at the end: each step with its time, what failed, what was skipped, and one line that says it all.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const PLAIN: &str = "\x1b[0m";

/// How a step went, when it did not fail.
pub(super) enum Outcome {
    Passed,
    /// With lines that are worth repeating at the end.
    PassedWith(Vec<String>),
    Skipped(String),
}

#[derive(Default)]
pub(super) struct Report {
    steps: Vec<Step>,
    long_files: Vec<String>,
}

struct Step {
    name: &'static str,
    took: Duration,
    result: Result<Outcome>,
}

impl Report {
    /// Runs a step, says how it went, and returns whether the way is free for what builds on it.
    pub(super) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) -> bool {
        anstream::println!("── {name}");
        let start = Instant::now();
        let result = work();
        let free = result.is_ok();
        self.add(Step { name, took: start.elapsed(), result });
        free
    }

    /// A step that cannot be run because another failed.
    pub(super) fn skip(&mut self, name: &'static str, why: &str) {
        self.add(Step { name, took: Duration::ZERO, result: Ok(Outcome::Skipped(why.to_owned())) });
    }

    /// Files to be named at the end; long is not wrong.
    pub(super) fn long_files(&mut self, files: Vec<String>) {
        self.long_files = files;
    }

    /// Prints the list; fails when a step did.
    pub(super) fn close(self) -> Result<()> {
        anstream::println!("\n══ what was done");
        for step in &self.steps {
            step.print(true);
        }
        if !self.long_files.is_empty() {
            anstream::println!("{YELLOW}LONG FILES{PLAIN} (would you know your room in them?)");
            for file in &self.long_files {
                anstream::println!("    {file}");
            }
        }
        let failed = names(self.steps.iter().filter(|step| step.result.is_err()));
        let skipped = names(self.steps.iter().filter(|step| matches!(step.result, Ok(Outcome::Skipped(_)))));
        if !skipped.is_empty() {
            anstream::println!("{YELLOW}NOT CHECKED: {skipped}.{PLAIN}");
        }
        if !failed.is_empty() {
            bail!("not good yet: {failed}. What each said stands above.");
        }
        anstream::println!(
            "{GREEN}All is well{}.{PLAIN}",
            if skipped.is_empty() { "" } else { " with what was checked" }
        );
        Ok(())
    }

    fn add(&mut self, step: Step) {
        step.print(false);
        self.steps.push(step);
    }
}

impl Step {
    fn print(&self, with_lines: bool) {
        let seconds = self.took.as_secs_f64();
        let (colour, word) = match &self.result {
            Ok(Outcome::Passed | Outcome::PassedWith(_)) => (GREEN, "ok     "),
            Ok(Outcome::Skipped(_)) => (YELLOW, "SKIPPED"),
            Err(_) => (RED, "FAILED "),
        };
        anstream::println!("{colour}{word}{PLAIN} {seconds:7.1} s  {}", self.name);
        match &self.result {
            Ok(Outcome::Passed) => {}
            Ok(Outcome::PassedWith(lines)) if with_lines => lines.iter().for_each(|line| indented(line)),
            Ok(Outcome::PassedWith(_)) => {}
            Ok(Outcome::Skipped(why)) => indented(why),
            Err(error) => format!("{error:#}").lines().for_each(indented),
        }
    }
}

fn indented(line: &str) {
    anstream::println!("                   {line}");
}

fn names<'a>(steps: impl Iterator<Item = &'a Step>) -> String {
    steps.map(|step| step.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn one_failed_step_fails_the_whole_and_is_named() {
        let mut report = Report::default();
        assert!(report.step("fine", || Ok(Outcome::Passed)));
        assert!(!report.step("bad", || Err(anyhow!("for a reason"))));
        report.skip("later", "bad failed");
        let error = report.close().unwrap_err().to_string();
        assert!(error.contains("bad") && !error.contains("fine"), "{error}");
    }

    #[test]
    fn a_skipped_step_fails_nothing() {
        let mut report = Report::default();
        assert!(report.step("absent", || Ok(Outcome::Skipped("no tool".into()))));
        report.close().unwrap();
    }
}
