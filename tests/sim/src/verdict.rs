//! Judges a run when everything is quiet again: each hand-over log against the reference model, each outbox, each
//! durable, each read model.

mod models;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use sallyport_agent_core::{outbox::Status, revise::DraftKind};
use sallyport_proto::{
    ids::NoticeId,
    subject,
    vocabulary::{RefusalCode, ReleaseState},
};

use crate::{
    agency::Agency,
    exec::{S, Us},
    jail::{self, Jail, Kept, Stated},
    node::Node,
    reference::{Saying, Verdict, sayings, wished},
    weather::STORM_ENDS,
    world::{LostNotice, World},
};

/// In fine weather nothing takes longer.
const FINE_WEATHER: Us = 5 * S;
/// Unless the custody has an event that is never routed: what follows it waits, and what follows that.
const BEHIND_TOO_LARGE: Us = 75 * S;

/// After the storm, or after it was stated if that is later, nothing takes longer: the longest wait of an outbox and of a
/// durable, and what one may wait for a predecessor.
const BY_WHEN: Us = 1_500 * S;

/// What a stream lost comes later: it must be missed for a while, the jail is asked, and perhaps once more.
const MENDED_BY: Us = 900 * S;

/// Who took part.
pub(crate) struct Parties {
    pub(crate) jails: Vec<Rc<Jail>>,
    pub(crate) nodes: Vec<Rc<Node>>,
    pub(crate) agencies: Vec<Rc<Agency>>,
}

/// Figures of one run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) events: u64,
    pub(crate) notices: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// Events that were refused for good and shown to a person.
    pub(crate) refused: u64,
    pub(crate) longest_stall: Us,
}

/// One line of a hand-over log, as far as it matters here.
struct Line {
    notice: String,
    event: String,
    custody: String,
    state: String,
    revision: u64,
    superseded: bool,
}

/// What is left to be done.
pub(crate) fn unfinished(world: &World, parties: &Parties) -> Vec<String> {
    let broker = world.broker.borrow();
    let jails =
        parties.jails.iter().filter(|jail| !jail.is_done()).map(|jail| {
            format!("{} has {} open rows or unstated facts", jail.ori, jail.store.borrow().open())
        });
    let durables = broker.durables.iter().filter_map(|(name, durable)| {
        let left = durable.unsettled(broker.stream(durable.stream));
        (left > 0).then(|| format!("durable {name} ends with {left} messages that are not settled"))
    });
    jails.chain(durables).chain(lost_events(world, parties)).collect()
}

/// What an outbox takes for safe stands on the INGEST and the DELIVER of now.
fn lost_events(world: &World, parties: &Parties) -> Vec<String> {
    let (law, broker) = (world.law.borrow(), world.broker.borrow());
    let ingest = broker.stream(subject::INGEST).held();
    let held: BTreeSet<&Bytes> = ingest.map(|message| &message.payload).collect();
    let is_lost = |jail: &Jail, kept: &Kept| {
        let (event, digest) = (kept.row.event_id.as_str(), &kept.row.digest);
        let is_held = held.contains(&kept.ingest) && law.is_on_deliver(jail.ori.as_str(), event, digest);
        kept.row.status == Status::Accepted && !is_held
    };
    let of = |jail: &Rc<Jail>| {
        let store = jail.store.borrow();
        let lost = store.rows.iter().filter(|kept| is_lost(jail, kept));
        let named = |kept: &Kept| {
            format!("event {} was accepted, and INGEST and DELIVER do not hold it", kept.row.event_id)
        };
        lost.map(named).collect::<Vec<_>>()
    };
    parties.jails.iter().flat_map(of).collect()
}

