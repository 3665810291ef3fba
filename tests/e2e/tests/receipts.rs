//! Receipts on their way back: to the jail of the notice, as the subscriber signed them, and from nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use jiff::Timestamp;
use sallyport_e2e::{FakeAgency, FakeJail, World, agency::Taken, patience::SOON};
use sallyport_proto::{
    answer::Body,
    receipt::{Receipt, Response, Statement},
    subject::{self, ReceiptKind},
    time::Moment,
    vocabulary::{ReceiptLevel, ResponseKind, SourceClock},
};

const A: &str = "zz0010000";
const B: &str = "zz0020000";
const OFFICE: &str = "demo-supervision";

struct Told {
    world: World,
    jail: FakeJail,
    other: FakeJail,
    agency: FakeAgency,
    taken: Taken,
}

/// One event, told to one agency, and two jails that listen.
async fn told() -> Told {
    let world = World::routing(|_| {}).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let other = world.jail(B).await.unwrap();
    let event = jail.event(&[OFFICE]).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    jail.acceptance(&event).await.unwrap();
    let agency = world.agency(OFFICE).await.unwrap();
    let taken = agency.take_and_settle().await.unwrap();
    Told { world, jail, other, agency, taken }
}

async fn next_receipt(jail: &mut FakeJail, wanted: &[u8]) -> sallyport_proto::answer::RelayedReceipt {
    jail.hear("the receipt as Progress", |answer| match &answer.body {
        Body::Progress(receipts) => receipts.iter().find(|r| r.receipt == wanted).cloned(),
        _ => None,
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_receipt_reaches_the_right_jail_as_it_was_signed_and_no_other_jail() {
    let Told { world, mut jail, mut other, agency, taken } = told().await;
    let bytes = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, bytes.clone()).await.unwrap();
    let relayed = next_receipt(&mut jail, &bytes).await;
    assert_eq!(relayed.receipts_sequence, 1);

    let registry = world.registry().unwrap();
    let key = &registry.subscribers[&agency.id].signing_key;
    let opened = Receipt::open(&relayed.receipt, key).unwrap();
    assert_eq!(opened.notices[0].notice_id, taken.notice.notice_id);
    assert_eq!(opened.statement, Statement::Level(ReceiptLevel::Received));
    let hub = world.hub().await.unwrap();
    hub.settled("RECEIPTS", "relay", SOON).await.unwrap();
    assert!(hub.answers(&other.ori).await.unwrap().is_empty(), "nothing was stored for the other jail");
    assert!(other.heard().unwrap().is_empty(), "and nothing was sent to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_answer_reaches_the_jail_with_its_eta() {
    let Told { world: _world, mut jail, agency, taken, .. } = told().await;
    let eta = Moment::exact(Timestamp::now(), SourceClock::Person);
    let mut answer = agency.received(&taken);
    answer.statement = Statement::Response(Response {
        kind: ResponseKind::WillTakeCustody,
        eta: Some(eta),
        answer_by: None,
        contact: Some("desk 1".into()),
        forward_to: None,
    });
    let bytes = answer.seal(&agency.signer);
    agency.publish(ReceiptKind::Response, bytes.clone()).await.unwrap();
    let relayed = next_receipt(&mut jail, &bytes).await;
    let claimed = Receipt::claimed(&relayed.receipt).unwrap();
    assert!(matches!(claimed.statement, Statement::Response(r) if r.eta == Some(eta)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_another_signed_or_that_speaks_for_another_is_credited_to_nobody() {
    let Told { world, mut jail, agency, taken, .. } = told().await;
    let civil = world.agency("demo-civil").await.unwrap();
    let forged = agency.received(&taken).seal(&civil.signer);
    let mut spoken_for = agency.received(&taken);
    spoken_for.subscriber = civil.id.clone();
    for notice in &mut spoken_for.notices {
        let (ori, event) = (notice.notice_id.ori(), notice.notice_id.event());
        notice.notice_id = sallyport_proto::ids::NoticeId::new(&ori, &event, &civil.id);
    }
    let spoken_for = spoken_for.seal(&civil.signer);
    for bad in [forged, spoken_for, b"garbage".to_vec(), Vec::new()] {
        agency.publish(ReceiptKind::Received, bad).await.unwrap();
    }
    let good = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, good.clone()).await.unwrap();
    next_receipt(&mut jail, &good).await;
    let hub = world.hub().await.unwrap();
    hub.settled("RECEIPTS", "relay", SOON).await.unwrap();
    let credited: Vec<_> = jail.progress().unwrap().into_iter().map(|r| r.receipt).collect();
    assert_eq!(credited, [good], "only what the addressee signed");
    assert_eq!(hub.count(subject::RECEIPTS).await.unwrap(), 5, "what came is kept as it came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_came_while_no_relay_ran_is_forwarded_later_once() {
    let Told { mut world, mut jail, agency, taken, .. } = told().await;
    world.kill9("relay-a").unwrap();
    let bytes = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, bytes.clone()).await.unwrap();
    world.start_relay("a").unwrap();
    next_receipt(&mut jail, &bytes).await;
    world.hub().await.unwrap().settled("RECEIPTS", "relay", SOON).await.unwrap();
    assert_eq!(jail.progress().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_are_together_larger_than_a_message_keep_no_other_agencys_from_the_jail() {
    // Less than 64 of the longest receipts together: a server takes a megabyte unless told otherwise.
    const SMALL: &str = "max_payload: 200000\n";
    const FLOOD: usize = 64;
    let all_ask = |instance: &mut sallyport_ground::Instance| {
        instance.subscribers.iter_mut().for_each(|s| s.requests_only = false);
    };
    let mut world = World::provisioned_with(all_ask, |text| format!("{SMALL}{text}")).await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let event = jail.event(&[OFFICE, "demo-civil"]).unwrap();
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    jail.publish(&event.bytes).await.unwrap();
    jail.acceptance(&event).await.unwrap();
    let (agency, civil) = (world.agency(OFFICE).await.unwrap(), world.agency("demo-civil").await.unwrap());
    let (taken, of_civil) = (agency.take_and_settle().await.unwrap(), civil.take_and_settle().await.unwrap());
    world.kill9("relay-a").unwrap();

    let mut long = civil.received(&of_civil);
    long.notices = vec![long.notices[0].clone(); sallyport_proto::limits::NOTICES_PER_RECEIPT_MAX];
    for n in 0..FLOOD {
        long.text = Some(format!("{n:>1000}"));
        let bytes = long.clone().seal(&civil.signer);
        assert!(bytes.len() * FLOOD > 400_000, "{} bytes are no flood", bytes.len());
        civil.publish(ReceiptKind::Received, bytes).await.unwrap();
    }
    let good = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, good.clone()).await.unwrap();

    world.start_relay("a").unwrap();
    next_receipt(&mut jail, &good).await;
    world.hub().await.unwrap().settled("RECEIPTS", "relay", SOON).await.unwrap();
    assert_eq!(jail.progress().unwrap().len(), FLOOD + 1, "the others came too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_larger_than_any_may_be_is_refused_by_the_broker() {
    let Told { world, agency, .. } = told().await;
    let bytes = vec![0; sallyport_proto::limits::RECEIPT_MESSAGE_BYTES_MAX + 1];
    assert!(agency.publish(ReceiptKind::Received, bytes).await.is_err());
    assert_eq!(world.hub().await.unwrap().count(subject::RECEIPTS).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_by_a_new_key_reaches_the_jail_once_the_relay_has_the_registry_that_lists_it() {
    let Told { mut world, mut jail, mut agency, taken, .. } = told().await;
    // The agency rolled its key first; the relay's registry is the older one.
    let pair = world.instance.keys().replace_signing(OFFICE).unwrap();
    agency.signer = sallyport_proto::key::Signer::from_seed(&pair.seed().unwrap()).unwrap();
    let bytes = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, bytes.clone()).await.unwrap();
    sallyport_e2e::patience::until("the relay gives it back", SOON, || {
        let given_back = world.log_of("relay-a").contains("receipt not passed on yet");
        async move { Ok(given_back.then_some(())) }
    })
    .await
    .unwrap();
    assert!(jail.progress().unwrap().is_empty());
    world.instance.rewrite_registry().unwrap();
    next_receipt(&mut jail, &bytes).await;
    world.hub().await.unwrap().settled("RECEIPTS", "relay", SOON).await.unwrap();
}
