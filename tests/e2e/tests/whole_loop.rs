//! The whole loop with all real programs: from a jail's export to what the jail sees of the agencies' answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_e2e::{
    Day, World,
    day::{Custody, csv, ingest},
    patience::{DEAR_LOOK_EVERY, SOON, until_every},
};
use sallyport_ground::COUNTY_COLUMNS;
use serde_json::{Value, json};

const JAIL: &str = "zz0010000";
const AGENT: &str = "agent-zz0010000";
const OFFICE: &str = "demo-supervision";
const BRIDGE: &str = "subscriber-demo-supervision";

async fn running() -> World {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_everything().unwrap();
    world
}

/// Waits until `status EVENT` of the jail shows something.
async fn status_shows(world: &World, event: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until_every(what, SOON, DEAR_LOOK_EVERY, || async {
        let status = world.ask(AGENT, &["status", event, "--json"])?;
        Ok(wanted(&status).then_some(status))
    })
    .await
    .unwrap()
}

fn recipient<'s>(status: &'s Value, subscriber: &str) -> &'s Value {
    let recipients = status["recipients"].as_array().unwrap();
    recipients.iter().find(|r| r["subscriber"] == subscriber).unwrap_or(&Value::Null)
}

/// Ids of the jail's last events with what they tell, oldest first.
fn last_events(world: &World) -> Vec<Value> {
    let overview = world.ask(AGENT, &["status", "--json"]).unwrap();
    let mut events = overview["last_events"].as_array().unwrap().clone();
    events.reverse();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_reaches_its_subscribers_and_the_jail_sees_who_has_it_who_saw_it_and_who_comes() {
    let world = running().await;
    let mut day = Day::of(JAIL);
    let summary = day.export(&world, 8).unwrap();
    assert_eq!((&summary["custodies"], &summary["events"]), (&json!(8), &json!(8)), "{summary}");
    let report = day.acknowledged(&world, SOON).await.unwrap();
    assert_eq!(report.received, report.notices);
    assert!(report.notices >= 6, "{report:?}");

    let own_recognizance =
        last_events(&world).into_iter().find(|e| e["release_state"] == "RELEASED" && e["told"] == 1).unwrap();
    let event = own_recognizance["event_id"].as_str().unwrap().to_owned();
    let status = status_shows(&world, &event, "RECEIVED at the jail", |status| {
        !recipient(status, OFFICE)["received"].is_null()
    })
    .await;
    let office = recipient(&status, OFFICE);
    assert_eq!(status["status"], "accepted");
    assert_eq!(office["routing"], "addressed");
    assert_eq!(office["receipts"][0]["word"], "RECEIVED");
    assert!(office["round_trip_us"].as_i64().unwrap() > 0, "measured on the jail's own clock: {office}");

    world.ask(BRIDGE, &["answer", "--json", &event, "seen"]).unwrap();
    world
        .ask(BRIDGE, &["answer", "--json", "--by", "desk-2", &event, "will-take-custody", "--eta", "+45m"])
        .unwrap();
    let status = status_shows(&world, &event, "their answer at the jail", |status| {
        recipient(status, OFFICE)["response"] == "WILL_TAKE_CUSTODY"
    })
    .await;
    let office = recipient(&status, OFFICE);
    assert!(!office["seen"].is_null() && !office["eta"].is_null(), "{office}");
    assert_eq!(office["response_by"], "desk-2");
    assert_eq!(office["note"], "This is not a reason to hold. Release when cleared.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reading_publishes_nothing_and_one_changed_disposition_exactly_one_revision() {
    let world = running().await;
    let mut day = Day::of(JAIL);
    let custodies = day.next(24).unwrap();
    let (file, as_of) = day.write(&world.instance, &custodies).unwrap();
    let first = ingest(&world, JAIL, &file, as_of).unwrap();
    assert_eq!(first["events"], 24);
    day.acknowledged(&world, SOON).await.unwrap();
    let hub = world.hub().await.unwrap();
    let stored = hub.count("INGEST").await.unwrap();

    let mut rows: Vec<_> = custodies.iter().map(Custody::cells).collect();
    rows.rotate_left(7);
    rows.swap(1, 5);
    let shuffled = csv(&COUNTY_COLUMNS, &rows);
    let mut header = COUNTY_COLUMNS.to_vec();
    header.reverse();
    rows.iter_mut().for_each(|row| row.reverse());
    let reordered = csv(&header, &rows);
    let marked = format!("\u{feff}{reordered}");
    let again = csv(&COUNTY_COLUMNS, &custodies.iter().map(Custody::cells).collect::<Vec<_>>());
    for (how, text) in
        [("again", again), ("shuffled", shuffled), ("reordered", reordered), ("with a mark", marked)]
    {
        let copy = world.instance.dir.join("copy.csv");
        std::fs::write(&copy, text).unwrap();
        let summary = ingest(&world, JAIL, &copy, as_of).unwrap();
        assert_eq!(summary["events"], 0, "{how}: {summary}");
    }
    day.quiet(&world, SOON).await.unwrap();
    assert_eq!(hub.count("INGEST").await.unwrap(), stored, "nothing was published");

    let mut changed = custodies.clone();
    let at = changed.iter().position(|c| c.text == "PR").unwrap();
    changed[at].text = "Time Served".into();
    let (file, as_of) = day.write(&world.instance, &changed).unwrap();
    let summary = ingest(&world, JAIL, &file, as_of).unwrap();
    assert_eq!(summary["events"], 1, "{summary}");
    day.acknowledged(&world, SOON).await.unwrap();
    let last = last_events(&world).pop().unwrap();
    assert_eq!(last["revision"], 2);

    // The office subscribes to no TIME_SERVED: it hears of it because it was told the first.
    let listed = world.command(BRIDGE, &["list", "--json", "--limit", "1000"]).unwrap();
    let rows: Vec<Value> = listed.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = last["event_id"].as_str().unwrap();
    let second = rows.iter().find(|row| row["notice_id"].as_str().unwrap().contains(event)).unwrap();
    assert_eq!((&second["revision"], &second["superseded"]), (&json!(2), &json!(false)));
    assert_eq!(second["reason"], "TIME_SERVED");
    let superseded: Vec<_> = rows.iter().filter(|row| row["superseded"] == true).collect();
    assert_eq!(superseded.len(), 1, "the first, and no other: {superseded:?}");
    assert_eq!(superseded[0]["revision"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gap_only_the_newest_revision_is_actionable_and_every_one_is_receipted() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_relay("a").unwrap();
    world.start_agent(JAIL).unwrap();
    let mut day = Day::of(JAIL);
    // Bail posted in the first, the doors in the second, while no bridge runs.
    day.export(&world, 8).unwrap();
    day.export(&world, 0).unwrap();
    let hub = world.hub().await.unwrap();
    until_every("both revisions are addressed", SOON, DEAR_LOOK_EVERY, || async {
        let notices = hub.notices(OFFICE).await?;
        Ok((notices.len() >= 4).then_some(()))
    })
    .await
    .unwrap();
    for id in ["demo-supervision", "demo-marshals", "demo-civil"] {
        world.start_subscriber(id).unwrap();
    }
    day.acknowledged(&world, SOON).await.unwrap();

    let log = std::fs::read_to_string(world.instance.hand_over_log(OFFICE)).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let revised: Vec<_> = lines
        .iter()
        .filter(|line| lines.iter().filter(|other| other["custody_key"] == line["custody_key"]).count() == 2)
        .collect();
    assert_eq!(revised.len(), 4, "two custodies with bail and door: {lines:?}");
    for line in revised {
        assert_eq!(line["superseded"], json!(line["revision"] == 1), "{line}");
    }
    let receipts = hub.receipts().await.unwrap();
    let office = receipts.iter().filter(|r| r.subscriber.as_str() == OFFICE).flat_map(|r| &r.notices);
    let superseded = office.clone().filter(|n| n.superseded).count();
    assert_eq!((office.count(), superseded), (lines.len(), 2), "each receipted, and as what it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_was_lost_on_a_dead_agent_is_found_and_nothing_is_sent_twice() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_agent(JAIL).unwrap();
    for id in ["demo-supervision", "demo-marshals", "demo-civil"] {
        world.start_subscriber(id).unwrap();
    }
    let mut day = Day::of(JAIL);
    day.export(&world, 6).unwrap();
    let hub = world.hub().await.unwrap();
    until_every("all six are stored by the broker", SOON, DEAR_LOOK_EVERY, || async {
        Ok((hub.count("INGEST").await? == 6).then_some(()))
    })
    .await
    .unwrap();
    world.kill9(AGENT).unwrap();
    world.start_relay("a").unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    assert!(hub.count("ANSWERS").await.unwrap() > 0, "the answers are there, and nobody heard them");

    world.start_agent(JAIL).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    assert_eq!(hub.count("INGEST").await.unwrap(), 6, "nothing had to be sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_started_last_finds_every_program_waiting_and_the_day_goes_through() {
    let mut world = World::rendered(|_| {}, |text| text).unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    let summary = day.export(&world, 12).unwrap();
    assert_eq!(summary["events"], 12, "stored at the jail: nothing waits for the server");
    world.server.restart().unwrap();
    world.provision().unwrap();
    day.acknowledged(&world, 2 * SOON).await.unwrap();
}
