//! `kill -9` at every crash point of the agent, between any two steps: afterwards nothing is lost and nothing is there
//! twice. The program with crash points compiled in is built by `cargo xtask build`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod jail;
mod relay;

use std::collections::{BTreeMap, BTreeSet};

use sallyport_agent::faults::{self, CRASH_POINTS};
use sallyport_harness::{Program, Recipe, wait};
use sallyport_proto::{receipt::Statement, vocabulary::ReceiptLevel};
use serde_json::json;

use crate::{
    jail::SUPERVISION,
    relay::{Published, SOON, World, receipt},
};

const ROWS: &str = "B-1,Invented A,2026-03-01 10:00,2026-03-01 09:00,Bail,,\n\
                    B-2,Invented B,2026-03-01 11:00,,Served,,\n\
                    B-3,Invented C,2026-03-01 12:00,,Served,,\n";
const CUSTODIES: usize = 3;

fn faulty(world: &World) -> Recipe {
    Recipe::with_faults("sallyport-agent").unwrap().current_dir(world.jail.dir.path())
}

fn start(world: &World, fault: Option<&str>) -> Program {
    let recipe = faulty(world).args(["run", "--config", "agent.toml"]);
    match fault {
        Some(point) => recipe.env("SALLYPORT_FAULT", format!("crash:{point}")).start().unwrap(),
        None => world.agent(None),
    }
}

/// Brings the rows in as often as it takes, and answers everything once: as a relay does for every copy it sees.
fn through(world: &World, point: &str) {
    let file = world.jail.export("day.csv", ROWS);
    let mut agent = start(world, Some(point));
    // The agent dies on the way; the command may fail with it.
    if point == faults::DROP_BEFORE_MOVE {
        drop_in(world);
    } else {
        wait::until("the agent listens or is gone", SOON, || {
            let text = std::fs::read_to_string(world.jail.path("store/agent.lock")).unwrap_or_default();
            Ok((!text.is_empty() || !agent.is_running()?).then_some(()))
        })
        .unwrap();
        let _ = faulty(world).args(["ingest", "--config", "agent.toml"]).arg(&file).run(SOON).unwrap();
    }
    let died = if point.starts_with("agent.answer") {
        let published = distinct(world, CUSTODIES);
        world.accept(&published.values().collect::<Vec<_>>());
        agent.wait(SOON)
    } else {
        agent.wait(SOON)
    };
    assert!(!died.unwrap().success(), "{point}: the agent did not crash");

    let _agent = start(world, None);
    let (_, again) = world.command(&["ingest", file.to_str().unwrap()]);
    let published = distinct(world, CUSTODIES);
    world.accept(&published.values().collect::<Vec<_>>());
    let receipts = published.values().map(|event| {
        receipt(
            SUPERVISION,
            world.jail.subscriber(SUPERVISION),
            event,
            Statement::Level(ReceiptLevel::Received),
        )
    });
    world.progress(receipts.collect());
    world.wait_for_status(&format!("{point}: everything is answered"), |status| {
        status["outbox_depth"] == json!(0)
            && status["last_events"].as_array().unwrap().iter().all(|event| event["received"] == json!(1))
    });
    let known = again["events"].as_u64().unwrap() + again["unchanged"].as_u64().unwrap();
    assert_eq!(known, 3, "{point}: {again}");
    nothing_twice(world, point);
}

fn drop_in(world: &World) {
    wait::until("the folder is watched", SOON, || Ok(world.jail.path("drop/done").is_dir().then_some(())))
        .unwrap();
    world.jail.export("aside.csv", ROWS);
    std::fs::rename(world.jail.path("aside.csv"), world.jail.path("drop/day.csv")).unwrap();
}

/// What was published, by event id, once so many different ones are there.
fn distinct(world: &World, count: usize) -> BTreeMap<String, Published> {
    wait::until(&format!("{count} different events are published"), SOON, || {
        let events: BTreeMap<String, Published> =
            world.published(0).into_iter().map(|one| (one.id().to_string(), one)).collect();
        Ok((events.len() >= count).then_some(events))
    })
    .unwrap()
}

/// One event per custody, every copy of it the same bytes, numbers without a gap.
fn nothing_twice(world: &World, point: &str) {
    let events = distinct(world, CUSTODIES);
    assert_eq!(events.len(), CUSTODIES, "{point}: an event was made twice");
    let custodies: BTreeSet<&str> = events.values().map(|e| e.event.head.custody_key.as_str()).collect();
    assert_eq!(custodies.len(), CUSTODIES, "{point}");
    let numbers: BTreeSet<u64> = events.values().map(|e| e.event.head.seq).collect();
    assert_eq!(numbers, (1..=3).collect(), "{point}");
    for copy in world.published(CUSTODIES) {
        assert_eq!(copy.bytes, events[copy.id().as_str()].bytes, "{point}: a copy of other bytes");
    }
}

#[test]
fn nothing_is_lost_and_nothing_is_there_twice_after_a_crash_at_any_point() {
    for point in CRASH_POINTS {
        let world = World::new(|setting| setting.drop_dir = true);
        world.serve_catchup();
        through(&world, point);
        eprintln!("{point}: nothing lost, nothing twice");
    }
}

#[test]
fn the_mutants_are_there_for_the_audit() {
    let rows: String = (0..250).map(|n| format!("B-{n},A,2026-03-01 10:00,,Served,,\n")).collect();
    let world = World::new(|_| {});
    let file = world.jail.export("day.csv", &rows);
    let skipping = faulty(&world)
        .args(["ingest", "--json", "--config", "agent.toml"])
        .arg(&file)
        .env("SALLYPORT_FAULT", format!("mutant:{}", faults::SKIP_100TH_CUSTODY))
        .run(SOON)
        .unwrap();
    let summary: serde_json::Value = serde_json::from_str(&skipping.stdout[0]).unwrap();
    assert_eq!((summary["custodies"].clone(), summary["events"].clone()), (json!(250), json!(248)));

    let world = World::new(|_| {});
    let file = world.jail.export("day.csv", "B-1,A,2026-03-01 10:00,,Served,,\n");
    faulty(&world)
        .args(["ingest", "--config", "agent.toml"])
        .arg(&file)
        .env("SALLYPORT_FAULT", format!("mutant:{}", faults::SEND_TO_NOT_ALLOWED))
        .run(SOON)
        .unwrap();
    let _agent = world.agent(None);
    let told = world.published(1)[0].event.disclosures.len();
    assert_eq!(told, 2);
}
