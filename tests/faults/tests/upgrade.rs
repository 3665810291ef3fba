//! A rolling upgrade: programs of the version before and of this one beside each other, then one after the other replaced
//! while events flow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::time::Duration;

use sallyport_faults::{Disks, World, flow::Pace, judge, previous};

const SEED: u64 = 1;
/// Between two replacements.
const BETWEEN: Duration = Duration::from_millis(1_500);

#[test]
fn versions_beside_each_other_and_a_rolling_upgrade_lose_nothing_and_repeat_nothing() {
    let Some(revision) = previous::revision().unwrap() else {
        eprintln!(
            "SKIPPED: no tag, so there is no version to upgrade from; {} names a revision instead",
            previous::PREVIOUS
        );
        return;
    };
    let programs = previous::programs(&revision).unwrap();
    let mut world = World::prepared(SEED, Disks::Plain).unwrap();
    let everybody = world.from_the_start();
    // One relay node, one agent, and the rest of the agencies stay behind at first.
    let old: Vec<String> = everybody.iter().step_by(2).cloned().collect();
    for name in &old {
        world.take_from(name, Some(&programs)).unwrap();
    }
    world.start_all().unwrap();
    world.jails.flow(Pace { exports: Some(5), ..Pace::STEADY }).unwrap().finish().unwrap();
    let report = world.calm().unwrap();
    assert!(report.is_clean(), "mixed versions: {}", report.findings().join("\n"));

    let flow = world.jails.flow(Pace::STEADY).unwrap();
    for name in &old {
        let status = world.end(name).unwrap();
        assert!(status.success(), "{name} of revision {revision} ended with {status}");
        world.take_from(name, None).unwrap();
        world.begin(name, None).unwrap();
        sallyport_faults::lasting(BETWEEN);
    }
    // And one back again: a version that disappoints is taken out as it came in.
    let relay = old.iter().find(|name| name.starts_with("relay-")).unwrap();
    world.end(relay).unwrap();
    world.take_from(relay, Some(&programs)).unwrap();
    world.begin(relay, None).unwrap();
    sallyport_faults::lasting(BETWEEN);
    flow.end().unwrap();
    let report = world.calm().unwrap();
    assert!(report.is_clean(), "{}", report.findings().join("\n"));

    // The floor comes last. An old program that runs goes on by the registry it has, also when it does not know that key.
    world.instance.minimum_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    world.instance.rewrite_registry().unwrap();
    let flow = world.jails.flow(Pace::STEADY).unwrap();
    sallyport_faults::lasting(BETWEEN);
    flow.end().unwrap();
    let report = world.calm().unwrap();
    assert!(report.is_clean(), "with a floor: {}", report.findings().join("\n"));
    let said = world.log_of(relay);
    let of_registry = |line: &&str| line.contains("registry") && line.contains("refused");
    let mut said = said.lines().filter(|line| of_registry(line) || line.contains("version floor"));
    let said = said.next_back().unwrap_or("nothing against it");
    eprintln!("{relay} of revision {revision}, told of a version floor, says: {said}");
    let folders = judge::folders(&world.instance).unwrap();
    assert!(folders.missing.is_empty() && folders.wrong.is_empty(), "{folders:?}");
    eprintln!(
        "from revision {revision}: {} events, {} notices, lost 0, twice 0",
        report.events, report.notices
    );
}
