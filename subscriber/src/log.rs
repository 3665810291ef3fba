//! The hand-over log: one JSON line per notice that is handed to the sink's stage, appended and synced after the store's
//! commit and before the receipt is published. Append-only, without any key: an independent audit reads it, so it must
//! be able to show what went wrong. No person data.
//!
//! A line is the act of handing over; sinks work from the store afterwards. A crash between the line and the store's
//! mark is mended at start: the log's own content says what it holds.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    crash_points,
    store::{Store, StoreError},
    verify::Verified,
};

/// One hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HandedOver {
    /// Its place in the store; not in the log.
    #[serde(skip)]
    pub seq: i64,
    /// When the line was made.
    pub at: Timestamp,
    /// Which notice.
    pub notice_id: String,
    /// The attempt that came first.
    pub attempt: u32,
    /// Its event.
    pub event_id: String,
    /// Its facility.
    pub ori: String,
    /// To whom.
    pub subscriber: String,
    /// Stands for the booking.
    pub custody_key: String,
    /// Of the custody.
    pub revision: u32,
    /// Where the release stands.
    pub release_state: String,
    /// Why.
    pub reason: String,
    /// A newer revision was there already: not actionable.
    pub superseded: bool,
    /// ACTUAL, EXERCISE, TEST.
    pub traffic: String,
    /// A replay of past records.
    pub backfill: bool,
    /// Observed by the jail's agent, on its clock.
    pub t2: Timestamp,
    /// Stored here.
    pub t6: Timestamp,
    /// The door.
    pub t10: Option<Timestamp>,
}

impl HandedOver {
    /// The line for a notice that was stored at `t6` as number `seq`.
    pub fn of(seq: i64, verified: &Verified, superseded: bool, t6: Timestamp) -> Self {
        let (notice, head) = (&verified.notice, &verified.head);
        Self {
            seq,
            at: t6,
            notice_id: notice.notice_id.to_string(),
            attempt: notice.attempt,
            event_id: head.event_id.to_string(),
            ori: head.ori.to_string(),
            subscriber: notice.subscriber().to_string(),
            custody_key: head.custody_key.to_string(),
            revision: head.revision,
            release_state: head.release_state.to_string(),
            reason: head.reason.to_string(),
            superseded,
            traffic: head.traffic.kind().to_string(),
            backfill: head.backfill,
            t2: head.t2_observed.at,
            t6,
            t10: head.t10_released.map(|moment| moment.at),
        }
    }
}

/// Why the log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The log.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A line could not be made.
    #[error("a line of the hand-over log")]
    Line(#[source] serde_json::Error),
    /// The store, while both were being brought together.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log of one subscriber, open for appending.
pub struct HandOverLog {
    file: File,
    path: PathBuf,
    bytes: u64,
}

/// What of a line says that it stands for a notice.
#[derive(Deserialize)]
struct Named {
    notice_id: String,
}

impl HandOverLog {
    /// Opens the log and brings it in line with the store: a torn last line is cut off, what the log has and the store
    /// did not mark is marked, what the store has and the log lacks is appended.
    pub fn open(path: &Path, store: &mut Store, now: Timestamp) -> Result<Self, LogError> {
        let failed = |what| move |source| LogError::File { what, path: path.to_owned(), source };
        let mut file =
            File::options().create(true).read(true).append(true).open(path).map_err(failed("open"))?;
        sync_folder_of(path).map_err(failed("sync the folder of"))?;
        let (marked, through) = store.log_mark()?;
        let length = file.metadata().map_err(failed("measure"))?.len();
        let from = if marked <= length { marked } else { 0 };
        if marked > length {
            tracing::error!(
                marked,
                length,
                "the hand-over log is shorter than it was: lines are missing, and they are not written a second time"
            );
        }
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from)).map_err(failed("read"))?;
        file.read_to_end(&mut tail).map_err(failed("read"))?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if whole < tail.len() {
            tracing::warn!(bytes = tail.len() - whole, "cut a torn line off the hand-over log");
            tail.truncate(whole);
            file.set_len(from + whole as u64).map_err(failed("shorten"))?;
            file.sync_all().map_err(failed("sync"))?;
        }
        let mut log = Self { file, path: path.to_owned(), bytes: from + whole as u64 };
        log.catch_up(&tail, store, through, now)?;
        Ok(log)
    }

    /// Appends the lines and syncs them; gives how far the log reaches then.
    pub fn append(&mut self, lines: &[HandedOver], now: Timestamp) -> Result<u64, LogError> {
        if lines.is_empty() {
            return Ok(self.bytes);
        }
        let mut text = Vec::new();
        for line in lines {
            for _ in 0..crash_points::times_handed_over(line.seq) {
                serde_json::to_writer(&mut text, &HandedOver { at: now, ..line.clone() })
                    .map_err(LogError::Line)?;
                text.push(b'\n');
            }
        }
        let failed = |what| {
            let path = self.path.clone();
            move |source| LogError::File { what, path, source }
        };
        self.file.write_all(&text).map_err(failed("append to"))?;
        self.file.sync_data().map_err(failed("sync"))?;
        self.bytes += text.len() as u64;
        Ok(self.bytes)
    }

    fn catch_up(
        &mut self,
        tail: &[u8],
        store: &mut Store,
        through: i64,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let unmarked = store.handed_over_after(through)?;
        let Some(last) = unmarked.last().map(|line| line.seq) else { return Ok(()) };
        let there: HashSet<String> = tail
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Named>(line).ok())
            .map(|line| line.notice_id)
            .collect();
        let missing: Vec<HandedOver> =
            unmarked.into_iter().filter(|line| !there.contains(&line.notice_id)).collect();
        if !missing.is_empty() {
            tracing::info!(lines = missing.len(), "hand-over log caught up with the store after a crash");
        }
        let bytes = self.append(&missing, now)?;
        Ok(store.mark_logged(bytes, last)?)
    }
}

/// A file's name is on disk only once its folder is synced.
pub(crate) fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}
