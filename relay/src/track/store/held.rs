//! Which messages of a stream were folded, as spans of sequences, so that a stream can be compared with them: a message
//! that was taken out of it leaves the number of those that it holds too small. What is lost is taken out of the model as
//! well, which is then another model: it says what the streams hold, as if it had been built again.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use sallyport_relay_core::{dense::Gap, ledger::Stream};

use super::{
    Loaded, StoreError, put,
    value::{Columns, micros, number},
};

/// Streams whose messages go only by their age. HEARTBEATS keeps the last of a subject, PARKED drops its oldest.
pub(crate) const COMPARED: [Stream; 3] = [Stream::Ingest, Stream::Deliver, Stream::Receipts];
/// Messages of one span at most: what is looked for around one sequence stays small.
const SPAN_MAX: u64 = 1_024;
/// A span lies within one hour: so exactly is known which messages may have gone by their age.
const HOUR_US: i64 = 3_600_000_000;

/// Sequences without a gap, stored within the same hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// When the first was stored, microseconds.
    pub(crate) since: i64,
}

impl Span {
    fn takes(&self, next: &Self) -> bool {
        self.last.checked_add(1) == Some(next.first)
            && self.since.div_euclid(HOUR_US) == next.since.div_euclid(HOUR_US)
            && next.last - self.first < SPAN_MAX
    }
}

/// What one transaction folds.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    spans: Vec<(Stream, Span)>,
    aged: Vec<(Stream, u64)>,
}

impl Folded {
    pub(crate) fn add(&mut self, stream: Stream, sequence: u64, stored: Timestamp) {
        if !COMPARED.contains(&stream) {
            return;
        }
        let next = Span { first: sequence, last: sequence, since: micros(stored) };
        match self.spans.iter_mut().rev().find(|(known, _)| *known == stream) {
            Some((_, span)) if span.takes(&next) => span.last = sequence,
            _ => self.spans.push((stream, next)),
        }
    }

    /// Messages up to there went by their age: they are not looked for any more.
    pub(crate) fn aged(&mut self, stream: Stream, through: u64) {
        self.aged.push((stream, through));
    }

    pub(super) fn put(&self, db: &Connection) -> rusqlite::Result<()> {
        self.spans.iter().try_for_each(|(stream, span)| put_span(db, *stream, span))?;
        self.aged.iter().try_for_each(|(stream, through)| {
            db.prepare_cached("DELETE FROM held WHERE stream = ?1 AND last <= ?2")?
                .execute(params![stream.name(), number(*through)])
                .map(drop)
        })
    }
}

fn put_span(db: &Connection, stream: Stream, span: &Span) -> rusqlite::Result<()> {
    let sql = "SELECT first, last, since FROM held WHERE stream = ?1 ORDER BY first DESC LIMIT 1";
    let before = db.prepare_cached(sql)?.query_map(params![stream.name()], read)?.next().transpose()?;
    match before {
        // Read again.
        Some(before) if span.last <= before.last => Ok(()),
        Some(before) if before.takes(span) => db
            .prepare_cached("UPDATE held SET last = ?3 WHERE stream = ?1 AND first = ?2")?
            .execute(params![stream.name(), number(before.first), number(span.last)])
            .map(|_| ()),
        Some(before) if span.first <= before.last => {
            insert(db, stream, &Span { first: before.last + 1, ..*span })
        }
        _ => insert(db, stream, span),
    }
}

fn insert(db: &Connection, stream: Stream, span: &Span) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO held VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        stream.name(),
        number(span.first),
        number(span.last),
        span.since
    ])?;
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Span> {
    Ok(Span { first: row.unsigned("first")?, last: row.unsigned("last")?, since: row.get("since")? })
}

