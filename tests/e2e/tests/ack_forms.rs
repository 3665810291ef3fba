//! The server can spell the subject of an ack in two forms. Under either, what our programs settle stays settled.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{World, patience::SOON};
use sallyport_proto::{answer::Body, subject::ReceiptKind};

const A: &str = "zz0010000";
const OFFICE: &str = "demo-supervision";

async fn whole_loop_settles(server_lines: &'static str, ack_tokens: usize) {
    let mut world =
        World::provisioned_with(|_| {}, move |text| format!("{text}{server_lines}\n")).await.unwrap();
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let event = jail.event(&[OFFICE]).unwrap();
    jail.publish(&event.bytes).await.unwrap();
    jail.publish(b"garbage").await.unwrap();
    jail.acceptance(&event).await.unwrap();
    jail.refusal(b"garbage").await.unwrap();

    let agency = world.agency(OFFICE).await.unwrap();
    let taken = agency.take(1).await.unwrap().pop().unwrap();
    let reply = taken.message.reply.clone().unwrap();
    assert_eq!(reply.split('.').count(), ack_tokens, "the server spells it so: {reply}");
    sallyport_link::settle::settle(&agency.login.client, &taken.message).await.unwrap();
    let receipt = agency.received(&taken).seal(&agency.signer);
    agency.publish(ReceiptKind::Received, receipt).await.unwrap();
    jail.hear("the receipt", |answer| matches!(answer.body, Body::Progress(_)).then_some(())).await.unwrap();

    let hub = world.hub().await.unwrap();
    for (stream, durable) in [("INGEST", "relay"), ("RECEIPTS", "relay"), ("DELIVER", OFFICE)] {
        hub.settled(stream, durable, SOON).await.unwrap();
        let info = hub.durable(stream, durable).await.unwrap();
        assert_eq!(info.num_redelivered, 0, "{stream}");
        assert_eq!(info.ack_floor.consumer_sequence, info.delivered.consumer_sequence, "{stream}");
    }
    assert!(!agency.login.was_refused(), "{:?}", agency.login.complaints());
    assert!(!world.log_of("relay-a").contains("refused a publish"), "{}", world.log_of("relay-a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_settles_under_the_first_form_of_the_ack_subject() {
    whole_loop_settles("", 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_settles_under_the_second_form_of_the_ack_subject() {
    whole_loop_settles("feature_flags { js_ack_fc_v2: true }", 11).await;
}
