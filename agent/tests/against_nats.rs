//! The agent as a program on a real nats-server: what it publishes, what retires a row, what it shows.
#![allow(clippy::unwrap_used)]

mod jail;
mod relay;

use std::io::Write;

use sallyport_harness::{Recipe, wait};
use sallyport_proto::{
    answer::Body,
    receipt::Statement,
    vocabulary::{ReceiptLevel, RefusalCode},
};
use serde_json::{Value, json};

use crate::{
    jail::{CIVIL, STRANGER, SUPERVISION},
    relay::{SOON, World, accepted, coming, receipt, sealed},
};

const TWO: &str = "B-1,Invented A,2026-03-01 10:00,2026-03-01 09:00,Bail,,\n\
                   B-2,Invented B,2026-03-01 11:00,,Served,,\n";

fn post(world: &World, path: &str, body: &Value) -> (u16, Value) {
    let address = std::fs::read_to_string(world.jail.path("store/agent.lock")).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent
        .post(&format!("http://{}{path}", address.trim()))
        .header("content-type", "application/json")
        .send(body.to_string())
        .unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[test]
fn what_was_ingested_while_nothing_ran_is_published_in_order_and_retires_on_the_acceptance_only() {
    let world = World::new(|_| {});
    let file = world.jail.export("day.csv", TWO);
    let (code, summary) = world.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!((code, summary["events"].clone(), summary["custodies"].clone()), (0, json!(2), json!(2)));
    let _agent = world.agent(None);
    let published = world.published(2);
    let numbers: Vec<u64> = published.iter().map(|one| one.event.head.seq).collect();
    assert_eq!(numbers, [1, 2]);
    // Both have a PubAck by now; it retires nothing.
    let id = published[0].id();
    world.wait_for_event(id, "the PubAck is recorded", |event| !event["pub_acked"].is_null());
    assert_eq!(world.status()["outbox_depth"], json!(2));
    world.accept(&[&published[0]]);
    world.wait_for_status("one is accepted", |status| status["outbox_depth"] == json!(1));
    world.accept(&[&published[1]]);
    let status = world.wait_for_status("both are accepted", |status| status["outbox_depth"] == json!(0));
    assert!(!status["last_acceptance"].is_null());
}

#[test]
fn an_answer_that_was_missed_comes_by_catch_up() {
    let world = World::new(|_| {});
    world.serve_catchup();
    let file = world.jail.export("day.csv", TWO);
    world.command(&["ingest", file.to_str().unwrap()]);
    let mut agent = world.agent(None);
    let published = world.published(2);
    agent.kill9().unwrap();
    world.accept(&[&published[0], &published[1]]);
    let _agent = world.agent(None);
    world.wait_for_status("the acceptance was caught up with", |status| status["outbox_depth"] == json!(0));
}

#[test]
fn what_no_relay_of_the_registry_signed_for_these_bytes_retires_nothing() {
    let world = World::new(|_| {});
    let file = world.jail.export("day.csv", TWO);
    world.command(&["ingest", file.to_str().unwrap()]);
    let _agent = world.agent(None);
    let published = world.published(2);
    let forged = Body::Acceptance(vec![accepted(published[0].id(), published[0].digest(), &world.jail)]);
    world.answer("accepted", sealed(world.jail.subscriber(STRANGER), forged));
    let swapped = Body::Acceptance(vec![accepted(published[0].id(), published[1].digest(), &world.jail)]);
    world.answer("accepted", sealed(&world.jail.relay, swapped));
    world.answer("accepted", b"garbage".to_vec());
    // The good one behind them shows that all were read.
    world.accept(&[&published[1]]);
    world.wait_for_status("the good one is accepted", |status| status["outbox_depth"] == json!(1));
}

#[test]
fn an_event_refused_for_an_unknown_key_is_sent_again_under_a_new_id_and_a_permanent_refusal_is_shown() {
    let world = World::new(|_| {});
    let file = world.jail.export("day.csv", TWO);
    world.command(&["ingest", file.to_str().unwrap()]);
    let _agent = world.agent(None);
    let published = world.published(2);
    world.refuse(&published[0], RefusalCode::UnknownKey, false);
    world.refuse(&published[1], RefusalCode::BadSignature, true);
    let status = world.wait_for_status("the refusal is shown", |status| status["refused_events"] == json!(1));
    assert_eq!(status["refused"][0]["code"], "BAD_SIGNATURE");
    assert_eq!(status["outbox_depth"], json!(1));
    let again = world.published(3).pop().unwrap();
    assert_eq!(again.bytes, published[0].bytes);
    assert_eq!(again.msg_id, format!("{}.2", published[0].digest().to_base64url()));
    world.accept(&[&again]);
    world.wait_for_status("it is accepted at last", |status| status["outbox_depth"] == json!(0));
}

#[test]
fn a_server_that_is_started_last_gets_everything() {
    let mut world = World::with_server_down(|_| {});
    let _agent = world.agent(None);
    let file = world.jail.export("day.csv", TWO);
    let (code, summary) = world.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!((code, summary["events"].clone()), (0, json!(2)));
    world.server_up();
    let published = world.published(2);
    world.accept(&[&published[0], &published[1]]);
    world.wait_for_status("both are accepted", |status| status["outbox_depth"] == json!(0));
}

#[test]
fn a_server_that_is_killed_and_comes_back_gets_what_was_stored_meanwhile() {
    let mut world = World::new(|_| {});
    world.serve_catchup();
    let _agent = world.agent(None);
    let (first, second) = TWO.split_once('\n').unwrap();
    let file = world.jail.export("first.csv", &format!("{first}\n"));
    world.command(&["ingest", file.to_str().unwrap()]);
    world.published(1);
    world.server.kill9().unwrap();
    let file = world.jail.export("second.csv", second);
    let (code, summary) = world.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!((code, summary["events"].clone()), (0, json!(1)), "nothing waits for the network");
    world.server_up();
    let published = world.published(2);
    world.accept(&published.iter().collect::<Vec<_>>());
    world.wait_for_status("both are accepted", |status| status["outbox_depth"] == json!(0));
}

#[test]
fn a_file_with_a_bad_row_ends_with_65_and_says_where_while_the_good_go_out() {
    let world = World::new(|_| {});
    let _agent = world.agent(None);
    let file = world.jail.export("day.csv", &format!("{TWO}B-3,Invented C,2026-03-01 99:00,,Bail,,\n"));
    let (code, summary) = world.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!(code, 65);
    assert_eq!((summary["custodies"].clone(), summary["events"].clone()), (json!(3), json!(2)));
    assert_eq!(summary["problems"][0]["line"], json!(4));
    assert_eq!(summary["problems"][0]["column"], json!("door"));
    assert!(!summary.to_string().contains("B-3"), "{summary}");
    world.published(2);
    let (code, _) = world.command(&["ingest", world.jail.config().to_str().unwrap()]);
    assert_eq!(code, 65, "not an export at all");
}

#[test]
fn callers_are_answered_from_the_disk_one_by_one_and_a_second_try_changes_nothing() {
    let world = World::new(|_| {});
    let _agent = world.agent(None);
    let good =
        json!({"key": "k-1", "booking_number": "B-1", "release_state": "EXPECTED", "reason": "BOND_POSTED"});
    let nobody =
        json!({"key": "k-2", "booking_number": "B-2", "release_state": "RELEASED", "reason": "COURT_ORDER"});
    let bad = json!({"key": "k-3", "booking_number": "B-3", "release_state": "GONE"});
    let (code, answers) = post(&world, "/v1/events", &json!([good, nobody, bad]));
    assert_eq!(code, 400);
    let words: Vec<&str> =
        answers.as_array().unwrap().iter().map(|a| a["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["stored", "withheld", "refused"]);
    let (code, again) = post(&world, "/v1/events", &good);
    assert_eq!((code, again["repeated"].clone()), (200, json!(true)));
    assert_eq!(again["event_ids"], answers[0]["event_ids"]);
    let published = world.published(1);
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].id().as_str(), answers[0]["event_ids"][0].as_str().unwrap());
}

#[test]
fn json_lines_on_standard_input_are_answered_line_by_line() {
    let world = World::new(|_| {});
    let mut program = world.program().args(["events", "--json", "--config", "agent.toml"]).start().unwrap();
    let mut stdin = program.take_stdin().unwrap();
    let good =
        json!({"key": "k-1", "booking_number": "B-1", "release_state": "RELEASED", "reason": "TIME_SERVED"});
    writeln!(stdin, "{good}\n\nno json").unwrap();
    drop(stdin);
    let status = program.wait(SOON).unwrap();
    assert_eq!(status.code(), Some(65));
    let lines: Vec<Value> =
        program.stdout().so_far().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = lines.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["stored", "refused"]);
}

