//! A stream comes back from an older copy of its files, and is as long again before a relay looks: its time of creation and
//! its end say nothing, and what stands in the old places is something else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path, path::PathBuf};

use sallyport_e2e::{
    FakeJail, Sealed, World,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until_every},
};
use sallyport_proto::{envelope::Digest, operations::RangeDigest};

const JAIL: &str = "zz0010000";
const RELAY: &str = "relay-a";

/// The server does not run.
fn folder(world: &World, stream: &str) -> PathBuf {
    let accounts = world.server.dir().join("store").join("jetstream");
    let folders =
        fs::read_dir(accounts).unwrap().map(|account| account.unwrap().path().join("streams").join(stream));
    folders.into_iter().find(|folder| folder.exists()).expect("the stream lies in one account")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn tell(jail: &mut FakeJail, number: usize) -> Vec<Sealed> {
    let events: Vec<_> = (0..number).map(|_| jail.event(&["demo-supervision"]).unwrap()).collect();
    for event in &events {
        jail.publish(&event.bytes).await.unwrap();
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ingest_that_is_as_long_again_does_not_hold_is_named_and_asked_for() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    let config = world.instance.relay_config("a");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("[audit]\ngrace_s = 2\n{text}")).unwrap();
    world.start_relay("a").unwrap();
    world.relays_are_up().await.unwrap();
    let mut jail = world.jail(JAIL).await.unwrap();
    let mut sent = tell(&mut jail, 2).await;
    for event in &sent {
        jail.acceptance(event).await.unwrap();
    }
    let aside = tempfile::tempdir().unwrap();
    world.server.kill9().unwrap();
    copy(&folder(&world, "INGEST"), aside.path());
    world.server.restart().unwrap();
    let later = tell(&mut jail, 2).await;
    for event in &later {
        jail.acceptance(event).await.unwrap();
    }
    sent.extend(later);
    let range = |sent: &[Sealed]| RangeDigest::of(1, sent.iter().map(|event| Digest::of(&event.bytes)));
    jail.heartbeat(4, range(&sent)).await.unwrap();
    until_every("all four are folded", SOON, DEAR_LOOK_EVERY, || async {
        let ended = world.command(RELAY, &["lag", "--json"])?;
        Ok(ended.stdout.last().is_some_and(|line| line.contains("\"seq\":4")).then_some(()))
    })
    .await
    .unwrap();

    world.end(RELAY).unwrap();
    world.server.kill9().unwrap();
    let ingest = folder(&world, "INGEST");
    fs::remove_dir_all(&ingest).unwrap();
    copy(aside.path(), &ingest);
    world.server.restart().unwrap();
    // Three stand where there were four: 3 and 4 are others, and the stream is longer than it was.
    sent.extend(tell(&mut jail, 3).await);
    jail.heartbeat(7, range(&sent)).await.unwrap();
    world.start_relay("a").unwrap();
    until_every("the loss is named", AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async {
        Ok(world.log_of(RELAY).contains("\"seqs\":\"3-4\"").then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
    let log = world.log_of(RELAY);
    assert!(log.contains("another message stands where the last folded one stood"), "{log}");
    let hub = world.hub().await.unwrap();
    until_every("its jail is asked", SOON, DEAR_LOOK_EVERY, || async {
        Ok((hub.asked_again(&jail.ori).await? == [3, 4].into()).then_some(()))
    })
    .await
    .unwrap();
}
