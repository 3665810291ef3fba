//! The bounded suite: every family of faults on a cluster of three, by a fixed seed, each followed by the audit. All kinds,
//! at random and for as long as one likes, are `cargo xtask soak`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use sallyport_faults::{Disks, Trial, World, ground, kinds};

const SEED: u64 = 20_260_317;

/// Each fault in turn on one world; nothing lost, nothing twice.
fn survives(disks: Disks, names: &[&str]) {
    let mut trial = Trial::of(World::start(SEED, disks).unwrap()).unwrap();
    eprintln!("undisturbed p99 {:?}", trial.undisturbed_p99);
    for name in names {
        let kind = kinds::named(name).unwrap_or_else(|| panic!("no fault {name}"));
        let outcome = trial.apply(kind).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        eprintln!("{}", outcome.line());
        assert!(outcome.is_clean(), "{}", outcome.findings.join("\n"));
    }
}

/// False, and said aloud, where nothing may be mounted.
fn may_mount() -> bool {
    match ground::may_mount() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("SKIPPED: no disk of its own can be mounted here: {error:#}");
            false
        }
    }
}

#[test]
fn a_server_killed_or_frozen_loses_nothing_and_repeats_nothing() {
    survives(Disks::Plain, &["nats-kill9", "nats-freeze"]);
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
    if may_mount() {
        survives(
            Disks::Small,
            &["disk-full-server", "disk-full-outbox", "disk-full-read-model", "disk-full-subscriber"],
        );
    }
}

#[test]
fn the_end_of_all_power_loses_nothing_and_repeats_nothing() {
    if may_mount() {
        survives(Disks::OneMachine, &["power-cut"]);
    }
}

#[test]
fn what_people_do_to_clocks_streams_and_registries_loses_nothing_and_repeats_nothing() {
    survives(
        Disks::Plain,
        &[
            "clock-jump-agent",
            "subscriber-durable-deleted",
            "ingest-at-its-limit",
            "deliver-at-its-limit",
            "registry-reload",
            "relays-come-and-go",
        ],
    );
}

#[test]
fn an_agency_that_is_slow_or_away_for_a_week_gets_everything_once_and_delays_nobody() {
    survives(Disks::Plain, &["slow-subscriber", "subscriber-gone-a-week"]);
}
