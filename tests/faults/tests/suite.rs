//! The bounded suite: a few faults of each family, by a fixed seed, each followed by the audit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use sallyport_faults::{Disks, Trial, World, kinds};

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

#[test]
fn a_server_killed_or_frozen_loses_nothing_and_repeats_nothing() {
    survives(Disks::Plain, &["nats-kill9", "nats-freeze"]);
}