/// Judges everything; what is wrong goes to the world's findings.
pub(crate) fn judge(world: &World, parties: &Parties, versions: &BTreeSet<u64>, fine: bool) -> Figures {
    unfinished(world, parties).into_iter().for_each(|what| world.found(what));
    let logs: BTreeMap<&str, Vec<Line>> =
        parties.agencies.iter().map(|agency| (agency.me.as_str(), lines(agency))).collect();
    let mut figures = Figures::default();
    for (subscriber, log) in &logs {
        order(world, subscriber, log);
        duplicates(world, subscriber, log, &mut figures);
        figures.notices += log.len() as u64;
    }
    let missing = world.law.borrow().without_predecessor.clone();
    let lost = lost(world, &logs);
    let mut explained: BTreeSet<(&str, &str)> = BTreeSet::new();
    for jail in &parties.jails {
        told(world, jail, &logs, versions, (&missing, &lost), &mut explained, &mut figures);
        rows(world, jail, &mut figures);
        figures.events += jail.store.borrow().rows.len() as u64;
    }
    for (subscriber, log) in &logs {
        for line in log.iter().filter(|line| !explained.contains(&(subscriber, line.notice.as_str()))) {
            world
                .found(format!("{subscriber} was told {} {} without a right to it", line.notice, line.state));
        }
    }
    progress(world, parties, &logs);
    stalls(world, parties, fine, &mut figures);
    reaches(world, parties);
    models::judge(world, &parties.nodes);
    figures
}

fn lines(agency: &Agency) -> Vec<Line> {
    let text = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let read = |line: serde_json::Value| Line {
        notice: text(&line, "notice_id"),
        event: text(&line, "event_id"),
        custody: format!("{}/{}", text(&line, "ori"), text(&line, "custody_key")),
        state: text(&line, "release_state"),
        revision: line["revision"].as_u64().unwrap_or_default(),
        superseded: line["superseded"].as_bool().unwrap_or_default(),
    };
    agency.lines().into_iter().map(read).collect()
}

/// An older revision after a newer one says so; what says so has a newer one beside it.
fn order(world: &World, subscriber: &str, log: &[Line]) {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for line in log {
        let newest = newest.entry(&line.custody).or_default();
        if line.revision < *newest && !line.superseded {
            world.found(format!(
                "{subscriber}: revision {} came after {newest} and does not say so",
                line.revision
            ));
        }
        *newest = line.revision.max(*newest);
    }
    for line in log.iter().filter(|line| line.superseded && newest[&*line.custody] <= line.revision) {
        world.found(format!("{subscriber}: {} is said to be superseded and is the newest", line.notice));
    }
}

fn duplicates(world: &World, subscriber: &str, log: &[Line], figures: &mut Figures) {
    let mut seen = BTreeSet::new();
    for line in log.iter().filter(|line| !seen.insert(&line.notice)) {
        figures.duplicates += 1;
        world.found(format!("{subscriber}: {} was handed over twice", line.notice));
    }
}

/// Notices that the broker lost and nobody brought back: the very bridge misses each.
fn lost(world: &World, logs: &BTreeMap<&str, Vec<Line>>) -> BTreeSet<String> {
    let lost = world.lost.borrow();
    let came =
        |lost: &LostNotice| logs[lost.subscriber.as_str()].iter().any(|line| line.notice == lost.notice);
    lost.iter().filter(|lost| !came(lost)).map(|lost| lost.notice.clone()).collect()
}

/// Every bridge knows how many notices there are, and misses exactly what the broker lost.
fn reaches(world: &World, parties: &Parties) {
    let created = world.broker.borrow().stream(sallyport_proto::subject::DELIVER).created;
    for agency in &parties.agencies {
        let (says, expected) = (agency.reach(), agency.expected.borrow());
        expected.judge(&agency.me, &says).into_iter().for_each(|what| world.found(what));
        let given = world.law.borrow().given(created, agency.me.as_str());
        if says.silent || says.head_age_s.is_none() {
            world.found(format!("{}: the relay is silent by the bridge, and is not", agency.me));
        } else if says.rank != given {
            world.found(format!("{}: {} notices there are by the bridge, and {given}", agency.me, says.rank));
        }
        let mine = |lost: &&LostNotice| lost.subscriber == agency.me && lost.created == created;
        let must_miss: BTreeSet<u64> =
            world.lost.borrow().iter().filter(mine).map(|lost| lost.sequence).collect();
        let must_miss: BTreeSet<u64> =
            must_miss.into_iter().filter(|sequence| !expected.has(*sequence)).collect();
        if expected.missing() != must_miss {
            let missing = expected.missing();
            world.found(format!("{}: {must_miss:?} were lost, and {missing:?} are missed", agency.me));
        }
    }
}