#[test]
fn status_of_an_event_shows_who_has_it_who_saw_it_and_who_is_coming() {
    let world = World::new(|_| {});
    let _agent = world.agent(None);
    let file = world.jail.export("day.csv", TWO);
    world.command(&["ingest", file.to_str().unwrap()]);
    let published = world.published(2);
    let event = &published[0];
    world.accept(&[event]);
    let signer = world.jail.subscriber(SUPERVISION);
    let received = receipt(SUPERVISION, signer, event, Statement::Level(ReceiptLevel::Received));
    let seen = receipt(SUPERVISION, signer, event, Statement::Level(ReceiptLevel::Seen));
    let answer = receipt(SUPERVISION, signer, event, coming("2026-03-01T18:30:00Z"));
    // Not from them; not told at all; about bytes that never were.
    let forged = receipt(SUPERVISION, world.jail.subscriber(STRANGER), event, coming("2026-03-01T19:00:00Z"));
    let untold =
        receipt(CIVIL, world.jail.subscriber(CIVIL), event, Statement::Level(ReceiptLevel::Received));
    let mut other = published[1].clone();
    other.bytes.push(0);
    let mismatched = receipt(SUPERVISION, signer, &other, Statement::Level(ReceiptLevel::Received));
    world.progress(vec![received.clone(), forged, untold, mismatched]);
    world.progress(vec![received, seen, answer]);
    let view = world.wait_for_event(event.id(), "their answer is here", |event| {
        event["recipients"][0]["response"] == json!("WILL_TAKE_CUSTODY")
    });
    let recipient = &view["recipients"][0];
    assert_eq!(recipient["subscriber"], SUPERVISION);
    assert_eq!(recipient["rule_id"], "rule-1");
    assert_eq!(recipient["routing"], "addressed");
    assert_eq!(recipient["eta"], "2026-03-01T18:30:00Z");
    assert_eq!(recipient["note"], "This is not a reason to hold. Release when cleared.");
    assert_eq!(recipient["receipts"].as_array().unwrap().len(), 3);
    assert!(recipient["round_trip_us"].as_i64().unwrap() > 0);
    let other = world.command(&["status", published[1].id().as_str()]).1;
    assert_eq!(other["recipients"][0]["receipts"], json!([]));
    assert_eq!(world.status()["stray_receipts"], json!(3));
    let text =
        world.program().args(["status", event.id().as_str(), "--config", "agent.toml"]).run(SOON).unwrap();
    let eta = text.stdout.iter().find(|line| line.contains("ETA")).unwrap();
    assert!(eta.ends_with("This is not a reason to hold. Release when cleared."), "{eta}");
    let all = text.stdout.join("\n");
    assert!(!all.contains("Invented") && !all.contains("B-1"), "{all}");
}

