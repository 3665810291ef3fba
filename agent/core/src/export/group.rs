//! The rows of one booking as they come in, in any order, and the custody that they make.
//!
//! Times of the whole custody (door, booked, triggers, plan) and what names a person must agree between its rows: two
//! different values refuse the custody, because either could be wrong. An empty cell beside a value says nothing, except
//! at the door: there it says that the person is still in. The latest of the times when rows were typed or exported
//! counts, and other details are kept all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::{Charge, Part},
    ids::Ori,
    redact::Redacted,
    time::Moment,
    vocabulary::{ReleaseReason, SourceClock},
};

use super::{
    RefusedCustody, RowProblem,
    agreed::Agreed,
    header::Columns,
    reason::Stated,
    release::{self, Known},
    row::Row,
};
use crate::{
    custody::{Custody, FloorKind},
    mapping::Mapping,
};

/// Between several values of one detail.
const JOIN: &str = "; ";

/// The rows of one booking so far.
#[derive(Default)]
pub(super) struct Group {
    /// As written; the least of several spellings, so that the order of rows says nothing.
    booking_number: String,
    as_of: Option<Moment>,
    booked: Agreed<Moment>,
    door: Agreed<Moment>,
    entered: Option<Moment>,
    scheduled: Agreed<Moment>,
    transferred_to: BTreeSet<Ori>,
    triggers: Vec<Agreed<Moment>>,
    charges: Vec<Charge>,
    stated: Vec<Stated>,
    floor: Option<FloorKind>,
    flags: BTreeSet<String>,
    /// In the order of the mapping.
    fields: Vec<Agreed<String>>,
    problems: Vec<RowProblem>,
}

impl Group {
    /// A booking that a row names, perhaps a bad one.
    pub(super) fn named(&mut self, booking_number: &str) {
        if self.booking_number.is_empty() || booking_number < self.booking_number.as_str() {
            booking_number.clone_into(&mut self.booking_number);
        }
    }

    /// Problems of a row that cannot be read: the custody is kept aside.
    pub(super) fn refuse(&mut self, problems: impl IntoIterator<Item = RowProblem>) {
        self.problems.extend(problems);
    }

    /// A mark of the floor, in a good row or a bad one.
    pub(super) fn mark(&mut self, floor: Option<FloorKind>) {
        self.floor = [self.floor, floor].into_iter().flatten().min();
    }

    /// A good row.
    pub(super) fn add(&mut self, row: &Row<'_>, mapping: &Mapping) {
        self.named(row.booking_number);
        self.as_of = self.as_of.max(row.as_of);
        self.entered = self.entered.max(row.entered);
        self.booked.note(row.booked, row.line);
        self.door.note(row.door, row.line);
        self.scheduled.note(row.scheduled, row.line);
        self.triggers.resize_with(row.triggers.len(), Agreed::default);
        for (trigger, moment) in self.triggers.iter_mut().zip(&row.triggers) {
            trigger.note(*moment, row.line);
        }
        self.fields.resize_with(row.fields.len(), Agreed::default);
        for (field, value) in self.fields.iter_mut().zip(&row.fields) {
            field.note((!value.is_empty()).then(|| (*value).to_owned()), row.line);
        }
        self.transferred_to.extend(row.transferred_to.clone());
        self.mark(row.floor);
        self.flags.extend(row.flags.iter().map(|flag| (*flag).to_owned()));
        self.add_charge(row, mapping);
    }

    fn add_charge(&mut self, row: &Row<'_>, mapping: &Mapping) {
        let mut charge = Charge {
            description: row.description.to_owned(),
            code: row.code.to_owned(),
            offence_level: row.offence_level.to_owned(),
            court: row.court.to_owned(),
            ended: row.ended,
            disposition_text: String::new(),
        };
        if !row.disposition.is_empty() {
            let meaning = mapping.disposition(row.disposition);
            // A health text goes no further than the reason it stands for.
            if !meaning.health {
                row.disposition.clone_into(&mut charge.disposition_text);
            }
            let ended = if mapping.charge.ended.is_some() { row.ended } else { row.door.or(row.scheduled) };
            let text = row.disposition.to_owned();
            one_more(&mut self.stated, Stated { text, meaning, ended: ended.map(|moment| moment.at) });
        }
        if charge != Charge::default() {
            one_more(&mut self.charges, charge);
        }
    }

