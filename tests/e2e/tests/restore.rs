//! A cluster that lost everything, and its archive: what was told stays told, nothing is told twice, and the day goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sallyport_e2e::{
    Day, World,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until_every},
};
use serde_json::Value;

const JAIL: &str = "zz0010000";
const RELAY: &str = "relay-a";
const DATA: i32 = 65;

fn archive(world: &World, to: &Path) -> Value {
    world.ask(RELAY, &["archive", "--once", "--json", "--to", to.to_str().unwrap()]).unwrap()
}

/// Exit code and what it said last.
fn restore(world: &World, from: &Path, more: &[&str]) -> (i32, String) {
    let args = [&["restore", "--json", "--from", from.to_str().unwrap()], more].concat();
    let ended = world.command(RELAY, &args).unwrap();
    let said = ended.stdout.last().cloned().unwrap_or_else(|| format!("{ended:?}"));
    (ended.code().unwrap(), said)
}

fn logs(world: &World) -> BTreeMap<String, String> {
    let log = |id: &str| std::fs::read_to_string(world.instance.hand_over_log(id)).unwrap_or_default();
    world.instance.subscribers.iter().map(|s| (s.id.clone(), log(&s.id))).collect()
}

fn copy(from: &Path, to: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&to).unwrap();
    for stream in std::fs::read_dir(from).unwrap() {
        let stream = stream.unwrap();
        if stream.path().is_file() {
            std::fs::copy(stream.path(), to.join(stream.file_name())).unwrap();
            continue;
        }
        let folder = to.join(stream.file_name());
        std::fs::create_dir_all(&folder).unwrap();
        for file in std::fs::read_dir(stream.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    to
}

fn end_all_but_the_server(world: &mut World) {
    let bridges: Vec<_> = world.instance.subscribers.iter().map(|s| format!("subscriber-{}", s.id)).collect();
    for name in [vec![format!("agent-{JAIL}"), RELAY.to_owned()], bridges].concat() {
        world.end(&name).unwrap();
    }
}

/// Waits until the supervision office's bridge says so of its relay.
async fn office_is_told(world: &World, what: &str, is: &dyn Fn(&Value) -> bool) {
    let says = || world.ask("subscriber-demo-supervision", &["status", "--json"]).unwrap()["relay"].clone();
    let told =
        until_every(what, AFTER_REDELIVERY, DEAR_LOOK_EVERY, || async { Ok(is(&says()).then_some(())) });
    told.await.unwrap_or_else(|error| panic!("{error:#}: {}", says()));
}

/// After a restore: every event comes to the relay again and is answered from its record; every notice to its subscriber,
/// which knows it. So many were told and routed before, and the hand-over logs said this.
async fn goes_on_as_it_was(
    world: &mut World,
    day: &Day,
    (told, routed): (usize, usize),
    logged: BTreeMap<String, String>,
) {
    world.render_accounts().unwrap();
    world.server.restart().unwrap();
    world.provision().unwrap();
    world.start_everything().unwrap();
    day.acknowledged(world, AFTER_REDELIVERY).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", AFTER_REDELIVERY).await.unwrap();
    assert_eq!(hub.notices("*").await.unwrap().len(), told, "no notice was added");
    assert_eq!(hub.routed().await.unwrap().len(), routed, "nothing was routed again");
    assert_eq!(logs(world), logged, "nothing was handed over again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_day_comes_back_into_an_empty_cluster_and_nobody_is_told_twice() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    let config = world.instance.relay_config("a");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("[audit]\nhead_every_s = 1\n{text}")).unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let folder = world.instance.dir.join("archive");
    archive(&world, &folder);
    let morning = copy(&folder, world.instance.dir.join("archive-of-the-morning"));
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let second = archive(&world, &folder);
    assert!(second[0]["messages"].as_u64().unwrap() > 0, "the chain goes on: {second}");

    let hub = world.hub().await.unwrap();
    let (told, routed) = (hub.notices("*").await.unwrap().len(), hub.routed().await.unwrap().len());
    office_is_told(&world, "how many there are", &|relay| {
        relay["rank"].as_u64().is_some_and(|rank| rank > 0) && relay["made_anew"].is_null()
    })
    .await;
    let (code, said) = restore(&world, &folder, &[]);
    assert_eq!(code, DATA, "a cluster that is not empty: {said}");
    end_all_but_the_server(&mut world);
    let logged = logs(&world);

    // A torn or changed archive is refused before anything is written.
    world.lose_everything().unwrap();
    let torn = copy(&folder, world.instance.dir.join("archive-torn"));
    let segment = std::fs::read_dir(torn.join("ANSWERS")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, &text[..text.len() / 2]).unwrap();
    let (code, said) = restore(&world, &torn, &[]);
    assert!(code == DATA && said.contains("torn"), "{code}: {said}");

    // Nor one whose end was cut off, one of whose folders was emptied, or that does not say where it ends.
    let files = |folder: &Path, stream: &str| {
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join(stream)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    };
    let cut = copy(&folder, world.instance.dir.join("archive-cut"));
    std::fs::remove_file(files(&cut, "DELIVER").last().unwrap()).unwrap();
    let (code, said) = restore(&world, &cut, &[]);
    assert!(code == DATA && said.contains("the end of DELIVER was cut off"), "{code}: {said}");
    for stream in ["RECEIPTS", "ANSWERS"] {
        let emptied = copy(&folder, world.instance.dir.join(format!("archive-without-{stream}")));
        files(&emptied, stream).iter().for_each(|file| std::fs::remove_file(file).unwrap());
        let (code, said) = restore(&world, &emptied, &[]);
        assert!(code == DATA && said.contains(&format!("the end of {stream} was cut off")), "{code}: {said}");
    }
    std::fs::remove_file(cut.join("anchor.json")).unwrap();
    let (code, said) = restore(&world, &cut, &[]);
    assert!(code == DATA && said.contains("--without-anchor"), "{code}: {said}");

    // Cut short after the morning, and gone on with.
    let (code, said) = restore(&world, &morning, &[]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = restore(&world, &folder, &[]);
    assert!(code == DATA && said.contains("--resume"), "{code}: {said}");
    let (code, said) = restore(&world, &folder, &["--resume"]);
    assert_eq!(code, 0, "{said}");

    let restored: Value = serde_json::from_str(&said).unwrap();
    let ingest = restored.as_array().unwrap().iter().find(|one| one["stream"] == "INGEST").unwrap();
    assert_eq!(ingest["unrouted"], serde_json::json!([]), "every event was routed or refused: {said}");

    goes_on_as_it_was(&mut world, &day, (told, routed), logged).await;
    // Another stream, which its bridge sees, and every notice on it again: no alarm that stays.
    office_is_told(&world, "of the new stream, and that nothing is lost", &|relay| {
        relay["made_anew"].is_string() && relay["lost"] == false && relay["not_there"] == 0
    })
    .await;
    assert!(
        world.log_of(RELAY).contains("this is not the stream that was folded"),
        "{}",
        world.log_of(RELAY)
    );
    let verdict = world.ask(RELAY, &["audit", "--json", "--grace-s", "0"]).unwrap();
    assert_eq!(verdict["counts"]["routed"], routed, "{verdict:#}");

    // The day goes on, in the streams and in the same archive.
    day.export(&world, 8).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let third = archive(&world, &folder);
    assert!(third[0]["messages"].as_u64().unwrap() > 0, "{third}");
}

/// What was gone before it was archived: said by the archive, refused by the restore, and taken when a person says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_with_a_hole_is_restored_only_when_a_person_accepts_it() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let hub = world.hub().await.unwrap();
    hub.settled("INGEST", "relay", SOON).await.unwrap();
    // A notice that was delivered, receipted and then taken out, as an expunged one is.
    let notice = hub.all("DELIVER", "hub.v1.deliver.*.*.*.*.*").await.unwrap().remove(3);
    hub.stream("DELIVER").await.unwrap().delete_message(notice.sequence).await.unwrap();
    let folder = world.instance.dir.join("archive");
    let ended = world.command(RELAY, &["archive", "--once", "--json", "--to", folder.to_str().unwrap()]);
    let ended = ended.unwrap();
    let told = ended.stdout.last().unwrap();
    let said: Value = serde_json::from_str(told).unwrap();
    let gaps = |stream: &str| {
        let all = said.as_array().unwrap();
        all.iter().find(|one| one["stream"] == stream).unwrap()["gaps"].clone()
    };
    assert_eq!(gaps("DELIVER"), serde_json::json!([[notice.sequence, notice.sequence]]), "{said}");
    assert_eq!((ended.code().unwrap(), gaps("INGEST")), (1, serde_json::json!([])), "{said}");
    let (told, routed) = (hub.notices("*").await.unwrap().len(), hub.routed().await.unwrap().len());
    end_all_but_the_server(&mut world);
    let logged = logs(&world);

    world.lose_everything().unwrap();
    let (code, said) = restore(&world, &folder, &[]);
    assert!(code == DATA && said.contains("--accept-gaps"), "{code}: {said}");
    let (code, said) = restore(&world, &folder, &["--accept-gaps"]);
    assert_eq!(code, 0, "{said}");
    goes_on_as_it_was(&mut world, &day, (told, routed), logged).await;
}

/// An archive of an older program, with its end cut off: it is taken when a person says so, and what will be routed again
/// is named beforehand.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_archive_without_an_anchor_would_have_routed_again_is_named() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    let folder = world.instance.dir.join("archive");
    archive(&world, &folder);
    let before = world.hub().await.unwrap().count("INGEST").await.unwrap();
    day.export(&world, 16).unwrap();
    day.acknowledged(&world, SOON).await.unwrap();
    archive(&world, &folder);
    let after = world.hub().await.unwrap().count("INGEST").await.unwrap();
    end_all_but_the_server(&mut world);
    world.lose_everything().unwrap();

    std::fs::remove_file(folder.join("anchor.json")).unwrap();
    let mut segments: Vec<_> =
        std::fs::read_dir(folder.join("DELIVER")).unwrap().map(|file| file.unwrap().path()).collect();
    segments.sort();
    std::fs::remove_file(segments.last().unwrap()).unwrap();
    let (code, said) = restore(&world, &folder, &[]);
    assert!(code == DATA && said.contains("--without-anchor"), "{code}: {said}");
    let (code, said) = restore(&world, &folder, &["--without-anchor"]);
    assert_eq!(code, 0, "{said}");
    let restored: Value = serde_json::from_str(&said).unwrap();
    let ingest = restored.as_array().unwrap().iter().find(|one| one["stream"] == "INGEST").unwrap();
    assert_eq!(ingest["unrouted"], serde_json::json!([{ "first": before + 1, "last": after }]), "{said}");
}
