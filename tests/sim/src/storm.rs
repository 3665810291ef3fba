//! The timed faults of one run: programs die, streams lose their leader, fill up, are made again; durables are deleted
//! and made again or forget acks; links are cut; clocks drift, jump and leap. Drawn before the run, each at its time. At
//! the end of the storm everything is mended.

use std::rc::Rc;

use prost::Message as _;
use sallyport_proto::{
    envelope::{PayloadType, Unverified},
    operations::SubscriberHead,
    subject, wire,
};
use sallyport_relay_core::ledger::Stream;

use crate::{
    agency::Agency,
    exec::{MS, S, Us},
    node::Node,
    process::Process,
    weather::{STORM_ENDS, Timed, Weather},
    world::{LostNotice, World, in_words},
};

/// A leader change takes up to so long.
const LEADERLESS_MAX: Us = 9 * S;
const FULL_MAX: Us = 40 * S;
const CUT_MAX: Us = 60 * S;
/// Longer than what is missing may be on its way.
const STUCK_MAX: Us = 300 * S;
const STUCK_UNSEEN: Us = 29 * S;
/// Over half of the time between two heads.
const AHEAD_FOR_A_HEAD: i64 = 40 * S as i64;
/// A model is found whole every two seconds.
const WHOLE_BY_IT: Us = 5 * S;
/// Skew that nobody notices.
const SKEW_MAX: u64 = 2 * S;
/// A jump, either way.
const JUMP_MAX: u64 = 300 * S;
/// A leap into the future. Under the 28 days after which a relay takes what is fresh for too old.
const LEAP_MAX: u64 = 5 * 24 * 3_600 * S;
/// A leap over them, of a node only.
const LEAP_OF_WEEKS: Us = 40 * 24 * 3_600 * S;
/// So many times it is tried to have a notice lost.
const LOSSES_TRIED: usize = 2;
/// The agency that loses one is away for three heads.
const AWAY_FOR_A_LOSS: Us = 190 * S;
/// Streams that a program may find without a leader, or full.
const STREAMS: [&str; 4] = [subject::INGEST, subject::DELIVER, subject::RECEIPTS, subject::ANSWERS];

/// Who is struck.
pub(crate) struct Cast {
    pub(crate) processes: Vec<Rc<Process>>,
    pub(crate) nodes: Vec<Rc<Node>>,
    pub(crate) agencies: Vec<Rc<Agency>>,
}

/// Draws every timed fault of the run.
pub(crate) fn brew(world: &Rc<World>, cast: &Rc<Cast>) {
    let Timed {
        kills,
        leader_losses,
        full_streams,
        consumer_resets,
        forgotten_acks,
        streams_made_again,
        streams_lost,
        stuck_readers,
        link_cuts,
        clock_changes,
    } = world.weather.borrow().timed.clone();
    let at_times = |count: u64, act: fn(&Rc<World>, &Cast)| {
        for _ in 0..count {
            let at = world.chance.borrow_mut().below(STORM_ENDS);
            let cast = cast.clone();
            world.later(at, move |world| act(world, &cast));
        }
    };
    at_times(kills, kill);
    at_times(leader_losses, lose_leader);
    at_times(full_streams, fill_up);
    at_times(consumer_resets, reset_consumer);
    at_times(forgotten_acks, forget_acks);
    at_times(streams_made_again, make_again);
    at_times(streams_lost, lose_streams);
    at_times(stuck_readers, get_stuck);
    at_times(link_cuts, cut_link);
    at_times(clock_changes, change_clock);
    if world.weather.borrow().notice_lost {
        for _ in 0..LOSSES_TRIED {
            let at = world.chance.borrow_mut().below(STORM_ENDS - AWAY_FOR_A_LOSS);
            let cast = cast.clone();
            world.later(at, move |world| cut_off_and_lose(world, &cast));
        }
    }
    let mixed = world.weather.borrow().mixed_registries;
    for node in cast.nodes.clone() {
        // A roll-out reaches each node at its own time.
        let at = if mixed { world.chance.borrow_mut().below(STORM_ENDS / 2) } else { 0 };
        world.later(at, move |world| {
            *node.routing.borrow_mut() = world.routings[&crate::ground::NEW].clone();
        });
    }
    let cast = cast.clone();
    world.later(STORM_ENDS, move |world| clear_up(world, &cast));
}

fn any<'a>(world: &World, cast: &'a Cast) -> &'a Rc<Process> {
    world.chance.borrow_mut().pick(&cast.processes)
}

fn kill(world: &Rc<World>, cast: &Cast) {
    world.fault("kill");
    any(world, cast).crash();
}

