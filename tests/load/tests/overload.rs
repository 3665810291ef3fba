//! A backlog delays nobody: not another jail, and not the jail that has it. Judged as ratios within one run, against real
//! programs and a real server.
#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Some seconds of a relay's work.
const BACKLOG: u64 = 8_000;
/// A live event beside a backlog may take so many times what it takes without one. Behind the backlog it would take more
/// than a hundred times as long; a busy machine alone makes ten.
const TIMES: f64 = 40.0;

#[test]
fn a_backlog_delays_neither_another_jails_live_event_nor_its_own() {
    let dir = tempfile::Builder::new().prefix("sallyport-overload-").tempdir().unwrap();
    let run = sallyport_load::agent_backlog(BACKLOG, dir.path(), &|line| eprintln!("{line}")).unwrap();
    assert!(run.still_waiting > 0, "the backlog was gone before the live events were through: {run}");
    let without = run.without.received_median_ms();
    for waits in [&run.same_jail, &run.other_jail] {
        let with = waits.received_median_ms();
        assert!(with <= TIMES * without, "{with:.0} ms instead of {without:.0} ms: {run}");
    }
}

#[test]
fn everything_that_waited_on_ingest_is_routed_once_the_relay_starts() {
    let dir = tempfile::Builder::new().prefix("sallyport-overload-").tempdir().unwrap();
    let run =
        sallyport_load::relay_backlog(2_000, Path::new(dir.path()), &|line| eprintln!("{line}")).unwrap();
    assert_eq!(run.events, 2_000);
    assert!(run.notices_per_s > 0.0 && run.relay_peak_mib > 0.0);
}
