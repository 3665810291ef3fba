//! Which notices wait for the sink, in order, and how far each one got. What a sink does with them: `hand_over`.

use jiff::Timestamp;
use rusqlite::params;

use super::{
    Store, StoreError, What, from_micros, meta, micros,
    outbox::{self, Saying},
    set_meta,
};

/// One round of the sink: bounded, so that a shutdown waits for one round at most.
const ROUND_MAX: usize = 64;

/// Where the store has since when the sink is down.
const BREAKER: &str = "sink_breaker_open_since_us";

/// How far a notice got on its way to the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkPlace {
    /// Not handed over, or begun and not known to be finished.
    Pending,
    /// Written beside its place in the folder: from here on it is there exactly once.
    Aside,
    /// Handed over.
    Done,
    /// Given up, and the sender was told.
    Failed,
    /// Stops before the sink.
    None,
}

impl SinkPlace {
    /// As the store has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Aside => "aside",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

/// A notice that waits for the sink.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its place in the store.
    pub seq: i64,
    /// For naming it.
    pub notice_id: String,
    /// The envelope, as it came.
    pub bytes: Vec<u8>,
    /// A newer revision of its custody is there by now.
    pub superseded: bool,
    /// It lies beside its place already.
    pub aside: bool,
    /// How often the sink was given it before.
    pub tries: u32,
}

impl Store {
    /// What waits and is due, in order (`rank`), at most a round. A notice waits for the earlier ones of its custody, and
    /// for no other.
    pub fn due(&self, now: Timestamp) -> Result<Vec<Due>, StoreError> {
        self.first_due(now, ROUND_MAX)
    }

