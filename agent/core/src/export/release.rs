//! What the rows of one custody say of its release: a door, a plan, a trigger, or nothing.

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    ids::Ori,
    time::{Moment, Window},
    vocabulary::{Certainty, ReleaseReason, ReleaseState},
};

use super::reason::{Stated, decide};
use crate::{
    custody::ReleaseFact,
    mapping::{Disposition, Mapping},
};

/// What a custody's rows agree on.
pub(super) struct Known<'g> {
    pub(super) door: Option<Moment>,
    pub(super) scheduled: Option<Moment>,
    pub(super) entered: Option<Moment>,
    /// In the order of the mapping.
    pub(super) triggers: Vec<Option<Moment>>,
    pub(super) stated: &'g [Stated],
    pub(super) transferred_to: Option<Ori>,
}

/// The release, and the jail's own word for it where that may leave.
pub(super) fn of(
    known: Known<'_>,
    mapping: &Mapping,
    as_of: Timestamp,
) -> Option<(ReleaseFact, Option<String>)> {
    match (known.door, known.scheduled) {
        (Some(door), _) if door.at <= as_of => Some(at_the_door(known, door, mapping)),
        (Some(planned), _) | (None, Some(planned)) => Some(planned_for(known, planned, mapping)),
        (None, None) => triggered(known, mapping),
    }
}

fn at_the_door(known: Known<'_>, door: Moment, mapping: &Mapping) -> (ReleaseFact, Option<String>) {
    let (meaning, text) = meaning(&known, door.at, mapping);
    let t10 = widened(door, mapping);
    (fact(known, meaning, mapping, |fact| fact.t10 = Some(t10)), text)
}

/// A door or a planned time after the export's own: never more than likely, and no door yet.
fn planned_for(known: Known<'_>, planned: Moment, mapping: &Mapping) -> (ReleaseFact, Option<String>) {
    let (mut meaning, text) = match (known.stated, last_trigger(&known, mapping)) {
        ([], Some((reason, _))) => (Disposition { reason, ..mapping.unmapped() }, None),
        _ => meaning(&known, planned.at, mapping),
    };
    meaning.state = ReleaseState::Scheduled;
    meaning.certainty = meaning.certainty.min(Certainty::Likely);
    let planned = if known.door.is_some() { widened(planned, mapping) } else { planned };
    (fact(known, meaning, mapping, |fact| fact.expected = Some(around(planned))), text)
}

/// No door, but a reason to expect one.
fn triggered(known: Known<'_>, mapping: &Mapping) -> Option<(ReleaseFact, Option<String>)> {
    let (reason, _) = last_trigger(&known, mapping)?;
    let meaning = Disposition {
        reason,
        state: ReleaseState::Expected,
        certainty: Certainty::Likely,
        ..mapping.unmapped()
    };
    Some((fact(known, meaning, mapping, |_| ()), None))
}

fn fact(
    known: Known<'_>,
    meaning: Disposition,
    mapping: &Mapping,
    set: impl FnOnce(&mut ReleaseFact),
) -> ReleaseFact {
    let of_this_reason = mapping.triggers.iter().zip(&known.triggers);
    let of_this_reason = of_this_reason.filter(|(trigger, _)| trigger.reason == meaning.reason);
    let mut fact = ReleaseFact {
        state: meaning.state,
        reason: meaning.reason,
        certainty: meaning.certainty,
        t0: of_this_reason.filter_map(|(_, moment)| *moment).min(),
        t1: known.entered,
        t10: None,
        expected: None,
        transferred_to: known.transferred_to,
        inferred_uncertainty_s: 0,
        health: meaning.health || meaning.reason == ReleaseReason::TransferHospital,
    };
    set(&mut fact);
    fact
}

fn meaning(known: &Known<'_>, door: Timestamp, mapping: &Mapping) -> (Disposition, Option<String>) {
    match decide(known.stated, door, &mapping.precedence) {
        Some(row) => (row.meaning, (!row.meaning.health).then(|| row.text.clone())),
        None => (mapping.unmapped(), None),
    }
}

/// The trigger that was set last; the first of the mapping when two were set at once.
fn last_trigger(known: &Known<'_>, mapping: &Mapping) -> Option<(ReleaseReason, Moment)> {
    let set = mapping.triggers.iter().zip(&known.triggers);
    let set = set.filter_map(|(trigger, moment)| Some((trigger.reason, (*moment)?)));
    set.reduce(|last, next| if next.1.at > last.1.at { next } else { last })
}

/// A door is at least as uncertain as the mapping says.
fn widened(door: Moment, mapping: &Mapping) -> Moment {
    Moment { uncertainty_s: door.uncertainty_s.max(mapping.release.door_uncertainty_s), ..door }
}

/// The window that a planned time can mean.
fn around(planned: Moment) -> Window {
    let width = SignedDuration::from_secs(i64::from(planned.uncertainty_s));
    let exact = |at: Timestamp| Moment::exact(at, planned.clock);
    Window {
        earliest: Some(exact(planned.at.checked_sub(width).unwrap_or(planned.at))),
        latest: Some(exact(planned.at.checked_add(width).unwrap_or(planned.at))),
    }
}
