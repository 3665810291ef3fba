//! Killed at every named point of a notice's way, and started again: nothing is lost, nothing is there twice. Needs the
//! feature `faults`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use sallyport_harness::Program;
use sallyport_proto::{
    receipt::{Receipt, Statement},
    vocabulary::ReceiptLevel,
};
use sallyport_subscriber::crash_points;

use crate::{
    ground::{Ground, SOON, named, script, told},
    world::{Case, OTHER_ORI},
};

const FILES: &str = "to = \"files\"\ndir = \"notices\"";

fn run_with(ground: &Ground, fault: &str) -> Program {
    let log = ground.dir.path().join("bridge.log");
    ground.recipe("run").env("SALLYPORT_FAULT", fault).stderr_to(log).start().unwrap()
}

/// Delivers `cases`, lets the bridge die at `point`, starts it again and checks every promise.
async fn check(point: &str, passes: u64) {
    let ground = Ground::new(FILES).await;
    let cases: Vec<Case> = (1..=12)
        .map(|custody| Case {
            ori: if custody % 3 == 0 { OTHER_ORI } else { crate::world::ORI },
            ..Case::custody(custody)
        })
        .collect();
    let (first, later) = cases.split_at(6);
    for case in first {
        ground.deliver(case).await;
    }
    let mut bridge = run_with(&ground, &format!("crash:{point}:{passes}"));
    for case in later {
        ground.deliver(case).await;
    }
    let ended = bridge.wait(SOON).unwrap();
    assert!(!ended.success(), "{point}: died there");

    let _bridge = ground.run();
    ground.settled().await;
    let expected = each_logged_once(&ground, &cases, point);
    let files = ground.wait_for_files(cases.len());
    assert_eq!(
        files,
        expected.iter().map(|id| format!("{id}.json")).collect::<Vec<_>>(),
        "{point}: each file once"
    );
    let mut answers: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (receipt, bytes) in ground.receipts().await {
        for notice in named(&[receipt]) {
            answers.entry(notice.notice_id.to_string()).or_default().push(bytes.clone());
        }
    }
    assert_eq!(answers.keys().cloned().collect::<Vec<_>>(), expected, "{point}: each receipted");
    for (id, mut receipts) in answers {
        receipts.dedup();
        assert_eq!(receipts.len(), 1, "{point}: {id} has one receipt, however often it was sent");
    }
    eprintln!("{point} (pass {passes}): nothing lost, nothing twice");
}