#[test]
fn a_ping_goes_the_whole_way_and_shows_its_times() {
    let world = World::new(|_| {});
    let _agent = world.agent(None);
    let mut ping = world
        .program()
        .args(["ping", SUPERVISION, "--json", "--timeout", "60", "--config", "agent.toml"])
        .start()
        .unwrap();
    let published = world.published(1);
    assert_eq!(published[0].event.head.traffic.kind().as_str(), "PING");
    let signer = world.jail.subscriber(SUPERVISION);
    let received = receipt(SUPERVISION, signer, &published[0], Statement::Level(ReceiptLevel::Received));
    world.accept(&[&published[0]]);
    world.progress(vec![received]);
    assert_eq!(ping.wait(SOON).unwrap().code(), Some(0));
    let figures: Value = serde_json::from_str(&ping.stdout().so_far().pop().unwrap()).unwrap();
    assert_eq!(figures["received"], json!(true));
    assert!(figures["whole_way_back_us"].as_i64().unwrap() > 0);
    assert!(figures["accepted_us"].as_i64().unwrap() > 0);
    let (code, _) = world.command(&["ping", STRANGER]);
    assert_eq!(code, 1);
}

#[test]
fn a_dropped_file_is_taken_and_moved_away_with_its_report() {
    let world = World::new(|setting| setting.drop_dir = true);
    let _agent = world.agent(None);
    wait::until("the folder is watched", SOON, || Ok(world.jail.path("drop/done").is_dir().then_some(())))
        .unwrap();
    let file = world.jail.export("day.csv", TWO);
    std::fs::rename(file, world.jail.path("drop/day.csv")).unwrap();
    let bad =
        world.jail.export("bad.csv", "B-3,A,2026-13-01 10:00,,Bail,,\nB-4,A,2026-03-01 10:00,,Bail,,\n");
    std::fs::copy(bad, world.jail.path("drop/bad.csv")).unwrap();
    world.published(3);
    for (folder, name, refused) in [("done", "day.csv", 0), ("refused", "bad.csv", 1)] {
        let report = wait::until("the file is moved away", SOON, || {
            let entries = std::fs::read_dir(world.jail.path("drop").join(folder)).unwrap();
            let names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            let moved = names.iter().any(|path| path.to_string_lossy().ends_with(&format!("Z-{name}")));
            let report =
                names.iter().find(|path| path.to_string_lossy().ends_with(&format!("{name}.report.json")));
            Ok(report.filter(|_| moved).cloned())
        });
        let report: Value = serde_json::from_str(&std::fs::read_to_string(report.unwrap()).unwrap()).unwrap();
        assert_eq!(report["refused"], json!(refused), "{report}");
    }
    assert!(!world.jail.path("drop/day.csv").exists() && !world.jail.path("drop/bad.csv").exists());
}

