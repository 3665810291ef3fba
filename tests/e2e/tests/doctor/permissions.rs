//! What a server lets a user do, against what its program needs.

use std::{collections::BTreeSet, fs};

use super::*;

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
    let Some(world) = provisioned(|text| {
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
    }) else {
        return;
    };
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
    assert_eq!(agent.code, UNSAFE);
    assert_eq!(agent.of("unsafe"), BTreeSet::from(["permission-missing"]), "{:#?}", agent.findings);
}

#[test]
fn an_import_that_is_missing_is_no_permission_that_is_missing() {
    let Some(world) = provisioned(|text| {
        let import = "      { service: { account: HUB, subject: \"ingest.v1.release.>\" }, to: \"notify.v1.release.>\" }\n";
        assert!(text.contains(import), "{text}");
        text.replace(import, "")
    }) else {
        return;
    };
    let agent = check(&world, AGENT, &[]);
    agent.says("unsafe", "not-provisioned", "notify.v1.release.zz.zz0010000");
}

#[test]
fn on_a_configuration_of_before_the_clock_is_not_seen_and_a_stranger_is_not_let_in() {
    let Some(world) = provisioned(|text| forbid(&text, &["$SYS.REQ.USER.INFO"])) else { return };
    for name in [AGENT, OFFICE] {
        let checked = check(&world, name, &[]);
        assert_eq!(checked.of("not-seen"), BTreeSet::from(["clock-unknown"]), "{:#?}", checked.findings);
        assert_eq!(checked.code, UNAVAILABLE);
    }
    let Some(mut world) = provisioned(|text| text) else { return };
    let key = world.instance.keys().connect("zz0010000").unwrap().public_key();
    let stranger = nkeys::KeyPair::new_user().public_key();
    let text = fs::read_to_string(world.instance.server_config()).unwrap().replace(&key, &stranger);
    world.server.rewrite(|_| text.clone()).unwrap();
    world.server.restart().unwrap();
    let checked = check(&world, AGENT, &[]);
    checked.says("unsafe", "login-refused", "does not let");
    assert_eq!(checked.code, UNSAFE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_a_jail_is_told_that_nobody_accepts() {
    let Some(world) = provisioned(|text| text) else { return };
    let checked = check(&world, AGENT, &[]);
    checked.says("warning", "catch-up-silent", "no relay serves");
    assert_eq!(checked.code, OK);
}
