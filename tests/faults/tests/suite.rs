//! The bounded suite: every family of faults on a cluster of three, by a fixed seed, each followed by the audit. All kinds,
//! at random and for as long as one likes, are `cargo xtask soak`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::time::Duration;

use sallyport_faults::{Disks, Trial, World, budget::Budget, flow::Pace, ground, judge, kinds};

const SEED: u64 = 20_260_317;
/// What one test may take at most; `cargo xtask test` names the moment at which all must be done, ten minutes from the
/// first. A minute is usual on two processors.
const BUDGET: Duration = Duration::from_secs(290);
/// Of the durables that relay nodes share (ADR 0007).
const ACK_WAIT_S: f64 = 8.0;

/// Each fault in turn on one world; nothing lost, nothing twice.
fn survives(disks: Disks, names: &[&str]) {
    let budget = Budget::of(BUDGET).unwrap();
    let mut trial = Trial::of(World::start(SEED, disks).unwrap()).unwrap();
    eprintln!("undisturbed p99 {:?}", trial.undisturbed_p99);
    for name in names {
        budget.begins(name);
        let kind = kinds::named(name).unwrap_or_else(|| panic!("no fault {name}"));
        let outcome = trial.apply(kind).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        eprintln!("{}", outcome.line());
        assert!(outcome.is_clean(), "{}", outcome.findings.join("\n"));
        // Measured by the durable's own wait, not by the machine: relieved after the first wait, not after the second.
        let takeover = outcome.takeover_s.unwrap_or_default();
        assert!(takeover < 2.0 * ACK_WAIT_S, "what a dead node had begun was done after {takeover} s");
    }
}

/// The stores that can be full.
const STORES: [&str; 4] =
    ["disk-full-server", "disk-full-outbox", "disk-full-read-model", "disk-full-subscriber"];

/// False, and said aloud, where nothing may be mounted.
fn may_mount(what: &str) -> bool {
    match ground::may_mount() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("SKIPPED: {what}, because no disk of its own can be mounted here: {error:#}");
            false
        }
    }
}

#[test]
fn a_server_killed_or_frozen_loses_nothing_and_repeats_nothing() {
    survives(Disks::Plain, &["nats-kill9", "nats-freeze", "relay-freeze"]);
}

#[test]
fn programs_killed_frozen_or_dead_at_a_point_lose_nothing_and_repeat_nothing() {
    survives(
        Disks::Plain,
        &[
            "relay-kill9",
            "agent-kill9",
            "subscriber-kill9",
            "relay-crash-point",
            "agent-crash-point",
            "subscriber-crash-point",
        ],
    );
}

#[test]
fn links_cut_or_half_open_lose_nothing_and_repeat_nothing() {
    survives(Disks::Plain, &["link-cut", "link-delay", "link-half-open"]);
}

#[test]
fn full_disks_lose_nothing_and_repeat_nothing() {
    if may_mount("small file systems (stores that refuse to grow are tested instead)") {
        survives(Disks::Small, &STORES);
    }
}

#[test]
fn stores_that_refuse_to_grow_and_a_server_at_its_quota_lose_nothing_and_repeat_nothing() {
    survives(Disks::Refusing, &STORES);
}

#[test]
fn the_end_of_all_power_loses_nothing_and_repeats_nothing() {
    if may_mount("a power cut") {
        survives(Disks::OneMachine, &["power-cut"]);
    }
}

#[test]
fn clocks_that_jump_registries_that_change_and_nodes_that_come_and_go_lose_nothing_and_repeat_nothing() {
    survives(
        Disks::Plain,
        &["clock-jump-agent", "clock-jump-relay", "registry-reload", "relays-come-and-go"],
    );
}

#[test]
fn a_durable_deleted_by_mistake_and_streams_at_their_limits_lose_nothing_and_repeat_nothing() {
    survives(
        Disks::Plain,
        &[
            "subscriber-durable-deleted",
            "relay-durable-deleted",
            "ingest-at-its-limit",
            "deliver-at-its-limit",
        ],
    );
}

#[test]
fn receipts_and_answers_at_their_limits_lose_nothing_and_repeat_nothing() {
    survives(Disks::Plain, &["receipts-at-its-limit", "answers-at-its-limit"]);
}

#[test]
fn an_agency_that_is_slow_or_away_for_a_week_gets_everything_once_and_delays_nobody() {
    survives(Disks::Plain, &["slow-subscriber", "subscriber-gone-a-week"]);
}

/// The test of the tests: a bridge that hands some notices over twice is found, in its log and in its folder.
#[test]
fn a_bridge_that_hands_over_twice_is_found() {
    let _budget = Budget::of(BUDGET).unwrap();
    let mut world = World::prepared(SEED, Disks::Plain).unwrap();
    for name in world.from_the_start() {
        let mutant = (name == "subscriber-demo-supervision").then_some("mutant:hand-over-twice");
        world.begin(&name, mutant).unwrap();
    }
    world.wait_until_up().unwrap();
    world.jails.flow(Pace { exports: Some(3), ..Pace::BURST }).unwrap().finish().unwrap();
    let report = world.calm().unwrap();
    assert!(!report.duplicates.is_empty());
    assert!(!judge::folders(&world.instance).unwrap().wrong.is_empty());
}
