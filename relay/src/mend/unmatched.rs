//! Records that other records prove and that their stream does not hold: notices that a `routed` record names, and receipts
//! that went on to a jail. A stream that was restored from an older copy never held them when it was folded, so that only
//! their counterparts tell. Each look reads only what is new.
//!
//! Nothing is asked for: an event whose `routed` record stands is not routed again, and a bridge is not asked for a
//! receipt; what went on to a jail lies on ANSWERS, with the receipt's own bytes.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_proto::ids::{EventId, Ori};
use sallyport_relay_core::{dense::Dense, ledger::Stream};

use crate::{
    metrics::{Metrics, of_stream},
    track::store::{
        Loaded, StoreError,
        value::{Columns, micros, number},
    },
};

/// Rows of one look: the rest comes with the next ones.
const ROWS_MAX: i64 = 50_000;
/// Events that are kept by name; how many more there are is a count.
const NAMED_MAX: usize = 1_000;
/// DELIVER keeps its records for 30 days, the others for longer.
const REACH: SignedDuration = SignedDuration::from_hours(28 * 24);
/// What is compared must be known to be whole.
const NEEDED: [Stream; 3] = [Stream::Deliver, Stream::Receipts, Stream::Answers];

/// What was compared so far.
#[derive(Debug, Default)]
pub(super) struct Unmatched {
    made: Option<i64>,
    /// The last `routed` record that was looked at.
    routed: u64,
    /// The last receipt on its way to a jail that was looked at.
    progressed: u64,
    /// Events with fewer notices than recipients.
    pub(super) events: Vec<(Ori, EventId)>,
    /// Notices that are not there.
    pub(super) notices: u64,
    /// Sequences on RECEIPTS.
    pub(super) receipts: Dense,
    alarmed: (u64, u64),
}

impl Unmatched {
    /// Looks at what is new, of records that are older than `grace`.
    pub(super) fn compare(
        &mut self,
        loaded: &Loaded,
        now: Timestamp,
        grace: SignedDuration,
    ) -> Result<(), StoreError> {
        if !loaded.is_whole(&NEEDED, now)? {
            return Ok(());
        }
        let made = loaded.made()?;
        if self.made != Some(made) {
            *self = Self { made: Some(made), alarmed: self.alarmed, ..Self::default() };
        }
        let before = micros(now.checked_sub(grace).unwrap_or(Timestamp::MIN));
        let after = micros(now.checked_sub(REACH).unwrap_or(Timestamp::MIN));
        let rows = loaded.rows(
            "SELECT r.sequence, r.ori, r.event_id, r.recipients, r.t5 > ?2 AS young,
                    (SELECT count(DISTINCT n.subscriber) FROM notice n
                     WHERE n.event_id = r.event_id AND n.ori = r.ori) AS told
             FROM routed r WHERE r.sequence > ?1 ORDER BY r.sequence LIMIT ?3",
            params![number(self.routed), after, ROWS_MAX],
            |row| {
                let recipients: String = row.get("recipients")?;
                let wanted = recipients.split_whitespace().count() as u64;
                let lacks = wanted.saturating_sub(row.unsigned("told")?);
                let lacks = if row.get("young")? { lacks } else { 0 };
                let event = (row.parsed::<Ori>("ori")?, row.parsed::<EventId>("event_id")?);
                Ok((row.unsigned::<u64>("sequence")?, event, lacks))
            },
        )?;
        for (sequence, event, lacks) in rows {
            self.routed = sequence;
            if lacks > 0 {
                self.notices += lacks;
                if self.events.len() < NAMED_MAX {
                    self.events.push(event);
                }
            }
        }
        let rows = loaded.rows(
            "SELECT receipts_sequence, stored > ?3 AND NOT EXISTS
               (SELECT 1 FROM receipt r WHERE r.sequence = p.receipts_sequence) AS lacks
             FROM progress p WHERE receipts_sequence > ?1 AND stored < ?2 ORDER BY receipts_sequence LIMIT ?4",
            params![number(self.progressed), before, after, ROWS_MAX],
            |row| Ok((row.unsigned::<u64>("receipts_sequence")?, row.get::<_, bool>("lacks")?)),
        )?;
        for (sequence, lacks) in rows {
            self.progressed = sequence;
            if lacks {
                self.receipts.insert(sequence);
            }
        }
        Ok(())
    }

    fn receipts_count(&self) -> u64 {
        self.receipts.ranges().map(|gap| gap.count()).sum()
    }

    /// Sets the gauges; alarms when there is more than before.
    pub(super) fn show(&mut self, metrics: &Metrics) {
        let now = (self.notices, self.receipts_count());
        for (stream, count) in [(Stream::Deliver, now.0), (Stream::Receipts, now.1)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.unmatched.get_or_create(&of_stream(stream.name())).set(count);
        }
        if now.0 > self.alarmed.0 {
            let named: Vec<String> = self
                .events
                .iter()
                .take(super::RANGES_NAMED_MAX)
                .map(|(ori, id)| format!("{ori}.{id}"))
                .collect();
            tracing::error!(
                notices = now.0,
                events = named.join(" "),
                "notices that routed records name are not on DELIVER"
            );
        }
        if now.1 > self.alarmed.1 {
            let gaps: Vec<_> = self.receipts.ranges().collect();
            tracing::error!(
                receipts = now.1,
                sequences = super::ranges(&gaps),
                "receipts that went on to jails are not on RECEIPTS: their bytes are on ANSWERS"
            );
        }
        self.alarmed = now;
    }
}
