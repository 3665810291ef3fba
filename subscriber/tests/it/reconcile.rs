//! The hand-over log and the store are brought together at start: no line is lost, none is there twice.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use sallyport_proto::provenance::TrafficClass;
use sallyport_subscriber::log::HandOverLog;

use crate::{keep::Bench, world::Case};

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn path(bench: &Bench) -> PathBuf {
    bench.store.hand_over_log()
}

/// The notice ids of the log's lines, every one of which must be whole.
fn lines(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(path(bench)).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    text.lines().map(|line| parse(line)["notice_id"].as_str().unwrap().to_owned()).collect()
}

fn ids(cases: &[Case]) -> Vec<String> {
    cases.iter().map(|case| case.notice_id().to_string()).collect()
}

fn cases(numbers: std::ops::Range<u32>) -> Vec<Case> {
    numbers.map(Case::custody).collect()
}

fn open(bench: &mut Bench) -> HandOverLog {
    HandOverLog::open(&path(bench), &mut bench.store, now()).unwrap()
}

#[test]
fn a_crash_before_the_line_gives_the_line_at_start() {
    let mut bench = Bench::new();
    let cases = cases(1..4);
    bench.keep_cases(&cases);
    open(&mut bench);
    assert_eq!(lines(&bench), ids(&cases));
}

#[test]
fn a_crash_between_the_line_and_its_mark_gives_no_second_line() {
    let mut bench = Bench::new();
    let cases = cases(1..4);
    let mut log = open(&mut bench);
    let kept = bench.keep_cases(&cases);
    log.append(&kept.handed_over, now()).unwrap();
    open(&mut bench);
    open(&mut bench);
    assert_eq!(lines(&bench), ids(&cases));
}

#[test]
fn a_torn_last_line_is_cut_off_and_written_whole() {
    let mut bench = Bench::new();
    let cases = cases(1..4);
    let mut log = open(&mut bench);
    let kept = bench.keep_cases(&cases);
    let before = log.append(&kept.handed_over[..1], now()).unwrap();
    bench.store.mark_logged(before, kept.handed_over[0].seq).unwrap();
    log.append(&kept.handed_over[1..], now()).unwrap();
    let whole = fs::read(path(&bench)).unwrap();
    fs::write(path(&bench), &whole[..whole.len() - 40]).unwrap();
    open(&mut bench);
    assert_eq!(lines(&bench), ids(&cases));
}

#[test]
fn what_was_in_a_log_that_got_lost_is_not_claimed_a_second_time() {
    let mut bench = Bench::new();
    let before = cases(1..4);
    let mut log = open(&mut bench);
    let kept = bench.keep_cases(&before);
    let bytes = log.append(&kept.handed_over, now()).unwrap();
    bench.store.mark_logged(bytes, kept.through).unwrap();
    fs::remove_file(path(&bench)).unwrap();
    let after = cases(4..6);
    bench.keep_cases(&after);
    open(&mut bench);
    assert_eq!(lines(&bench), ids(&after));
}

#[test]
fn a_ping_has_no_line() {
    let mut bench = Bench::new();
    let cases = [Case { traffic: TrafficClass::Ping, ..Case::custody(1) }, Case::custody(2)];
    bench.keep_cases(&cases);
    open(&mut bench);
    assert_eq!(lines(&bench), ids(&cases[1..]));
}

#[test]
fn a_line_has_the_form_that_the_audit_reads() {
    let mut bench = Bench::new();
    bench.keep_cases(&cases(1..2));
    open(&mut bench);
    let text = fs::read_to_string(path(&bench)).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "at",
            "notice_id",
            "attempt",
            "event_id",
            "ori",
            "subscriber",
            "custody_key",
            "revision",
            "release_state",
            "reason",
            "superseded",
            "traffic",
            "backfill",
            "t2",
            "t6",
            "t10"
        ]
    );
    assert!(line["t10"].is_null() && !text.contains("Invented"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Batches, of which each may lose its mark, its line or the end of its line: after the next start every notice
    /// stands in the log exactly once, in order.
    #[test]
    fn every_notice_stands_once_in_the_log_wherever_a_crash_came(
        batches in prop::collection::vec((1..4u32, 0..4u8, 1..300usize), 1..6)
    ) {
        let mut bench = Bench::new();
        let mut all = Vec::new();
        let mut number = 1;
        for (size, crash, torn) in batches {
            let mut log = open(&mut bench);
            let batch = cases(number..number + size);
            number += size;
            let kept = bench.keep_cases(&batch);
            all.extend(ids(&batch));
            if crash > 0 {
                let before = fs::metadata(path(&bench)).unwrap().len() as usize;
                let bytes = log.append(&kept.handed_over, now()).unwrap();
                if crash == 1 {
                    bench.store.mark_logged(bytes, kept.through).unwrap();
                }
                if crash == 2 {
                    let whole = fs::read(path(&bench)).unwrap();
                    let left = whole.len().saturating_sub(torn).max(before);
                    fs::write(path(&bench), &whole[..left]).unwrap();
                }
            }
        }
        open(&mut bench);
        prop_assert_eq!(lines(&bench), all);
    }
}
