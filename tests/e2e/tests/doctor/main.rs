//! `check` on a real server: every unsafe combination that can be made here is found by the program that can see it, with
//! what to do; a healthy instance is told nothing of the kind, and nothing is changed by the looking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod machine;
mod permissions;
mod servers;
mod streams;

use std::{collections::BTreeSet, fs, fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use sallyport_e2e::{
    World,
    patience::{SOON, until},
};
use sallyport_ground::Instance;
use sallyport_harness::program::Ended;
use sallyport_link::doctor::{Code, Severity, folder};
use serde_json::Value;

const RELAY: &str = "relay-a";
const AGENT: &str = "agent-zz0010000";
const OFFICE: &str = "subscriber-demo-supervision";
const ALL: [&str; 3] = [RELAY, AGENT, OFFICE];

const OK: i32 = 0;
const CONFIG: i32 = 64;
const UNAVAILABLE: i32 = 69;
const UNSAFE: i32 = 78;

/// A folder that stays over a restart, unlike where other tests work. None where the checkout itself does not: then
/// nothing here can be healthy, and the test says that it was skipped.
fn lasting() -> Option<&'static Path> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ground = folder::look_and_judge("the target folder", dir);
    let bad = ground.iter().find(|f| f.severity == Severity::Unsafe && f.code != Code::StoreOpen);
    match bad {
        None => Some(dir),
        Some(finding) => {
            eprintln!("SKIPPED: what a healthy instance is told, because {}", finding.text);
            None
        }
    }
}

/// Rendered in a folder that stays.
fn rendered(
    change: impl FnOnce(&mut Instance),
    amend: impl Fn(String) -> String + Send + Sync + 'static,
) -> Option<World> {
    Some(World::rendered_under(lasting()?, change, amend).unwrap())
}

/// Provisioned in a folder that stays.
fn provisioned(amend: impl Fn(String) -> String + Send + Sync + 'static) -> Option<World> {
    let mut world = rendered(|_| {}, amend)?;
    world.server.restart().unwrap();
    world.provision().unwrap();
    Some(world)
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
    let Some(mut world) = provisioned(|text| text) else { return };
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