    /// The custody, or why it is kept aside.
    pub(super) fn finish(
        mut self,
        mapping: &Mapping,
        columns: &Columns,
        as_of: Timestamp,
        observed: Timestamp,
    ) -> Result<Custody, RefusedCustody> {
        let mut problems = std::mem::take(&mut self.problems);
        let p = &mut problems;
        let booked_name = columns.booked.as_ref().map_or("", |column| &column.name);
        let scheduled_name = columns.scheduled.as_ref().map_or("", |column| &column.name);
        let booked = self.booked.one(booked_name, p);
        let door = self.door.one_in_all(&columns.door.name, p);
        let scheduled = self.scheduled.one(scheduled_name, p);
        let triggers = self.triggers.into_iter().zip(&columns.triggers);
        let triggers = triggers.map(|(trigger, column)| trigger.one(&column.name, p)).collect();
        let mut part = fields(self.fields, mapping, columns, p);
        // Under the floor it is nobody's business that a row is bad: it leaves no count either.
        if !problems.is_empty() && self.floor.is_none() {
            problems.sort_by_key(|problem| problem.line);
            return Err(RefusedCustody { booking_number: Some(self.booking_number.into()), problems });
        }

        let reasons: BTreeSet<ReleaseReason> = self.stated.iter().map(|row| row.meaning.reason).collect();
        let known = Known {
            door,
            scheduled,
            entered: self.entered,
            triggers,
            stated: &self.stated,
            transferred_to: self.transferred_to.into_iter().next(),
        };
        // No record speaks of what has not come yet, whatever a clock said when it was written.
        let as_of = self.as_of.map_or(as_of, |moment| moment.at).min(observed);
        let release = release::of(known, mapping, as_of);
        let (release, release_text) = release.unzip();
        let mut texts: Vec<String> =
            self.charges.iter().map(|charge| charge.disposition_text.clone()).collect();
        texts.retain(|text| !text.is_empty());
        texts.shrink_to_fit();
        texts.sort();
        self.charges.sort();
        part.booking_number = Some(self.booking_number.clone().into());
        part.booked = booked;
        part.disposition_texts = texts.into();
        part.charges = self.charges.into();
        part.release_text = release_text.flatten().map(Redacted::new);
        part.health_reason = release.as_ref().filter(|fact| fact.health).map(|fact| fact.reason);
        Ok(Custody {
            booking_number: self.booking_number.into(),
            observed: Moment::exact(observed, SourceClock::Agent),
            as_of,
            release,
            floor: self.floor,
            flags: self.flags,
            part,
            disagreeing: reasons.len() > 1,
        })
    }
}

/// Most custodies have one row: room for four, as a list begins with, would be most of what an export takes in memory.
fn one_more<T>(list: &mut Vec<T>, entry: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(entry);
}

/// The further fields. Those that name a person must agree: two names under one booking may be two people.
fn fields(
    values: Vec<Agreed<String>>,
    mapping: &Mapping,
    columns: &Columns,
    problems: &mut Vec<RowProblem>,
) -> Part {
    let mut part = Part::default();
    let mut details = BTreeMap::new();
    for ((values, field), column) in values.into_iter().zip(&mapping.fields).zip(&columns.fields) {
        let place = match field.name.as_str() {
            "person_name" => &mut part.person_name,
            "birth_date" => &mut part.birth_date,
            "fbi_ucn" => &mut part.fbi_ucn,
            "state_id" => &mut part.state_id,
            "alien_number" => &mut part.alien_number,
            name => {
                let all = values.all().join(JOIN);
                if all.is_empty() {
                    continue;
                }
                if name == "housing" {
                    part.housing = Some(all.into());
                } else {
                    details.insert(name.to_owned(), all);
                }
                continue;
            }
        };
        *place = values.one(&column.name, problems).map(Redacted::new);
    }
    part.details = details.into();
    part
}
