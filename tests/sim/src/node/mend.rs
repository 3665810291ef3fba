//! Compares what the jails' heartbeats state with what INGEST and DELIVER hold, and asks for what is missing, as the
//! product's node does (`relay::mend`, docs/adr/0006): only by a model that is known to be whole, only what is missing for
//! longer than a grace time, and not what any node asked for a moment ago.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{
    answer::{Answer, Body, ResendRequest},
    envelope::Digest,
    ids::{Jurisdiction, Ori},
    limits::SEQS_PER_RESEND_MAX,
    operations::RangeDigest,
    subject::{self, AnswerKind},
};
use sallyport_relay_core::{
    dense::{Dense, Gap},
    ledger::{Model, Stream, rows::HeartbeatRow},
    missed::Missed,
};

use super::{Node, answer};
use crate::{
    broker::Broker,
    coverage::MendStep,
    exec::{S, Us},
    ground::JURISDICTION,
    mutant::Mutant,
    process::Life,
};

const LOOK_EVERY: Us = 15 * S;
/// What is missing for less than this may be on its way.
const GRACE: SignedDuration = SignedDuration::from_secs(120);
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(5 * 120);
/// What is compared must be known to be whole.
const NEEDED: [Stream; 4] = [Stream::Ingest, Stream::Deliver, Stream::Answers, Stream::Heartbeats];

/// One numbering of one facility.
type Key = (Ori, String);

pub(super) async fn run(node: Rc<Node>, life: Life) {
    let mut cases: BTreeMap<Key, Missed> = BTreeMap::new();
    loop {
        life.sleep(LOOK_EVERY).await;
        match compare(&node, &life) {
            Some(missing) => {
                life.world().note(|| format!("{} misses {missing:?}; {cases:?}", life.of.name));
                judge(&node, &life, missing, &mut cases).await;
            }
            None => see(&life, MendStep::NotWhole),
        }
    }
}

fn see(life: &Life, step: MendStep) {
    life.world().coverage.borrow_mut().mended(step);
}

/// What every numbering lacks; none while the model is not whole.
fn compare(node: &Node, life: &Life) -> Option<BTreeMap<Key, Vec<Gap>>> {
    let on_disk = node.read_model.borrow();
    let now = life.now();
    if !on_disk.is_whole(&NEEDED, now) && !life.world().is(Mutant::MendByAPartOfTheModel) {
        return None;
    }
    let model = &on_disk.model;
    let held = held(model);
    let unrouted = if life.world().is(Mutant::MendLooksAtNumbersOnly) {
        BTreeMap::new()
    } else {
        unrouted(model, now.saturating_sub(GRACE).unwrap_or(Timestamp::MIN))
    };
    let mut missing: BTreeMap<Key, Vec<Gap>> = unrouted;
    for (key, beat) in &model.heartbeats {
        let nothing = Dense::default();
        let held = held.get(key).unwrap_or(&nothing);
        missing.entry(key.clone()).or_default().extend(held.missing(1, beat.seq));
        if differs(model, beat) {
            life.world().found(format!("{} and INGEST do not agree on numbers that are held", key.0));
        }
    }
    Some(missing.into_iter().map(|(key, gaps)| (key, Gap::joined(gaps))).collect())
}

fn held(model: &Model) -> BTreeMap<Key, Dense> {
    let mut held: BTreeMap<Key, Dense> = BTreeMap::new();
    for row in model.ingest.values() {
        if let Some(event) = &row.event {
            held.entry((row.ori.clone(), event.epoch.clone())).or_default().insert(event.seq);
        }
    }
    held
}