fn told<'l>(
    world: &World,
    jail: &Jail,
    logs: &'l BTreeMap<&'l str, Vec<Line>>,
    versions: &BTreeSet<u64>,
    (missing, lost): (&BTreeSet<String>, &BTreeSet<String>),
    explained: &mut BTreeSet<(&'l str, &'l str)>,
    figures: &mut Figures,
) {
    let stated = jail.stated.borrow();
    let facts: Vec<_> = stated.iter().map(|stated| &stated.fact).collect();
    let of = |fact: usize, to: &str, state: ReleaseState| {
        let events = &stated[fact].events;
        let (subscriber, log) = logs.get_key_value(to).expect("an agency");
        let mine = move |line: &&Line| events.contains(&line.event) && line.state == state.as_str();
        log.iter().filter(mine).map(|line| (*subscriber, line.notice.as_str())).collect::<Vec<_>>()
    };
    // Where DELIVER was lost, an event may be routed anew by another registry, or without its predecessor: then whom the
    // first record named is gone with it, and what follows need not know of them.
    let told_anew = |fact: usize| {
        let custody = |other: &&Stated| other.fact.custody == stated[fact].fact.custody;
        let mut events = stated.iter().filter(custody).flat_map(|other| &other.events);
        world.oddities.borrow().a_stream_was_lost
            && (versions.len() > 1 || events.any(|event| missing.contains(event)))
    };
    for Saying { fact, to, state, follows, too_large } in sayings(&facts, &verdicts(jail, &stated)) {
        let got = of(fact, to, state);
        let (wished_by_all, wished_by_any) = wished(to, state, versions);
        let was_lost =
            |fact: usize, state| said(jail, &stated[fact], to, state).any(|id| lost.contains(id.as_str()));
        let followed =
            follows.is_some_and(|f| !of(f.fact, to, f.state).is_empty() || was_lost(f.fact, f.state));
        let must_follow = followed
            && !told_anew(fact)
            && follows.is_some_and(|f| f.surely)
            && !stated[fact].events.iter().any(|event| missing.contains(event));
        let refused = said(jail, &stated[fact], to, state).any(|id| is_refused(jail, id.event().as_str()));
        let must = !too_large && !refused && !was_lost(fact, state) && (wished_by_all || must_follow);
        if must && got.is_empty() {
            figures.lost += 1;
            let booking = stated[fact].fact.booking();
            world.found(format!("{to} was never told {state} of {booking}: {:?}", stated[fact].events));
        }
        if got.len() > 1 {
            figures.duplicates += 1;
            world.found(format!("{to} was told one fact twice: {got:?}"));
        }
        if !too_large && (wished_by_any || followed) {
            explained.extend(got);
        }
    }
}

/// The notices that say it, as the jail's rows have it.
fn said<'j>(
    jail: &'j Jail,
    stated: &'j Stated,
    to: &'j str,
    state: ReleaseState,
) -> impl Iterator<Item = NoticeId> + 'j {
    let says = move |kept: &Kept| {
        let events = stated.events.iter().any(|event| event == kept.row.event_id.as_str());
        events && kept.left.kind == DraftKind::of(state)
    };
    let store = jail.store.borrow();
    let named = store.rows.iter().filter(|kept| says(kept)).flat_map(|kept| {
        let subscribers = kept.left.told.keys().filter(|subscriber| subscriber.as_str() == to);
        subscribers
            .map(|subscriber| NoticeId::new(&jail.ori, &kept.row.event_id, subscriber))
            .collect::<Vec<_>>()
    });
    named.collect::<Vec<_>>().into_iter()
}