fn lose_leader(world: &Rc<World>, _: &Cast) {
    world.fault("leader lost");
    let stream = *world.chance.borrow_mut().pick(&STREAMS);
    let until = world.now() + world.chance.borrow_mut().within(200 * MS, LEADERLESS_MAX);
    world.broker.borrow_mut().stream_mut(stream).leaderless_until = until;
    // The new leader may not know the last acks.
    world.later(until, |world| {
        forget_acks_of(world);
        world.pump_all();
    });
}

fn fill_up(world: &Rc<World>, _: &Cast) {
    world.fault("stream full");
    let stream = *world.chance.borrow_mut().pick(&STREAMS);
    let until = world.now() + world.chance.borrow_mut().within(S, FULL_MAX);
    world.broker.borrow_mut().stream_mut(stream).full_until = until;
}

fn reset_consumer(world: &Rc<World>, _: &Cast) {
    world.fault("consumer reset");
    let names: Vec<String> = world.broker.borrow().durables.keys().cloned().collect();
    let durable = world.chance.borrow_mut().pick(&names).clone();
    world.broker.borrow_mut().durable_mut(&durable).reset();
    world.pump(&durable);
}

fn forget_acks(world: &Rc<World>, _: &Cast) {
    world.fault("acks forgotten");
    forget_acks_of(world);
    world.pump_all();
}

fn forget_acks_of(world: &Rc<World>) {
    let names: Vec<String> = world.broker.borrow().durables.keys().cloned().collect();
    let durable = world.chance.borrow_mut().pick(&names).clone();
    let count = world.chance.borrow_mut().below(4) as usize;
    let now = world.now();
    world.broker.borrow_mut().durable_mut(&durable).forget_acks(count, now);
}

/// INGEST comes back empty: the outboxes have it all. The others come back from the archive.
fn make_again(world: &Rc<World>, _: &Cast) {
    world.fault("stream made again");
    let stream = *world.chance.borrow_mut().pick(&STREAMS);
    let kept = if stream == subject::INGEST { 0 } else { u64::MAX };
    begin_again(world, stream, kept);
}

fn begin_again(world: &Rc<World>, stream: &'static str, kept: u64) {
    let now = world.now();
    world.note(|| format!("{stream} is made again with its first {kept}"));
    world.broker.borrow_mut().make_again(stream, kept, now);
    if stream == subject::DELIVER {
        world.law.borrow_mut().made_again(&world.broker.borrow(), now);
    }
    world.pump_all();
}

/// INGEST, DELIVER or both come back without anything, or from an older copy: what was stored last is gone, whole batches
/// of it, the `routed` records with them.
fn lose_streams(world: &Rc<World>, _: &Cast) {
    let streams: &[&'static str] = match world.chance.borrow_mut().below(4) {
        0 => &[subject::INGEST],
        1 => &[subject::INGEST, subject::DELIVER],
        _ => &[subject::DELIVER],
    };
    world.oddities.borrow_mut().a_stream_was_lost = true;
    for stream in streams {
        let wholes = world.broker.borrow().stream(stream).wholes().to_vec();
        let cut = !wholes.is_empty() && world.chance.borrow_mut().permille(600);
        let kept = if cut { *world.chance.borrow_mut().pick(&wholes) } else { 0 };
        world.fault(match (*stream, cut) {
            (subject::INGEST, true) => "INGEST cut short",
            (subject::INGEST, false) => "INGEST empty",
            (_, true) => "DELIVER cut short",
            (_, false) => "DELIVER empty",
        });
        begin_again(world, stream, kept);
    }
}

fn cut_link(world: &Rc<World>, cast: &Cast) {
    world.fault("link cut");
    let process = any(world, cast).clone();
    let until = world.now() + world.chance.borrow_mut().within(100 * MS, CUT_MAX);
    process.cut_until.set(until);
    world.later(until, move |_| process.reconnect());
}

/// The model goes on by all streams but one, and is not whole.
fn get_stuck(world: &Rc<World>, cast: &Cast) {
    world.fault("reader stuck");
    let mut chance = world.chance.borrow_mut();
    let node = chance.pick(&cast.nodes);
    let streams = [Stream::Ingest, Stream::Deliver, Stream::Deliver, Stream::Answers, Stream::Heartbeats];
    let stream = *chance.pick(&streams);
    // Mostly for less than the model counts as whole: it is behind, and nobody knows.
    let unseen = chance.permille(600);
    let most = if unseen { STUCK_UNSEEN } else { STUCK_MAX };
    let until = world.now() + chance.within(10 * S, most);
    let mut from = world.now();
    if unseen && stream == Stream::Deliver {
        // And with a clock that takes a head of this moment for an old one, from a little before on: it is then about to
        // state one that reaches less far than another node's.
        node.process.clock_off.set(node.process.clock_off.get() + AHEAD_FOR_A_HEAD);
        from += WHOLE_BY_IT;
    }
    let node = node.clone();
    if from < STORM_ENDS {
        world.later(from, move |_| node.stuck.set(Some((stream, until))));
    }
}