/// Accepted, stored before then, and without a record on DELIVER.
fn unrouted(model: &Model, before: Timestamp) -> BTreeMap<Key, Vec<Gap>> {
    let mut unrouted: BTreeMap<Key, Vec<Gap>> = BTreeMap::new();
    for row in model.ingest.values().filter(|row| row.stored < before) {
        let Some(event) = &row.event else { continue };
        let id = (row.ori.clone(), event.event_id.clone());
        let accepted = model.accepted.contains_key(&(id.0.clone(), id.1.clone(), row.digest));
        if accepted && !model.routed.contains_key(&id) {
            let gap = Gap { first: event.seq, last: event.seq };
            unrouted.entry((row.ori.clone(), event.epoch.clone())).or_default().push(gap);
        }
    }
    unrouted
}

/// All numbers that a heartbeat states are held, and stand for something else.
fn differs(model: &Model, beat: &HeartbeatRow) -> bool {
    let Some(stated) = beat.range else { return false };
    let mut first: BTreeMap<u64, Digest> = BTreeMap::new();
    for row in model.ingest.values().filter(|row| row.ori == beat.ori) {
        let event = row.event.as_ref().filter(|event| event.epoch == beat.epoch);
        if let Some(event) = event.filter(|event| (stated.first..=beat.seq).contains(&event.seq)) {
            first.entry(event.seq).or_insert(row.digest);
        }
    }
    let all = first.len() as u64 == (beat.seq + 1).saturating_sub(stated.first);
    all && RangeDigest::of(stated.first, first.into_values()) != stated
}

async fn judge(
    node: &Node,
    life: &Life,
    missing: BTreeMap<Key, Vec<Gap>>,
    cases: &mut BTreeMap<Key, Missed>,
) {
    let now = life.now();
    let lacking: BTreeSet<&Key> =
        missing.iter().filter(|(_, gaps)| !gaps.is_empty()).map(|(k, _)| k).collect();
    cases.retain(|key, _| lacking.contains(key));
    for (key, gaps) in &missing {
        if gaps.is_empty() {
            see(life, MendStep::NothingMissing);
            continue;
        }
        let case = cases.entry(key.clone()).or_insert(Missed::new(now));
        if !case.is_overdue(now, GRACE) {
            see(life, MendStep::Waits);
            continue;
        }
        if case.may_ask(now, ASK_AGAIN)
            && let Some(asked) = ask(node, life, key, gaps, now).await
        {
            case.handle_asked(asked);
        }
    }
}

/// Asks the jail, unless some node did a moment ago; gives when it was asked, none when it could not be.
async fn ask(node: &Node, life: &Life, key: &Key, gaps: &[Gap], now: Timestamp) -> Option<Timestamp> {
    let to: (Jurisdiction, Ori) = (JURISDICTION.parse().expect("a jurisdiction"), key.0.clone());
    let at = subject::hub_answer(&to.0, &to.1, AnswerKind::Resend);
    let look = move |broker: &Broker| broker.stream(subject::ANSWERS).last_of(&at).cloned();
    let Some(last) = life.ask(subject::ANSWERS, look).await else {
        see(life, MendStep::CannotAsk);
        return None;
    };
    let registry = node.routing().registry.clone();
    let asked = last.and_then(|message| {
        let Body::Resend(request) = Answer::open(&message.payload, registry.relay_keys()).ok()?.body else {
            return None;
        };
        (request.epoch == key.1).then(|| life.world().time(message.stored))
    });
    if let Some(asked) = asked.filter(|asked| now.duration_since(*asked) < ASK_AGAIN) {
        see(life, MendStep::AskedAlready);
        return Some(asked);
    }
    let seqs: Vec<u64> = gaps.iter().flat_map(Gap::numbers).collect();
    life.world().note(|| format!("{} asks {} for {seqs:?}", life.of.name, key.0));
    let world = life.world();
    let broken = world.law.borrow().asked(&key.0, &seqs, &world.broker.borrow(), world.now());
    broken.into_iter().for_each(|what| world.found(what));
    for seqs in seqs.chunks(SEQS_PER_RESEND_MAX) {
        let request = ResendRequest { epoch: key.1.clone(), seqs: seqs.to_vec() };
        answer::send(node, life, &to, Body::Resend(request)).await;
    }
    see(life, MendStep::Asked);
    Some(now)
}
