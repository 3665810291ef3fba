//! From the raw mapping file to a checked `Mapping`, naming every problem.

mod columns;
mod texts;
mod times;

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use sallyport_proto::{
    problem::Problems,
    vocabulary::{Certainty, ReleaseState},
};
use toml::Spanned;

use super::{
    CustodyColumns, Encoding, Field, FlagMark, FloorMark, Input, Mapping, Precedence, Problem,
    ReleaseColumns, Trigger,
    form::{self, PERSON_FIELDS, Text},
};
use crate::disclose::PART_FIELDS;

/// What holds where `[precedence]` says nothing: no rank decides by itself.
const DECIDES_RANK_MAX: u32 = 0;
/// Within a day of the door a row says into whose hands the person went.
const DECIDES_WITHIN_H: u32 = 24;
/// After every rank that a table plausibly has.
const UNMAPPED_RANK: u32 = 99;

pub(super) fn mapping(text: &str) -> Result<Mapping, Vec<Problem>> {
    let mut problems = Problems::of(text);
    let p = &mut problems;
    // What has the wrong form is left out and the rest is checked all the same.
    let Some(raw) = p.read::<form::File>() else { return problems.finish(None) };

    let name = filled("name", &raw.name, p);
    let version = filled("version", &raw.version, p);
    let columns = columns::check(&raw, p);
    let input = input(raw.input, p);
    let custody = custody(raw.custody, p);
    let release = release(raw.release, p);
    let triggers = all(raw.trigger, |n, raw| trigger(n, &raw, p));
    let precedence = precedence(&raw.precedence, p);
    let dispositions = texts::check(&raw.disposition, raw.charge.disposition.is_some(), p);
    let floors = all(raw.floor, |n, raw| floor(n, &raw, p));
    let flags = all(raw.flag, |n, raw| flag(n, &raw, p));
    let fields = fields(&raw.field, p);

    let checked = (|| {
        Some(Mapping {
            name: name?,
            version: version?,
            input: input?,
            custody: custody?,
            release: release?,
            triggers: triggers?,
            charge: columns?,
            precedence: precedence?,
            dispositions: dispositions?,
            floors: floors?,
            flags: flags?,
            fields: fields?,
            ignored: plain_set(&raw.ignore.columns),
            ignored_health: plain_set(&raw.ignore.health),
        })
    })();
    problems.finish(checked)
}

/// Checks each entry; all of them, or none.
fn all<R, C>(raw: Vec<R>, mut check: impl FnMut(usize, R) -> Option<C>) -> Option<Vec<C>> {
    let checked: Vec<Option<C>> = raw.into_iter().enumerate().map(|(n, raw)| check(n, raw)).collect();
    checked.into_iter().collect()
}

fn input(raw: form::Input, p: &mut Problems<'_>) -> Option<Input> {
    let delimiter = delimiter(&raw.delimiter, p);
    let encoding = match raw.encoding.get_ref().as_str() {
        "utf-8" => Some(Encoding::Utf8),
        "windows-1252" => Some(Encoding::Windows1252),
        _ => {
            p.add("input.encoding", Some(raw.encoding.span()), "neither \"utf-8\" nor \"windows-1252\"");
            None
        }
    };
    let time_zone = times::zone(&raw.time_zone, p);
    let time_formats = times::formats(&raw.time_formats, p);
    Some(Input {
        delimiter: delimiter?,
        encoding: encoding?,
        time_zone: time_zone?,
        time_formats: time_formats?,
        as_of: raw.as_of.map(plain),
    })
}

fn delimiter(text: &Text, p: &mut Problems<'_>) -> Option<u8> {
    match text.get_ref().as_bytes() {
        b"\\t" => Some(b'\t'),
        [b'"' | b'\n' | b'\r'] => {
            p.add("input.delimiter", Some(text.span()), "a quote or a line end cannot separate fields");
            None
        }
        [byte] if byte.is_ascii() => Some(*byte),
        _ => {
            p.add("input.delimiter", Some(text.span()), "must be one ASCII character, or \"\\t\"");
            None
        }
    }
}

fn custody(raw: Spanned<form::CustodyColumns>, p: &mut Problems<'_>) -> Option<CustodyColumns> {
    let at = raw.span();
    let raw = raw.into_inner();
    let booking_number = required("custody.booking_number", raw.booking_number, at, p);
    Some(CustodyColumns { booking_number: booking_number?, booked: raw.booked.map(plain) })
}

fn release(raw: Spanned<form::ReleaseColumns>, p: &mut Problems<'_>) -> Option<ReleaseColumns> {
    let at = raw.span();
    let raw = raw.into_inner();
    let door = required("release.door", raw.door, at, p);
    Some(ReleaseColumns {
        door: door?,
        door_uncertainty_s: raw.door_uncertainty_s,
        entered: raw.entered.map(plain),
        scheduled: raw.scheduled.map(plain),
        transferred_to: raw.transferred_to.map(plain),
    })
}

fn required(
    key: &str,
    text: Option<Text>,
    section: std::ops::Range<usize>,
    p: &mut Problems<'_>,
) -> Option<String> {
    if text.is_none() {
        p.add(key, Some(section), "missing: an export cannot be read without this column");
    }
    text.map(plain)
}

