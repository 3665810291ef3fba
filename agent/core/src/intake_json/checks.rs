//! Takes an object of a caller's JSON apart, key by key, noting every problem: what is missing, what has the wrong form,
//! and at the end every key that nobody asked for.

use std::{collections::BTreeSet, str::FromStr};

use jiff::Timestamp;
use sallyport_proto::{problem::Problem, time::Moment, vocabulary::SourceClock};
use serde_json::{Map, Value};

/// Longer texts are mistakes of the caller, and would crowd a notice out of its message.
const TEXT_BYTES_MAX: usize = 2_000;
/// More entries than any booking has; an event has to fit into its message.
const LIST_MAX: usize = 500;

/// One object while it is taken apart.
pub(super) struct Object<'v> {
    path: String,
    map: Option<&'v Map<String, Value>>,
    asked: BTreeSet<&'static str>,
}

impl<'v> Object<'v> {
    pub(super) fn of(path: &str, value: &'v Value, problems: &mut Vec<Problem>) -> Self {
        let map = value.as_object();
        let object = Self { path: path.to_owned(), map, asked: BTreeSet::new() };
        if map.is_none() {
            note(problems, if path.is_empty() { "event" } else { path }, "must be an object");
        }
        object
    }

    /// The value under a key; null is absent.
    fn value(&mut self, key: &'static str) -> Option<&'v Value> {
        self.asked.insert(key);
        self.map?.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes when there is nothing under a key that must be there.
    pub(super) fn need(&mut self, key: &'static str, problems: &mut Vec<Problem>) {
        let is_empty = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        if self.map.is_some() && self.value(key).is_none_or(is_empty) {
            note(problems, &self.key(key), "missing");
        }
    }

    /// Notes when a key is there without a value.
    pub(super) fn whole(&self, key: &'static str, problems: &mut Vec<Problem>) {
        let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|t| t.trim().is_empty());
        if self.map.and_then(|map| map.get(key)).is_some_and(is_empty) {
            note(problems, &self.key(key), "has no value: leave it out, or say which");
        }
    }

    /// A text, trimmed; an empty one is absent.
    pub(super) fn text(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<&'v str> {
        let value = self.value(key)?;
        text(&self.key(key), value, problems).filter(|text| !text.is_empty())
    }

    /// A word of a vocabulary, or an id.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        expected: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let parsed = self.text(key, problems)?.parse().ok();
        if parsed.is_none() {
            note(problems, &self.key(key), &format!("not {expected}"));
        }
        parsed
    }

    /// A time of the jail's record.
    pub(super) fn time(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<Moment> {
        let expected = "a time in RFC 3339 with an offset, as 2026-11-21T20:14:00-07:00";
        let at: Timestamp = self.parsed(key, expected, problems)?;
        Some(Moment::exact(at, SourceClock::JailRecord))
    }

    pub(super) fn number(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<u32> {
        let number = self.value(key)?.as_u64().and_then(|number| u32::try_from(number).ok());
        if number.is_none() {
            note(problems, &self.key(key), "must be a whole number from 0");
        }
        number
    }

    pub(super) fn truth(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> bool {
        let Some(value) = self.value(key) else { return false };
        value.as_bool().unwrap_or_else(|| {
            note(problems, &self.key(key), "must be true or false");
            false
        })
    }

    /// Entries of a list, each with its path.
    pub(super) fn list(
        &mut self,
        key: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Vec<(String, &'v Value)> {
        let path = self.key(key);
        let Some(value) = self.value(key) else { return Vec::new() };
        match value.as_array() {
            Some(list) if list.len() > LIST_MAX => {
                note(problems, &path, &format!("{} entries are over the limit of {LIST_MAX}", list.len()));
                Vec::new()
            }
            Some(list) => list.iter().enumerate().map(|(n, value)| (format!("{path}[{n}]"), value)).collect(),
            None => {
                note(problems, &path, "must be a list");
                Vec::new()
            }
        }
    }

    /// An object under a key.
    pub(super) fn object(&mut self, key: &'static str, problems: &mut Vec<Problem>) -> Option<Object<'v>> {
        let value = self.value(key)?;
        Some(Object::of(&self.key(key), value, problems))
    }

    /// Texts under keys that nobody asked for by name: further fields.
    pub(super) fn others(self, problems: &mut Vec<Problem>) -> Vec<(&'v str, &'v str)> {
        let asked = &self.asked;
        let others = self
            .map
            .into_iter()
            .flatten()
            .filter(|(key, value)| !asked.contains(key.as_str()) && !value.is_null());
        others
            .filter_map(|(key, value)| Some((key.as_str(), text(&self.key(key), value, problems)?)))
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    /// Every key was asked for; others are noted.
    pub(super) fn finish(self, problems: &mut Vec<Problem>) {
        for key in self.map.into_iter().flat_map(Map::keys) {
            if !self.asked.contains(key.as_str()) {
                note(problems, &self.key(key), "unknown key");
            }
        }
    }
}

/// A trimmed text, wherever it stands.
pub(super) fn text<'v>(path: &str, value: &'v Value, problems: &mut Vec<Problem>) -> Option<&'v str> {
    let Some(text) = value.as_str() else {
        note(problems, path, "must be a text");
        return None;
    };
    if text.len() > TEXT_BYTES_MAX {
        note(problems, path, &format!("{} bytes are over the limit of {TEXT_BYTES_MAX}", text.len()));
        return None;
    }
    Some(text.trim())
}

pub(super) fn note(problems: &mut Vec<Problem>, key: &str, text: &str) {
    problems.push(Problem { key: key.to_owned(), line: None, text: text.to_owned() });
}
