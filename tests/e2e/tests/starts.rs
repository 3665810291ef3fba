//! Starts that must not be: a second node on a store, an older registry than was in force, and what a newcomer forgets:
//! the server, and `provision`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, time::Duration};

use sallyport_e2e::{
    World,
    patience::{SOON, until},
};

const CONFIG: i32 = 64;
const UNAVAILABLE: i32 = 69;
const BUSY: i32 = 75;
const A: &str = "zz0010000";
/// What is missing is said again after so long.
const REPEATED_AFTER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_on_the_same_store_ends_with_words() {
    let world = World::routing(|_| {}).await.unwrap();
    let second = world.command("relay-a", &["run"]).unwrap();
    assert_eq!(second.code().unwrap(), BUSY, "{second:?}");
    assert!(second.stderr.join(" ").contains("another relay node"), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_registry_does_not_count_again_after_a_restart() {
    let mut world = World::routing(|_| {}).await.unwrap();
    let file = world.instance.registry_file();
    let signature = sallyport_link::config::signature_path(&file);
    let older = [&file, &signature].map(|path| fs::read(path).unwrap());
    world.instance.rewrite_registry().unwrap();
    let mut jail = world.jail(A).await.unwrap();
    let version = world.instance.version;
    world.routes_by(&mut jail, version).await.unwrap();
    world.end("relay-a").unwrap();
    for (path, bytes) in [&file, &signature].into_iter().zip(older) {
        fs::write(path, bytes).unwrap();
    }
    let refused = world.command("relay-a", &["run"]).unwrap();
    assert_eq!(refused.code().unwrap(), CONFIG, "{refused:?}");
    assert!(refused.stderr.join(" ").contains(&format!("version {version} was in force")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_provision_says_that_none_answers() {
    let world = World::rendered(|_| {}, |text| text).unwrap();
    let ended = world.run_provision("a").unwrap();
    assert_eq!(ended.code().unwrap(), UNAVAILABLE, "{ended:?}");
    assert!(!ended.stderr.join(" ").contains("handed over last"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_on_an_empty_server_names_the_command_that_is_missing_and_says_it_seldom() {
    let mut world = World::rendered(|_| {}, |text| text).unwrap();
    world.server.restart().unwrap();
    let started = std::time::Instant::now();
    world.start_relay("a").unwrap();
    let warnings = |world: &World| world.log_of("relay-a").matches("`sallyport-relay provision`").count();
    until("it names the command", SOON, || {
        let named = warnings(&world) > 0;
        async move { Ok(named.then_some(())) }
    })
    .await
    .unwrap();
    world.provision().unwrap();
    world.relays_are_up().await.unwrap();
    // Two durables and eight readers, each once in half a minute.
    let rounds = started.elapsed().as_secs() / REPEATED_AFTER.as_secs() + 1;
    assert!(warnings(&world) as u64 <= 10 * rounds, "{}", world.log_of("relay-a"));
}
