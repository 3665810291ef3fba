//! What the relay answers, as the agent takes it: live, and what was missed by catch-up. Verified, applied in one
//! transaction with the position it came from, known by digest when it comes again.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;
use sallyport_agent_core::{
    outbox::{Effect, Input, Resend, Row, Status},
    revise::{Left, Memory},
};
use sallyport_proto::{
    answer::{Answer, Body, RelayedReceipt, ResendRequest},
    envelope::Digest,
    ids::{EventId, NoticeId},
    limits::CATCHUP_PAGE_MAX,
    receipt::Receipt,
    subject,
};
use tokio::sync::mpsc;

use super::{EPOCH, Jail, Record, Store, publish::see};
use crate::{
    coverage::Recalled,
    exec::{S, Us},
    mutant::Mutant,
    process::Life,
};

/// A core subscription may lose an answer at any time: nothing is missed for longer than this.
const EVERY: Us = 60 * S;
/// When nobody served.
const RETRY: Us = 5 * S;

pub(super) async fn live(jail: Rc<Jail>, life: Life, mut answers: mpsc::Receiver<Bytes>) {
    while let Some(first) = answers.recv().await {
        let mut chunk = vec![first];
        while let Ok(more) = answers.try_recv() {
            chunk.push(more);
        }
        take(&jail, &life, chunk, None).await;
    }
}

/// At every start and connect, and every minute.
pub(super) async fn catch_up(jail: Rc<Jail>, life: Life) {
    loop {
        let done = all_pages(&jail, &life).await;
        let connected = life.of.connected.notified();
        futures_util::pin_mut!(connected);
        let wait = life.world().exec.sleep(if done { EVERY } else { RETRY });
        futures_util::future::select(connected, wait).await;
    }
}

async fn all_pages(jail: &Jail, life: &Life) -> bool {
    loop {
        let (sequence, created) = jail.store.borrow().position;
        let Some((answers, end, more)) = page(jail, life, sequence, created).await else { return false };
        take(jail, life, answers, Some(end)).await;
        if !more {
            return true;
        }
    }
}

type Page = (Vec<Bytes>, (u64, Us), bool);

/// One page, as any node serves it from the leader of ANSWERS.
async fn page(jail: &Jail, life: &Life, after: u64, created: Option<Us>) -> Option<Page> {
    if life.world().serving.borrow().is_empty() {
        return None;
    }
    let prefix = format!("hub.v1.answer.{}.{}.", jail.jurisdiction, jail.ori);
    let look = move |broker: &crate::broker::Broker| {
        let answers = broker.stream(subject::ANSWERS);
        // A jail that knows another stream of that name starts over.
        let after = if created == Some(answers.created) { after } else { 0 };
        let mine = answers.from(after + 1).filter(|message| message.subject.starts_with(&prefix));
        let page: Vec<_> = mine.take(CATCHUP_PAGE_MAX).cloned().collect();
        let more = page.len() == CATCHUP_PAGE_MAX;
        let sequence = page.last().map_or(after, |last| last.sequence);
        let bytes = page.into_iter().map(|message| message.payload).collect();
        (bytes, (sequence, answers.created), more)
    };
    life.ask(subject::ANSWERS, look).await
}

/// What some answers come to.
struct Applied {
    digests: Vec<Digest>,
    rows: Vec<(usize, Row)>,
    receipts: Vec<NoticeId>,
}

async fn take(jail: &Jail, life: &Life, answers: Vec<Bytes>, position: Option<(u64, Us)>) {
    let applied = apply(jail, life, &answers);
    let moved = position.is_some_and(|(s, c)| jail.store.borrow().position != (s, Some(c)));
    if applied.digests.is_empty() && !moved {
        return;
    }
    let memories = recalled(jail, life, &applied.rows);
    let closed: Vec<Row> = applied.rows.iter().map(|(_, row)| row.clone()).collect();
    let Applied { digests, rows, receipts } = applied;
    let record = Record::Answered { digests, rows, memories, receipts, position };
    jail.write(life, record, Some("agent.answer.before-store")).await;
    closed.iter().filter(|row| row.poll_deadline().is_none()).for_each(|row| jail.close(life, row));
    // An answer makes room for the next events.
    jail.stored.notify_one();
    life.point("agent.answer.after-store").await;
}

