//! `check` on a real server: every unsafe combination that can be made here is found by the program that can see it, with
//! what to do; a healthy instance is told nothing of the kind, and nothing is changed by the looking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet, fs, fs::Permissions, os::unix::fs::PermissionsExt, path::Path, time::Duration,
};

use async_nats::jetstream::{consumer::pull, stream::DiscardPolicy};
use sallyport_e2e::{
    World,
    patience::{SOON, until},
    world::Build,
};
use sallyport_ground::Instance;
use sallyport_harness::{Cluster, program::Ended};
use serde_json::Value;

const RELAY: &str = "relay-a";
const AGENT: &str = "agent-zz0010000";
const OFFICE: &str = "subscriber-demo-supervision";
const ALL: [&str; 3] = [RELAY, AGENT, OFFICE];

const OK: i32 = 0;
const CONFIG: i32 = 64;
const UNAVAILABLE: i32 = 69;
const UNSAFE: i32 = 78;

/// A folder that stays over a restart, unlike where other tests work.
fn lasting() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Provisioned in a folder that stays.
fn provisioned(amend: impl Fn(String) -> String + Send + Sync + 'static) -> World {
    let mut world = World::rendered_under(lasting(), |_| {}, amend).unwrap();
    world.server.restart().unwrap();
    world.provision().unwrap();
    world
}

struct Checked {
    code: i32,
    findings: Vec<Value>,
}

impl Checked {
    /// The codes of one severity.
    fn of(&self, severity: &str) -> BTreeSet<&str> {
        let of = self.findings.iter().filter(|f| f["severity"] == severity);
        of.map(|f| f["code"].as_str().unwrap()).collect()
    }

    /// The finding with this code whose text says this.
    fn says(&self, severity: &str, code: &str, words: &str) {
        let found = self.findings.iter().any(|f| {
            let mend = f["mend"].as_str().unwrap();
            f["severity"] == severity
                && f["code"] == code
                && f["text"].as_str().unwrap().contains(words)
                && !mend.is_empty()
        });
        assert!(found, "no {severity} {code} with {words:?} in {:#?}", self.findings);
    }
}

fn check(world: &World, name: &str, args: &[&str]) -> Checked {
    let words = [&["check"], args, &["--json"]].concat();
    read(&world.command(name, &words).unwrap())
}

fn read(ended: &Ended) -> Checked {
    let line = ended.stdout.last().unwrap_or_else(|| panic!("{ended:?}"));
    let report: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(ended.stdout.len(), 1, "one line: {ended:?}");
    assert_eq!(report["problems"].as_array().unwrap().len(), 0, "{report}");
    Checked { code: ended.code().unwrap(), findings: report["findings"].as_array().unwrap().clone() }
}