/// What the relay said of rows, and when, as the reference model takes it.
fn verdicts(jail: &Jail, stated: &[Stated]) -> Vec<Verdict> {
    let store = jail.store.borrow();
    let verdict = |verdict: &jail::Verdict| {
        let kept = &store.rows[verdict.n];
        let is_of = |stated: &Stated| stated.events.iter().any(|event| event == kept.row.event_id.as_str());
        let fact = stated.iter().position(is_of)?;
        let state = match kept.left.kind {
            DraftKind::Main => stated[fact].fact.state,
            DraftKind::Closed => ReleaseState::Closed,
            DraftKind::Retracted => ReleaseState::Retracted,
        };
        let to = kept.left.told.keys().map(ToString::to_string).collect();
        Some(Verdict { fact, state, to, refused: verdict.refused, before: verdict.before })
    };
    store.verdicts.iter().filter_map(verdict).collect()
}

fn is_refused(jail: &Jail, event: &str) -> bool {
    let store = jail.store.borrow();
    let refused =
        |kept: &Kept| kept.row.event_id.as_str() == event && matches!(kept.row.status, Status::Refused(_));
    store.rows.iter().any(refused)
}

/// Every row ends closed: accepted, or refused for a reason that was there.
fn rows(world: &World, jail: &Jail, figures: &mut Figures) {
    let store = jail.store.borrow();
    let stated = jail.stated.borrow();
    let oddities = world.oddities.borrow();
    for kept in &store.rows {
        let event = kept.row.event_id.to_string();
        let fact = stated.iter().find(|stated| stated.events.contains(&event));
        let Status::Refused(code) = kept.row.status else { continue };
        figures.refused += 1;
        let reason = match code {
            RefusalCode::TooLarge => fact.is_some_and(|stated| stated.fact.too_large),
            // A node's clock that is weeks ahead takes everything for too old. Nothing is lost: a person is shown it.
            RefusalCode::Expired => oddities.a_node_leapt_weeks,
            RefusalCode::Conflict => oddities.twins.contains(&event),
            _ => false,
        };
        if !reason {
            world.found(format!("event {event} was refused: {code}"));
        }
    }
}

/// Whatever a subscriber received, the jail knows of.
fn progress(world: &World, parties: &Parties, logs: &BTreeMap<&str, Vec<Line>>) {
    for line in logs.values().flatten() {
        let Ok(notice) = line.notice.parse::<NoticeId>() else { continue };
        // Its own bytes were refused: a receipt for the twin's is not its.
        if parties.jails.iter().any(|jail| is_refused(jail, &line.event)) {
            continue;
        }
        let known = parties.jails.iter().any(|jail| jail.store.borrow().received.contains(&notice));
        if !known {
            world.found(format!("the jail never heard that {notice} was received"));
        }
    }
}

fn stalls(world: &World, parties: &Parties, fine: bool, figures: &mut Figures) {
    let mut stated: BTreeMap<String, (Us, Us)> = BTreeMap::new();
    for jail in &parties.jails {
        let all = jail.stated.borrow();
        for one in all.iter() {
            let custody = |other: &&Stated| other.fact.custody == one.fact.custody;
            let behind = all.iter().filter(custody).any(|other| other.fact.too_large);
            let limit = if behind { BEHIND_TOO_LARGE } else { FINE_WEATHER };
            stated.extend(one.events.iter().map(|event| (event.clone(), (one.at, limit))));
        }
    }
    let by_when = if world.oddities.borrow().a_stream_was_lost { BY_WHEN + MENDED_BY } else { BY_WHEN };
    for agency in &parties.agencies {
        for (notice, at) in agency.handed_over.borrow().iter() {
            let Some(event) = notice.parse::<NoticeId>().ok().map(|id| id.event().to_string()) else {
                continue;
            };
            let Some((since, limit)) = stated.get(&event) else { continue };
            let stall = at.saturating_sub(*since);
            figures.longest_stall = figures.longest_stall.max(stall);
            if *at > STORM_ENDS.max(*since) + by_when {
                world.found(format!("{notice} came too late: {} s after it was stated", stall / S));
            }
            if fine && stall > *limit {
                world.found(format!("{notice} took {} ms in fine weather", stall / 1_000));
            }
        }
    }
}
