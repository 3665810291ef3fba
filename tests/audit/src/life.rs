//! Which revisions of each custody leave one jail as its exports come in, and to whom each is addressed: the agent's and
//! the relay's rules side by side, since corrections follow the told.
//! Out of scope: what really happened (`log`, `compare`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::allow::{AllowList, Entry};
use crate::export::{self, Custody};
use crate::key::CustodyKeys;
use crate::mapping::{Certainty, Mapping};
use crate::part::Part;
use crate::reading::{self, HeadFacts};
use crate::registry::{Registry, Seen};
use crate::report::{Place, RefusedExport, RefusedRow, Report};
use crate::{Export, FacilityInput};

/// One revision that leaves the jail.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) custody_key: String,
    pub(crate) revision: u32,
    pub(crate) state: String,
    /// The head's reason; absent for CLOSED, which has no content.
    pub(crate) reason: Option<String>,
    pub(crate) place: Place,
    /// Subscribers that hold a disclosure.
    pub(crate) disclosed: BTreeSet<String>,
    /// Those of them that get a notice.
    pub(crate) addressed: BTreeSet<String>,
}

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
    registry: &'a Registry,
    present: Timestamp,
    mapping: Mapping,
    allow: AllowList,
    keys: CustodyKeys,
}

/// How the last look at a custody ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Look {
    #[default]
    Read,
    Floor,
    Refused,
}

/// One custody through all exports.
#[derive(Default)]
struct Life {
    place: Option<Place>,
    look: Look,
    revision: u32,
    /// Who holds what, as last disclosed.
    told: BTreeMap<String, (HeadFacts, Part)>,
    /// The latest event that was no CLOSED: index into the events.
    main: Option<usize>,
    reason: Option<String>,
    disagrees: bool,
    unmapped: BTreeMap<String, u64>,
}

impl<'a> Facility<'a> {
    pub(crate) fn open(
        input: &'a FacilityInput,
        registry: &'a Registry,
        present: Timestamp,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            input,
            registry,
            present,
            mapping: Mapping::read(&input.mapping)?,
            allow: AllowList::read(&input.agent_config, input, registry)?,
            keys: CustodyKeys::new(&input.ori, &input.secret_hex)?,
        })
    }

    /// Plays every export in order and adds this jail's counts to the report.
    pub(crate) fn replay(&self, exports: &[Export], report: &mut Report) -> anyhow::Result<Expected> {
        let mut lives: BTreeMap<String, Life> = BTreeMap::new();
        let mut events = Vec::new();
        for file in exports {
            let as_of = self.as_of(file)?;
            let read = match export::read(&file.path, &self.mapping) {
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
                custody_key: row.booking_number.map(|number| self.keys.of(&number)),
                column: row.column,
                why: row.why.to_owned(),
            }));
            for (number, custody) in &read.custodies {
                let life = lives.entry(number.clone()).or_default();
                life.place = Some(Place { export: file.path.clone(), line: custody.line });
                self.look(life, number, custody, as_of, &mut events);
            }
        }
        let keyed = |(number, life): (&String, &Life)| Some((self.keys.of(number), life.place.clone()?));
        let custodies = lives.iter().filter_map(keyed).collect();
        count(lives.values(), &events, report);
        let (ori, traffic) = (self.input.ori.clone(), self.allow.traffic.clone());
        Ok(Expected { ori, traffic, events, custodies })
    }

    /// The moment that an export speaks of.
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

    /// One custody as one export states it: nothing, a revision, a CLOSED, or a revision and a CLOSED.
    fn look(
        &self,
        life: &mut Life,
        number: &str,
        custody: &Custody,
        as_of: Timestamp,
        events: &mut Vec<Event>,
    ) {
        if custody.refused {
            life.look = Look::Refused;
            return;
        }
        let reading = reading::read(custody, &self.mapping, as_of);
        life.reason = reading.as_ref().map(|reading| reading.reason.clone());
        life.disagrees = reading::reasons_of_rows(custody, &self.mapping).len() > 1;
        life.unmapped = reading::unmapped_texts(custody, &self.mapping);
        if custody.rows.iter().any(|row| row.floor) {
            life.look = Look::Floor;
            return;
        }
        life.look = Look::Read;
        let (Some(reading), Some(place)) = (reading, life.place.clone()) else { return };

        let flags = custody.rows.iter().flat_map(|row| row.flags.iter().cloned()).collect();
        let allowed = self.allow.decide(&reading, &flags);
        let head = reading.head();
        let see = |(subscriber, entry): (&&str, &&Entry)| {
            let part = Part::of(&entry.fields, number, custody, &reading, &self.mapping);
            ((*subscriber).to_owned(), (head.clone(), part))
        };
        let sees: BTreeMap<String, (HeadFacts, Part)> = allowed.iter().map(see).collect();
        let dropped: BTreeSet<String> =
            life.told.keys().filter(|subscriber| !sees.contains_key(*subscriber)).cloned().collect();
        let news = sees.iter().any(|(subscriber, seen)| life.told.get(subscriber) != Some(seen));
        let custody_key = self.keys.of(number);
        let told_by = life.main;

        if news {
            let wants = |subscriber: &str| {
                let as_request = allowed.get(subscriber).is_some_and(|entry| entry.as_request);
                let seen = self.seen(&head.state, Some(&head.reason), head.certainty, as_request);
                self.registry.wants(subscriber, seen)
            };
            let disclosed = sees.keys().cloned().collect();
            let addressed = addressed(&disclosed, told_by, events, wants);
            life.revision += 1;
            life.main = Some(events.len());
            events.push(Event {
                custody_key: custody_key.clone(),
                revision: life.revision,
                state: head.state.clone(),
                reason: Some(head.reason.clone()),
                place: place.clone(),
                disclosed,
                addressed,
            });
        }
        if !dropped.is_empty() {
            // Whoever is dropped held the main event before this look: that one says who was really told.
            let seen = self.seen("CLOSED", None, Certainty::Confirmed, false);
            let addressed =
                addressed(&dropped, told_by, events, |subscriber| self.registry.wants(subscriber, seen));
            life.revision += 1;
            events.push(Event {
                custody_key,
                revision: life.revision,
                state: "CLOSED".to_owned(),
                reason: None,
                place,
                disclosed: dropped,
                addressed,
            });
        }
        if news {
            life.told = sees;
        } else {
            life.told.retain(|subscriber, _| sees.contains_key(subscriber));
        }
    }

    fn seen<'s>(
        &'s self,
        state: &'s str,
        reason: Option<&'s str>,
        sure: Certainty,
        as_request: bool,
    ) -> Seen<'s> {
        let (ori, jurisdiction) = (self.input.ori.as_str(), self.input.jurisdiction.as_str());
        Seen { ori, jurisdiction, state, reason, certainty: sure, as_request }
    }
}

/// Who of those with a disclosure gets a notice: who asks for it, and who was addressed by the predecessor.
fn addressed(
    disclosed: &BTreeSet<String>,
    predecessor: Option<usize>,
    events: &[Event],
    wants: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    let before = predecessor.and_then(|index| events.get(index)).map(|event| &event.addressed);
    let told = |subscriber: &String| before.is_some_and(|before| before.contains(subscriber));
    disclosed.iter().filter(|subscriber| told(subscriber) || wants(subscriber)).cloned().collect()
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