fn trigger(n: usize, raw: &form::Trigger, p: &mut Problems<'_>) -> Option<Trigger> {
    let reason = p.parse(format!("trigger[{n}].reason"), &raw.reason);
    Some(Trigger { column: raw.column.get_ref().trim().to_owned(), reason: reason? })
}

fn precedence(raw: &form::Precedence, p: &mut Problems<'_>) -> Option<Precedence> {
    let decides_rank_max = raw.decides_rank_max.unwrap_or(DECIDES_RANK_MAX);
    let unmapped_rank = raw.unmapped_rank.unwrap_or(UNMAPPED_RANK);
    if unmapped_rank <= decides_rank_max {
        let text = "must be over decides_rank_max: a text that nobody mapped cannot decide";
        p.add("precedence.unmapped_rank", None, text);
    }
    let unmapped_state = match &raw.unmapped_state {
        None => Some(ReleaseState::Released),
        Some(text) => end_state("precedence.unmapped_state", text, p),
    };
    let unmapped_certainty = match &raw.unmapped_certainty {
        None => Some(Certainty::Likely),
        Some(text) => p.parse("precedence.unmapped_certainty", text),
    };
    Some(Precedence {
        decides_rank_max,
        decides_within_h: raw.decides_within_h.unwrap_or(DECIDES_WITHIN_H),
        unmapped_rank,
        unmapped_state: unmapped_state?,
        unmapped_certainty: unmapped_certainty?,
    })
}

/// A release state that a charge row can state: how the custody ended.
fn end_state(key: &str, text: &Text, p: &mut Problems<'_>) -> Option<ReleaseState> {
    let state: ReleaseState = p.parse(key, text)?;
    if !state.ends_custody() {
        p.add(key, Some(text.span()), "none of RELEASED, TRANSFERRED, ESCAPED, DECEASED");
        return None;
    }
    Some(state)
}

fn floor(n: usize, raw: &form::Floor, p: &mut Problems<'_>) -> Option<FloorMark> {
    let kind = p.parse(format!("floor[{n}].kind"), &raw.kind);
    let values = values(&format!("floor[{n}].values"), &raw.values, p)?;
    Some(FloorMark {
        column: raw.column.get_ref().trim().to_owned(),
        values: values.iter().map(|value| value.to_lowercase()).collect(),
        kind: kind?,
    })
}

fn flag(n: usize, raw: &form::Flag, p: &mut Problems<'_>) -> Option<FlagMark> {
    let name = name(&format!("flag[{n}].name"), &raw.name, p);
    let values = values(&format!("flag[{n}].values"), &raw.values, p);
    Some(FlagMark { name: name?, column: raw.column.get_ref().trim().to_owned(), values: values? })
}

fn values(key: &str, raw: &Spanned<Vec<Text>>, p: &mut Problems<'_>) -> Option<BTreeSet<String>> {
    if raw.get_ref().is_empty() {
        p.add(key, Some(raw.span()), "must name at least one value");
        return None;
    }
    let values: Vec<Option<String>> = raw.get_ref().iter().map(|value| filled(key, value, p)).collect();
    values.into_iter().collect()
}

fn fields(raw: &[form::Field], p: &mut Problems<'_>) -> Option<Vec<Field>> {
    let mut seen = BTreeSet::new();
    let mut fields = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let key = format!("field[{n}].name");
        let Some(name) = name(&key, &raw.name, p) else { continue };
        if PART_FIELDS.contains(&name.as_str()) && !PERSON_FIELDS.contains(&name.as_str()) {
            p.add(key, Some(raw.name.span()), format!("{name:?} is made from other sections of the mapping"));
        } else if !seen.insert(name.clone()) {
            p.add(key, Some(raw.name.span()), format!("{name:?} stands twice"));
        } else {
            fields.push(Field { name, column: raw.column.get_ref().trim().to_owned() });
        }
    }
    (fields.len() == raw.len()).then_some(fields)
}

/// A name that field lists and flags of the agent's configuration use.
fn name(key: &str, text: &Text, p: &mut Problems<'_>) -> Option<String> {
    let name = text.get_ref();
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() || !name.bytes().all(good) {
        p.add(key, Some(text.span()), "must be a name of [a-z0-9_]");
        return None;
    }
    Some(name.clone())
}

fn filled(key: &str, text: &Text, p: &mut Problems<'_>) -> Option<String> {
    let filled = text.get_ref().trim();
    if filled.is_empty() {
        p.add(key, Some(text.span()), "must not be empty");
        return None;
    }
    Some(filled.to_owned())
}

fn plain(text: Text) -> String {
    text.into_inner().trim().to_owned()
}

fn plain_set(texts: &[Text]) -> BTreeSet<String> {
    texts.iter().map(|text| text.get_ref().trim().to_owned()).collect()
}

/// An optional word with a default.
fn word_or<T>(key: &str, text: Option<&Text>, default: T, p: &mut Problems<'_>) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    text.map_or(Some(default), |text| p.parse(key, text))
}
