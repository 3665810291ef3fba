//! The simulated broker: streams, durables and atomic batches, as JetStream has them (docs/nats.md). State only: it does
//! at once what it is told, at the true time; what gets lost or delayed on the way to it is `net`'s, and which fault
//! strikes when is `weather`'s.

mod durable;
mod stream;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sallyport_proto::subject;

pub(crate) use durable::{Came, Delivered, Durable, Settled};
pub(crate) use stream::{Message, Stream};

use crate::exec::{MS, S, Us};

/// Largest message of DELIVER here: small, so that an event can be too large for it without being large.
pub(crate) const DELIVER_BYTES_MAX: usize = 8 * 1024;
/// The dedupe window of every stream.
pub(crate) const DEDUPE_WINDOW: Us = 120 * S;
/// ack_wait of the relay's durables.
const RELAY_ACK_WAIT: &[Us] = &[15 * S];
/// Backoff of a subscriber's durable; the first is its ack_wait.
const SUBSCRIBER_BACKOFF: &[Us] = &[10 * S, 30 * S, 60 * S, 120 * S, 300 * S, 600 * S];
/// An abandoned batch holds its place so long.
pub(crate) const BATCH_ABANDONED_AFTER: Us = 10 * S;
/// max_ack_pending of every durable.
const ACK_PENDING_MAX: usize = 256;

/// Why the broker did not store something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No leader: a 503.
    NoLeader,
    /// 10077.
    Full,
    /// 10054.
    TooLarge,
    /// 10071 or 10164.
    Taken,
    /// Any other code.
    Other,
}

/// One message of an atomic batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchEntry {
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
    /// Expected last subject sequence 0.
    pub(crate) first_of_subject: bool,
}

/// Everything the broker holds.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) streams: BTreeMap<&'static str, Stream>,
    pub(crate) durables: BTreeMap<String, Durable>,
    batches: BTreeMap<u64, Vec<String>>,
    batch_number: u64,
}

/// The name under which the relays' durable on a stream is found here.
pub(crate) fn relay_durable(stream: &str) -> String {
    format!("{}/{stream}", subject::RELAY_DURABLE)
}

