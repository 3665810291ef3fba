//! The bridge on a real server: from DELIVER to RECEIPTS, the log and the files.

use std::fs;

use sallyport_proto::{
    provenance::TrafficClass,
    receipt::Statement,
    subject,
    vocabulary::{EndpointRefusalCode, ReceiptLevel, ReleaseState},
};

use crate::{
    ground::{Ground, named},
    world::{Case, Key, OTHER_ORI, World},
};

const FILES: &str = "to = \"files\"\ndir = \"notices\"";

#[tokio::test(flavor = "multi_thread")]
async fn every_notice_is_stored_logged_receipted_settled_and_handed_over_once() {
    let ground = Ground::new(FILES).await;
    let cases: Vec<Case> = (1..=200).map(Case::custody).collect();
    for case in &cases {
        ground.deliver(case).await;
    }
    let _bridge = ground.run();
    ground.settled().await;
    let mut expected: Vec<String> = cases.iter().map(|case| case.notice_id().to_string()).collect();
    assert_eq!(ground.logged_ids(), expected);
    let receipts: Vec<_> = ground.receipts().await.into_iter().map(|(receipt, _)| receipt).collect();
    assert!(receipts.len() < cases.len(), "several notices in one receipt");
    let received: Vec<String> = named(&receipts).iter().map(|n| n.notice_id.to_string()).collect();
    assert_eq!(received, expected);
    expected.sort();
    let files = ground.wait_for_files(cases.len());
    assert_eq!(files, expected.iter().map(|id| format!("{id}.json")).collect::<Vec<_>>());
    let text = fs::read_to_string(ground.dir.path().join("notices").join(&files[0])).unwrap();
    let shape: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shape["traffic"], "EXERCISE");
    assert_eq!(shape["exercise_id"], "drill");
    assert_eq!(shape["head"]["releaseState"], "RELEASE_STATE_EXPECTED");
    assert_eq!(shape["disclosure"]["part"]["personName"], "Invented Person");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_gets_the_stored_receipt_again_and_a_reminder_its_own() {
    let ground = Ground::new(FILES).await;
    let case = Case::default();
    let bytes = ground.world.notice(&case);
    ground.deliver_bytes(&case, bytes.clone()).await;
    let _bridge = ground.run();
    ground.settled().await;
    ground.deliver_bytes(&case, bytes).await;
    ground.settled().await;
    let stored = ground.stored(subject::RECEIPTS).await;
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0], stored[1], "the same bytes");

    let digest = ground.receipts().await[0].0.notices[0].event_digest;
    let reminder = case.attempt(1);
    let bytes = ground.world.notice_with(&reminder, |_, _| {}, |notice| notice.event_digest = digest);
    ground.deliver_bytes(&reminder, bytes).await;
    ground.settled().await;
    let receipts = ground.receipts().await;
    assert_eq!(receipts[2].0.notices[0].attempt, 1);
    assert_eq!(ground.logged_ids().len(), 1, "not handed over as new");
    assert_eq!(ground.wait_for_files(1).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bad_are_answered_and_settled_and_the_good_go_on() {
    let ground = Ground::new(FILES).await;
    let (unsigned, good) = (Case::custody(1), Case::custody(2));
    let stranger = World { relay: Key::signing(), ..World::new() };
    ground.deliver_bytes(&unsigned, b"garbage".to_vec()).await;
    ground.deliver_bytes(&unsigned, stranger.notice(&unsigned)).await;
    ground.deliver(&good).await;
    let _bridge = ground.run();
    ground.settled().await;
    assert_eq!(ground.logged_ids(), [good.notice_id().to_string()]);
    let receipts = ground.receipts().await;
    let refusals: Vec<_> = receipts
        .iter()
        .filter_map(|(receipt, _)| match &receipt.statement {
            Statement::Refusal(refusal) => Some((receipt.notices[0].notice_id.clone(), refusal.code)),
            _ => None,
        })
        .collect();
    assert_eq!(refusals, [(unsigned.notice_id(), EndpointRefusalCode::UnknownKey)]);
    let subjects: Vec<String> = ground.stored(subject::RECEIPTS).await.into_iter().map(|(s, _)| s).collect();
    assert!(subjects.contains(&"hub.v1.receipt.fed-a.refusal".to_owned()), "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_refused_for_an_unknown_key_is_taken_up_once_the_registry_lists_it() {
    let mut ground = Ground::prepared(FILES).await;
    ground.world.lists_other_jail = false;
    ground.write_files(FILES);
    ground.start_server().await;
    let _bridge = ground.run();
    let case = Case { ori: OTHER_ORI, ..Case::default() };
    ground.deliver(&case).await;
    ground.settled().await;
    assert!(matches!(ground.receipts().await[0].0.statement, Statement::Refusal(_)));
    assert!(ground.log().is_empty());

    (ground.world.version, ground.world.lists_other_jail) = (2, true);
    ground.write_registry();
    let receipts = ground.receipts_until("it is receipted", |receipts| receipts.len() == 2).await;
    assert!(matches!(receipts[1].statement, Statement::Level(ReceiptLevel::Received)));
    assert_eq!(ground.logged_ids(), [case.notice_id().to_string()]);
    ground.wait_for_files(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_older_revision_is_receipted_and_shown_as_superseded() {
    let ground = Ground::new(FILES).await;
    let older = Case::default();
    let newer = older.then(ReleaseState::Released);
    let _bridge = ground.run();
    ground.deliver(&newer).await;
    ground.settled().await;
    ground.deliver(&older).await;
    ground.settled().await;
    let receipts: Vec<_> = ground.receipts().await.into_iter().map(|(receipt, _)| receipt).collect();
    assert_eq!(named(&receipts).iter().map(|n| n.superseded).collect::<Vec<_>>(), [false, true]);
    let log = ground.log();
    assert_eq!((log[0]["superseded"].as_bool(), log[1]["superseded"].as_bool()), (Some(false), Some(true)));
    ground.wait_for_files(2);
    let shown = |case: &Case| -> serde_json::Value {
        let path = ground.dir.path().join("notices").join(format!("{}.json", case.notice_id()));
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    assert_eq!(
        (shown(&newer)["superseded"].as_bool(), shown(&older)["superseded"].as_bool()),
        (Some(false), Some(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_comes_back_and_reaches_no_desk() {
    let ground = Ground::new(FILES).await;
    let ping = Case { traffic: TrafficClass::Ping, ..Case::custody(1) };
    let _bridge = ground.run();
    ground.deliver(&ping).await;
    ground.deliver(&Case::custody(2)).await;
    ground.settled().await;
    let receipts: Vec<_> = ground.receipts().await.into_iter().map(|(receipt, _)| receipt).collect();
    assert_eq!(named(&receipts).len(), 2);
    assert!(receipts.iter().any(|receipt| receipt.traffic == TrafficClass::Ping));
    assert_eq!(ground.logged_ids().len(), 1);
    assert_eq!(ground.wait_for_files(1).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_started_last_and_a_server_killed_in_between_lose_nothing() {
    let mut ground = Ground::prepared(FILES).await;
    let mut bridge = ground.run();
    ground.start_server().await;
    let first = Case::custody(1);
    ground.deliver(&first).await;
    ground.settled().await;
    ground.server.kill9().unwrap();
    ground.server.restart().unwrap();
    let second = Case::custody(2);
    ground
        .until("the hub's own connection is back", async || {
            ground.js.get_stream(subject::DELIVER).await.ok().map(drop)
        })
        .await;
    ground.deliver(&second).await;
    ground.settled().await;
    assert_eq!(ground.logged_ids(), [first.notice_id().to_string(), second.notice_id().to_string()]);
    assert!(bridge.is_running().unwrap());
    bridge.terminate().unwrap();
    assert!(bridge.wait(crate::ground::SOON).unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bridge_on_the_same_store_is_turned_away() {
    let ground = Ground::new(FILES).await;
    let mut bridge = ground.run();
    ground.deliver(&Case::default()).await;
    ground.settled().await;
    let second = ground.recipe("run").run(crate::ground::SOON).unwrap();
    assert_eq!(second.code().unwrap(), i32::from(sallyport_link::exit::BUSY));
    assert!(bridge.is_running().unwrap());
}
