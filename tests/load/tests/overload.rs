//! A backlog delays nobody: not another jail, and not the jail that has it. Judged as ratios within one run, against real
//! programs and a real server.
#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Some seconds of a relay's work.
const BACKLOG: u64 = 8_000;
/// Behind the backlog a live event would arrive when that is through. It has to arrive in so small a part of that time, which
/// is measured in the same moments: what else the machine does slows both.
const PART: f64 = 0.5;

#[test]
fn a_backlog_delays_neither_another_jails_live_event_nor_its_own() {
    let dir = tempfile::Builder::new().prefix("sallyport-overload-").tempdir().unwrap();
    let run = sallyport_load::agent_backlog(BACKLOG, dir.path(), &|line| eprintln!("{line}")).unwrap();
    assert!(run.still_waiting > 0, "the backlog was gone before the live events were through: {run}");
    // What was left when the last of them had arrived: when they were stated, more was.
    let behind_ms = 1_000.0 * run.still_waiting as f64 / run.events_per_s;
    for waits in [&run.same_jail, &run.other_jail] {
        let with = waits.received_median_ms();
        assert!(with <= PART * behind_ms, "{with:.0} ms, and {behind_ms:.0} ms behind the backlog: {run}");
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

#[test]
fn a_read_model_that_was_thrown_away_holds_every_delivery_again() {
    let dir = tempfile::Builder::new().prefix("sallyport-rebuild-").tempdir().unwrap();
    let run = sallyport_load::rebuild(2_000, Path::new(dir.path()), &|line| eprintln!("{line}")).unwrap();
    assert!(run.deliveries >= 1_500, "{run}");
    // An event, its notices and `routed` record, its receipt: more messages than deliveries, however few batches they make.
    assert!(run.messages > 2 * run.deliveries, "{run}");
}
