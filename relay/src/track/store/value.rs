//! How values of the domain lie in SQLite: times as microseconds with their source beside them, words as their numbers.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Row, types::Type};
use sallyport_proto::{envelope::Digest, time::Moment, vocabulary::SourceClock};

/// Clocks have numbers below this; the rest of a source is the uncertainty.
const CLOCKS: i64 = 16;

/// A time.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A sequence or a count; SQLite's integers are signed, and 2^63 messages never come.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The two columns of a moment.
pub(crate) fn moment(moment: Moment) -> (i64, i64) {
    (micros(moment.at), i64::from(moment.uncertainty_s) * CLOCKS + i64::from(i32::from(moment.clock)))
}

/// The two columns of a moment that may be absent.
pub(crate) fn optional(at: Option<Moment>) -> (Option<i64>, Option<i64>) {
    at.map(moment).unzip()
}

/// Reads columns that `put` wrote; anything else is damage, and reported as a failed conversion of that column.
pub(crate) trait Columns {
    fn at(&self, column: &str) -> rusqlite::Result<Timestamp>;
    fn at_or_none(&self, column: &str) -> rusqlite::Result<Option<Timestamp>>;
    fn moment(&self, column: &str) -> rusqlite::Result<Moment>;
    fn moment_or_none(&self, column: &str) -> rusqlite::Result<Option<Moment>>;
    fn parsed<T: FromStr>(&self, column: &str) -> rusqlite::Result<T>;
    fn parsed_or_none<T: FromStr>(&self, column: &str) -> rusqlite::Result<Option<T>>;
    fn parsed_list<T: FromStr>(&self, column: &str) -> rusqlite::Result<Vec<T>>;
    fn word<T, E>(&self, column: &'static str, from: FromWire<T, E>) -> rusqlite::Result<T>;
    fn unsigned<T: TryFrom<i64>>(&self, column: &str) -> rusqlite::Result<T>;
    fn digest(&self, column: &str) -> rusqlite::Result<Digest>;
}

/// `from_wire` of a vocabulary.
pub(crate) type FromWire<T, E> = fn(&'static str, i32) -> Result<T, E>;

impl Columns for Row<'_> {
    fn at(&self, column: &str) -> rusqlite::Result<Timestamp> {
        self.at_or_none(column)?.ok_or_else(|| damaged(column, Type::Null))
    }

    fn at_or_none(&self, column: &str) -> rusqlite::Result<Option<Timestamp>> {
        let Some(at) = self.get::<_, Option<i64>>(column)? else { return Ok(None) };
        Timestamp::from_microsecond(at).map(Some).map_err(|_| damaged(column, Type::Integer))
    }

    fn moment(&self, column: &str) -> rusqlite::Result<Moment> {
        self.moment_or_none(column)?.ok_or_else(|| damaged(column, Type::Null))
    }

    fn moment_or_none(&self, column: &str) -> rusqlite::Result<Option<Moment>> {
        let Some(at) = self.get::<_, Option<i64>>(column)? else { return Ok(None) };
        let source: i64 = self.get(format!("{column}_src").as_str())?;
        let read = || {
            let clock = i32::try_from(source % CLOCKS).ok()?;
            Some(Moment {
                at: Timestamp::from_microsecond(at).ok()?,
                clock: SourceClock::from_wire("clock", clock).ok()?,
                uncertainty_s: u32::try_from(source / CLOCKS).ok()?,
            })
        };
        read().map(Some).ok_or_else(|| damaged(column, Type::Integer))
    }

    fn parsed<T: FromStr>(&self, column: &str) -> rusqlite::Result<T> {
        self.parsed_or_none(column)?.ok_or_else(|| damaged(column, Type::Null))
    }

    fn parsed_or_none<T: FromStr>(&self, column: &str) -> rusqlite::Result<Option<T>> {
        let Some(text) = self.get::<_, Option<String>>(column)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| damaged(column, Type::Text))
    }

    fn parsed_list<T: FromStr>(&self, column: &str) -> rusqlite::Result<Vec<T>> {
        let text: String = self.get(column)?;
        text.split_whitespace().map(|id| id.parse().map_err(|_| damaged(column, Type::Text))).collect()
    }

    fn word<T, E>(&self, column: &'static str, from: FromWire<T, E>) -> rusqlite::Result<T> {
        from(column, self.get(column)?).map_err(|_| damaged(column, Type::Integer))
    }

    fn unsigned<T: TryFrom<i64>>(&self, column: &str) -> rusqlite::Result<T> {
        T::try_from(self.get(column)?).map_err(|_| damaged(column, Type::Integer))
    }

    fn digest(&self, column: &str) -> rusqlite::Result<Digest> {
        Digest::try_from(&self.get::<_, Vec<u8>>(column)?[..]).map_err(|_| damaged(column, Type::Blob))
    }
}

fn damaged(column: &str, found: Type) -> rusqlite::Error {
    let text = format!("column {column} holds what was never written there");
    rusqlite::Error::FromSqlConversionFailure(0, found, text.into())
}
