//! Killed at every named point of a notice's way, and started again: nothing is lost, nothing is there twice. Needs the
//! feature `faults`.

use std::{collections::BTreeMap, fs};

use sallyport_harness::Program;
use sallyport_subscriber::crash_points;

use crate::{
    ground::{Ground, SOON, named},
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
    let mut expected: Vec<String> = cases.iter().map(|case| case.notice_id().to_string()).collect();
    expected.sort();
    let mut logged = ground.logged_ids();
    logged.sort();
    assert_eq!(logged, expected, "{point}: each once in the log");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_nothing_and_repeats_nothing() {
    for point in crash_points::ALL {
        Box::pin(check(point, 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_the_second_pass_of_any_point_does_neither() {
    // A second pass exists only when the messages come in two batches or more; where the bridge lives on, that is said.
    for point in crash_points::ALL {
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
