//! Takes one fact, as the agent's intake does: decide who may be told, compare with what was told, sign what is new, one
//! transaction, and only then the caller is told "stored". A repetition of the call finds what it came to before.

use std::collections::BTreeSet;

use bytes::Bytes;
use sallyport_agent_core::{
    custody::{Custody, FloorKind, ReleaseFact, custody_key},
    disclose::{self, RegistryGrants},
    outbox::{Row, Status, window::Lane},
    revise::{self, DraftKind, Fresh, Left},
};
use sallyport_proto::{
    disclosure::{Disclosure, Part},
    envelope::Digest,
    event::{ReleaseHead, seal_event},
    ids::EventId,
    redact::Redacted,
    subject,
    vocabulary::{Certainty, ReleaseState, SourceClock},
};

use super::{EPOCH, Jail, Kept, Record, Stated};
use crate::{
    broker::DELIVER_BYTES_MAX,
    chance::Chance,
    coverage::Recalled,
    exec::{S, Us},
    process::Life,
    story::Fact,
};

/// A twin comes before the event itself or after it.
const TWIN_LATER_MAX: Us = 2 * S;

pub(super) async fn take(jail: &Jail, life: &Life, number: usize, fact: &Fact) -> Vec<String> {
    let known = jail.store.borrow().taken.get(&number).cloned();
    let events = match known {
        Some(events) => events,
        None => {
            let (record, sealed) = record(jail, life, number, fact);
            jail.write(life, record, Some("agent.intake.before-commit")).await;
            sealed.into_iter().for_each(|event| twin(jail, life, event));
            jail.stored.notify_one();
            life.point("agent.intake.after-commit").await;
            jail.store.borrow().taken.get(&number).cloned().unwrap_or_default()
        }
    };
    events.iter().map(ToString::to_string).collect()
}

type Sealed = (ReleaseHead, Vec<Disclosure>);

fn record(jail: &Jail, life: &Life, number: usize, fact: &Fact) -> (Record, Vec<Sealed>) {
    let now = life.now();
    let booking = fact.booking();
    let key = custody_key(&jail.secret, &jail.ori, &booking);
    let custody = custody(fact, life);
    let grants = RegistryGrants { registry: &jail.registry, ori: &jail.ori };
    let input =
        disclose::Input { custody: &custody, ori: &jail.ori, secret: &jail.secret, grants: &grants, now };
    let decisions = disclose::decide(&input, &jail.allow);
    let mut memory = jail.store.borrow().memories.get(&booking).cloned().unwrap_or_default();
    let drafts = revise::plan(&revise::Input {
        custody_key: &key,
        custody: &custody,
        decisions: &decisions,
        memory: &memory,
        secret: &jail.secret,
        grants: &grants,
        now,
    });
    let mut chance = life.world().chance.borrow_mut();
    let (mut rows, mut sealed) = (Vec::new(), Vec::new());
    for draft in &drafts {
        let event_id = event_id(&mut chance, now.as_millisecond());
        let fresh = Fresh {
            event_id: event_id.clone(),
            salts: draft.recipients.iter().map(|_| chance.bytes()).collect(),
            epoch: EPOCH.into(),
            seq: (jail.store.borrow().rows.len() + rows.len()) as u64 + 1,
            now,
        };
        let (head, disclosures) = revise::assemble(draft, fresh, &jail.context).expect("a salt for each");
        sealed.push((head.clone(), disclosures.clone()));
        let ingest = seal_event(&jail.signer, head, disclosures);
        let row = Row::new(event_id.clone(), Digest::of(&ingest), now);
        // Every third booking comes as one of many, so that all lanes are used.
        let lane =
            if booking.bytes().map(usize::from).sum::<usize>() % 3 == 0 { Lane::Bulk } else { Lane::Live };
        let (booking, ingest) = (booking.clone(), ingest.into());
        let left = Left::of(draft, &event_id);
        rows.push(Kept { booking, stored: now, lane, row, left, ingest, sent: None, acked: None });
        memory.record(draft, &event_id);
    }
    drop(chance);
    if drafts.iter().any(|draft| draft.kind == DraftKind::Main) && was_refused(jail, &booking, fact) {
        life.world().coverage.borrow_mut().recalled(Recalled::ToldAgain);
    }
    (Record::Taken { number, booking, memory, rows }, sealed)
}

/// Whether the last thing stated of the custody was this same fact, and all that it came to was refused.
fn was_refused(jail: &Jail, booking: &str, fact: &Fact) -> bool {
    let stated = jail.stated.borrow();
    let last = stated.iter().rev().find(|stated| stated.fact.booking() == booking);
    let is_same = |last: &&Stated| (last.fact.state, last.fact.reason) == (fact.state, fact.reason);
    let Some(last) = last.filter(is_same) else { return false };
    let store = jail.store.borrow();
    let is_refused = |event: &String| {
        let row = store.rows.iter().find(|kept| kept.row.event_id.as_str() == event);
        row.is_some_and(|kept| matches!(kept.row.status, Status::Refused(_)))
    };
    !last.events.is_empty() && last.events.iter().all(is_refused)
}

/// Other bytes under the same event id, as an agent on a copy of the disk would send them.
fn twin(jail: &Jail, life: &Life, (mut head, disclosures): Sealed) {
    let world = &life.of.world;
    if !world.strikes("twin of an event", |weather| weather.twin) {
        return;
    }
    world.oddities.borrow_mut().twins.insert(head.event_id.to_string());
    head.seq += 1_000;
    let bytes = Bytes::from(seal_event(&jail.signer, head, disclosures));
    let subject = subject::ingest_release(&jail.jurisdiction, &jail.ori);
    let at = world.now() + world.chance.borrow_mut().below(TWIN_LATER_MAX);
    world.later(at, move |world| world.store_by_another(subject::INGEST, &subject, &bytes));
}

fn custody(fact: &Fact, life: &Life) -> Custody {
    let now = life.moment(SourceClock::Agent);
    let release = ReleaseFact {
        state: fact.state,
        reason: fact.reason,
        certainty: Certainty::Confirmed,
        t0: None,
        t1: None,
        t10: None,
        expected: None,
        transferred_to: None,
        inferred_uncertainty_s: 0,
        health: false,
    };
    let text = fact.too_large.then(|| Redacted::new("x".repeat(DELIVER_BYTES_MAX)));
    Custody {
        booking_number: Redacted::new(fact.booking()),
        observed: now,
        as_of: now.at,
        // A jail takes a release back by stating it as retracted.
        release: Some(release),
        floor: fact.sealed.then_some(FloorKind::Sealed),
        flags: BTreeSet::new(),
        part: Part {
            release_text: text.filter(|_| fact.state != ReleaseState::Retracted),
            ..Part::default()
        },
        disagreeing: false,
    }
}

/// A UUIDv7 of the agent's clock, with chance from the seed.
fn event_id(chance: &mut Chance, millisecond: i64) -> EventId {
    let millisecond = u64::try_from(millisecond).unwrap_or_default();
    EventId::from(uuid::Builder::from_unix_timestamp_millis(millisecond, &chance.bytes()).into_uuid())
}
