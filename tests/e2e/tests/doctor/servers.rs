//! What the relay finds at the servers themselves.

use std::fs;

use sallyport_e2e::World;
use sallyport_harness::Cluster;

use super::*;

#[test]
fn servers_that_do_not_sync_store_in_a_temporary_folder_or_promise_too_much_are_found_by_the_relay() {
    let mut world = World::rendered(|_| {}, |text| text).unwrap();
    world.server.restart().unwrap();
    world.provision().unwrap();
    check(&world, RELAY, &[]).says("unsafe", "server-store-temporary", "/tmp");

    let rendered = fs::read_to_string(world.instance.server_config()).unwrap();
    let changed = rendered
        .replace("  sync_interval: always\n", "")
        .replace("max_file_store: 4000000000", "max_file_store: 1000000000");
    assert_ne!(changed, rendered);
    world.server.rewrite(|_| changed.clone()).unwrap();
    world.server.restart().unwrap();
    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "sync-not-always", "power cut");
    checked.says("unsafe", "disk-share", "together");
    checked.says("warning", "drift", "provision.max_file_store_bytes");
    assert_eq!(checked.code, UNSAFE);
}

#[test]
fn a_server_that_may_store_more_than_its_disk_has_is_found() {
    const EXABYTE: u64 = 1_000_000_000_000_000_000;
    let Some(mut world) = rendered(|i| i.max_file_store_bytes = EXABYTE, |text| text) else { return };
    world.server.restart().unwrap();
    check(&world, RELAY, &[]).says("unsafe", "disk-share", "the disk is full before");
}

#[test]
fn a_server_without_jetstream_is_found() {
    let without = |text: String| {
        let (head, rest) = text.split_once("jetstream {").unwrap();
        let (_, tail) = rest.split_once("}\n").unwrap();
        format!("{head}{}", tail.replace("    jetstream: enabled\n", ""))
    };
    let Some(mut world) = rendered(|_| {}, without) else { return };
    world.server.restart().unwrap();
    check(&world, RELAY, &[]).says("unsafe", "no-jetstream", "stores nothing");
    check(&world, AGENT, &[]).says("unsafe", "not-provisioned", "no events");
}

#[test]
fn copies_that_do_not_fit_the_servers_are_found() {
    // Three copies asked for, one server.
    let Some(world) = provisioned(|text| text) else { return };
    edit(&world.instance.relay_config("a"), "replicas = 1", "replicas = 3");
    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "replicas-many", "there are 1 servers");

    // One copy, three servers; all on one machine.
    let Some(world) = rendered(|_| {}, |text| text) else { return };
    let text = fs::read_to_string(world.instance.server_config()).unwrap();
    let cluster = Cluster::start(|_| text.clone()).unwrap();
    let config = world.instance.relay_config("a");
    edit(&config, &world.server.url(), &cluster.url());
    world.provision().unwrap();
    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "replicas-few", "stream INGEST");
    checked.says("warning", "nodes-on-one-machine", "3 servers");
    // Of the two with which it did not speak nobody knows where they are.
    let unseen = checked.findings.iter().filter(|f| f["code"] == "server-disk-unseen").count();
    assert_eq!(unseen, 2, "{:#?}", checked.findings);
    checked.says("warning", "server-disk-unseen", "not on this machine");

    edit(&config, "replicas = 1", "replicas = 3");
    let ended = world.run_provision("a").unwrap();
    let checked = check(&world, RELAY, &[]);
    assert!(
        !checked.findings.iter().any(|f| f["text"].as_str().unwrap().contains("stream INGEST")),
        "{ended:?} {:#?}",
        checked.findings
    );
}
