//! One durable consumer: first deliveries in stream order, redeliveries when ack_wait or a nak's delay is over, at most
//! so many unsettled.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Stream;
use crate::exec::Us;

/// One message as a client gets it.
#[derive(Debug, Clone)]
pub(crate) struct Delivered {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    /// The broker's time of storing.
    pub(crate) stored: Us,
    /// From 1.
    pub(crate) deliveries: u32,
    /// Why it comes.
    pub(crate) came: Came,
}

/// Why a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Came {
    /// For the first time.
    New,
    /// ack_wait was over.
    AckWait,
    /// A nak's delay was over.
    Nak,
}

impl Came {
    pub(crate) const ALL: [Self; 3] = [Self::New, Self::AckWait, Self::Nak];
}

/// What an ack did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Settled {
    /// Settled.
    InTime,
    /// Settled, though it was delivered again meanwhile.
    Late,
    /// It was settled before, or the durable is another one.
    NotPending,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    deliveries: u32,
    due: Us,
    why: Came,
}

/// One durable.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) stream: &'static str,
    filter: String,
    backoff: &'static [Us],
    pending_max: usize,
    next: u64,
    pending: BTreeMap<u64, Pending>,
    settled: BTreeSet<u64>,
    /// Deliveries of each message over every life of the durable: what effects are accounted against.
    pub(crate) given: BTreeMap<u64, u32>,
}

impl Durable {
    pub(super) fn new(
        stream: &'static str,
        filter: String,
        backoff: &'static [Us],
        pending_max: usize,
    ) -> Self {
        Self {
            stream,
            filter,
            backoff,
            pending_max,
            next: 1,
            pending: BTreeMap::new(),
            settled: BTreeSet::new(),
            given: BTreeMap::new(),
        }
    }

    /// Deleted and made again: everything is delivered again, as if for the first time.
    pub(crate) fn reset(&mut self) {
        self.next = 1;
        self.pending.clear();
        self.settled.clear();
    }

    /// What a new leader does not know to be settled comes again: the last `count` acks.
    pub(crate) fn forget_acks(&mut self, count: usize, now: Us) -> usize {
        let last: Vec<u64> = self.settled.iter().rev().take(count).copied().collect();
        for sequence in &last {
            self.settled.remove(sequence);
            self.pending.insert(*sequence, Pending { deliveries: 1, due: now, why: Came::AckWait });
        }
        last.len()
    }

    pub(super) fn serve(&mut self, stream: &Stream, batch: usize, now: Us) -> Vec<Delivered> {
        let mut out = Vec::new();
        let due: Vec<u64> =
            self.pending.iter().filter(|(_, p)| p.due <= now).map(|(s, _)| *s).take(batch).collect();
        for sequence in due {
            let (deliveries, why) = match self.pending.get(&sequence) {
                Some(pending) => (pending.deliveries + 1, pending.why),
                None => continue,
            };
            out.extend(self.give(stream, sequence, deliveries, why, now));
        }
        while out.len() < batch
            && self.pending.len() < self.pending_max
            && self.next <= stream.last_sequence()
        {
            let sequence = self.next;
            self.next += 1;
            if stream.at(sequence).is_some_and(|message| message.subject.starts_with(&self.filter)) {
                out.extend(self.give(stream, sequence, 1, Came::New, now));
            }
        }
        out
    }

    fn give(
        &mut self,
        stream: &Stream,
        sequence: u64,
        deliveries: u32,
        came: Came,
        now: Us,
    ) -> Option<Delivered> {
        let wait = self.backoff[(deliveries as usize - 1).min(self.backoff.len() - 1)];
        self.pending.insert(sequence, Pending { deliveries, due: now + wait, why: Came::AckWait });
        *self.given.entry(sequence).or_default() += 1;
        let message = stream.at(sequence)?;
        Some(Delivered {
            sequence,
            subject: message.subject.clone(),
            payload: message.payload.clone(),
            stored: message.stored,
            deliveries,
            came,
        })
    }

    /// ack_wait seems over although nobody was slow: the next delivery comes at `due`.
    pub(crate) fn hurry(&mut self, sequence: u64, due: Us) {
        if let Some(pending) = self.pending.get_mut(&sequence) {
            pending.due = pending.due.min(due);
        }
    }

    pub(crate) fn ack(&mut self, sequence: u64, deliveries: u32) -> Settled {
        match self.pending.remove(&sequence) {
            None => Settled::NotPending,
            Some(pending) => {
                self.settled.insert(sequence);
                if pending.deliveries > deliveries { Settled::Late } else { Settled::InTime }
            }
        }
    }

    pub(crate) fn nak(&mut self, sequence: u64, due: Us) {
        if let Some(pending) = self.pending.get_mut(&sequence) {
            (pending.due, pending.why) = (due, Came::Nak);
        }
    }

    /// The stream does not hold it any more.
    pub(super) fn lose(&mut self, sequence: u64) {
        self.pending.remove(&sequence);
    }

    pub(crate) fn next_due(&self) -> Option<Us> {
        self.pending.values().map(|pending| pending.due).min()
    }

    /// Messages that are not settled, and those that were never delivered.
    pub(crate) fn unsettled(&self, stream: &Stream) -> usize {
        let new = stream.from(self.next).filter(|m| m.subject.starts_with(&self.filter)).count();
        self.pending.len() + new
    }
}