fn apply(jail: &Jail, life: &Life, answers: &[Bytes]) -> Applied {
    let store = jail.store.borrow();
    let mut applied = Applied { digests: Vec::new(), rows: Vec::new(), receipts: Vec::new() };
    let mut seen = BTreeSet::new();
    for bytes in answers {
        let digest = Digest::of(bytes);
        if store.answers.contains(&digest) || !seen.insert(digest) {
            continue;
        }
        let Ok(answer) = Answer::open(bytes, jail.registry.relay_keys()) else { continue };
        if answer.ori != jail.ori {
            continue;
        }
        applied.digests.push(digest);
        // A row as the answers before this one left it.
        let row_of = |n: usize, rows: &[(usize, Row)]| {
            let changed = rows.iter().rev().find(|(at, _)| *at == n).map(|(_, row)| row.clone());
            changed.unwrap_or_else(|| store.rows[n].row.clone())
        };
        match answer.body {
            Body::Acceptance(events) => {
                for event in events {
                    let Some(n) = store.by_event(&event.event_id) else { continue };
                    let mut row = row_of(n, &applied.rows);
                    see(life, &row, Input::Acceptance(&event));
                    if row.handle_acceptance(&event) == Effect::Closed {
                        applied.rows.push((n, row));
                    }
                }
            }
            Body::Refusal(refusal) => {
                // A twin's bytes are found by their event only: the row itself says that they are not its.
                let by_event = || refusal.event_id.as_ref().and_then(|event| store.by_event(event));
                let Some(n) = store.by_digest(&refusal.digest).or_else(by_event) else { continue };
                let mut row = row_of(n, &applied.rows);
                see(life, &row, Input::Refusal(&refusal));
                if row.handle_refusal(&refusal) == Effect::Closed {
                    applied.rows.push((n, row));
                }
            }
            Body::Progress(receipts) => {
                applied.receipts.extend(receipts.iter().flat_map(|relayed| credited(jail, relayed)));
            }
            Body::Resend(request) => {
                for n in numbered(&store, &request) {
                    let mut row = row_of(n, &applied.rows);
                    // The defect: what was accepted is taken for safe.
                    if row.status == Status::Accepted && life.world().is(Mutant::IgnoreResendOfAccepted) {
                        continue;
                    }
                    see(life, &row, Input::Resend);
                    if row.handle_resend(life.now()) != Resend::Refused {
                        applied.rows.push((n, row));
                    }
                }
            }
            Body::Request(_) => {}
        }
    }
    applied
}

/// The rows that a request to send again names; of another epoch, or a number that was never given: none.
fn numbered(store: &Store, request: &ResendRequest) -> Vec<usize> {
    let place = |seq: &u64| usize::try_from(seq.checked_sub(1)?).ok().filter(|n| *n < store.rows.len());
    if request.epoch == EPOCH { request.seqs.iter().filter_map(place).collect() } else { Vec::new() }
}

/// What is remembered of the custodies on whose events the relay's word changed, in the same transaction.
fn recalled(jail: &Jail, life: &Life, rows: &[(usize, Row)]) -> BTreeMap<String, Memory> {
    let store = jail.store.borrow();
    let mut stands: BTreeMap<usize, Row> = BTreeMap::new();
    let mut memories: BTreeMap<String, Memory> = BTreeMap::new();
    for (n, row) in rows {
        let (kept, stood) = (&store.rows[*n], stands.get(n).map_or(store.rows[*n].row.status, |r| r.status));
        stands.insert(*n, row.clone());
        let (was, is) = (matches!(stood, Status::Refused(_)), matches!(row.status, Status::Refused(_)));
        let forgotten = |mutant| life.world().is(mutant);
        if was == is
            || is && forgotten(Mutant::RefusedCountsAsTold)
            || was && forgotten(Mutant::AcceptedAfterRefusalIsForgotten)
        {
            continue;
        }
        let mut memory =
            memories.get(&kept.booking).or(store.memories.get(&kept.booking)).cloned().unwrap_or_default();
        let custody = store.rows.iter().enumerate().filter(|(_, other)| other.booking == kept.booking);
        let left: Vec<Left> =
            custody.map(|(m, other)| other.left(stands.get(&m).unwrap_or(&other.row))).collect();
        let before = memory.clone();
        memory.recall(&left);
        life.world().note(|| format!("{} recalls {} as {memory:?}", jail.ori, kept.booking));
        life.world().coverage.borrow_mut().recalled(match () {
            () if was => Recalled::AcceptedAfterAll,
            () if memory == before => Recalled::RefusedAndSaidAnew,
            () => Recalled::Refused,
        });
        memories.insert(kept.booking.clone(), memory);
    }
    memories
}

/// The notices of a receipt that are this jail's, by event and digest.
fn credited(jail: &Jail, relayed: &RelayedReceipt) -> Vec<NoticeId> {
    let Ok(claimed) = Receipt::claimed(&relayed.receipt) else { return Vec::new() };
    let Some(subscriber) = jail.registry.subscribers.get(&claimed.subscriber) else { return Vec::new() };
    let Ok(receipt) = Receipt::open(&relayed.receipt, &subscriber.signing_key) else { return Vec::new() };
    let store = jail.store.borrow();
    let ours = |event: &EventId, digest: &Digest| {
        store.by_event(event).is_some_and(|n| store.rows[n].row.digest == *digest)
    };
    let named = receipt.notices.into_iter();
    named.filter(|n| ours(&n.notice_id.event(), &n.event_digest)).map(|n| n.notice_id).collect()
}

impl Jail {
    /// A row was closed: the law looks whether it may be.
    pub(super) fn close(&self, life: &Life, row: &Row) {
        let world = life.world();
        world.note(|| format!("row {} closes: {:?}", row.event_id, row.status));
        if row.status == Status::Accepted {
            let broken = world.law.borrow().closed(self.ori.as_str(), row.event_id.as_str(), &row.digest);
            broken.into_iter().for_each(|what| world.found(what));
        }
    }
}
