//! Each node's read model against what the streams add up to, and the ways that the deliveries in it went.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use sallyport_relay_core::ledger::{Model, rows::HeartbeatRow};

use crate::{
    node::{Node, rebuilt},
    ways,
    world::World,
};

/// A fold looks every two seconds, and what it asks for may take some.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn judge(world: &World, nodes: &[Rc<Node>]) {
    let models = rebuilt(world);
    let gone = ways::gone(&models[0]);
    ways::stale(&gone).into_iter().for_each(|what| world.found(what));
    world.coverage.borrow_mut().ways(gone);
    for node in nodes {
        // A node may have folded what the broker lost later on.
        let model = &node.read_model.borrow().model;
        let now = world.time(world.now());
        let wrong = models.each_ref().map(|other| differences(model, other, now));
        if wrong.iter().all(|tables| !tables.is_empty()) {
            let name = &node.name;
            world
                .found(format!("the read model of node {name} is not what the streams add up to: {wrong:?}"));
        }
    }
}

/// In which tables a model differs from what it should be.
fn differences(model: &Model, full: &Model, now: Timestamp) -> Vec<&'static str> {
    // Jails never cease to say that they are alive: the last word may be on its way.
    let heard = |(key, row): (_, &HeartbeatRow)| {
        model.heartbeats.get(key) == Some(row) || now.duration_since(row.stored) < ON_ITS_WAY
    };
    let tables = [
        ("ingest", model.ingest == full.ingest),
        ("routed", model.routed == full.routed),
        ("notices", model.notices == full.notices),
        ("receipts", model.receipts == full.receipts),
        ("accepted", model.accepted == full.accepted),
        ("refused", model.refused == full.refused),
        ("progress", model.progress == full.progress),
        ("parked", model.parked == full.parked),
        ("control", model.control == full.control),
        ("heartbeats", full.heartbeats.iter().all(heard)),
        ("unreadable", model.unreadable == full.unreadable),
    ];
    tables.into_iter().filter(|(_, same)| !same).map(|(table, _)| table).collect()
}
