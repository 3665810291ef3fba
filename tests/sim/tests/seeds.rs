//! A small number of seeds with every run of the tests; `cargo xtask sim` runs more.

use sallyport_sim::{Budget, Options, many, run};

/// A few seconds' worth.
const SEEDS: u64 = 120;

#[test]
fn no_seed_finds_anything() {
    let summary = many(1, Budget::Seeds(SEEDS), &|_| {});
    assert!(summary.failures.is_empty(), "again: cargo xtask sim --seed N\n{:#?}", summary.failures);
    assert!(summary.seeds >= SEEDS && summary.events > SEEDS && summary.notices > summary.events);
    assert!(summary.crashes > SEEDS, "programs die in it: {}", summary.crashes);
    assert_eq!((summary.lost, summary.duplicates), (0, 0));
}

#[test]
fn one_seed_is_one_run() {
    for seed in 1..=12 {
        let [one, again] = [(); 2].map(|()| run(seed, &Options { trace: true, ..Options::default() }));
        assert_eq!(one.fingerprint, again.fingerprint, "seed {seed}");
        assert_eq!(one.trace, again.trace, "seed {seed}");
    }
}

#[test]
fn another_seed_is_another_run() {
    let [one, other] = [1, 2].map(|seed| run(seed, &Options::default()));
    assert_ne!(one.fingerprint, other.fingerprint);
}

#[test]
fn in_fine_weather_everything_comes_through_at_once() {
    for seed in 1..=20 {
        let outcome = run(seed, &Options { calm: true, ..Options::default() });
        assert_eq!(outcome.findings, Vec::<String>::new(), "seed {seed}");
        assert_eq!(outcome.crashes, 0);
    }
}
