//! One stream: messages in order, the last of each subject, the Msg-Ids of the window, and whether it takes anything now.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{DEDUPE_WINDOW, Refused};
use crate::exec::Us;

/// One stored message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    /// The broker's time.
    pub(crate) stored: Us,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Tells one stream of a name from the next.
    pub(crate) created: Us,
    pub(crate) bytes_max: usize,
    /// No leader until then: nothing is stored, read or delivered.
    pub(crate) leaderless_until: Us,
    /// Full until then: nothing is stored.
    pub(crate) full_until: Us,
    messages: Vec<Message>,
    /// Sequences that the broker does not hold any more, behind everybody's back.
    lost: BTreeSet<u64>,
    last: BTreeMap<String, u64>,
    /// Last sequences of whatever was stored as one: a message, or an atomic batch.
    wholes: Vec<u64>,
    known: BTreeMap<String, (u64, Us)>,
}

impl Stream {
    pub(super) fn new(created: Us, bytes_max: usize) -> Self {
        Self {
            created,
            bytes_max,
            leaderless_until: 0,
            full_until: 0,
            messages: Vec::new(),
            lost: BTreeSet::new(),
            last: BTreeMap::new(),
            wholes: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// Everything that was ever stored, as an archive has it: also what was lost.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What it holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Message> {
        self.from(1)
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Messages that it holds, from a sequence on.
    pub(crate) fn from(&self, sequence: u64) -> impl Iterator<Item = &Message> {
        let at = (sequence.max(1) as usize - 1).min(self.messages.len());
        self.messages[at..].iter().filter(|message| !self.lost.contains(&message.sequence))
    }

    pub(crate) fn at(&self, sequence: u64) -> Option<&Message> {
        let message = self.messages.get(sequence.checked_sub(1)? as usize)?;
        (!self.lost.contains(&sequence)).then_some(message)
    }

    /// A message is gone: its sequence stays empty.
    pub(super) fn lose(&mut self, sequence: u64) {
        self.lost.insert(sequence);
    }

    pub(crate) fn last_of(&self, subject: &str) -> Option<&Message> {
        self.at(*self.last.get(subject)?)
    }

    pub(super) fn takes(&self, payload: &Bytes, now: Us) -> Result<(), Refused> {
        match () {
            () if self.leaderless_until > now => Err(Refused::NoLeader),
            () if self.full_until > now => Err(Refused::Full),
            () if payload.len() > self.bytes_max => Err(Refused::TooLarge),
            () => Ok(()),
        }
    }

    pub(super) fn append(&mut self, subject: &str, payload: Bytes, now: Us) -> u64 {
        let sequence = self.last_sequence() + 1;
        self.messages.push(Message { sequence, subject: subject.to_owned(), payload, stored: now });
        self.last.insert(subject.to_owned(), sequence);
        sequence
    }

    /// What was appended last ends something whole.
    pub(super) fn is_whole_here(&mut self) {
        self.wholes.push(self.last_sequence());
    }

    /// Where it can be cut without a part of a batch staying behind.
    pub(crate) fn wholes(&self) -> &[u64] {
        &self.wholes
    }

    pub(super) fn duplicate_of(&self, id: &str, now: Us) -> Option<u64> {
        let (sequence, stored) = self.known.get(id)?;
        (now - stored < DEDUPE_WINDOW).then_some(*sequence)
    }

    pub(super) fn remember(&mut self, id: &str, sequence: u64, now: Us) {
        self.known.insert(id.to_owned(), (sequence, now));
    }
}
