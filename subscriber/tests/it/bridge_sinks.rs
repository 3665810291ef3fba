//! The sinks: lines and commands at least once and saying so, commands never in the way of a receipt.

use sallyport_proto::{
    receipt::{Receipt, Statement},
    vocabulary::{EndpointRefusalCode, ReceiptLevel, ReleaseState},
};

use crate::{
    ground::{Ground, SOON, script, told},
    world::Case,
};

fn levels(receipts: &[Receipt]) -> Vec<ReceiptLevel> {
    let level = |receipt: &Receipt| match receipt.statement {
        Statement::Level(level) => Some(level),
        _ => None,
    };
    receipts.iter().filter_map(level).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_come_on_standard_output_and_say_when_they_may_be_repetitions() {
    let ground = Ground::new("to = \"lines\"").await;
    let case = Case::default();
    let mut bridge = ground.run();
    ground.deliver(&case).await;
    let line = bridge.wait_for_line(|line| line.contains("notice_id"), SOON).unwrap();
    let shape: serde_json::Value = serde_json::from_str(&line.text).unwrap();
    assert_eq!(shape["notice_id"], case.notice_id().as_str());
    assert_eq!(shape["redelivered"], false);
    ground.settled().await;
    bridge.kill9().unwrap();
    // As after a power cut between the line and its mark.
    let db = rusqlite::Connection::open(ground.store_dir().join("subscriber.db")).unwrap();
    db.execute("UPDATE notice SET sink = 'pending'", []).unwrap();
    let bridge = ground.run();
    let line = bridge.wait_for_line(|line| line.contains("notice_id"), SOON).unwrap();
    let shape: serde_json::Value = serde_json::from_str(&line.text).unwrap();
    assert_eq!(
        (shape["notice_id"].as_str(), shape["redelivered"].as_bool()),
        (Some(case.notice_id().as_str()), Some(true))
    );
    assert_eq!(ground.logged_ids().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_takes_it_is_staged() {
    let ground = Ground::prepared("to = \"none\"").await;
    ground.write_files(&script(ground.dir.path(), "exit 0"));
    let mut ground = ground;
    ground.start_server().await;
    let _bridge = ground.run();
    let case = Case::default();
    ground.deliver(&case).await;
    let receipts = ground.receipts_until("it is staged", |receipts| receipts.len() == 2).await;
    assert_eq!(levels(&receipts), [ReceiptLevel::Received, ReceiptLevel::Staged]);
    assert!(receipts[1].staged.is_some());
    let told = told(ground.dir.path());
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with(&format!("{} false EXERCISE ", case.notice_id())), "{told:?}");
    assert!(!told[0].ends_with(" 0"), "the JSON was on its standard input");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_tried_again_and_then_the_sender_is_told() {
    let mut ground = Ground::prepared("to = \"none\"").await;
    let hand_over = script(ground.dir.path(), "exit 3") + "\ntries = 2";
    ground.write_files(&hand_over);
    ground.start_server().await;
    let _bridge = ground.run();
    let case = Case::default();
    let bytes = ground.world.notice(&case);
    ground.deliver_bytes(&case, bytes.clone()).await;
    let receipts = ground.receipts_until("it is given up", |receipts| receipts.len() == 2).await;
    let Statement::Refusal(refusal) = &receipts[1].statement else { panic!() };
    assert_eq!(refusal.code, EndpointRefusalCode::StagingFailed);
    assert!(refusal.text.contains('3'), "{}", refusal.text);
    let runs = told(ground.dir.path());
    assert_eq!(runs.len(), 2);
    assert!(runs[1].contains(" true "), "the second run is told: {runs:?}");

    // A copy of what failed earns no receipt of success.
    ground.deliver_bytes(&case, bytes).await;
    ground.settled().await;
    let stored = ground.receipts().await;
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[2].1, stored[1].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_delays_no_receipt_and_is_ended() {
    let mut ground = Ground::prepared("to = \"none\"").await;
    let hand_over = script(ground.dir.path(), "exec sleep 3600") + "\ntries = 1\ntimeout_s = 1";
    ground.write_files(&hand_over);
    ground.start_server().await;
    let _bridge = ground.run();
    for custody in 1..=20 {
        ground.deliver(&Case::custody(custody)).await;
    }
    // Each would hang for an hour, and is given a second.
    ground.settled().await;
    let receipts: Vec<Receipt> = ground.receipts().await.into_iter().map(|(receipt, _)| receipt).collect();
    let received: usize = receipts
        .iter()
        .filter(|receipt| matches!(receipt.statement, Statement::Level(ReceiptLevel::Received)))
        .map(|receipt| receipt.notices.len())
        .sum();
    assert_eq!(received, 20);
    assert!(told(ground.dir.path()).len() < 20, "receipts came first");
    ground
        .receipts_until("the first is given up", |receipts| {
            receipts.iter().any(|receipt| matches!(receipt.statement, Statement::Refusal(_)))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_fails_holds_up_its_own_custody_only_and_in_order() {
    let mut ground = Ground::prepared("to = \"none\"").await;
    let stuck = Case::custody(1);
    let then = format!("case $SALLYPORT_NOTICE_ID in {}) exit 1;; esac", stuck.notice_id());
    let hand_over = script(ground.dir.path(), &then) + "\ntries = 2";
    ground.write_files(&hand_over);
    ground.start_server().await;
    let (next, other) = (stuck.then(ReleaseState::Released), Case::custody(2));
    for case in [&stuck, &next, &other] {
        ground.deliver(case).await;
    }
    let _bridge = ground.run();
    ground.until("all are through", async || (told(ground.dir.path()).len() == 4).then_some(())).await;
    let ids: Vec<String> =
        told(ground.dir.path()).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let [stuck, next, other] = [stuck, next, other].map(|case| case.notice_id().to_string());
    let place = |id: &String| ids.iter().rposition(|at| at == id).unwrap();
    assert_eq!(ids.iter().filter(|id| **id == stuck).count(), 2);
    assert!(place(&stuck) < place(&next), "in order within the custody");
    assert!(place(&other) < place(&stuck), "the other one did not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_handed_over_again_while_the_bridge_runs() {
    let mut ground = Ground::prepared("to = \"none\"").await;
    let mended = ground.dir.path().join("mended");
    let then = format!("test -e {}", mended.display());
    let hand_over = script(ground.dir.path(), &then) + "\ntries = 1";
    ground.write_files(&hand_over);
    ground.start_server().await;
    let _bridge = ground.run();
    let case = Case::default();
    ground.deliver(&case).await;
    ground.receipts_until("it is given up", |receipts| receipts.len() == 2).await;
    let id = case.notice_id().to_string();
    let list = ground.typed("list", &["--json"]).run(SOON).unwrap();
    assert!(list.stdout[0].contains("\"given_up\":true"), "{list:?}");

    std::fs::write(&mended, "").unwrap();
    let command = |words: &[&str]| ground.typed("hand-over", words).run(SOON).unwrap();
    assert_eq!(command(&["nothing-known"]).code().unwrap(), 65);
    assert_eq!(command(&[]).code().unwrap(), 64);
    let put_back = command(&[&id, "--json"]);
    assert_eq!(put_back.code().unwrap(), 0, "{put_back:?}");
    assert!(put_back.stdout[0].contains(&id), "{put_back:?}");
    let receipts = ground.receipts_until("it is staged", |receipts| receipts.len() == 3).await;
    assert!(matches!(receipts[2].statement, Statement::Level(ReceiptLevel::Staged)));
    assert!(
        told(ground.dir.path())[1].contains(" true "),
        "the application is told that it is not the first time"
    );
    let none = command(&["--all", "--json"]);
    assert!(none.stdout[0].contains("[]"), "{none:?}");
}
