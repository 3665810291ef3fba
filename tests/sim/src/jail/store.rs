//! What the agent keeps: a fold over the records of its disk. The rules are the outbox machine's and the memory's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use sallyport_agent_core::{
    outbox::{Row, Status, window::Lane},
    revise::{Left, Memory},
};
use sallyport_proto::{
    envelope::Digest,
    ids::{EventId, NoticeId},
};

use crate::{disk::Disk, exec::Us};

/// One transaction.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// A fact was taken: what it came to, and the memory after it.
    Taken { number: usize, booking: String, memory: Memory, rows: Vec<Kept> },
    /// An attempt was made.
    Sent { n: usize, row: Row, sent: i64, acked: Option<i64> },
    /// Answers were applied, what is remembered of a custody after them, and how far catch-up came with them.
    Answered {
        digests: Vec<Digest>,
        rows: Vec<(usize, Row)>,
        memories: BTreeMap<String, Memory>,
        receipts: Vec<NoticeId>,
        position: Option<(u64, Us)>,
    },
}

/// A row of the outbox with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) booking: String,
    pub(crate) stored: Timestamp,
    pub(crate) lane: Lane,
    pub(crate) row: Row,
    /// What it says and to whom, as the memory takes it.
    pub(crate) left: Left,
    pub(crate) ingest: Bytes,
    pub(crate) sent: Option<i64>,
    pub(crate) acked: Option<i64>,
}

impl Kept {
    /// As what is remembered goes by it, with the row standing so.
    pub(crate) fn left(&self, row: &Row) -> Left {
        Left { refused: matches!(row.status, Status::Refused(_)), ..self.left.clone() }
    }
}

/// The relay's word on a row changed: refused for good, or accepted after that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) n: usize,
    pub(crate) refused: bool,
    /// So many facts had been taken by then.
    pub(crate) before: usize,
}

/// Everything the agent knows.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) taken: BTreeMap<usize, Vec<EventId>>,
    pub(crate) memories: BTreeMap<String, Memory>,
    pub(crate) rows: Vec<Kept>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) answers: BTreeSet<Digest>,
    /// Notices that a credited receipt names.
    pub(crate) received: BTreeSet<NoticeId>,
    pub(crate) position: (u64, Option<Us>),
    /// Rows that are on their way to the broker; not kept.
    pub(crate) in_flight: BTreeSet<usize>,
    /// Rows that were sent as stated now; not kept.
    pub(crate) live: BTreeSet<usize>,
    /// When a row of a backlog was sent for the first time; not kept.
    pub(crate) first_sent: BTreeMap<usize, Us>,
}

impl Store {
    pub(crate) fn recover(disk: &mut Disk<Record>) -> Self {
        let mut store = Self::default();
        disk.recover().for_each(|record| store.apply(record));
        store
    }

    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Taken { number, booking, memory, rows } => {
                let events = rows.iter().map(|kept| kept.row.event_id.clone()).collect();
                self.taken.insert(*number, events);
                self.memories.insert(booking.clone(), memory.clone());
                self.rows.extend(rows.iter().cloned());
            }
            Record::Sent { n, row, sent, acked } => {
                let kept = &mut self.rows[*n];
                // Never closes a row, and never opens one that was closed while the PubAck was on its way.
                kept.row.attempt = kept.row.attempt.max(row.attempt);
                if kept.row.poll_deadline().is_some() && row.poll_deadline().is_some() {
                    kept.row.status = row.status;
                }
                kept.sent = Some(*sent);
                kept.acked = acked.or(kept.acked);
            }
            Record::Answered { digests, rows, memories, receipts, position } => {
                self.answers.extend(digests);
                for (n, row) in rows {
                    let is_refused = |status| matches!(status, Status::Refused(_));
                    let stood = std::mem::replace(&mut self.rows[*n].row.status, row.status);
                    if is_refused(stood) != is_refused(row.status) {
                        let (refused, before) = (is_refused(row.status), self.taken.len());
                        self.verdicts.push(Verdict { n: *n, refused, before });
                    }
                }
                self.memories.extend(memories.clone());
                self.received.extend(receipts.iter().cloned());
                if let Some((sequence, created)) = position {
                    self.position = (*sequence, Some(*created));
                }
            }
        }
    }

    pub(crate) fn by_event(&self, event: &EventId) -> Option<usize> {
        self.rows.iter().position(|kept| kept.row.event_id == *event)
    }

    pub(crate) fn by_digest(&self, digest: &Digest) -> Option<usize> {
        self.rows.iter().position(|kept| kept.row.digest == *digest)
    }

    pub(crate) fn open(&self) -> usize {
        self.rows.iter().filter(|kept| kept.row.poll_deadline().is_some()).count()
    }
}
