//! Everything that `check` found, for a person or a program, and the exit code it comes to.

use std::{fmt::Write, path::Path};

use serde_json::json;

use super::{Code, Finding, Severity};
use crate::exit;

/// What was found, in the order of the looks.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// Takes findings in.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
    }

    /// Says what was not looked at because nothing outside this machine was to be.
    pub fn add_offline(&mut self, left_out: &str) {
        self.add([Finding::not_seen(
            Code::Offline,
            format!("{left_out} were not looked at, as asked"),
            "check again without --offline",
        )]);
    }

    /// The findings.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Unsafe before not seen before well. Who asks for `--offline` knows what was not looked at.
    pub fn exit_code(&self) -> u8 {
        let any = |severity| self.findings.iter().any(|f| f.severity == severity && f.code != Code::Offline);
        match () {
            () if any(Severity::Unsafe) => exit::UNSAFE,
            () if any(Severity::NotSeen) => exit::UNAVAILABLE,
            () => exit::OK,
        }
    }

    /// One JSON object on one line.
    pub fn as_json(&self, config: &Path) -> String {
        json!({ "config": config, "problems": [], "findings": self.findings }).to_string()
    }

    /// For a person: the worst first, each with what to do.
    pub fn as_text(&self, config: &Path) -> String {
        let mut sorted: Vec<&Finding> = self.findings.iter().collect();
        sorted.sort_by_key(|finding| finding.severity);
        let of = |severity| sorted.iter().filter(|f| f.severity == severity).count();
        let mut out = String::new();
        // Writing to a String cannot fail.
        for Finding { severity, code, text, mend } in &sorted {
            let word = match severity {
                Severity::Unsafe => "UNSAFE",
                Severity::Warning => "warning",
                Severity::NotSeen => "not seen",
            };
            let _ = write!(out, "{word} {}: {text}\n  mend: {mend}\n", code.as_str());
        }
        let _ = match (of(Severity::Unsafe), of(Severity::Warning), of(Severity::NotSeen)) {
            (0, 0, 0) => write!(out, "{}: no problem found", config.display()),
            (bad, warnings, blind) => write!(
                out,
                "{}: the configuration has no problem; {bad} unsafe, {warnings} warnings, {blind} not seen",
                config.display()
            ),
        };
        out
    }
}

/// The same object for a configuration that cannot be used: nothing was looked at.
pub fn problems_as_json(config: &Path, problems: &str) -> String {
    let lines: Vec<&str> = problems.lines().collect();
    json!({ "config": config, "problems": lines, "findings": [] }).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(findings: &[Finding]) -> Report {
        let mut report = Report::default();
        report.add(findings.to_vec());
        report
    }

    #[test]
    fn the_worst_decides_the_exit_code_and_a_warning_decides_nothing() {
        let bad = Finding::unsafe_(Code::SeedOpen, "a", "b");
        let hint = Finding::warning(Code::Drift, "a", "b");
        let blind = Finding::not_seen(Code::ServerUnreachable, "a", "b");
        let asked = Finding::not_seen(Code::Offline, "a", "b");
        assert_eq!(report(&[]).exit_code(), exit::OK);
        assert_eq!(report(&[hint.clone(), asked.clone()]).exit_code(), exit::OK);
        assert_eq!(report(&[hint, blind.clone()]).exit_code(), exit::UNAVAILABLE);
        assert_eq!(report(&[blind, bad.clone()]).exit_code(), exit::UNSAFE);
        assert_eq!(report(&[asked, bad]).exit_code(), exit::UNSAFE);
    }

    #[test]
    fn text_names_the_worst_first_and_json_is_one_line() {
        let found = report(&[
            Finding::warning(Code::DiskFilling, "two\nlines", "x"),
            Finding::unsafe_(Code::SeedOpen, "others can read it", "chmod 600"),
        ]);
        let text = found.as_text(Path::new("a.toml"));
        assert!(
            text.starts_with("UNSAFE seed-open: others can read it\n  mend: chmod 600\nwarning"),
            "{text}"
        );
        let line = found.as_json(Path::new("a.toml"));
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["findings"][1]["severity"], "unsafe");
        assert_eq!(value["findings"][1]["code"], "seed-open");
        assert_eq!(value["problems"], json!([]));
    }
}
