//! From a caller's JSON to the custody that it states.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sallyport_proto::{
    disclosure::{Charge, Part},
    problem::Problem,
    redact::Redacted,
    time::{Moment, Window},
    vocabulary::{Certainty, ReleaseReason, ReleaseState, SourceClock},
};
use serde_json::Value;

use super::{
    CallerEvent,
    checks::{Object, note, text},
};
use crate::{
    custody::{Custody, ReleaseFact},
    disclose::PART_FIELDS,
};

const STATE: &str = "a release state that a jail states: EXPECTED, SCHEDULED, IN_PROCESS, RELEASED, TRANSFERRED, \
                     ESCAPED, DECEASED, CANCELLED, RETRACTED";

pub(super) fn event(value: &Value) -> Result<CallerEvent, Vec<Problem>> {
    let mut problems = Vec::new();
    let p = &mut problems;
    let mut event = Object::of("", value, p);
    for key in ["key", "booking_number", "release_state"] {
        event.need(key, p);
    }
    let key = event.text("key", p);
    let booking_number = event.text("booking_number", p);
    let release = release(&mut event, p);
    // Half a mark is more than none: whoever names the floor says which.
    event.whole("floor", p);
    let floor = event.parsed("floor", "one of sealed, expunged, juvenile, protected_victim", p);
    let flags: BTreeSet<String> = event
        .list("flags", p)
        .into_iter()
        .filter_map(|(path, value)| text(&path, value, p).map(str::to_owned))
        .collect();
    let health = release.as_ref().is_some_and(|fact| fact.health);
    let charges: Vec<Charge> = event
        .list("charges", p)
        .into_iter()
        .map(|(path, value)| charge(Object::of(&path, value, p), health, p))
        .collect();
    let mut part = event.object("fields", p).map(|fields| part(fields, p)).unwrap_or_default();
    event.finish(p);

    part.booking_number = booking_number.map(|number| number.to_owned().into());
    part.health_reason = release.as_ref().filter(|fact| fact.health).map(|fact| fact.reason);
    if health {
        // The jail's own words for a health release go no further than the reason they stand for.
        part.release_text = None;
    }
    let mut texts: Vec<String> = charges.iter().map(|charge| charge.disposition_text.clone()).collect();
    texts.retain(|text| !text.is_empty());
    texts.sort();
    part.disposition_texts = texts.into();
    let mut charges = charges;
    charges.sort();
    part.charges = charges.into();

    match (key, booking_number, release) {
        (Some(key), Some(booking_number), Some(release)) if problems.is_empty() => Ok(CallerEvent {
            key: key.to_owned(),
            custody: Custody {
                booking_number: booking_number.to_owned().into(),
                // Until the intake says when it was observed.
                observed: Moment::exact(Timestamp::UNIX_EPOCH, SourceClock::Agent),
                as_of: Timestamp::UNIX_EPOCH,
                release: Some(release),
                floor,
                flags,
                part,
                disagreeing: false,
            },
        }),
        // Whatever is not there was noted.
        _ => Err(problems),
    }
}

fn release(event: &mut Object<'_>, p: &mut Vec<Problem>) -> Option<ReleaseFact> {
    let state: Option<ReleaseState> = event.parsed("release_state", STATE, p);
    let reason = event.parsed("reason", "a canonical release reason", p).unwrap_or(ReleaseReason::Unknown);
    let certainty: Option<Certainty> = event.parsed("certainty", "one of CONFIRMED, LIKELY, INFERRED", p);
    let uncertainty_s = event.number("uncertainty_s", p).unwrap_or_default();
    let t0 = event.time("trigger_at", p);
    let t1 = event.time("entered_at", p);
    let t10 = event.time("released_at", p);
    let expected = event.object("expected", p).and_then(|window| expected(window, p));
    let transferred_to = event.parsed("transferred_to", "an ORI (nine characters, [a-z0-9])", p);
    let health = event.truth("health", p) || reason == ReleaseReason::TransferHospital;
    let state = state?;
    let is_over = state.ends_custody();
    if state == ReleaseState::Closed {
        note(p, "release_state", "CLOSED is said by the agent to one subscriber, never by the jail's record");
    }
    if t10.is_some() && !is_over && state != ReleaseState::Retracted {
        note(p, "released_at", "a release that is not over has no door time: give `expected`");
    }
    if transferred_to.is_some() && state != ReleaseState::Transferred {
        note(p, "transferred_to", "only a release_state of TRANSFERRED has a next custodian");
    }
    // Nobody said how sure: what is over is, what lies ahead is likely.
    let sure =
        if is_over || state == ReleaseState::Retracted { Certainty::Confirmed } else { Certainty::Likely };
    let certainty = certainty.unwrap_or(sure);
    let inferred = certainty == Certainty::Inferred;
    Some(ReleaseFact {
        state,
        reason,
        certainty,
        t0,
        t1,
        t10: t10.map(|door| Moment { uncertainty_s, ..door }),
        expected,
        transferred_to,
        inferred_uncertainty_s: if inferred { uncertainty_s } else { 0 },
        health,
    })
}

fn expected(mut window: Object<'_>, p: &mut Vec<Problem>) -> Option<Window> {
    let (earliest, latest) = (window.time("earliest", p), window.time("latest", p));
    if earliest.zip(latest).is_some_and(|(earliest, latest)| earliest.at > latest.at) {
        note(p, &window.key("latest"), "before earliest");
    }
    window.finish(p);
    (earliest.is_some() || latest.is_some()).then_some(Window { earliest, latest })
}

fn charge(mut charge: Object<'_>, health: bool, p: &mut Vec<Problem>) -> Charge {
    let mut text = |key| charge.text(key, p).unwrap_or_default().to_owned();
    let (description, code) = (text("description"), text("code"));
    let (offence_level, court) = (text("offence_level"), text("court"));
    let disposition = text("disposition");
    let ended = charge.time("ended", p);
    charge.finish(p);
    let disposition_text = if health { String::new() } else { disposition };
    Charge { description, code, offence_level, court, ended, disposition_text }
}

fn part(mut fields: Object<'_>, p: &mut Vec<Problem>) -> Part {
    let mut text = |key| fields.text(key, p).map(|text| Redacted::new(text.to_owned()));
    let mut part = Part {
        person_name: text("person_name"),
        birth_date: text("birth_date"),
        fbi_ucn: text("fbi_ucn"),
        state_id: text("state_id"),
        alien_number: text("alien_number"),
        housing: text("housing"),
        release_text: text("release_text"),
        ..Part::default()
    };
    part.booked = fields.time("booked", p);
    let path = fields.key("");
    let mut details = BTreeMap::new();
    for (name, value) in fields.others(p) {
        if PART_FIELDS.contains(&name) {
            note(p, &format!("{path}{name}"), "is stated elsewhere in the event");
        } else {
            details.insert(name.to_owned(), value.to_owned());
        }
    }
    part.details = details.into();
    part
}
