//! What people say reaches the broker: through the running bridge, or without one.

use sallyport_harness::{Program, program::Ended};
use sallyport_link::exit;
use sallyport_proto::{
    outcome::Outcome,
    receipt::{Receipt, Statement},
    subject,
    vocabulary::{OutcomeKind, OutcomeSide, ReceiptLevel, ReleaseState, ResponseKind},
};

use crate::{
    ground::{Ground, SOON},
    world::Case,
};

fn say(ground: &Ground, command: &str, words: &[&str]) -> Ended {
    ground.typed(command, words).arg("--json").run(SOON).unwrap()
}

fn said(ground: &Ground, command: &str, words: &[&str]) -> serde_json::Value {
    let ended = say(ground, command, words);
    assert_eq!(ended.code().unwrap(), i32::from(exit::OK), "{:?}", ended.stderr);
    serde_json::from_str(&ended.stdout[0]).unwrap()
}

/// A bridge that runs, and a notice that it keeps.
async fn with_one_notice() -> (Ground, Program, Case) {
    let ground = Ground::new("to = \"none\"").await;
    let (bridge, case) = (ground.run(), Case::default());
    ground.deliver(&case).await;
    ground.settled().await;
    (ground, bridge, case)
}

async fn later(ground: &Ground) -> Vec<Receipt> {
    let receipts = ground.receipts().await.into_iter().map(|(receipt, _)| receipt);
    receipts.filter(|r| !matches!(r.statement, Statement::Level(ReceiptLevel::Received))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_outcomes_go_out_through_the_running_bridge_in_order() {
    let (ground, bridge, case) = Box::pin(with_one_notice()).await;
    let id = case.notice_id().to_string();
    let seen = said(&ground, "answer", &[&id, "seen", "--by", "desk-2"]);
    assert_eq!(seen["published"], true);
    said(
        &ground,
        "answer",
        &[case.event.as_str(), "will-take-custody", "--eta", "+45m", "--contact", "desk 2"],
    );
    said(&ground, "outcome", &[&id, "custody-taken", "--at", "2026-11-21T23:00:00Z", "--text", "as agreed"]);
    drop(bridge);

    let receipts = later(&ground).await;
    assert_eq!(receipts.len(), 2);
    assert!(matches!(receipts[0].statement, Statement::Level(ReceiptLevel::Seen)));
    assert!(receipts[0].t7_seen.is_some() && receipts[0].by_whom == "desk-2");
    let Statement::Response(response) = &receipts[1].statement else { panic!() };
    assert_eq!(response.kind, ResponseKind::WillTakeCustody);
    assert!(response.eta.is_some() && receipts[1].t8_answered.is_some());
    let outcomes = ground.stored(subject::RECEIPTS).await;
    let (_, bytes) = outcomes.into_iter().find(|(subject, _)| subject.ends_with(".outcome")).unwrap();
    let outcome = Outcome::open(&bytes, &ground.world.agency.public().parse().unwrap()).unwrap();
    assert_eq!((outcome.kind, outcome.side), (OutcomeKind::CustodyTaken, OutcomeSide::Subscriber));
    assert_eq!(outcome.notice.unwrap().notice_id, case.notice_id());
    assert_eq!(outcome.act.unwrap().at.to_string(), "2026-11-21T23:00:00Z");
    assert_eq!(outcome.custody_key, Some(case.custody_key()));

    let list = say(&ground, "list", &[]);
    let row: serde_json::Value = serde_json::from_str(&list.stdout[0]).unwrap();
    assert_eq!(
        (row["status"].as_str(), row["last_word"].as_str()),
        (Some("outcome"), Some("OUTCOME CUSTODY_TAKEN"))
    );
    let whole = said(&ground, "show", &[&id]);
    let words: Vec<&str> =
        whole["said"].as_array().unwrap().iter().map(|s| s["word"].as_str().unwrap()).collect();
    assert_eq!(words, ["RECEIVED", "SEEN", "WILL_TAKE_CUSTODY", "OUTCOME CUSTODY_TAKEN"]);
    assert!(whole["said"].as_array().unwrap().iter().all(|said| !said["published"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bridge_the_command_publishes_by_itself() {
    let (ground, mut bridge, case) = Box::pin(with_one_notice()).await;
    bridge.kill9().unwrap();
    let answer = said(&ground, "answer", &[case.notice_id().as_str(), "no-interest"]);
    assert_eq!(answer["published"], true);
    let receipts = later(&ground).await;
    assert!(matches!(&receipts[0].statement, Statement::Response(r) if r.kind == ResponseKind::NoInterest));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_without_a_broker_is_kept_and_goes_out_with_the_next_run() {
    let (mut ground, mut bridge, case) = Box::pin(with_one_notice()).await;
    bridge.kill9().unwrap();
    ground.server.stop().unwrap();
    let answer = say(&ground, "answer", &[case.notice_id().as_str(), "cannot-attend"]);
    assert_eq!(answer.code().unwrap(), i32::from(exit::UNAVAILABLE));
    ground.server.restart().unwrap();
    let _bridge = ground.run();
    ground
        .until("the hub's own connection is back", async || {
            ground.js.get_stream(subject::RECEIPTS).await.ok().map(drop)
        })
        .await;
    let receipts = ground.receipts_until("it is published", |receipts| receipts.len() >= 2).await;
    assert!(receipts.iter().any(
        |receipt| matches!(&receipt.statement, Statement::Response(r) if r.kind == ResponseKind::CannotAttend)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_not_sent() {
    let ground = Ground::new("to = \"none\"").await;
    let case = Case::default();
    let retraction = case.then(ReleaseState::Retracted);
    let _bridge = ground.run();
    ground.deliver(&case).await;
    ground.deliver(&retraction).await;
    ground.settled().await;
    let id = case.notice_id().to_string();
    let check = |command: &str, words: &[&str], code: u8| {
        let ended = say(&ground, command, words);
        assert_eq!(ended.code().unwrap(), i32::from(code), "{words:?}: {:?}", ended.stderr);
    };
    check("answer", &["nothing-known", "seen"], exit::DATA);
    check("answer", &[&id, "retraction-acknowledged"], exit::DATA);
    check("answer", &[&id, "will-take-custody"], exit::CONFIG);
    check("answer", &[&id, "will-take-custody", "--eta", "tonight"], exit::CONFIG);
    check("answer", &[&id, "will-take-custody", "--eta", "2020-01-01T00:00:00Z"], exit::CONFIG);
    check("answer", &[&id, "will-answer-by", "2020-01-01T00:00:00Z"], exit::CONFIG);
    check("answer", &[&id, "seen", "--by", " "], exit::CONFIG);
    check("outcome", &[&id, "vanished", "--at", "2026-11-21T23:00:00Z"], exit::CONFIG);
    check("outcome", &[&id, "custody-taken", "--at", "2999-01-01T00:00:00Z"], exit::CONFIG);
    assert!(later(&ground).await.is_empty());
    check("answer", &[retraction.notice_id().as_str(), "retraction-acknowledged"], exit::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_contradicts_an_earlier_one_must_say_that_it_takes_its_place() {
    let (ground, _bridge, case) = Box::pin(with_one_notice()).await;
    let id = case.notice_id().to_string();
    let at = ["--at", "2026-11-21T23:00:00Z"];
    let state = |kind: &str, more: &[&str]| {
        say(&ground, "outcome", &[[id.as_str(), kind].as_slice(), &at, more].concat())
    };
    let first = state("custody-taken", &[]);
    assert_eq!(first.code().unwrap(), 0, "{first:?}");
    let first: serde_json::Value = serde_json::from_str(&first.stdout[0]).unwrap();
    let first = first["outcome_id"].as_str().unwrap();
    let contradicts = state("released-no-show", &[]);
    assert_eq!(contradicts.code().unwrap(), i32::from(exit::DATA), "{contradicts:?}");
    assert!(
        contradicts.stderr.iter().any(|line| line.contains(first)),
        "it names the other: {contradicts:?}"
    );
    assert_eq!(state("custody-taken", &[]).code().unwrap(), 0, "the same again contradicts nothing");
    let still = state("released-no-show", &["--supersedes", first]);
    assert_eq!(still.code().unwrap(), i32::from(exit::DATA), "the second one still stands: {still:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_takes_the_place_of_the_one_it_names() {
    let (ground, _bridge, case) = Box::pin(with_one_notice()).await;
    let id = case.notice_id().to_string();
    let words =
        |kind: &'static str| [id.clone(), kind.into(), "--at".into(), "2026-11-21T23:00:00Z".to_owned()];
    let of = |words: &[String]| words.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let (taken, no_show) = (of(&words("custody-taken")), of(&words("released-no-show")));
    let first = said(&ground, "outcome", &taken.split(' ').collect::<Vec<_>>());
    let first = first["outcome_id"].as_str().unwrap().to_owned();
    let mut corrected: Vec<&str> = no_show.split(' ').collect();
    corrected.extend(["--supersedes", &first]);
    said(&ground, "outcome", &corrected);
}
