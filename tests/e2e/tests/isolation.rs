//! Who may see and say what: by the accounts alone. Each attempt is made twice where it makes a difference: by the user
//! that the registry lists, and by an accomplice in the same account without any limit of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use sallyport_e2e::{
    Hub, Sealed, World,
    login::Login,
    patience::{SOON, until},
    world::with_user,
};
use sallyport_proto::subject::{self, ReceiptKind};

const A: &str = "zz0010000";
const B: &str = "zz0020000";
const OFFICE: &str = "demo-supervision";
const MARSHALS: &str = "demo-marshals";
const STREAMS: [&str; 8] =
    ["INGEST", "HEARTBEATS", "DELIVER", "RECEIPTS", "ANSWERS", "REQUESTS", "CONTROL", "PARKED"];
/// For things that must not happen: a request that nobody may answer.
const NO_ANSWER: Duration = Duration::from_secs(2);

/// A user in the office's account and one in the jails', each with all that the account itself may do.
async fn with_accomplices() -> World {
    World::provisioned_with(
        |_| {},
        |text| {
            let text = with_user(&text, "SUB_DEMO-SUPERVISION", "inside-office").unwrap();
            with_user(&text, "EDGE", "inside-edge").unwrap()
        },
    )
    .await
    .unwrap()
}

async fn accomplice(world: &World, name: &str) -> Login {
    Login::with_password(&world.server.url(), name, name).await.unwrap()
}

/// Every stream's message count: what an injection would change.
async fn counts(hub: &Hub) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    for stream in STREAMS {
        counts.push((stream.to_owned(), hub.count(stream).await.unwrap()));
    }
    counts
}

async fn names_of_everything(hub: &Hub) -> Vec<String> {
    let mut names: Vec<String> = hub.login.js.stream_names().map(|name| name.unwrap()).collect().await;
    for stream in names.clone() {
        let stream = hub.stream(&stream).await.unwrap();
        let consumers: Vec<_> = stream.consumer_names().map(|name| name.unwrap()).collect().await;
        names
            .extend(consumers.into_iter().map(|name| format!("{}/{name}", stream.cached_info().config.name)));
    }
    names.sort();
    names
}

/// A routed event for both agencies, so that there is something to steal.
async fn told(world: &mut World) -> Sealed {
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let event = jail
        .draft(&[OFFICE, MARSHALS])
        .unwrap()
        .in_state(sallyport_proto::vocabulary::ReleaseState::Escaped)
        .because(sallyport_proto::vocabulary::ReleaseReason::OwnRecognizance)
        .seal(&jail.signer)
        .unwrap();
    jail.publish(&event.bytes).await.unwrap();
    let accepted = jail.acceptance(&event).await.unwrap();
    assert_eq!(accepted.recipients.len(), 2, "both are told, so there is something to steal");
    event
}