impl Broker {
    /// What `provision` makes.
    pub(crate) fn provisioned<'s>(subscribers: impl Iterator<Item = &'s str>) -> Self {
        let names = [
            subject::INGEST,
            subject::DELIVER,
            subject::RECEIPTS,
            subject::ANSWERS,
            subject::CONTROL,
            subject::PARKED,
            subject::HEARTBEATS,
        ];
        let streams = names.map(|name| {
            let bytes_max = if name == subject::DELIVER { DELIVER_BYTES_MAX } else { usize::MAX };
            (name, Stream::new(0, bytes_max))
        });
        let mut durables = BTreeMap::new();
        for stream in [subject::INGEST, subject::RECEIPTS] {
            let durable = Durable::new(stream, String::new(), RELAY_ACK_WAIT, ACK_PENDING_MAX);
            durables.insert(relay_durable(stream), durable);
        }
        for subscriber in subscribers {
            let filter = format!("hub.v1.deliver.{subscriber}.");
            let durable = Durable::new(subject::DELIVER, filter, SUBSCRIBER_BACKOFF, ACK_PENDING_MAX);
            durables.insert(subscriber.to_owned(), durable);
        }
        Self { streams: streams.into(), durables, batches: BTreeMap::new(), batch_number: 0 }
    }

    pub(crate) fn stream(&self, name: &str) -> &Stream {
        &self.streams[name]
    }

    /// What stands at that sequence of the stream that a durable reads.
    pub(crate) fn payload_at(&self, durable: &str, sequence: u64) -> Option<Bytes> {
        self.stream(self.durables[durable].stream).at(sequence).map(|message| message.payload.clone())
    }

    /// Of a stream that exists: a wrong name is a fault of the simulation.
    pub(crate) fn stream_mut(&mut self, name: &str) -> &mut Stream {
        self.streams.get_mut(name).expect("a stream of ours")
    }

    pub(crate) fn durable_mut(&mut self, name: &str) -> &mut Durable {
        self.durables.get_mut(name).expect("a durable of ours")
    }

    /// Stores one message; a known Msg-Id inside the window is acked and stored nowhere.
    pub(crate) fn publish(
        &mut self,
        stream: &str,
        subject: &str,
        payload: Bytes,
        msg_id: Option<&str>,
        now: Us,
    ) -> Result<Stored, Refused> {
        let target = self.stream_mut(stream);
        target.takes(&payload, now)?;
        if let Some(known) = msg_id.and_then(|id| target.duplicate_of(id, now)) {
            return Ok(Stored { sequence: known, duplicate: true });
        }
        let sequence = target.append(subject, payload, now);
        target.is_whole_here();
        if let Some(id) = msg_id {
            target.remember(id, sequence, now);
        }
        Ok(Stored { sequence, duplicate: false })
    }

    /// Stores one message if `last` is still the last of its subject (0: there is none).
    pub(crate) fn publish_after(
        &mut self,
        stream: &str,
        subject: &str,
        payload: Bytes,
        last: u64,
        now: Us,
    ) -> Result<Stored, Refused> {
        let target = self.stream_mut(stream);
        target.takes(&payload, now)?;
        if target.last_of(subject).map_or(0, |message| message.sequence) != last {
            return Err(Refused::Taken);
        }
        let sequence = target.append(subject, payload, now);
        target.is_whole_here();
        Ok(Stored { sequence, duplicate: false })
    }

    /// A message is gone, and nobody is told.
    pub(crate) fn lose(&mut self, stream: &'static str, sequence: u64) {
        self.stream_mut(stream).lose(sequence);
        let reading = self.durables.values_mut().filter(|durable| durable.stream == stream);
        reading.for_each(|durable| durable.lose(sequence));
    }

    /// The messages of a batch are on their way: their subjects are in flight until it ends.
    pub(crate) fn batch_begins(&mut self, entries: &[BatchEntry]) -> u64 {
        self.batch_number += 1;
        let subjects = entries.iter().filter(|e| e.first_of_subject).map(|e| e.subject.clone()).collect();
        self.batches.insert(self.batch_number, subjects);
        self.batch_number
    }

    /// The last message of a batch came: all of it is stored, or nothing.
    pub(crate) fn batch_commits(
        &mut self,
        batch: u64,
        entries: &[BatchEntry],
        now: Us,
    ) -> Result<Vec<u64>, Refused> {
        // Unknown: it was abandoned for too long.
        let Some(mine) = self.batches.remove(&batch) else { return Err(Refused::Other) };
        let deliver = self.stream_mut(subject::DELIVER);
        for entry in entries {
            deliver.takes(&entry.payload, now)?;
            if entry.first_of_subject && deliver.last_of(&entry.subject).is_some() {
                return Err(Refused::Taken);
            }
        }
        // Another batch in flight, of which nobody knows yet how it ends: refused all the same (10164).
        if self.batches.values().flatten().any(|other| mine.contains(other)) {
            return Err(Refused::Taken);
        }
        let deliver = self.stream_mut(subject::DELIVER);
        let stored = entries.iter().map(|e| deliver.append(&e.subject, e.payload.clone(), now)).collect();
        deliver.is_whole_here();
        Ok(stored)
    }

    /// The batch was abandoned.
    pub(crate) fn batch_ends(&mut self, batch: u64) {
        self.batches.remove(&batch);
    }

    /// Serves one pull of a durable, if anything is there.
    pub(crate) fn serve(&mut self, durable: &str, batch: usize, now: Us) -> Vec<Delivered> {
        let durable = self.durables.get_mut(durable).expect("a durable of ours");
        let stream = &self.streams[durable.stream];
        if stream.leaderless_until > now {
            return Vec::new();
        }
        durable.serve(stream, batch, now)
    }

    /// When a pull that found nothing should be looked at again without anything new being stored.
    pub(crate) fn look_again(&self, durable: &str, now: Us) -> Option<Us> {
        let durable = &self.durables[durable];
        let leader = self.streams[durable.stream].leaderless_until;
        let due = durable.next_due()?.max(leader).max(now + MS);
        Some(due)
    }

    /// A stream is deleted and made again, with what an archive or an older copy has of it: its first `kept` messages. Its
    /// durables start over, and a batch on its way to it goes nowhere.
    pub(crate) fn make_again(&mut self, name: &'static str, kept: u64, now: Us) {
        let old = self.stream(name);
        let mut new = Stream::new(now, old.bytes_max);
        let wholes: BTreeSet<u64> = old.wholes().iter().copied().collect();
        for message in old.messages().iter().take(kept as usize) {
            new.append(&message.subject, message.payload.clone(), now);
            if wholes.contains(&message.sequence) {
                new.is_whole_here();
            }
        }
        self.streams.insert(name, new);
        if name == subject::DELIVER {
            self.batches.clear();
        }
        self.durables.values_mut().filter(|durable| durable.stream == name).for_each(Durable::reset);
    }
}

/// Where a message was stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) sequence: u64,
    /// It had been stored before.
    pub(crate) duplicate: bool,
}
