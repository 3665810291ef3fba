//! The model in memory: what the read model on disk must equal, and what simulations ask.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_proto::{
    envelope::Digest,
    ids::{EventId, NoticeId, Ori, SubscriberId},
};

use super::{
    Change, Stream,
    rows::{
        AcceptedRow, ControlRow, HeartbeatRow, IngestRow, NoticeRow, ParkedRow, ProgressRow, ReceiptRow,
        RefusedRow, RoutedRow,
    },
    view::NoticeFacts,
};

/// All facts under their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// By sequence.
    pub ingest: BTreeMap<u64, IngestRow>,
    /// By facility and event.
    pub routed: BTreeMap<(Ori, EventId), RoutedRow>,
    /// By notice and attempt.
    pub notices: BTreeMap<(NoticeId, u32), NoticeRow>,
    /// By sequence and place in the receipt.
    pub receipts: BTreeMap<(u64, u32), ReceiptRow>,
    /// By facility, event and digest.
    pub accepted: BTreeMap<(Ori, EventId, Digest), AcceptedRow>,
    /// By sequence.
    pub refused: BTreeMap<u64, RefusedRow>,
    /// By the receipt's sequence on RECEIPTS.
    pub progress: BTreeMap<u64, ProgressRow>,
    /// By sequence.
    pub parked: BTreeMap<u64, ParkedRow>,
    /// By sequence.
    pub control: BTreeMap<u64, ControlRow>,
    /// By facility and epoch, the newest.
    pub heartbeats: BTreeMap<(Ori, String), HeartbeatRow>,
    /// What could not be read.
    pub unreadable: BTreeSet<(Stream, u64)>,
}

impl Model {
    /// Puts one fact under its key, unless an earlier record of its stream is there.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Ingest(row) => put(&mut self.ingest, row.sequence, row, |r| r.sequence),
            Change::Routed(row) => {
                put(&mut self.routed, (row.ori.clone(), row.event_id.clone()), row, |r| r.sequence);
            }
            Change::Notice(row) => {
                put(&mut self.notices, (row.notice_id.clone(), row.attempt), row, |r| r.sequence);
            }
            Change::Receipt(row) => {
                put(&mut self.receipts, (row.sequence, row.item), row, |r| r.sequence);
            }
            Change::Accepted(row) => {
                let key = (row.ori.clone(), row.event_id.clone(), row.digest);
                put(&mut self.accepted, key, row, |r| r.sequence);
            }
            Change::Refused(row) => put(&mut self.refused, row.sequence, row, |r| r.sequence),
            Change::Progress(row) => put(&mut self.progress, row.receipts_sequence, row, |r| r.sequence),
            Change::Parked(row) => put(&mut self.parked, row.sequence, row, |r| r.sequence),
            Change::Control(row) => put(&mut self.control, row.sequence, row, |r| r.sequence),
            Change::Heartbeat(row) => {
                let key = (row.ori.clone(), row.epoch.clone());
                match self.heartbeats.get(&key) {
                    Some(known) if known.sequence >= row.sequence => {}
                    _ => {
                        self.heartbeats.insert(key, row);
                    }
                }
            }
            Change::Unreadable { stream, sequence } => {
                self.unreadable.insert((stream, sequence));
            }
        }
    }

    /// How many notices DELIVER was given for a subscriber behind one sequence and not behind another. One that was lost and
    /// put back stands behind its `routed` record, and was counted where it stood first.
    pub fn given(&self, subscriber: &SubscriberId, after: u64, through: u64) -> u64 {
        let theirs = self.notices.values().filter(|row| row.notice_id.subscriber() == *subscriber);
        let within = theirs.filter(|row| row.sequence > after && row.sequence <= through);
        within.filter(|row| row.attempt > 0 || !self.is_put_back(row)).count() as u64
    }

    fn is_put_back(&self, row: &NoticeRow) -> bool {
        let key = (row.notice_id.ori(), row.notice_id.event());
        self.routed.get(&key).is_some_and(|routed| routed.sequence < row.sequence)
    }

    /// Everything that decides how one notice stands; none when DELIVER has not shown it.
    pub fn notice(&self, id: &NoticeId) -> Option<NoticeFacts> {
        let attempts: Vec<NoticeRow> = self.attempts(id).cloned().collect();
        let first = attempts.first()?;
        let later_received = self
            .notices
            .values()
            .filter(|other| first.is_followed_by(other))
            .flat_map(|later| self.receipts_of(later).map(|receipt| receipt.sequence))
            .min()
            .and_then(|sequence| self.receipts.range((sequence, 0)..).next())
            .map(|(_, receipt)| receipt.clone());
        let discredited = self.discredited();
        let named = || self.receipts.values().filter(|r| r.notice_id == *id).map(|receipt| receipt.sequence);
        Some(NoticeFacts {
            receipts: self.receipts.values().filter(|r| r.notice_id == *id).cloned().collect(),
            passed_on: named().filter(|sequence| self.progress.contains_key(sequence)).collect(),
            discredited: named().filter(|sequence| discredited.contains(sequence)).collect(),
            decisions: self
                .control
                .values()
                .filter(|row| row.notice_id.as_ref() == Some(id))
                .cloned()
                .collect(),
            later_received: later_received.map(|receipt| (receipt.stored, receipt.sequence)),
            attempts,
        })
    }

    fn attempts(&self, id: &NoticeId) -> impl Iterator<Item = &NoticeRow> {
        self.notices.range((id.clone(), 0)..=(id.clone(), u32::MAX)).map(|(_, row)| row)
    }

    /// Receipts by which an attempt counts as received.
    fn receipts_of(&self, notice: &NoticeRow) -> impl Iterator<Item = &ReceiptRow> {
        let discredited = self.discredited();
        self.receipts.values().filter(move |receipt| {
            receipt.receives(notice)
                && self.progress.contains_key(&receipt.sequence)
                && !discredited.contains(&receipt.sequence)
        })
    }

    fn discredited(&self) -> BTreeSet<u64> {
        self.parked
            .values()
            .filter_map(|row| match row.origin {
                Some((Stream::Receipts, sequence)) => Some(sequence),
                _ => None,
            })
            .collect()
    }
}

/// Under one key the record with the lowest sequence wins, whichever came first.
fn put<K: Ord, R>(rows: &mut BTreeMap<K, R>, key: K, row: R, sequence: impl Fn(&R) -> u64) {
    match rows.get(&key) {
        Some(known) if sequence(known) <= sequence(&row) => {}
        _ => {
            rows.insert(key, row);
        }
    }
}