#[test]
fn a_second_agent_on_the_same_store_is_refused() {
    let world = World::new(|_| {});
    let _agent = world.agent(None);
    let second = world.program().args(["run", "--config", "agent.toml"]).run(SOON).unwrap();
    assert_eq!(second.code().unwrap(), 75);
}

#[test]
fn a_new_registry_is_in_force_within_seconds_and_a_bad_one_never() {
    let world = World::new(|_| {});
    let _agent = world.agent(None);
    let file = world.jail.export("day.csv", TWO);
    world.command(&["ingest", file.to_str().unwrap()]);
    let published = world.published(2);
    // Signed by a node that only the next registry knows.
    let node = nkeys::KeyPair::new_service();
    let body = Body::Acceptance(vec![accepted(published[0].id(), published[0].digest(), &world.jail)]);
    world.jail.write("registry.toml", "garbage");
    world.jail.write_registry(2, |text| {
        let relay = text.find("signing_key").unwrap();
        let end = relay + text[relay..].find('\n').unwrap();
        format!("{}signing_key = \"{}\"{}", &text[..relay], node.public_key(), &text[end..])
    });
    let health = || {
        let address = std::fs::read_to_string(world.jail.path("store/agent.lock")).unwrap();
        let text = ureq::get(format!("http://{}/metrics", address.trim()))
            .call()
            .unwrap()
            .body_mut()
            .read_to_string();
        text.unwrap()
    };
    wait::until("the new registry is in force", SOON, || {
        Ok(health().contains("sallyport_agent_registry_version 2").then_some(()))
    })
    .unwrap();
    world.answer("accepted", sealed(&jail::signer(&node), body));
    world.wait_for_status("the new node is believed", |status| status["outbox_depth"] == json!(1));
    world.accept(&[&published[1]]);
    let known = health();
    assert!(known.contains("sallyport_agent_accepted_events_total 1"), "{known}");
}

#[test]
fn a_wrong_configuration_ends_with_64_and_names_every_problem_before_any_socket() {
    let world = World::with_server_down(|_| {});
    let text = std::fs::read_to_string(world.jail.config()).unwrap();
    world
        .jail
        .write("agent.toml", &text.replace("127.0.0.1:0", "0.0.0.0:1").replace("\"sign.nk\"", "\"none\""));
    for command in ["run", "check"] {
        let ended = world.program().args([command, "--config", "agent.toml"]).run(SOON).unwrap();
        assert_eq!(ended.code().unwrap(), 64);
        let said = ended.stderr.join("\n");
        assert!(said.contains("http.listen") && said.contains("facility.signing_seed_file"), "{said}");
    }
    assert!(!world.jail.path("store").exists());
}

#[test]
fn mapping_test_needs_nothing_of_a_jail_and_stores_nothing() {
    let world = World::with_server_down(|_| {});
    let file =
        world.jail.export("day.csv", &format!("{TWO}B-3,A,2026-03-01 10:00,,New words,,\nB-4,A,,,,JUV,\n"));
    world.jail.write("agent.toml", "");
    let program: Recipe = world.program();
    let ended = program
        .args(["mapping", "test", "--mapping", "mapping.toml", "--json", file.to_str().unwrap()])
        .run(SOON)
        .unwrap();
    assert_eq!(ended.code().unwrap(), 0, "{:?}", ended.stderr);
    let json: Value = serde_json::from_str(&ended.stdout[0]).unwrap();
    assert_eq!((json["custodies"].clone(), json["events"].clone()), (json!(4), json!(3)));
    assert_eq!(json["withheld_by_floor"], json!(1));
    assert_eq!(json["unmapped_texts"], json!({"New words": 1}));
    assert!(!world.jail.path("store").exists());
}
