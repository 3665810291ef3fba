//! Reads facts back. Every connection here is read-only, so the command line may look while the relay writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use sallyport_proto::ids::{EventId, NoticeId, Ori, SubscriberId};
use sallyport_relay_core::ledger::{
    Stream,
    rows::{
        AcceptedRow, HeartbeatRow, IngestRow, NoticeRow, ParkedRow, ProgressRow, ReceiptRow, RefusedRow,
        RoutedRow,
    },
    view::NoticeFacts,
};

use super::{
    FILE, Position, Positions, SCHEMA_VERSION, StoreError, connect_to_read,
    rows::{
        accepted_row, control_row, ingest_row, notice_row, parked_row, progress_row, receipt_row,
        refused_row, routed_row,
    },
    schema_version,
    value::Columns,
};

/// The reader's side of the model.
#[derive(Debug)]
pub(crate) struct Loaded {
    connection: Connection,
}

/// The receipts of one notice.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) receipts: Vec<ReceiptRow>,
    /// By sequence, when the Progress was stored.
    pub(crate) passed_on: BTreeMap<u64, jiff::Timestamp>,
    /// Sequences of those that were parked.
    pub(crate) discredited: BTreeSet<u64>,
}

/// How rows of one kind are read.
#[cfg(test)]
type Mapper<T> = fn(&Row<'_>) -> rusqlite::Result<T>;

impl Loaded {
    /// The model of the node whose store this is.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_file(&dir.join(FILE))
    }

    pub(super) fn open_file(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing(path.parent().map(PathBuf::from).unwrap_or_default()));
        }
        let connection = connect_to_read(path)?;
        match schema_version(&connection)? {
            SCHEMA_VERSION => Ok(Self { connection }),
            found => Err(StoreError::OtherSchema { found, expected: SCHEMA_VERSION }),
        }
    }

    /// How far each stream is folded.
    pub(crate) fn positions(&self) -> Result<Positions, StoreError> {
        positions(&self.connection)
    }

    /// Whether it is known to hold everything of these streams at `now`.
    pub(crate) fn is_whole(&self, streams: &[Stream], now: jiff::Timestamp) -> Result<bool, StoreError> {
        let positions = self.positions()?;
        Ok(streams.iter().all(|stream| positions.get(stream).is_some_and(|position| position.is_whole(now))))
    }

    /// Which model this is: another number means that facts which were read before may be gone.
    pub(crate) fn made(&self) -> Result<i64, StoreError> {
        let query = || self.connection.query_row("SELECT made FROM model", [], |row| row.get(0));
        query().map_err(StoreError::sqlite("reading which model it is"))
    }

    /// Runs everything in `read` on one state of the model.
    pub(crate) fn at_one_time<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction =
            self.connection.unchecked_transaction().map_err(StoreError::sqlite("beginning to read"))?;
        let result = read(self);
        // Nothing was written: how it ends does not matter.
        drop(transaction);
        result
    }

    /// All rows of a query.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let query = || {
            self.connection
                .prepare_cached(sql)?
                .query_map(values, read)?
                .collect::<rusqlite::Result<Vec<T>>>()
        };
        query().map_err(StoreError::sqlite("reading"))
    }

    /// Everything that decides how one notice stands; none when DELIVER has not shown it.
    pub(crate) fn notice(&self, id: &NoticeId) -> Result<Option<NoticeFacts>, StoreError> {
        let (event, ori, subscriber) = (id.event(), id.ori(), id.subscriber());
        let key = params![event.as_str(), ori.as_str(), subscriber.as_str()];
        let attempts = self.rows(
            "SELECT * FROM notice WHERE event_id = ?1 AND ori = ?2 AND subscriber = ?3 ORDER BY attempt",
            key,
            notice_row,
        )?;
        let Some(first) = attempts.first() else { return Ok(None) };
        let Said { receipts, passed_on, discredited } = self.said_of(id)?;
        let passed_on = passed_on.into_keys().collect();
        let later_received = self.later_received(first)?;
        let decisions = self.rows(
            "SELECT * FROM control WHERE notice_id = ?1 ORDER BY sequence",
            params![id.as_str()],
            control_row,
        )?;
        Ok(Some(NoticeFacts { attempts, receipts, passed_on, discredited, later_received, decisions }))
    }

    /// The receipts that name a notice, by sequence, and what the relay made of each.
    pub(crate) fn said_of(&self, id: &NoticeId) -> Result<Said, StoreError> {
        let (event, ori, subscriber) = (id.event(), id.ori(), id.subscriber());
        let rows = self.rows(
            "SELECT r.*, p.stored AS passed_on,
                    EXISTS (SELECT 1 FROM parked WHERE origin = 'RECEIPTS' AND origin_sequence = r.sequence) AS parked
             FROM receipt r LEFT JOIN progress p ON p.receipts_sequence = r.sequence
             WHERE r.event_id = ?1 AND r.ori = ?2 AND r.named = ?3 ORDER BY r.sequence, r.item",
            params![event.as_str(), ori.as_str(), subscriber.as_str()],
            |row| Ok((receipt_row(row)?, row.at_or_none("passed_on")?, row.get::<_, bool>("parked")?)),
        )?;
        let mut said = Said::default();
        for (receipt, passed_on, parked) in rows {
            said.passed_on.extend(passed_on.map(|at| (receipt.sequence, at)));
            said.discredited.extend(parked.then_some(receipt.sequence));
            said.receipts.push(receipt);
        }
        Ok(said)
    }

    /// Attempts of notices routed since then (microseconds), those of one notice side by side and in order.
    pub(crate) fn notices_since(&self, since: i64) -> Result<Vec<NoticeRow>, StoreError> {
        let sql = "SELECT * FROM notice WHERE t5 >= ?1 ORDER BY event_id, ori, subscriber, attempt";
        self.rows(sql, params![since], notice_row)
    }

    /// The first receipt of a later revision of the same custody by the same subscriber.
    fn later_received(&self, notice: &NoticeRow) -> Result<Option<(jiff::Timestamp, u64)>, StoreError> {
        let (ori, subscriber) = (notice.notice_id.ori(), notice.notice_id.subscriber());
        let found = self.rows(
            "SELECT r.stored, r.sequence FROM notice n JOIN receipt r ON r.sequence = n.received AND r.item = 0
             WHERE n.custody_key = ?1 AND n.subscriber = ?2 AND n.ori = ?3 AND n.revision > ?4
             ORDER BY r.sequence LIMIT 1",
            params![notice.custody_key.as_str(), subscriber.as_str(), ori.as_str(), notice.revision],
            |row| Ok((row.at("stored")?, row.unsigned("sequence")?)),
        )?;
        Ok(found.into_iter().next())
    }

    /// Facilities that have an event of this id: it counts only together with one.
    pub(crate) fn facilities_of(&self, event: &EventId) -> Result<Vec<Ori>, StoreError> {
        self.rows(
            "SELECT ori FROM ingest WHERE event_id = ?1 UNION SELECT ori FROM routed WHERE event_id = ?1 ORDER BY ori",
            params![event.as_str()],
            |row| row.parsed("ori"),
        )
    }

    /// Every message on INGEST that claims to be this event.
    pub(crate) fn ingested(&self, ori: &Ori, event: &EventId) -> Result<Vec<IngestRow>, StoreError> {
        let sql = "SELECT * FROM ingest WHERE event_id = ?1 AND ori = ?2 ORDER BY sequence";
        self.rows(sql, params![event.as_str(), ori.as_str()], ingest_row)
    }

    /// The newest heartbeat of each epoch of each facility.
    pub(crate) fn heartbeats(&self) -> Result<Vec<HeartbeatRow>, StoreError> {
        self.rows("SELECT * FROM heartbeat ORDER BY ori, stored", [], super::rows::heartbeat_row)
    }

    /// How the event was routed.
    pub(crate) fn routed(&self, ori: &Ori, event: &EventId) -> Result<Option<RoutedRow>, StoreError> {
        let sql = "SELECT * FROM routed WHERE event_id = ?1 AND ori = ?2";
        Ok(self.rows(sql, params![event.as_str(), ori.as_str()], routed_row)?.into_iter().next())
    }

    /// Subscribers that have a notice of this event.
    pub(crate) fn addressed(&self, ori: &Ori, event: &EventId) -> Result<Vec<SubscriberId>, StoreError> {
        let sql =
            "SELECT DISTINCT subscriber FROM notice WHERE event_id = ?1 AND ori = ?2 ORDER BY subscriber";
        self.rows(sql, params![event.as_str(), ori.as_str()], |row| row.parsed("subscriber"))
    }

    /// Acceptances of this event.
    pub(crate) fn accepted(&self, ori: &Ori, event: &EventId) -> Result<Vec<AcceptedRow>, StoreError> {
        let sql = "SELECT * FROM accepted WHERE event_id = ?1 AND ori = ?2 ORDER BY sequence";
        self.rows(sql, params![event.as_str(), ori.as_str()], accepted_row)
    }

    /// Refusals of this event.
    pub(crate) fn refused(&self, ori: &Ori, event: &EventId) -> Result<Vec<RefusedRow>, StoreError> {
        let sql = "SELECT * FROM refused WHERE event_id = ?1 AND ori = ?2 ORDER BY sequence";
        self.rows(sql, params![event.as_str(), ori.as_str()], refused_row)
    }

    /// What went on to the jail of a receipt.
    pub(crate) fn progress(&self, receipts_sequence: u64) -> Result<Option<ProgressRow>, StoreError> {
        let sql = "SELECT * FROM progress WHERE receipts_sequence = ?1";
        let found = self.rows(sql, params![super::value::number(receipts_sequence)], progress_row)?;
        Ok(found.into_iter().next())
    }

    /// What was parked of a message.
    pub(crate) fn parked(&self, stream: Stream, sequence: u64) -> Result<Vec<ParkedRow>, StoreError> {
        let sql = "SELECT * FROM parked WHERE origin = ?1 AND origin_sequence = ?2 ORDER BY sequence";
        self.rows(sql, params![stream.name(), super::value::number(sequence)], parked_row)
    }

    /// Every fact: what tests compare with the model in memory.
    #[cfg(test)]
    pub(super) fn all<T>(&self, table: &str, read: Mapper<T>) -> Vec<T> {
        #![allow(clippy::unwrap_used)]
        self.rows(&format!("SELECT * FROM {table}"), [], read).unwrap()
    }
}

pub(super) fn positions(connection: &Connection) -> Result<Positions, StoreError> {
    let read = |row: &Row<'_>| {
        let name: String = row.get("stream")?;
        let time = |name| -> rusqlite::Result<_> {
            let at: Option<i64> = row.get(name)?;
            Ok(at.and_then(|at| jiff::Timestamp::from_microsecond(at).ok()))
        };
        let position = Position {
            created: row.get("created")?,
            sequence: row.unsigned("sequence")?,
            stored: time("stored")?,
            whole_at: time("whole_at")?,
        };
        Ok(Stream::named(&name).map(|stream| (stream, position)))
    };
    let query = || {
        connection
            .prepare("SELECT * FROM position")?
            .query_map([], read)?
            .collect::<rusqlite::Result<Vec<_>>>()
            .optional()
    };
    let rows = query().map_err(StoreError::sqlite("reading positions"))?;
    Ok(rows.unwrap_or_default().into_iter().flatten().collect())
}