fn edit(config: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(config).unwrap();
    assert!(text.contains(from), "{from} in\n{text}");
    fs::write(config, text.replacen(from, to, 1)).unwrap();
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_instance_has_nothing_unsafe_and_nothing_unseen_and_is_left_as_it_was() {
    let mut world = provisioned(|text| text);
    for name in ALL {
        world.start(name, None).unwrap();
    }
    world.relays_are_up().await.unwrap();
    let hub = world.hub().await.unwrap();
    until("the reader of the node is there", SOON, || {
        let hub = hub.clone();
        async move { Ok(hub.durable("INGEST", "track-a").await.is_ok().then_some(())) }
    })
    .await
    .unwrap();
    let before = hub.durable("INGEST", "track-a").await.unwrap().created;

    for name in ALL {
        let checked = check(&world, name, &[]);
        assert_eq!(checked.of("unsafe"), BTreeSet::new(), "{name}: {:#?}", checked.findings);
        assert_eq!(checked.of("not-seen"), BTreeSet::new(), "{name}: {:#?}", checked.findings);
        assert_eq!(checked.code, OK, "{name}");
    }
    let said = world.command(AGENT, &["check"]).unwrap();
    assert!(said.stdout.iter().any(|line| line.contains("not sealed")), "{said:?}");

    // Only the agent's own heartbeat may have come in between.
    for stream in ["INGEST", "DELIVER", "RECEIPTS", "ANSWERS", "CONTROL", "PARKED", "REQUESTS"] {
        assert_eq!(hub.count(stream).await.unwrap(), 0, "{stream}");
    }
    let after = hub.durable("INGEST", "track-a").await.unwrap().created;
    assert_eq!(before, after, "the running node's reader was left alone");
    assert!(!world.log_of(RELAY).contains("catch-up not served"), "{}", world.log_of(RELAY));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_a_jail_is_told_that_nobody_accepts() {
    let world = provisioned(|text| text);
    let checked = check(&world, AGENT, &[]);
    checked.says("warning", "catch-up-silent", "no relay serves");
    assert_eq!(checked.code, OK);
}

#[test]
fn without_a_server_this_machine_is_judged_and_the_rest_is_named_as_not_seen() {
    let world = World::rendered_under(lasting(), |_| {}, |text| text).unwrap();
    for name in ALL {
        let checked = check(&world, name, &[]);
        checked.says("not-seen", "server-unreachable", "cannot be reached");
        let times = checked.findings.iter().filter(|f| f["code"] == "server-unreachable").count();
        assert_eq!(times, 1, "{name} says it once");
        assert_eq!((checked.code, checked.of("unsafe")), (UNAVAILABLE, BTreeSet::new()), "{name}");
        let offline = check(&world, name, &["--offline"]);
        offline.says("not-seen", "offline", "as asked");
        assert_eq!(offline.code, OK, "{name}");
    }
    // Unsafe goes before not seen.
    mode(&world.instance.keys().file("zz0010000.sign"), 0o640);
    assert_eq!(check(&world, AGENT, &[]).code, UNSAFE);
}

#[test]
fn a_wrong_configuration_is_not_looked_at_any_further() {
    let world = World::rendered(|_| {}, |text| text).unwrap();
    edit(&world.instance.agent_config("zz0010000"), "kind = \"EXERCISE\"", "kind = \"PRETEND\"");
    let ended = world.command(AGENT, &["check", "--json"]).unwrap();
    assert_eq!(ended.code().unwrap(), CONFIG, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert!(report["problems"][0].as_str().unwrap().contains("traffic.kind"), "{report}");
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn stores_and_seeds_on_this_machine_are_judged_by_every_program() {
    let world = World::rendered(|_| {}, |text| text).unwrap();
    let instance: &Instance = &world.instance;
    let store = |name: &str| instance.dir.join(name);
    for (name, seed) in
        [(RELAY, "relay-a.sign"), (AGENT, "zz0010000.sign"), (OFFICE, "demo-supervision.sign")]
    {
        fs::create_dir(store(name)).unwrap();
        mode(&store(name), 0o755);
        mode(&instance.keys().file(seed), 0o604);
        let checked = check(&world, name, &["--offline"]);
        checked.says("unsafe", "store-temporary", "/tmp");
        checked.says("unsafe", "store-open", "mode 755");
        checked.says("unsafe", "seed-open", "signing_seed_file");
        assert_eq!(checked.code, UNSAFE, "{name}");
    }
    // What else each of them keeps.
    mode(&instance.dir.join("keys/zz0010000.secret"), 0o644);
    mode(&instance.drop_dir("zz0010000"), 0o777);
    let agent = check(&world, AGENT, &["--offline"]);
    agent.says("unsafe", "seed-open", "facility.secret_file");
    agent.says("unsafe", "drop-folder-open", "anybody on this machine");
    fs::create_dir(instance.notices_dir("demo-supervision")).unwrap();
    mode(&instance.notices_dir("demo-supervision"), 0o750);
    check(&world, OFFICE, &["--offline"]).says("unsafe", "store-open", "the folder of notices");
    // Memory, wherever it is mounted.
    edit(
        &instance.agent_config("zz0010000"),
        "dir = \"agent-zz0010000\"",
        "dir = \"/dev/shm/sallyport-e2e-none\"",
    );
    check(&world, AGENT, &["--offline"]).says("unsafe", "store-temporary", "in memory");
}

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
    let mut world =
        World::rendered_under(lasting(), |i| i.max_file_store_bytes = EXABYTE, |text| text).unwrap();
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
    let mut world = World::rendered_under(lasting(), |_| {}, without).unwrap();
    world.server.restart().unwrap();
    check(&world, RELAY, &[]).says("unsafe", "no-jetstream", "stores nothing");
    check(&world, AGENT, &[]).says("unsafe", "not-provisioned", "no events");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_under_which_messages_are_lost_are_found_by_the_relay() {
    let world = provisioned(|text| text);
    let hub = world.hub().await.unwrap();
    let config = |name: &'static str| {
        let hub = hub.clone();
        async move { hub.stream(name).await.unwrap().cached_info().config.clone() }
    };
    let day = Duration::from_secs(24 * 60 * 60);
    let mut ingest = config("INGEST").await;
    ingest.max_age = 27 * day;
    ingest.max_bytes = -1;
    hub.login.js.update_stream(ingest).await.unwrap();
    let mut deliver = config("DELIVER").await;
    // Long enough for any outage, and too short to know what was routed before it.
    deliver.max_age = 29 * day;
    deliver.duplicate_window = day;
    hub.login.js.update_stream(deliver).await.unwrap();
    let mut receipts = config("RECEIPTS").await;
    receipts.discard = DiscardPolicy::Old;
    receipts.discard_new_per_subject = false;
    hub.login.js.update_stream(receipts).await.unwrap();
    let mut answers = config("ANSWERS").await;
    answers.max_age = 100 * day;
    hub.login.js.update_stream(answers).await.unwrap();
    hub.delete_stream("CONTROL").await.unwrap();
    let mut parked = config("PARKED").await;
    parked.max_bytes = 2_000;
    parked.discard = DiscardPolicy::New;
    hub.login.js.update_stream(parked).await.unwrap();
    hub.login.js.publish("hub.v1.parked.a", vec![0; 1_500].into()).await.unwrap().await.unwrap();

    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "retention-short", "INGEST keeps 27.0 days");
    checked.says("unsafe", "retention-short", "DELIVER keeps 29.0 days, and must keep 30");
    checked.says("unsafe", "disk-share", "stream INGEST has no bound");
    checked.says("warning", "duplicate-window", "DELIVER");
    checked.says("unsafe", "stream-unsafe", "RECEIPTS");
    checked.says("warning", "drift", "ANSWERS: max_age");
    checked.says("unsafe", "not-provisioned", "stream CONTROL is not there");
    checked.says("unsafe", "not-provisioned", "hub.v1.control.check");
    checked.says("warning", "stream-filling", "PARKED");
    assert_eq!(checked.code, UNSAFE);
}

#[tokio::test(flavor = "multi_thread")]
async fn durables_that_pass_messages_over_are_found_by_the_relay_and_the_bridge() {
    let world = provisioned(|text| text);
    let hub = world.hub().await.unwrap();
    let update = |stream: &'static str, name: &'static str, change: fn(&mut pull::Config)| {
        let hub = hub.clone();
        async move {
            let durable =
                hub.login.js.get_consumer_from_stream::<pull::Config, _, _>(name, stream).await.unwrap();
            let mut config = serde_json::to_value(&durable.cached_info().config).unwrap();
            config["name"] = name.into();
            let mut config: pull::Config = serde_json::from_value(config).unwrap();
            change(&mut config);
            hub.stream(stream).await.unwrap().update_consumer(config).await.unwrap();
        }
    };
    update("INGEST", "relay", |c| c.ack_wait = Duration::from_secs(2)).await;
    update("RECEIPTS", "relay", |c| c.ack_wait = Duration::from_secs(60)).await;
    update("DELIVER", "demo-supervision", |c| {
        c.max_deliver = 7;
        c.backoff = vec![Duration::from_secs(40)];
        c.ack_wait = Duration::from_secs(40);
    })
    .await;
    update("DELIVER", "demo-civil", |c| c.filter_subject = "hub.v1.deliver.demo-civil.zz.>".into()).await;
    update("DELIVER", "demo-marshals", |c| c.max_ack_pending = 7).await;

    let relay = check(&world, RELAY, &[]);
    relay.says("unsafe", "ack-wait-short", "durable relay on INGEST");
    relay.says("warning", "ack-wait-long", "durable relay on RECEIPTS");
    relay.says("unsafe", "durable-unsafe", "demo-supervision");
    relay.says("warning", "ack-wait-over-deadline", "demo-supervision-1");
    relay.says("unsafe", "durable-unsafe", "demo-civil");
    relay.says("warning", "drift", "demo-marshals on DELIVER: max_ack_pending");

    let bridge = check(&world, OFFICE, &[]);
    bridge.says("unsafe", "durable-unsafe", "after 7 tries");
    bridge.says("warning", "ack-wait-long", "40s");
    assert_eq!(bridge.code, UNSAFE);
    check(&world, "subscriber-demo-civil", &[]).says("unsafe", "durable-unsafe", "filter");

    hub.stream("DELIVER").await.unwrap().delete_consumer("demo-supervision").await.unwrap();
    check(&world, OFFICE, &[]).says("unsafe", "not-provisioned", "demo-supervision");
    check(&world, RELAY, &[]).says("unsafe", "not-provisioned", "durable demo-supervision on DELIVER");
}

/// Takes subjects out of every permission in the server's configuration.
fn forbid(text: &str, subjects: &[&str]) -> String {
    subjects.iter().fold(text.to_owned(), |text, subject| {
        let (first, other) = (format!("\"{subject}\", "), format!(", \"{subject}\""));
        let without: Vec<String> = text
            .lines()
            .map(|line| match line.contains("allow: [") {
                true => line.replace(&first, "").replace(&other, ""),
                false => line.to_owned(),
            })
            .collect();
        let without = without.join("\n") + "\n";
        assert_ne!(without, text, "{subject} is permitted nowhere");
        without
    })
}

#[test]
fn what_the_server_refuses_is_named_by_whoever_needs_it() {
    let world = provisioned(|text| {
        forbid(
            &text,
            &[
                "$JS.ACK.*.*.*.relay.>",
                "hub.v1.parked.>",
                "$JS.API.CONSUMER.DELETE.*.audit-a",
                "hub.v1.catchup.>",
                "$JS.ACK.DELIVER.demo-supervision.>",
                "notify.v1.receipt.demo-supervision.>",
                "notify.v1.heartbeat.zz.zz0010000",
                "notify.v1.catchup.zz.zz0010000",
            ],
        )
    });
    let relay = check(&world, RELAY, &[]);
    relay.says("unsafe", "ack-form-missing", "INGEST.relay");
    relay.says("unsafe", "permission-missing", "hub.v1.parked");
    relay.says("unsafe", "permission-missing", "no `audit`");
    relay.says("unsafe", "permission-missing", "no catch-up for jails");
    assert_eq!(
        relay.of("unsafe"),
        BTreeSet::from(["ack-form-missing", "permission-missing"]),
        "{:#?}",
        relay.findings
    );

    let bridge = check(&world, OFFICE, &[]);
    bridge.says("unsafe", "ack-form-missing", "$JS.ACK.DELIVER.demo-supervision");
    bridge.says("unsafe", "permission-missing", "no receipts");

    let agent = check(&world, AGENT, &[]);
    agent.says("unsafe", "permission-missing", "no heartbeats");
    agent.says("unsafe", "permission-missing", "no answers that were missed");
    assert_eq!((agent.code, agent.findings.len()), (UNSAFE, 2), "{:#?}", agent.findings);
}

#[test]
fn an_import_that_is_missing_is_no_permission_that_is_missing() {
    let world = provisioned(|text| {
        let import = "      { service: { account: HUB, subject: \"ingest.v1.release.>\" }, to: \"notify.v1.release.>\" }\n";
        assert!(text.contains(import), "{text}");
        text.replace(import, "")
    });
    let agent = check(&world, AGENT, &[]);
    agent.says("unsafe", "not-provisioned", "notify.v1.release.zz.zz0010000");
}

#[test]
fn on_a_configuration_of_before_the_clock_is_not_seen_and_a_stranger_is_not_let_in() {
    let world = provisioned(|text| forbid(&text, &["$SYS.REQ.USER.INFO"]));
    for name in [AGENT, OFFICE] {
        let checked = check(&world, name, &[]);
        assert_eq!(checked.of("not-seen"), BTreeSet::from(["clock-unknown"]), "{:#?}", checked.findings);
        assert_eq!(checked.code, UNAVAILABLE);
    }
    let mut world = provisioned(|text| text);
    let key = world.instance.keys().connect("zz0010000").unwrap().public_key();
    let stranger = nkeys::KeyPair::new_user().public_key();
    let text = fs::read_to_string(world.instance.server_config()).unwrap().replace(&key, &stranger);
    world.server.rewrite(|_| text.clone()).unwrap();
    world.server.restart().unwrap();
    let checked = check(&world, AGENT, &[]);
    checked.says("unsafe", "login-refused", "does not let");
    assert_eq!(checked.code, UNSAFE);
}

#[test]
fn a_clock_that_is_wrong_is_found_by_every_program() {
    let mut world = provisioned(|text| text);
    world.build = Build::Faults;
    let offset = world.instance.dir.join("offset");
    for (seconds, severity, code) in [("5", "warning", OK), ("-120", "unsafe", UNSAFE)] {
        fs::write(&offset, seconds).unwrap();
        for name in ALL {
            let (program, config) = match name {
                RELAY => ("sallyport-relay", world.instance.relay_config("a")),
                AGENT => ("sallyport-agent", world.instance.agent_config("zz0010000")),
                _ => ("sallyport-subscriber", world.instance.subscriber_config("demo-supervision")),
            };
            let recipe = world.recipe(program).unwrap().env("SALLYPORT_CLOCK_OFFSET", &offset);
            let recipe = recipe.args(["check", "--json", "--config"]).arg(config);
            let checked = read(&recipe.run(SOON).unwrap());
            checked.says(severity, "clock-offset", "this machine's clock");
            assert_eq!(checked.code, code, "{name}");
        }
    }
}

#[test]
fn copies_that_do_not_fit_the_servers_are_found() {
    // Three copies asked for, one server.
    let world = provisioned(|text| text);
    edit(&world.instance.relay_config("a"), "replicas = 1", "replicas = 3");
    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "replicas-many", "there are 1 servers");

    // One copy, three servers; all on one machine.
    let world = World::rendered_under(lasting(), |_| {}, |text| text).unwrap();
    let text = fs::read_to_string(world.instance.server_config()).unwrap();
    let cluster = Cluster::start(|_| text.clone()).unwrap();
    let config = world.instance.relay_config("a");
    edit(&config, &world.server.url(), &cluster.url());
    world.provision().unwrap();
    let checked = check(&world, RELAY, &[]);
    checked.says("unsafe", "replicas-few", "stream INGEST");
    checked.says("warning", "nodes-on-one-machine", "3 servers");

    edit(&config, "replicas = 1", "replicas = 3");
    let ended = world.run_provision("a").unwrap();
    let checked = check(&world, RELAY, &[]);
    assert!(
        !checked.findings.iter().any(|f| f["text"].as_str().unwrap().contains("stream INGEST")),
        "{ended:?} {:#?}",
        checked.findings
    );
}