/// Everything delivered stands in the hand-over log, each once; gives the ids in order.
fn each_logged_once(ground: &Ground, cases: &[Case], point: &str) -> Vec<String> {
    let mut expected: Vec<String> = cases.iter().map(|case| case.notice_id().to_string()).collect();
    expected.sort();
    let mut logged = ground.logged_ids();
    logged.sort();
    assert_eq!(logged, expected, "{point}: each once in the log");
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_nothing_and_repeats_nothing() {
    for point in crash_points::INTO_FILES {
        Box::pin(check(point, 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_the_second_pass_of_any_point_does_neither() {
    // A second pass exists only when the messages come in two batches or more; where the bridge lives on, that is said.
    for point in crash_points::INTO_FILES {
        let ground = Ground::new(FILES).await;
        let mut bridge = run_with(&ground, &format!("crash:{point}:2"));
        let cases: Vec<Case> = (1..=6).map(Case::custody).collect();
        for case in &cases {
            ground.deliver(case).await;
            if bridge.is_running().unwrap() {
                settled_or_dead(&ground, &mut bridge, case).await;
            }
        }
        assert!(!bridge.is_running().unwrap(), "{point}: died there");
        let _bridge = ground.run();
        ground.settled().await;
        let expected: Vec<String> = cases.iter().map(|case| case.notice_id().to_string()).collect();
        let mut logged = ground.logged_ids();
        logged.sort();
        let mut sorted = expected.clone();
        sorted.sort();
        assert_eq!(logged, sorted, "{point}");
        ground.wait_for_files(cases.len());
    }
}

async fn settled_or_dead(ground: &Ground, bridge: &mut Program, case: &Case) {
    let (id, file) = (case.notice_id().to_string(), format!("{}.json", case.notice_id()));
    ground
        .until("it is through, or the bridge is dead", async || {
            let through = ground.logged_ids().contains(&id)
                && ground.files().contains(&file)
                && ground
                    .receipts()
                    .await
                    .iter()
                    .any(|(r, _)| r.notices.iter().any(|n| n.notice_id.as_str() == id));
            (through || !bridge.is_running().unwrap()).then_some(())
        })
        .await;
}

/// The bridge dies around a command, or around the STAGED that it leads to, and is started again.
async fn check_command(point: &str) {
    let mut ground = Ground::prepared("to = \"none\"").await;
    ground.write_files(&script(ground.dir.path(), "exit 0"));
    ground.start_server().await;
    let cases: Vec<Case> = (1..=6).map(Case::custody).collect();
    let mut bridge = run_with(&ground, &format!("crash:{point}"));
    for case in &cases {
        ground.deliver(case).await;
    }
    assert!(!bridge.wait(SOON).unwrap().success(), "{point}: died there");
    let _bridge = ground.run();
    let staged = |receipts: &[Receipt]| {
        let of = |id: &str| {
            receipts.iter().any(|receipt| {
                matches!(receipt.statement, Statement::Level(ReceiptLevel::Staged))
                    && receipt.notices.iter().any(|notice| notice.notice_id.as_str() == id)
            })
        };
        cases.iter().all(|case| of(case.notice_id().as_str()))
    };
    ground.receipts_until("every notice is staged", staged).await;
    ground.settled().await;
    let expected = each_logged_once(&ground, &cases, point);
    let runs = told(ground.dir.path());
    for id in &expected {
        let of: Vec<&String> = runs.iter().filter(|run| run.starts_with(id.as_str())).collect();
        assert!(!of.is_empty(), "{point}: {id} was never handed over");
        assert!(
            of[1..].iter().all(|run| run.contains(" true ")),
            "{point}: a repetition that does not say so: {of:?}"
        );
    }
    // However often they were sent: one RECEIVED and one STAGED, always the same bytes.
    let mut said: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (receipt, bytes) in ground.receipts().await {
        for notice in named(&[receipt]) {
            said.entry(notice.notice_id.to_string()).or_default().insert(bytes.clone());
        }
    }
    assert_eq!(said.keys().cloned().collect::<Vec<_>>(), expected, "{point}");
    assert!(said.values().all(|bytes| bytes.len() == 2), "{point}: something was said twice");
    eprintln!("{point} (command): nothing lost, repetitions say so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_a_command_or_what_is_said_of_it_loses_nothing_and_a_repetition_says_so() {
    for point in crash_points::FURTHER {
        Box::pin(check_command(point)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_around_a_line_loses_nothing_and_a_repetition_says_so() {
    for point in [crash_points::BEFORE_HAND_OVER, crash_points::AFTER_HAND_OVER] {
        let ground = Ground::new("to = \"lines\"").await;
        let cases: Vec<Case> = (1..=6).map(Case::custody).collect();
        let mut dying = run_with(&ground, &format!("crash:{point}"));
        for case in &cases {
            ground.deliver(case).await;
        }
        assert!(!dying.wait(SOON).unwrap().success(), "{point}: died there");
        let bridge = ground.run();
        let shapes = || -> Vec<serde_json::Value> {
            let lines = dying.stdout().so_far().into_iter().chain(bridge.stdout().so_far());
            lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
        };
        for case in &cases {
            let id = case.notice_id().to_string();
            let of = ground
                .until("every notice is a line", async || {
                    let of: Vec<_> = shapes().into_iter().filter(|shape| shape["notice_id"] == id).collect();
                    (!of.is_empty()).then_some(of)
                })
                .await;
            assert!(of[1..].iter().all(|shape| shape["redelivered"] == true), "{point}: {of:?}");
        }
        ground.settled().await;
        assert_eq!(ground.logged_ids().len(), cases.len(), "{point}: each once in the log");
        eprintln!("{point} (lines): nothing lost, repetitions say so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_taken_away_is_not_written_again_after_a_crash() {
    let ground = Ground::new(FILES).await;
    let mut bridge = run_with(&ground, &format!("crash:{}", crash_points::AFTER_RENAME));
    let case = Case::default();
    ground.deliver(&case).await;
    bridge.wait(SOON).unwrap();
    let place = ground.dir.path().join("notices").join(format!("{}.json", case.notice_id()));
    fs::remove_file(&place).unwrap();
    let _bridge = ground.run();
    ground.deliver(&Case::custody(2)).await;
    ground.settled().await;
    let files = ground.wait_for_files(1);
    assert_eq!(files.len(), 1);
    assert!(!place.exists(), "the reader has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mutant_hands_every_fiftieth_notice_over_twice() {
    let ground = Ground::new(FILES).await;
    let cases: Vec<Case> = (1..=100).map(Case::custody).collect();
    for case in &cases {
        ground.deliver(case).await;
    }
    let _bridge = run_with(&ground, &format!("mutant:{}", crash_points::MUTANT_HAND_OVER_TWICE));
    ground.settled().await;
    let logged = ground.logged_ids();
    assert_eq!(logged.len(), 102);
    for nth in [50, 100] {
        let id = cases[nth - 1].notice_id().to_string();
        assert_eq!(logged.iter().filter(|logged| **logged == id).count(), 2);
    }
    assert_eq!(ground.wait_for_files(102).len(), 102);
}