    /// The same, at most so many.
    pub fn first_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let sql = "SELECT seq, notice_id, bytes, superseded, sink, tries FROM notice AS n INDEXED BY notice_by_rank \
                   WHERE sink IN ('pending', 'aside') AND next_try_us <= ?1 AND NOT EXISTS ( \
                     SELECT 1 FROM notice AS e INDEXED BY notice_of_custody WHERE e.sink IN ('pending', 'aside') AND e.next_try_us > ?1 \
                     AND e.seq < n.seq AND e.ori = n.ori AND e.custody_key = n.custody_key) \
                   ORDER BY rank, seq LIMIT ?2";
        let mut find = self.db.prepare_cached(sql).what("read what waits for the sink")?;
        let rows = find
            .query_map(params![micros(now), limit.min(ROUND_MAX) as i64], |row| {
                Ok(Due {
                    seq: row.get(0)?,
                    notice_id: row.get(1)?,
                    bytes: row.get(2)?,
                    superseded: row.get(3)?,
                    aside: row.get::<_, String>(4)? == SinkPlace::Aside.as_str(),
                    tries: row.get(5)?,
                })
            })
            .what("read what waits for the sink")?;
        rows.collect::<Result<_, _>>().what("read what waits for the sink")
    }

    /// When the next one that was put off becomes due.
    pub fn next_due(&self) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT min(next_try_us) FROM notice INDEXED BY notice_by_rank WHERE sink IN ('pending', 'aside')";
        let mut find = self.db.prepare_cached(sql).what("read what waits for the sink")?;
        find.query_row([], |row| row.get(0)).what("read what waits for the sink")
    }

    /// The sink is about to be given these: whatever happens then, the next time is a repetition.
    pub fn begun(&mut self, seqs: &[i64]) -> Result<(), StoreError> {
        let tx = self.begin()?;
        each(&tx, "UPDATE notice SET tries = tries + 1 WHERE seq = ?1", seqs)?;
        tx.commit().what("commit the begin of a hand-over")
    }

    /// These lie beside their places, synced: from here on the rename alone decides.
    pub fn laid_aside(&mut self, seqs: &[i64]) -> Result<(), StoreError> {
        let tx = self.begin()?;
        each(&tx, "UPDATE notice SET sink = 'aside', tries = tries + 1 WHERE seq = ?1", seqs)?;
        tx.commit().what("commit what lies aside")
    }

    /// These are handed over. Lost with a power cut it costs a repetition, or, for files, a look into the folder.
    pub fn handed_over(&mut self, seqs: &[i64]) -> Result<(), StoreError> {
        self.lazily(|tx| each(tx, "UPDATE notice SET sink = 'done' WHERE seq = ?1", seqs))
    }

    /// The application took it, and says so.
    pub fn staged(&mut self, saying: &Saying, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.begin()?;
        outbox::state(&tx, saying, now)?;
        each(&tx, "UPDATE notice SET sink = 'done', failed_receipt = NULL WHERE seq = ?1", &[saying.notice])?;
        tx.commit().what("commit a staged notice")
    }

    /// The application did not take it: again after `next`.
    pub fn put_off(&mut self, seq: i64, next: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE notice SET next_try_us = ?2 WHERE seq = ?1";
        self.lazily(|tx| tx.execute(sql, params![seq, micros(next)]).map(drop).what("put a notice off"))
    }

    /// The application did not take it, for the last time: the sender is told.
    pub fn given_up(&mut self, saying: &Saying, now: Timestamp) -> Result<(), StoreError> {
        let tx = self.begin()?;
        let receipt = outbox::state(&tx, saying, now)?;
        tx.execute(
            "UPDATE notice SET sink = 'failed', failed_receipt = ?2 WHERE seq = ?1",
            params![saying.notice, receipt],
        )
        .what("give a notice up")?;
        tx.commit().what("commit a notice given up")
    }

    /// Lets notices that were given up wait for the sink again: one by its id or its event's, or all. Gives their ids. A
    /// try is left counted, so that the application is told that it is not the first.
    pub fn put_back(&mut self, notice: Option<&str>) -> Result<Vec<String>, StoreError> {
        let sql = "UPDATE notice SET sink = 'pending', tries = 1, next_try_us = 0 \
                   WHERE sink = 'failed' AND (?1 IS NULL OR notice_id = ?1 OR event_id = ?1) RETURNING notice_id";
        let what = "put notices back before the sink";
        let tx = self.begin()?;
        let mut update = tx.prepare(sql).what(what)?;
        let rows = update.query_map([notice], |row| row.get(0)).what(what)?;
        let mut ids: Vec<String> = rows.collect::<Result<_, _>>().what(what)?;
        drop(update);
        tx.commit().what(what)?;
        ids.sort();
        Ok(ids)
    }

    /// The sink is down since then, and left alone but for one notice now and then; none: it is not. For whoever looks.
    pub fn set_breaker(&mut self, open_since: Option<Timestamp>) -> Result<(), StoreError> {
        self.lazily(|tx| set_meta(tx, BREAKER, open_since.map(micros)))
    }

    /// Since when the sink is known to be down.
    pub fn breaker_open_since(&self) -> Result<Option<Timestamp>, StoreError> {
        meta::<Option<i64>>(&self.db, BREAKER)?.flatten().map(from_micros).transpose()
    }

    /// How many wait, and since when the oldest.
    pub fn sink_backlog(&self) -> Result<(i64, Option<i64>), StoreError> {
        let sql = "SELECT count(*), min(t6_us) FROM notice INDEXED BY notice_by_rank WHERE sink IN ('pending', 'aside')";
        let mut find = self.db.prepare_cached(sql).what("count what waits for the sink")?;
        find.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).what("count what waits for the sink")
    }

    /// How many receipts the broker has not stored, and since when the oldest was made.
    pub fn outbox_backlog(&self) -> Result<(i64, Option<i64>), StoreError> {
        let sql = "SELECT count(*), min(made_us) FROM receipt INDEXED BY receipt_open \
                   WHERE stored_us IS NULL AND unstorable IS NULL";
        let mut find = self.db.prepare_cached(sql).what("count the outbox")?;
        find.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).what("count the outbox")
    }
}

fn each(tx: &rusqlite::Connection, sql: &str, seqs: &[i64]) -> Result<(), StoreError> {
    let what = "mark a notice for the sink";
    let mut mark = tx.prepare_cached(sql).what(what)?;
    seqs.iter().try_for_each(|seq| mark.execute([seq]).map(drop).what(what))
}
