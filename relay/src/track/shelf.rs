//! Compares what each stream holds with what was folded of it, all the time: messages between the first and the last
//! sequence by the stream's own count, and what is before the first by its age. A message that is gone before its age is
//! named, alarmed, and taken out of the model; whatever that leaves without its counterpart is then missing, and `mend`
//! asks for it.
//!
//! A stream that was made anew, or that ends before what was folded, is the `reader`'s to see: then the model is built
//! again. What an older copy of a stream never held was never folded: that is `mend`'s to see.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::stream::Info;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_link::{clock, publish::chain};
use sallyport_relay_core::{dense::Gap, ledger::Stream};
use tokio::sync::mpsc;

use super::{
    Fold,
    reader::Rewound,
    store::{COMPARED, Loaded, Positions, Span, StoreError, value::micros},
    writer::ToWriter,
};
use crate::metrics::of_stream;

/// Three questions to the server each time.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What is so close to its age may have gone by it: an hour's span, and clocks.
const AGE_MARGIN: SignedDuration = SignedDuration::from_hours(2);
/// Deleted sequences that the server is asked to name: a megabyte of answer. Beyond, the model is built again.
const DELETED_NAMED_MAX: u64 = 100_000;
/// Ranges and notices that one alarm names.
const NAMED_MAX: usize = 20;
/// Lost messages among which those notices are looked for: records and further items stand between them.
const LOOKED_FOR: usize = 200;

/// One stream as its server describes it.
#[derive(Debug, Clone)]
struct Shelf {
    asked: Timestamp,
    created: String,
    first: u64,
    last: u64,
    messages: u64,
    deleted: u64,
    /// None: messages stay for ever.
    max_age: Option<SignedDuration>,
}

impl Shelf {
    fn of(info: &Info, asked: Timestamp) -> Self {
        let created = Timestamp::from_nanosecond(info.created.unix_timestamp_nanos()).unwrap_or_default();
        let max_age = SignedDuration::try_from(info.config.max_age).unwrap_or(SignedDuration::MAX);
        Self {
            asked,
            created: created.to_string(),
            first: info.state.first_sequence,
            last: info.state.last_sequence,
            messages: info.state.messages,
            deleted: info.state.deleted_count.unwrap_or_default(),
            max_age: (!max_age.is_zero()).then_some(max_age),
        }
    }

    /// What may have gone by its age, as that is now.
    fn is_old(&self, span: &Span) -> bool {
        self.max_age.is_some_and(|max_age| {
            let kept = max_age.saturating_sub(AGE_MARGIN);
            span.since <= micros(self.asked.checked_sub(kept).unwrap_or(Timestamp::MIN))
        })
    }

    /// From here on nothing can have gone by its age; the stream's own beginning at the latest.
    fn from(&self, spans: &[Span]) -> u64 {
        spans.iter().find(|span| !self.is_old(span)).map_or(self.first, |span| span.first.min(self.first))
    }

    /// Up to where everything has gone by its age: with a longer age later it must not be looked for.
    fn aged(&self, spans: &[Span]) -> Option<u64> {
        let gone = spans.iter().take_while(|span| self.is_old(span) && span.last < self.first);
        gone.last().map(|span| span.last)
    }

    /// How many messages it should hold.
    fn expected(&self, spans: &[Span]) -> u64 {
        within(spans, self.from(spans), self.last).map(|gap| gap.count()).sum()
    }

    /// What was folded and is gone: what is before its beginning and too young for that, and what is deleted.
    fn lost(&self, spans: &[Span], deleted: &[u64]) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = match self.first.checked_sub(1) {
            Some(before) => within(spans, self.from(spans), before).collect(),
            None => Vec::new(),
        };
        for &sequence in deleted {
            let at = spans.partition_point(|span| span.last < sequence);
            if spans.get(at).is_some_and(|span| span.first <= sequence) {
                gaps.push(Gap { first: sequence, last: sequence });
            }
        }
        Gap::joined(gaps)
    }

    /// Whether the model holds everything that the stream held when it was asked.
    fn is_folded(&self, positions: &Positions, stream: Stream) -> bool {
        positions.get(&stream).is_some_and(|position| {
            position.created == self.created
                && (position.sequence >= self.last || position.whole_at.is_some_and(|at| at >= self.asked))
        })
    }
}

/// The parts of spans from one sequence to another, both included.
fn within(spans: &[Span], from: u64, to: u64) -> impl Iterator<Item = Gap> {
    spans.iter().filter_map(move |span| {
        let (first, last) = (span.first.max(from), span.last.min(to));
        (first <= last).then_some(Gap { first, last })
    })
}

