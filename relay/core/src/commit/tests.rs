//! What the machine does with what the broker says, against a small stream that is the truth.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sallyport_proto::{
    envelope::Digest,
    event::{ReleaseHead, UnverifiedEvent, VerifiedEvent, seal_event},
    ids::{EventId, InstanceId, Jurisdiction, NodeId, Ori},
    key::Signer,
    time::Moment,
    vocabulary::SourceClock,
};

use super::*;
use crate::{fixture, route::Routing};

mod lost;
mod ordinary;
mod property;

/// One message of INGEST, owned.
struct Message {
    from: (Jurisdiction, Ori),
    digest: Digest,
    t4: Moment,
    redelivered: bool,
    event: VerifiedEvent,
}

impl Message {
    fn arrival(&self) -> Arrival<'_> {
        Arrival {
            from: &self.from,
            digest: self.digest,
            t4_stored: self.t4,
            sequence: 1,
            redelivered: self.redelivered,
            event: &self.event,
        }
    }

    fn again(self) -> Self {
        Self { redelivered: true, ..self }
    }
}

fn message(n: u32, change: impl FnOnce(&mut ReleaseHead)) -> Message {
    let mut head = fixture::head(n);
    change(&mut head);
    let disclosure = fixture::disclosure(&head, "office");
    let jail = fixture::signer(5);
    let bytes = seal_event(&jail, head, vec![disclosure]);
    let event = UnverifiedEvent::read(&bytes).unwrap().verify(&jail.keyid().parse().unwrap()).unwrap();
    Message {
        from: ("zz".parse().unwrap(), "zz0010000".parse().unwrap()),
        digest: Digest::of(&bytes),
        t4: fixture::moment("2026-11-21T12:00:00Z", SourceClock::Broker),
        redelivered: false,
        event,
    }
}

fn plain(n: u32) -> Message {
    message(n, |_| {})
}

/// Event `n`, which supersedes event `before`.
fn after(n: u32, before: u32) -> Message {
    message(n, |head| {
        head.supersedes = Some(id(before));
        head.revision = 2;
    })
}

fn id(n: u32) -> EventId {
    fixture::uuid(n).parse().unwrap()
}

/// A node, and the stream that it writes to.
struct Bed {
    instance: InstanceId,
    node: NodeId,
    signer: Signer,
    routing: Routing,
    known: Known,
    /// What stands there: routed records by subject, notices by subject.
    stream: BTreeMap<String, usize>,
    committed: BTreeMap<Key, Arc<Accepted>>,
    batches: Vec<usize>,
    /// Records asked for, look by look.
    reads: Vec<usize>,
    /// Events that turned out to be committed no more.
    lost: usize,
    now: jiff::Timestamp,
    waited: Duration,
}

/// What the broker does with one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broker {
    Stores,
    StoresAndSaysNothing,
    SaysNothing,
    Refuses,
    IsFull,
    FindsItTooLarge,
}

impl Bed {
    fn new() -> Self {
        let now = "2026-11-21T12:00:01Z".parse().unwrap();
        let registry = fixture::registry().subscriber("office", &[fixture::subscription("all", "")]).parse();
        Self {
            instance: "zz-test".parse().unwrap(),
            node: "a".parse().unwrap(),
            signer: fixture::signer(1),
            routing: Routing::new(Arc::new(registry), now),
            known: Known::default(),
            stream: BTreeMap::new(),
            committed: BTreeMap::new(),
            batches: Vec::new(),
            reads: Vec::new(),
            lost: 0,
            now,
            waited: Duration::ZERO,
        }
    }

    /// Runs the machine to its end; `script` is used up batch by batch, then the broker stores.
    fn commit(&mut self, messages: &[Message], script: &[Broker]) -> (Vec<Verdict>, Vec<Transition>) {
        let Self {
            instance,
            node,
            signer,
            routing,
            known,
            stream,
            committed,
            batches,
            reads,
            lost,
            now,
            waited,
        } = self;
        let author = Author { instance, build: "test/0", node, signer };
        let arrivals = || messages.iter().map(Message::arrival);
        let ahead = Ahead::of(arrivals(), &author, routing, *now);
        let mut machine = Committing::new(known, arrivals(), ahead);
        let mut script = script.iter();
        for _ in 0..200 {
            match machine.next(&author, routing, *now) {
                Step::Done => {
                    let trail = machine.trail().to_vec();
                    *lost += machine.lost();
                    return (machine.verdicts(arrivals()), trail);
                }
                Step::Pause(time) => *waited += time,
                Step::Read(places) => {
                    reads.push(places.len());
                    let found = places.into_iter().map(|(key, _)| {
                        let found = committed.get(&key).cloned().map_or(Found::Absent, Found::There);
                        (key, found)
                    });
                    machine.handle_read(found.collect::<Vec<_>>());
                }
                Step::Commit(entries) => {
                    batches.push(entries.len());
                    let taken = entries.iter().any(|e| e.first_of_subject && stream.contains_key(&e.subject));
                    let says = *script.next().unwrap_or(&Broker::Stores);
                    if !taken && matches!(says, Broker::Stores | Broker::StoresAndSaysNothing) {
                        entries.iter().for_each(|e| *stream.entry(e.subject.clone()).or_default() += 1);
                        committed.extend(accepted_of(&entries, signer));
                    }
                    machine.handle_commit(match says {
                        _ if taken => Err(NotConfirmed::Taken),
                        Broker::Stores => Ok(()),
                        Broker::StoresAndSaysNothing | Broker::SaysNothing => Err(NotConfirmed::Unknown),
                        Broker::Refuses => Err(NotConfirmed::Refused),
                        Broker::IsFull => Err(NotConfirmed::Full),
                        Broker::FindsItTooLarge => Err(NotConfirmed::TooLarge),
                    });
                }
            }
        }
        panic!("no end");
    }

    /// What another node commits first.
    fn other_node(&mut self, messages: &[Message]) {
        let mine = std::mem::take(&mut self.known);
        self.commit(messages, &[]);
        self.known = mine;
    }

    /// Somebody makes DELIVER anew, empty.
    fn lose_deliver(&mut self) {
        self.stream.clear();
        self.committed.clear();
    }

    fn each_once(&self) {
        assert!(self.stream.values().all(|times| *times == 1), "{:?}", self.stream);
    }
}

fn accepted_of(entries: &[Entry], signer: &Signer) -> Vec<(Key, Arc<Accepted>)> {
    let key = signer.keyid().parse().unwrap();
    let routed = entries.iter().filter(|entry| entry.first_of_subject);
    routed
        .map(|entry| sallyport_proto::routed::Routed::open(&entry.payload, [&key]).unwrap())
        .map(|routed| ((routed.ori.clone(), routed.event_id.clone()), Arc::new(Accepted::from(routed))))
        .collect()
}

fn accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accepted(_))
}
