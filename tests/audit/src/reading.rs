//! What the rows of one custody say about its release: one release state, one reason, one door.
//! Out of scope: who may be told (`allow`) and whether it is news (`life`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::export::Custody;
use crate::mapping::{Certainty, Disposition, Mapping};
use crate::moment::Moment;

/// The release of one custody, as one export states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) state: String,
    /// The real reason: the allow-list goes by it.
    pub(crate) reason: String,
    pub(crate) health: bool,
    pub(crate) certainty: Certainty,
    pub(crate) t0: Option<Moment>,
    pub(crate) t1: Option<Moment>,
    pub(crate) t10: Option<Moment>,
    /// When a SCHEDULED release is due.
    pub(crate) due: Option<Moment>,
    /// The next custodian, where the record names one.
    pub(crate) transferred_to: String,
}

/// What everybody who is told sees of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadFacts {
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) certainty: Certainty,
    pub(crate) t0: Option<Moment>,
    pub(crate) t1: Option<Moment>,
    pub(crate) t10: Option<Moment>,
    pub(crate) due: Option<Moment>,
    pub(crate) transferred_to: String,
}

impl Reading {
    /// The head hides what is about health: a hospital is an agency there, and what is no transfer has no reason that
    /// would be true.
    pub(crate) fn head(&self) -> HeadFacts {
        HeadFacts {
            state: self.state.clone(),
            reason: match self.health {
                true if self.state == "TRANSFERRED" || self.reason == "TRANSFER_HOSPITAL" => {
                    "TRANSFER_AGENCY"
                }
                true => "UNKNOWN",
                false => &self.reason,
            }
            .to_owned(),
            certainty: self.certainty,
            t0: self.t0,
            t1: self.t1,
            t10: self.t10,
            due: self.due,
            transferred_to: if self.health { String::new() } else { self.transferred_to.clone() },
        }
    }
}

/// Reads the release of one custody; `None` when its rows state none.
pub(crate) fn read(custody: &Custody, mapping: &Mapping, as_of: Timestamp) -> Option<Reading> {
    // Rows of a custody share these times. Where they do not, the latest door and the earliest trigger stand, so that
    // the order of rows says nothing.
    let door = custody.rows.iter().filter_map(|row| row.door).max();
    let due = custody.rows.iter().filter_map(|row| row.scheduled).max();
    let t1 = custody.rows.iter().filter_map(|row| row.entered).max();
    let transferred_to =
        custody.rows.iter().map(|row| &row.transferred_to).max().cloned().unwrap_or_default();
    let triggered = mapping.triggers.iter().enumerate().filter_map(|(place, trigger)| {
        let at = custody.rows.iter().filter_map(|row| row.triggers.get(place).copied().flatten()).min()?;
        Some((trigger.reason.as_str(), at))
    });
    let triggered: Vec<_> = triggered.collect();
    let Some(at) = door.or(due) else {
        let (reason, t0) = triggered.first()?;
        return Some(Reading {
            state: "EXPECTED".to_owned(),
            reason: (*reason).to_owned(),
            health: false,
            certainty: Certainty::Confirmed,
            t0: Some(*t0),
            t1,
            t10: None,
            due: None,
            transferred_to,
        });
    };
    let decided = decide(custody, mapping, at.at);
    let as_of = custody.rows.iter().filter_map(|row| row.as_of).max().map_or(as_of, |own| own.at);
    let scheduled = door.is_none_or(|door| door.at > as_of);
    Some(Reading {
        state: if scheduled { "SCHEDULED".to_owned() } else { decided.state },
        t0: triggered.iter().find(|(reason, _)| *reason == decided.reason).map(|(_, at)| *at),
        reason: decided.reason,
        health: decided.health,
        certainty: decided.certainty,
        t1,
        t10: door.filter(|_| !scheduled),
        due: scheduled.then_some(at),
        transferred_to,
    })
}

/// The disposition that decides, by the three rules of `[precedence]`.
fn decide(custody: &Custody, mapping: &Mapping, door: Timestamp) -> Disposition {
    let rules = &mapping.precedence;
    let since = door.saturating_sub(SignedDuration::from_hours(rules.decides_within_h));
    let ended: Vec<(Disposition, Option<Timestamp>)> = custody
        .rows
        .iter()
        .filter(|row| !row.disposition.is_empty())
        .map(|row| (mapping.disposition(&row.disposition), row.ended.map(|ended| ended.at)))
        .collect();
    let (handed_on, other): (Vec<_>, Vec<_>) =
        ended.into_iter().partition(|(disposition, _)| disposition.rank <= rules.decides_rank_max);
    let recent = handed_on
        .into_iter()
        .filter(|(_, at)| at.is_some_and(|at| since.as_ref().is_ok_and(|since| at >= *since)))
        .min_by_key(|(disposition, at)| (disposition.rank, Reverse(*at), disposition.entry));
    let latest =
        other.into_iter().min_by_key(|(disposition, at)| (Reverse(*at), disposition.rank, disposition.entry));
    recent.or(latest).map_or_else(|| mapping.disposition(""), |(disposition, _)| disposition)
}

/// The distinct reasons that the rows of a custody map to.
pub(crate) fn reasons_of_rows(custody: &Custody, mapping: &Mapping) -> BTreeSet<String> {
    let texts = custody.rows.iter().map(|row| &row.disposition).filter(|text| !text.is_empty());
    texts.map(|text| mapping.disposition(text).reason).collect()
}

/// The texts that the mapping does not know, with their rows.
pub(crate) fn unmapped_texts(custody: &Custody, mapping: &Mapping) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in &custody.rows {
        if !row.disposition.is_empty() && !mapping.disposition(&row.disposition).mapped {
            *counts.entry(row.disposition.clone()).or_default() += 1;
        }
    }
    counts
}