/// Compares until it is dropped, or until so much is gone that the model has to be built again.
pub(super) async fn run(fold: &Fold, mut loaded: Loaded, to_writer: mpsc::Sender<ToWriter>) -> Rewound {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut shelves: BTreeMap<Stream, Shelf> = BTreeMap::new();
    let mut more: BTreeMap<Stream, u64> = BTreeMap::new();
    loop {
        every.tick().await;
        for stream in COMPARED {
            // One that the model has not reached yet is compared at a later look: under load it never stands still.
            if !shelves.contains_key(&stream)
                && let Some(shelf) = ask(fold, stream).await
            {
                shelves.insert(stream, shelf);
            }
        }
        let asked = std::mem::take(&mut shelves);
        let job = tokio::task::spawn_blocking(move || {
            let seen = loaded.at_one_time(|loaded| Seen::of(loaded, asked));
            (loaded, seen)
        });
        let seen;
        match job.await {
            Ok(done) => (loaded, seen) = done,
            Err(panic) => {
                tracing::error!(%panic, "the comparison with the streams fell; it stands still");
                return std::future::pending().await;
            }
        }
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the read model cannot be compared with the streams");
                continue;
            }
        };
        shelves = seen.later;
        for (stream, through) in seen.aged {
            if to_writer.send(ToWriter::Aged(stream, through)).await.is_err() {
                return std::future::pending().await;
            }
        }
        for (stream, lost) in seen.lost {
            let lost = i64::try_from(lost).unwrap_or(i64::MAX);
            fold.metrics.lost.get_or_create(&of_stream(stream.name())).set(lost);
        }
        for (stream, shelf, spans) in seen.differ {
            let expected = shelf.expected(&spans);
            if shelf.messages > expected {
                let beyond = shelf.messages - expected;
                if more.insert(stream, beyond) != Some(beyond) {
                    tracing::error!(
                        stream = stream.name(),
                        messages = beyond,
                        "the stream holds messages that were never folded: delete the read model and restart this node"
                    );
                }
                continue;
            }
            let gaps = match gone(fold, stream, &shelf, &spans).await {
                Some(Ok(gaps)) if gaps.is_empty() => continue,
                Some(Ok(gaps)) => gaps,
                Some(Err(rewound)) => return rewound,
                None => continue,
            };
            alarm(stream, &gaps, &loaded);
            if to_writer.send(ToWriter::Lost(stream, gaps, clock::now())).await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// One state of the model beside the streams.
struct Seen {
    /// Not folded yet.
    later: BTreeMap<Stream, Shelf>,
    /// With another number of messages than was folded.
    differ: Vec<(Stream, Shelf, Vec<Span>)>,
    lost: Vec<(Stream, u64)>,
    /// Went by its age, up to there.
    aged: Vec<(Stream, u64)>,
}

impl Seen {
    fn of(loaded: &Loaded, asked: BTreeMap<Stream, Shelf>) -> Result<Self, StoreError> {
        let positions = loaded.positions()?;
        let mut seen =
            Self { later: BTreeMap::new(), differ: Vec::new(), lost: Vec::new(), aged: Vec::new() };
        for stream in COMPARED {
            seen.lost.push((stream, loaded.lost(stream)?));
        }
        for (stream, shelf) in asked {
            // Of another stream of that name: the reader sees that, and this look is of no use.
            if positions.get(&stream).is_some_and(|position| position.created != shelf.created) {
                continue;
            }
            if !shelf.is_folded(&positions, stream) {
                seen.later.insert(stream, shelf);
                continue;
            }
            let spans = loaded.held(stream)?;
            seen.aged.extend(shelf.aged(&spans).map(|through| (stream, through)));
            if shelf.expected(&spans) != shelf.messages {
                seen.differ.push((stream, shelf, spans));
            }
        }
        Ok(seen)
    }
}

async fn ask(fold: &Fold, stream: Stream) -> Option<Shelf> {
    let asked = clock::now();
    match fold.js.get_stream(stream.name()).await {
        Ok(bound) => Some(Shelf::of(bound.cached_info(), asked)),
        Err(error) => {
            tracing::debug!(stream = stream.name(), error = %chain(&error), "the stream does not answer");
            None
        }
    }
}

/// What exactly is gone, by a second answer of the server; none: not now.
async fn gone(
    fold: &Fold,
    stream: Stream,
    shelf: &Shelf,
    spans: &[Span],
) -> Option<Result<Vec<Gap>, Rewound>> {
    if shelf.deleted > DELETED_NAMED_MAX {
        let why = "more messages were taken out of it than can be named";
        tracing::error!(stream = stream.name(), deleted = shelf.deleted, why);
        return Some(Err(Rewound { stream, why }));
    }
    let asked = clock::now();
    let bound = fold.js.get_stream_no_info(stream.name()).await.ok()?;
    let answer = bound.info_builder().with_deleted(true).fetch().await;
    let info = match answer {
        Ok(answer) => answer.info,
        Err(error) => {
            tracing::warn!(stream = stream.name(), error = %chain(&error), "the stream does not say what is deleted");
            return None;
        }
    };
    let now = Shelf::of(&info, asked);
    if now.created != shelf.created {
        return None;
    }
    Some(Ok(now.lost(spans, info.state.deleted.as_deref().unwrap_or_default())))
}

fn alarm(stream: Stream, gaps: &[Gap], loaded: &Loaded) {
    let count: u64 = gaps.iter().map(Gap::count).sum();
    let named: Vec<String> = gaps.iter().take(NAMED_MAX).map(Gap::to_string).collect();
    let notices = notices(stream, gaps, loaded).unwrap_or_default();
    tracing::error!(
        stream = stream.name(),
        sequences = named.join(", "),
        more_ranges = gaps.len() - named.len(),
        count,
        notices = notices.join(" "),
        "messages are gone from the stream, and not by their age"
    );
}

/// The first notices that the lost messages are or name.
fn notices(stream: Stream, gaps: &[Gap], loaded: &Loaded) -> Result<Vec<String>, StoreError> {
    let sql = match stream {
        Stream::Deliver => {
            "SELECT ori || '.' || event_id || '.' || subscriber AS id FROM notice
             WHERE sequence IN (SELECT value FROM json_each(?1)) ORDER BY sequence LIMIT ?2"
        }
        Stream::Receipts => {
            "SELECT DISTINCT ori || '.' || event_id || '.' || named AS id FROM receipt
             WHERE sequence IN (SELECT value FROM json_each(?1)) ORDER BY sequence LIMIT ?2"
        }
        _ => return Ok(Vec::new()),
    };
    let first: Vec<u64> = gaps.iter().flat_map(Gap::numbers).take(LOOKED_FOR).collect();
    let first = serde_json::Value::from(first).to_string();
    loaded.rows(sql, params![first, NAMED_MAX as i64], |row| row.get("id"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const DAY_US: i64 = 24 * 3_600 * 1_000_000;

    fn shelf(first: u64, last: u64, messages: u64) -> Shelf {
        Shelf {
            asked: Timestamp::from_microsecond(100 * DAY_US).unwrap(),
            created: "x".into(),
            first,
            last,
            messages,
            deleted: 0,
            max_age: Some(SignedDuration::from_hours(30 * 24)),
        }
    }

    fn span(first: u64, last: u64, day: i64) -> Span {
        Span { first, last, since: day * DAY_US }
    }

    fn named(gaps: Vec<Gap>) -> Vec<String> {
        gaps.iter().map(Gap::to_string).collect()
    }

    #[test]
    fn a_stream_that_holds_what_was_folded_has_lost_nothing() {
        let spans = [span(1, 10, 20), span(11, 20, 90), span(22, 30, 95)];
        // 1-10 went by their age, 21 was gone before it was folded.
        let shelf = shelf(11, 30, 19);
        assert_eq!((shelf.expected(&spans), named(shelf.lost(&spans, &[21]))), (19, vec![]));
    }

    #[test]
    fn what_went_by_its_age_is_not_looked_for_with_a_longer_age() {
        let spans = [span(1, 10, 20), span(11, 20, 30), span(21, 30, 95)];
        assert_eq!(shelf(11, 30, 20).aged(&spans), Some(10));
        assert_eq!(shelf(1, 30, 30).aged(&spans), None, "it is there still");
        let for_ever = Shelf { max_age: None, ..shelf(11, 30, 20) };
        assert_eq!((for_ever.aged(&spans), for_ever.expected(&spans[1..])), (None, 20));
    }

    #[test]
    fn what_is_cut_off_before_its_age_and_what_is_deleted_within_is_named_exactly() {
        let spans = [span(1, 10, 20), span(11, 20, 90), span(21, 30, 95)];
        let shelf = shelf(16, 30, 13);
        assert_eq!(shelf.expected(&spans), 20);
        assert_eq!(named(shelf.lost(&spans, &[25, 26])), ["11-15", "25-26"]);
        let for_ever = Shelf { max_age: None, ..shelf };
        assert_eq!(named(for_ever.lost(&spans, &[])), ["1-15"], "without an age nothing goes by it");
    }

    #[test]
    fn a_stream_that_was_emptied_has_lost_everything_that_is_young() {
        let spans = [span(1, 10, 20), span(11, 30, 90)];
        let shelf = shelf(31, 30, 0);
        assert_eq!((shelf.expected(&spans), named(shelf.lost(&spans, &[]))), (20, vec!["11-30".to_owned()]));
    }
}