/// Takes out of the model what its stream lost, and notes what that was.
pub(super) fn lose(db: &Connection, stream: Stream, gaps: &[Gap], at: Timestamp) -> rusqlite::Result<()> {
    for gap in gaps {
        db.prepare_cached("INSERT OR REPLACE INTO lost VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            stream.name(),
            number(gap.first),
            number(gap.last),
            micros(at)
        ])?;
        take_out(db, stream, gap)?;
        let ends = params![number(gap.first), number(gap.last)];
        match stream {
            Stream::Ingest => {
                db.prepare_cached(
                    "INSERT OR IGNORE INTO lost_number SELECT ori, epoch, seq, jurisdiction FROM ingest
                     WHERE sequence BETWEEN ?1 AND ?2 AND epoch IS NOT NULL",
                )?
                .execute(ends)?;
                db.prepare_cached("DELETE FROM ingest WHERE sequence BETWEEN ?1 AND ?2")?.execute(ends)?;
            }
            Stream::Receipts => {
                let named: Vec<(String, String, String)> = db
                    .prepare_cached(
                        "SELECT DISTINCT event_id, ori, named FROM receipt WHERE sequence BETWEEN ?1 AND ?2",
                    )?
                    .query_map(ends, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect::<rusqlite::Result<_>>()?;
                db.prepare_cached("DELETE FROM receipt WHERE sequence BETWEEN ?1 AND ?2")?.execute(ends)?;
                for (event, ori, named) in &named {
                    put::settle_named(db, event, ori, named)?;
                }
            }
            _ => {}
        }
        db.prepare_cached("DELETE FROM unreadable WHERE stream = ?1 AND sequence BETWEEN ?2 AND ?3")?
            .execute(params![stream.name(), number(gap.first), number(gap.last)])?;
    }
    if stream == Stream::Deliver {
        // Their keys are not sequences: one pass over each table, however many ranges are lost.
        for table in ["routed", "notice"] {
            let sql = format!(
                "DELETE FROM {table} WHERE (SELECT l.last FROM lost l WHERE l.stream = 'DELIVER'
                 AND l.first <= {table}.sequence ORDER BY l.first DESC LIMIT 1) >= {table}.sequence"
            );
            db.prepare_cached(&sql)?.execute([])?;
        }
    }
    db.execute("UPDATE model SET made = random()", []).map(|_| ())
}

/// Takes a gap out of the spans.
fn take_out(db: &Connection, stream: Stream, gap: &Gap) -> rusqlite::Result<()> {
    let touched: Vec<Span> = db
        .prepare_cached(
            "SELECT first, last, since FROM held WHERE stream = ?1 AND first > ?2 AND first <= ?3 AND last >= ?4",
        )?
        .query_map(
            params![
                stream.name(),
                number(gap.first) - number(SPAN_MAX),
                number(gap.last),
                number(gap.first)
            ],
            read,
        )?
        .collect::<rusqlite::Result<_>>()?;
    for span in touched {
        db.prepare_cached("DELETE FROM held WHERE stream = ?1 AND first = ?2")?
            .execute(params![stream.name(), number(span.first)])?;
        if span.first < gap.first {
            insert(db, stream, &Span { last: gap.first - 1, ..span })?;
        }
        if span.last > gap.last {
            insert(db, stream, &Span { first: gap.last + 1, ..span })?;
        }
    }
    Ok(())
}

impl Loaded {
    /// What was folded of a stream and not lost since.
    pub(crate) fn held(&self, stream: Stream) -> Result<Vec<Span>, StoreError> {
        let sql = "SELECT first, last, since FROM held WHERE stream = ?1 ORDER BY first";
        self.rows(sql, params![stream.name()], read)
    }

    /// How many messages a stream lost since the model was built.
    pub(crate) fn lost(&self, stream: Stream) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(last - first + 1), 0) AS lost FROM lost WHERE stream = ?1";
        let found = self.rows(sql, params![stream.name()], |row| row.unsigned("lost"))?;
        Ok(found.first().copied().unwrap_or_default())
    }
}