/// Requests that would give somebody else's messages away, in an account whose JetStream lies at `api`.
fn thefts(api: &str) -> Vec<(String, &'static str)> {
    let mut thefts = vec![
        (format!("{api}.CONSUMER.INFO.DELIVER.{MARSHALS}"), ""),
        (format!("{api}.CONSUMER.MSG.NEXT.DELIVER.{MARSHALS}"), "1"),
        (format!("{api}.CONSUMER.MSG.NEXT.INGEST.relay"), "1"),
        (
            format!("{api}.CONSUMER.CREATE.DELIVER.thief"),
            r#"{"stream_name":"DELIVER","config":{"name":"thief","ack_policy":"none"}}"#,
        ),
        (
            format!("{api}.CONSUMER.DURABLE.CREATE.DELIVER.thief"),
            r#"{"stream_name":"DELIVER","config":{"durable_name":"thief","ack_policy":"explicit"}}"#,
        ),
        (format!("{api}.CONSUMER.DELETE.DELIVER.{MARSHALS}"), ""),
        (format!("{api}.STREAM.NAMES"), ""),
        (format!("{api}.STREAM.LIST"), ""),
        (format!("{api}.STREAM.CREATE.THIEF"), r#"{"name":"THIEF","subjects":["thief.>"]}"#),
    ];
    for stream in STREAMS {
        thefts.push((format!("{api}.STREAM.INFO.{stream}"), ""));
        thefts.push((format!("{api}.STREAM.MSG.GET.{stream}"), r#"{"seq":1}"#));
        thefts.push((format!("{api}.DIRECT.GET.{stream}"), r#"{"seq":1}"#));
        thefts.push((format!("{api}.STREAM.PURGE.{stream}"), ""));
        thefts.push((format!("{api}.STREAM.DELETE.{stream}"), ""));
    }
    thefts
}

/// Makes every request at once; none may be answered by anything but an error.
async fn none_is_answered(login: &Login, requests: Vec<(String, &'static str)>) {
    let asked = requests.into_iter().map(|(subject, body)| async move {
        let request = async_nats::Request::new().payload(body.into()).timeout(Some(NO_ANSWER));
        (login.client.send_request(subject.clone(), request).await, subject)
    });
    for (answer, subject) in futures_util::future::join_all(asked).await {
        let Ok(answer) = answer else { continue };
        let text = String::from_utf8_lossy(&answer.payload).into_owned();
        let refused = answer.status.is_some() || text.contains(r#""error":{"#);
        assert!(refused, "{subject} is answered: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_cannot_touch_what_is_not_its_own() {
    let mut world = with_accomplices().await;
    told(&mut world).await;
    let hub = world.hub().await.unwrap();
    let (before, names) = (counts(&hub).await, names_of_everything(&hub).await);

    let office = world.agency(OFFICE).await.unwrap();
    let inside = accomplice(&world, "inside-office").await;
    for login in [&office.login, &inside] {
        for api in ["$JS.API", subject::SUBSCRIBER_JS_API] {
            none_is_answered(login, thefts(api)).await;
        }
    }
    assert!(office.login.was_refused(), "the server says no, loudly: {:?}", office.login.complaints());
    let marshals = hub.durable("DELIVER", MARSHALS).await.unwrap();
    assert_eq!(marshals.delivered.consumer_sequence, 0, "nobody pulled from the other's durable");
    assert_eq!(counts(&hub).await, before);
    assert_eq!(names_of_everything(&hub).await, names, "nothing was made, nothing is gone");

    // Its own it has, and only that.
    let taken = office.take(1).await.unwrap();
    assert_eq!(taken[0].notice.subscriber().as_str(), OFFICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agencys_account_hears_nothing_of_the_hub_and_of_the_other_agencies() {
    let mut world = with_accomplices().await;
    let inside = accomplice(&world, "inside-office").await;
    let mut everything = inside.client.subscribe(">").await.unwrap();
    inside.client.flush().await.unwrap();
    let event = told(&mut world).await;

    let marshals = world.agency(MARSHALS).await.unwrap();
    let taken = marshals.take_and_settle().await.unwrap();
    assert_eq!(taken.head.event_id, event.event_id);
    let receipt = marshals.received(&taken).seal(&marshals.signer);
    marshals.publish(ReceiptKind::Received, receipt).await.unwrap();
    world.hub().await.unwrap().settled("RECEIPTS", "relay", SOON).await.unwrap();
    inside.client.flush().await.unwrap();
    let overheard = everything.next().now_or_never().flatten();
    assert!(overheard.is_none(), "{overheard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jail_hears_its_own_answers_only() {
    let mut world = with_accomplices().await;
    let jail = world.jail(B).await.unwrap();
    for foreign in [
        format!("notify.v1.answer.zz.{A}.>"),
        "notify.v1.answer.>".into(),
        ">".into(),
        format!("_INBOX_zz_{A}.>"),
    ] {
        let mut heard = jail.login.client.subscribe(foreign.clone()).await.unwrap();
        jail.login.client.flush().await.unwrap();
        until("the server refuses the subscription", SOON, || async {
            Ok(jail
                .login
                .complaints()
                .iter()
                .any(|c| c.contains(&format!("\"{foreign}\"")) || c.contains(&foreign))
                .then_some(()))
        })
        .await
        .unwrap();
        assert!(heard.next().now_or_never().flatten().is_none());
    }
    let mut jail = world.jail(B).await.unwrap();
    told(&mut world).await;
    jail.login.client.flush().await.unwrap();
    assert!(jail.heard().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_publishes_under_anothers_name() {
    let mut world = with_accomplices().await;
    told(&mut world).await;
    let hub = world.hub().await.unwrap();
    let before = counts(&hub).await;
    let (jail, office) = (world.jail(A).await.unwrap(), world.agency(OFFICE).await.unwrap());
    let (in_edge, in_office) =
        (accomplice(&world, "inside-edge").await, accomplice(&world, "inside-office").await);

    let of_others = || {
        let mut subjects = vec![
            format!("notify.v1.receipt.{MARSHALS}.received"),
            format!("notify.v1.request.{MARSHALS}.zz.{A}.0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b"),
            format!("notify.v1.answer.zz.{B}.accepted"),
        ];
        subjects.extend([
            format!("ingest.v1.release.zz.{B}"),
            format!("hub.v1.deliver.{MARSHALS}.zz.{A}.0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b.0"),
            format!("hub.v1.routed.zz.{A}.0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b"),
            format!("hub.v1.answer.zz.{A}.accepted"),
            format!("hub.v1.receipt.{MARSHALS}.received"),
            "hub.v1.control.dead-lettered.x".into(),
            format!("hub.v1.parked.garbage.zz.{A}"),
        ]);
        subjects
    };
    let logins = [&jail.login, &office.login, &in_edge, &in_office];
    let tries = logins.iter().flat_map(|login| of_others().into_iter().map(move |subject| (login, subject)));
    let tries = tries.map(|(login, subject)| async move {
        let stored = login.js.publish(subject.clone(), "forged".into()).await.unwrap().await;
        assert!(stored.is_err(), "{subject} was stored");
    });
    futures_util::future::join_all(tries).await;
    // The jails share an account: within it a user's own permissions are what keeps one from another's subject.
    let forged =
        jail.login.js.publish(format!("notify.v1.release.zz.{B}"), "forged".into()).await.unwrap().await;
    assert!(forged.is_err());
    let forged =
        office.login.js.publish(format!("notify.v1.release.zz.{B}"), "forged".into()).await.unwrap().await;
    assert!(forged.is_err());
    assert_eq!(counts(&hub).await, before);
}

/// Subjects on which an injected message would be somebody else's word.
fn foreign_replies() -> Vec<String> {
    let event = "0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b";
    let mut replies = Vec::new();
    for side in ["notify.v1", "hub.v1"] {
        replies.extend([
            format!("{side}.receipt.{MARSHALS}.received"),
            format!("{side}.receipt.{OFFICE}.received"),
            format!("{side}.request.{MARSHALS}.zz.{A}.{event}"),
            format!("{side}.answer.zz.{B}.accepted"),
            format!("{side}.deliver.{MARSHALS}.zz.{A}.{event}.0"),
            format!("{side}.control.dead-lettered.x"),
        ]);
    }
    replies.extend([
        format!("notify.v1.release.zz.{B}"),
        format!("ingest.v1.release.zz.{B}"),
        format!("notify.v1.heartbeat.zz.{B}"),
        format!("ingest.v1.heartbeat.zz.{B}"),
        format!("hub.v1.routed.zz.{A}.{event}"),
        "$JS.API.STREAM.DELETE.INGEST".into(),
        format!("$JS.API.CONSUMER.DELETE.DELIVER.{MARSHALS}"),
    ]);
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_jails_publish_cannot_be_made_anothers_message() {
    let world = with_accomplices().await;
    let hub = world.hub().await.unwrap();
    let names = names_of_everything(&hub).await;
    let jail = world.jail(A).await.unwrap();
    let inside = accomplice(&world, "inside-edge").await;
    let own = subject::notify_release(&jail.st, &jail.ori);
    let mut published = 0;
    for login in [&jail.login, &inside] {
        for reply in foreign_replies() {
            login.client.publish_with_reply(own.clone(), reply, "mine".into()).await.unwrap();
            published += 1;
        }
        // Answered after all the others: what they could bring about has been brought about.
        login.js.publish(own.clone(), "the last".into()).await.unwrap().await.unwrap();
        published += 1;
    }
    let subjects: Vec<_> = hub
        .all("INGEST", ">")
        .await
        .unwrap()
        .into_iter()
        .map(|message| message.subject.to_string())
        .filter(|subject| *subject != format!("ingest.v1.release.zz.{A}"))
        .collect();
    assert!(subjects.is_empty(), "stored as somebody else's: {subjects:?}");
    let stored = counts(&hub).await;
    for (stream, count) in stored {
        let own = if stream == "INGEST" { published } else { 0 };
        assert_eq!(count, own, "{stream}: the jail's own messages, and nothing else");
    }
    assert_eq!(names_of_everything(&hub).await, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_subscribers_pull_cannot_be_made_anothers_message() {
    let mut world = with_accomplices().await;
    told(&mut world).await;
    let mut jail = world.jail(A).await.unwrap();
    for _ in 0..foreign_replies().len() * 2 {
        let event = jail.event(&[OFFICE]).unwrap();
        jail.publish(&event.bytes).await.unwrap();
        jail.acceptance(&event).await.unwrap();
    }
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    // What is stored from now on, only an injection stored.
    world.kill9("relay-a").unwrap();
    let (before, names) = (counts(&hub).await, names_of_everything(&hub).await);
    let office = world.agency(OFFICE).await.unwrap();
    let inside = accomplice(&world, "inside-office").await;
    let next = format!("{}.CONSUMER.MSG.NEXT.DELIVER.{OFFICE}", subject::SUBSCRIBER_JS_API);
    for login in [&office.login, &inside] {
        for reply in foreign_replies() {
            for body in ["1", r#"{"batch":1,"no_wait":true}"#] {
                login.client.publish_with_reply(next.clone(), reply.clone(), body.into()).await.unwrap();
            }
        }
        login.client.flush().await.unwrap();
        // A pull of its own, answered after all the others.
        let inbox = login.client.new_inbox();
        let mut own = login.client.subscribe(inbox.clone()).await.unwrap();
        login
            .client
            .publish_with_reply(next.clone(), inbox, r#"{"batch":1,"no_wait":true}"#.into())
            .await
            .unwrap();
        tokio::time::timeout(SOON, own.next()).await.expect("an answer, if only: nothing there").unwrap();
    }
    let delivered = hub.durable("DELIVER", OFFICE).await.unwrap().delivered.consumer_sequence;
    assert!(delivered > 2, "the pulls were served, so the replies were tried: {delivered}");
    assert_eq!(counts(&hub).await, before);
    assert_eq!(names_of_everything(&hub).await, names);
}
