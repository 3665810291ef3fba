//! Links that break while a day goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use sallyport_e2e::{
    Day, World,
    patience::{DEAR_LOOK_EVERY, SOON, until_every},
};
use sallyport_harness::Proxy;

const JAIL: &str = "zz0010000";
const AGENT: &str = "agent-zz0010000";
/// What the claim says, in full.
const A_MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_jail_a_relay_and_an_agency_that_are_cut_for_a_minute_lose_nothing_and_repeat_nothing() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    let port = world.server.port();
    let [jail, relay, office, marshals] = [(); 4].map(|()| Proxy::to(port).unwrap());
    world.reach_through(AGENT, &jail).unwrap();
    world.reach_through("relay-a", &relay).unwrap();
    world.reach_through("subscriber-demo-supervision", &office).unwrap();
    world.reach_through("subscriber-demo-marshals", &marshals).unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 12).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();

    // In the middle of things: the office has notices to come, the jail's answers are under way.
    day.export(&world, 12).unwrap();
    jail.cut();
    office.cut();
    // A pulled cable: nothing closes, nothing arrives.
    marshals.silence();
    relay.silence();
    let cut = tokio::time::Instant::now();
    let summary = day.export(&world, 12).unwrap();
    assert!(summary["events"].as_u64().unwrap() >= 12, "a cut link keeps no record waiting: {summary}");
    let depth = until_every("the outbox shows what waits", SOON, DEAR_LOOK_EVERY, || async {
        let depth = world.ask(AGENT, &["status", "--json"])?["outbox_depth"].as_u64().unwrap_or(0);
        Ok((depth >= 12).then_some(depth))
    })
    .await
    .unwrap();
    assert!(depth >= 12);
    // Not a wait for a state: the length of the cut is what is claimed.
    tokio::time::sleep_until(cut + A_MINUTE).await;
    for link in [&jail, &relay, &office, &marshals] {
        link.restore();
    }
    let report = day.acknowledged(&world, 2 * A_MINUTE).await.unwrap();
    assert_eq!(report.received, report.notices);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_of_a_day_loses_nothing_and_repeats_nothing() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    for _ in 0..3 {
        day.export(&world, 20).unwrap();
        world.server.kill9().unwrap();
        day.export(&world, 20).unwrap();
        world.server.restart().unwrap();
    }
    let report = day.acknowledged(&world, Duration::from_secs(120)).await.unwrap();
    assert_eq!(report.received, report.notices);
    assert!(report.notices > 100, "{}", report.notices);
}
