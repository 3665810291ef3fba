//! One jail's exports in their order: opens its rules, replays every file through its custodies, and counts.
//! Out of scope: what a look at one custody leads to (`life`).

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::allow::AllowList;
use crate::export;
use crate::key::CustodyKeys;
use crate::life::{Event, Life, Look, Rules};
use crate::mapping::Mapping;
use crate::registry::Registry;
use crate::report::{Place, RefusedExport, RefusedRow, Report};
use crate::{Export, FacilityInput};

/// Everything that one jail should have caused.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) ori: String,
    /// The traffic class that all of it must carry.
    pub(crate) traffic: String,
    pub(crate) events: Vec<Event>,
    /// Every custody of the input, also those of which nothing leaves: key -> where it stands last.
    pub(crate) custodies: BTreeMap<String, Place>,
}

/// One jail with its rules.
pub(crate) struct Facility<'a> {
    input: &'a FacilityInput,
    present: Timestamp,
    rules: Rules<'a>,
}

impl<'a> Facility<'a> {
    pub(crate) fn open(
        input: &'a FacilityInput,
        registry: &'a Registry,
        present: Timestamp,
    ) -> anyhow::Result<Self> {
        let rules = Rules {
            ori: &input.ori,
            jurisdiction: &input.jurisdiction,
            registry,
            mapping: Mapping::read(&input.mapping)?,
            allow: AllowList::read(&input.agent_config, input, registry)?,
            keys: CustodyKeys::new(&input.ori, &input.secret_hex)?,
        };
        Ok(Self { input, present, rules })
    }

    /// Plays every export in order and adds this jail's counts to the report.
    pub(crate) fn replay(&self, report: &mut Report) -> anyhow::Result<Expected> {
        let mut lives: BTreeMap<String, Life> = BTreeMap::new();
        let mut events = Vec::new();
        for file in &self.input.exports {
            let as_of = self.as_of(file)?;
            let read = match export::read(&file.path, &self.rules.mapping) {
                Ok(read) => read,
                Err(why) => {
                    let refused = RefusedExport { export: file.path.clone(), why: format!("{why:#}") };
                    report.refused_exports.push(refused);
                    continue;
                }
            };
            report.repeated_hours += read.repeated_hours;
            report.refused_rows.extend(read.bad_rows.into_iter().map(|row| RefusedRow {
                place: Place { export: file.path.clone(), line: row.line },
                custody_key: row.booking_number.map(|number| self.rules.keys.of(&number)),
                column: row.column,
                why: row.why.to_owned(),
            }));
            for (number, custody) in &read.custodies {
                let place = Place { export: file.path.clone(), line: custody.line };
                let life = lives.entry(number.clone()).or_insert_with(|| Life::new(place.clone()));
                life.look(&self.rules, number, custody, place, as_of, &mut events);
            }
        }
        count(lives.values(), &events, report);
        Ok(Expected {
            ori: self.input.ori.clone(),
            traffic: self.rules.allow.traffic.clone(),
            events,
            custodies: lives
                .into_iter()
                .map(|(number, life)| (self.rules.keys.of(&number), life.place))
                .collect(),
        })
    }

    /// The moment that an export speaks of, unless its rows say so themselves.
    fn as_of(&self, file: &Export) -> anyhow::Result<Timestamp> {
        match file.as_of {
            Some(stated) => Ok(stated),
            None if self.input.backfill => Ok(self.present),
            None => {
                let written = std::fs::metadata(&file.path).and_then(|meta| meta.modified());
                let written = written.with_context(|| format!("export {}", file.path.display()))?;
                Ok(Timestamp::try_from(written)?)
            }
        }
    }
}

fn count<'l>(lives: impl Iterator<Item = &'l Life>, events: &[Event], report: &mut Report) {
    for life in lives {
        report.custodies += 1;
        report.disagreeing += u64::from(life.disagrees);
        if let Some(reason) = &life.reason {
            *report.reasons.entry(reason.clone()).or_default() += 1;
        }
        for (text, rows) in &life.unmapped {
            *report.unmapped_texts.entry(text.clone()).or_default() += rows;
        }
        match life.look {
            _ if life.revision > 0 => report.custodies_with_event += 1,
            Look::Refused => report.refused += 1,
            Look::Read => report.withheld += 1,
            Look::Floor => {
                report.withheld += 1;
                report.withheld_by_floor += 1;
            }
        }
    }
    for event in events {
        report.events += 1;
        report.events_addressed += u64::from(!event.addressed.is_empty());
        report.notices += event.addressed.len() as u64;
        for subscriber in &event.addressed {
            *report.notices_by_subscriber.entry(subscriber.clone()).or_default() += 1;
        }
        if event.reason.is_some() {
            report.allowed_not_subscribed += event.disclosed.difference(&event.addressed).count() as u64;
        }
    }
}