fn change_clock(world: &Rc<World>, cast: &Cast) {
    world.fault("clock");
    let may_lose = world.weather.borrow().timed.streams_lost > 0;
    let mut chance = world.chance.borrow_mut();
    let process = chance.pick(&cast.processes).clone();
    let either_way =
        |by: u64, chance: &mut crate::chance::Chance| chance.within(0, 2 * by) as i64 - by as i64;
    let off = match chance.below(3) {
        0 => either_way(SKEW_MAX, &mut chance),
        1 => either_way(JUMP_MAX, &mut chance),
        // Not where jails send old events again: they would be refused for good, as too old.
        _ if process.name.starts_with("node") && !may_lose && chance.permille(300) => LEAP_OF_WEEKS as i64,
        _ => chance.below(LEAP_MAX) as i64,
    };
    drop(chance);
    world.oddities.borrow_mut().a_node_leapt_weeks |= off == LEAP_OF_WEEKS as i64;
    world.note(|| format!("the clock of {} is off by {} s", process.name, off / S as i64));
    process.clock_off.set(off);
}

/// An agency is away for longer than from head to head. Meanwhile one of its notices is stored, counted, and lost.
fn cut_off_and_lose(world: &Rc<World>, cast: &Rc<Cast>) {
    let agency = world.chance.borrow_mut().pick(&cast.agencies).clone();
    let until = world.now() + AWAY_FOR_A_LOSS;
    agency.process.cut_until.set(until);
    let nodes = cast.nodes.clone();
    world.later(until, move |world| {
        // One in a run, so that it is clear who must name what.
        if world.lost.borrow().is_empty() {
            lose(world, &agency, &nodes);
        }
        agency.process.reconnect();
    });
}

fn lose(world: &Rc<World>, agency: &Agency, nodes: &[Rc<Node>]) {
    let mut broker = world.broker.borrow_mut();
    let deliver = broker.stream(subject::DELIVER);
    let created = deliver.created;
    let head = broker.stream(subject::HEARTBEATS).last_of(&subject::hub_head(&agency.me));
    let stated = head.and_then(|head| SubscriberHead::open(&head.payload, agency.registry.relay_keys()).ok());
    let Some(stated) = stated.filter(|head| head.stream_created == in_words(created)) else { return };
    let folded = |node: &Rc<Node>| {
        let position = node.read_model.borrow().position(Stream::Deliver);
        position.filter(|position| position.created == created).map_or(0, |position| position.sequence)
    };
    let seen = nodes.iter().map(folded).min().unwrap_or_default().min(stated.last_sequence);
    let expected = agency.expected.borrow();
    if expected.created.as_deref() != Some(&stated.stream_created) {
        return;
    }
    let is_mine = |subject: &str| {
        subject
            .strip_prefix("hub.v1.deliver.")
            .is_some_and(|rest| rest.split('.').next() == Some(agency.me.as_str()))
    };
    let never_came = deliver.from(expected.base + 1).find(|message| {
        message.sequence <= seen && is_mine(&message.subject) && !expected.has(message.sequence)
    });
    let notice = never_came.and_then(|message| {
        let envelope = Unverified::read(&message.payload, PayloadType::Notice).ok()?;
        Some((message.sequence, wire::Notice::decode(envelope.claimed_payload()).ok()?.notice_id))
    });
    let Some((sequence, notice)) = notice else { return };
    broker.lose(subject::DELIVER, sequence);
    drop(broker);
    world.fault("notice lost");
    world.note(|| format!("DELIVER loses {sequence}, {notice}"));
    world.law.borrow_mut().lost(created, sequence);
    let lost = LostNotice { subscriber: agency.me.clone(), notice, sequence, created };
    world.lost.borrow_mut().push(lost);
}

/// Whoever mends things comes.
fn clear_up(world: &Rc<World>, cast: &Cast) {
    *world.weather.borrow_mut() = Weather::calm();
    world.note(|| "the storm is over".into());
    cast.nodes.iter().for_each(|node| node.stuck.set(None));
    for process in &cast.processes {
        process.clock_off.set(0);
        process.cut_until.set(0);
        process.reconnect();
    }
    world.pump_all();
}
