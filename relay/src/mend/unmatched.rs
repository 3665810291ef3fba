//! Receipts that went on to a jail and that RECEIPTS does not hold: a stream that was restored from an older copy never held
//! them when it was folded, so that only their counterparts on ANSWERS tell. Each look reads only what is new.
//!
//! Nothing is asked for: a bridge is not asked for a receipt, and what went on to a jail lies on ANSWERS, with the receipt's
//! own bytes.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use sallyport_relay_core::{dense::Dense, ledger::Stream};

use crate::track::store::{
    Loaded, StoreError,
    value::{Columns, micros, number},
};

/// Rows of one look: the rest comes with the next ones.
const ROWS_MAX: i64 = 50_000;
/// Nothing is said of what is nearly as old as DELIVER keeps anything.
const REACH: SignedDuration = SignedDuration::from_hours(28 * 24);
/// What is compared must be known to be whole.
const NEEDED: [Stream; 2] = [Stream::Receipts, Stream::Answers];

/// What was compared so far.
#[derive(Debug, Default)]
pub(super) struct Unmatched {
    made: Option<i64>,
    /// The last receipt on its way to a jail that was looked at.
    progressed: u64,
    /// Sequences on RECEIPTS.
    pub(super) receipts: Dense,
    alarmed: u64,
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

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.receipts.ranges().map(|gap| gap.count()).sum()
    }

    /// Alarms when there are more than before.
    pub(super) fn alarm(&mut self) {
        let now = self.count();
        if now > self.alarmed {
            let gaps: Vec<_> = self.receipts.ranges().collect();
            tracing::error!(
                receipts = now,
                sequences = super::ranges(&gaps),
                "receipts that went on to jails are not on RECEIPTS: their bytes are on ANSWERS"
            );
        }
        self.alarmed = now;
    }
}
