//! `mapping test`: reads an export as the agent would and says what it would come to. Stores and publishes nothing, and
//! needs nothing of a jail but the mapping.

use std::{collections::BTreeMap, path::Path};

use jiff::Timestamp;
use sallyport_agent_core::{
    custody::Custody,
    disclose::{self, RegistryGrants},
    export::{Reading, read_export},
    mapping::Mapping,
};
use sallyport_link::{
    clock,
    config::{ConfigProblems, read_text},
    exit,
};
use serde::Serialize;

use super::{complain, fail, say, say_json, written_at};
use crate::{
    config::{self, Config},
    intake::Place,
};

/// What an export would come to, were it read for the first time.
#[derive(Serialize, Default)]
struct Outcome {
    custodies: u64,
    withheld: u64,
    withheld_by_floor: u64,
    refused: u64,
    /// Custodies with an event.
    events: u64,
    no_release: u64,
    unmapped_texts: BTreeMap<String, u64>,
    disagreeing: u64,
    /// Custodies that would be published, by `STATE REASON CERTAINTY` as their heads would say.
    published: BTreeMap<String, u64>,
    /// By subscriber, with an allow-list.
    told: BTreeMap<String, u64>,
    rows: u64,
    warnings: Vec<Place>,
    problems: Vec<Place>,
}

pub(super) fn run(
    mapping: &Path,
    export: &Path,
    config: Option<&Path>,
    as_of: Option<Timestamp>,
    json: bool,
) -> u8 {
    let mut problems = ConfigProblems::default();
    let text = read_text(&mut problems, mapping, "mapping", mapping);
    let checked = text.and_then(|text| problems.take(mapping, Mapping::parse(&text)));
    let checked = match problems.finish(checked) {
        Ok(checked) => checked,
        Err(problems) => {
            complain(&problems.to_string());
            return exit::CONFIG;
        }
    };
    let config = match config.map(config::read).transpose() {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems.to_string());
            return exit::CONFIG;
        }
    };
    let read = std::fs::read(export).and_then(|bytes| {
        let as_of = as_of.map_or_else(|| written_at(export), Ok)?;
        Ok((bytes, as_of))
    });
    let (bytes, as_of) = match read {
        Ok(read) => read,
        Err(error) => {
            complain(&format!("cannot read {}: {error}", export.display()));
            return exit::UNAVAILABLE;
        }
    };
    let reading = match read_export(&checked, &bytes, as_of, clock::now()) {
        Ok(reading) => reading,
        Err(error) => return fail(exit::DATA, &error),
    };
    let outcome = outcome(reading, config.as_ref());
    if json {
        say_json(&outcome);
    } else {
        say(&in_words(&outcome));
    }
    if outcome.refused > 0 { exit::DATA } else { exit::OK }
}

fn outcome(reading: Reading, config: Option<&Config>) -> Outcome {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mut outcome = Outcome {
        custodies: count(reading.custodies.len() + reading.refused.len()),
        refused: count(reading.refused.len()),
        unmapped_texts: reading.unmapped_texts,
        disagreeing: reading.disagreeing,
        rows: reading.rows,
        warnings: reading.warnings.into_iter().map(Place::from).collect(),
        problems: reading.refused.into_iter().flat_map(|r| r.problems).map(Place::from).collect(),
        ..Outcome::default()
    };
    for custody in &reading.custodies {
        outcome.add(custody, config);
    }
    outcome
}

impl Outcome {
    fn add(&mut self, custody: &Custody, config: Option<&Config>) {
        if custody.floor.is_some() {
            self.withheld += 1;
            self.withheld_by_floor += 1;
            return;
        }
        let Some(release) = &custody.release else {
            self.no_release += 1;
            return;
        };
        if let Some(config) = config {
            let told = told(custody, config);
            if told.is_empty() {
                self.withheld += 1;
                return;
            }
            for subscriber in told {
                *self.told.entry(subscriber).or_default() += 1;
            }
        }
        self.events += 1;
        let line = format!("{} {} {}", release.state, release.head_reason(), release.certainty);
        *self.published.entry(line).or_default() += 1;
    }
}

fn told(custody: &Custody, config: &Config) -> Vec<String> {
    let facility = &config.facility;
    let grants = RegistryGrants { registry: &config.registry_at_start, ori: &facility.ori };
    let input = disclose::Input {
        custody,
        ori: &facility.ori,
        secret: &facility.secret,
        grants: &grants,
        now: clock::now(),
    };
    let decisions = disclose::decide(&input, &config.allow);
    decisions.allowed.into_iter().map(|allowed| allowed.subscriber.into()).collect()
}

fn in_words(outcome: &Outcome) -> String {
    let mut text = format!(
        "{} rows, {} custodies\n  {} would be published\n  {} withheld ({} by the floor), {} without a release, {} kept aside\n",
        outcome.rows,
        outcome.custodies,
        outcome.events,
        outcome.withheld,
        outcome.withheld_by_floor,
        outcome.no_release,
        outcome.refused,
    );
    let mut list = |title: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            text.push_str(&format!("{title}\n"));
            entries.iter().for_each(|entry| text.push_str(&format!("  {entry}\n")));
        }
    };
    let counted =
        |counts: &BTreeMap<String, u64>| counts.iter().map(|(what, n)| format!("{n:>6}  {what}")).collect();
    list("published as:", counted(&outcome.published));
    list("told:", counted(&outcome.told));
    list(
        "texts that the mapping does not know (published as UNKNOWN), with their rows:",
        counted(&outcome.unmapped_texts),
    );
    if outcome.disagreeing > 0 {
        list("custodies with rows that map to different reasons:", vec![outcome.disagreeing.to_string()]);
    }
    list("problems:", outcome.problems.iter().map(ToString::to_string).collect());
    list("warnings:", outcome.warnings.iter().map(ToString::to_string).collect());
    text
}
