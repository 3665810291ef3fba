//! `kill -9` at every named point on every arrow of the whole loop. A point is passed by a running day: the program dies
//! there, is started again, the day goes on, and the audit must find nothing. One table per program says what came of each.
//!
//! Programs with crash points are built by `cargo xtask build`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::{os::unix::process::ExitStatusExt, time::Duration};

use sallyport_e2e::{
    Day, FakeJail, World,
    day::ingest,
    patience::{AFTER_REDELIVERY, DEAR_LOOK_EVERY, SOON, until_every},
    points,
    world::Build,
};
use sallyport_ground::Instance;
use serde_json::Value;
use tokio::time::Instant;

const JAIL: &str = "zz0010000";
const AGENT: &str = "agent-zz0010000";
const BRIDGE: &str = "subscriber-demo-supervision";
const RELAY: &str = "relay-a";
/// Speaks by hand, so that the relay has something to refuse.
const OTHER_JAIL: &str = "zz0020000";
/// New custodies per export: each kind that the agencies tell apart, several times.
const CUSTODIES: usize = 40;
/// What `abort` looks like from outside.
const SIGABRT: i32 = 6;
/// A point that the day does not pass within this time is not on its way.
const PASSED_WITHIN: Duration = Duration::from_secs(40);

struct Kills {
    world: World,
    day: Day,
    other: FakeJail,
    table: Vec<String>,
}

impl Kills {
    async fn prepared(change: impl FnOnce(&mut Instance)) -> Self {
        let mut world = World::provisioned(change).await.unwrap();
        world.build = Build::Faults;
        world.start_everything().unwrap();
        let other = world.jail(OTHER_JAIL).await.unwrap();
        let mut kills = Self { world, day: Day::of(JAIL), other, table: Vec::new() };
        kills.day.export(&kills.world, CUSTODIES).unwrap();
        kills.day.acknowledged(&kills.world, SOON).await.unwrap();
        kills
    }

    /// The program dies at the point's first pass while an export goes through, with the server or alone, and comes back.
    async fn at(&mut self, point: &str, with_server: bool) {
        let began = Instant::now();
        let program = program_of(point);
        let Self { world, day, .. } = self;
        world.end(program).unwrap();
        world.start(program, Some(&format!("crash:{point}"))).unwrap();
        let custodies = day.next(CUSTODIES).unwrap();
        let (file, as_of) = day.write(&world.instance, &custodies).unwrap();
        // A dropped file is a point's way, too: nobody waits for its answer.
        let told = if point.starts_with("agent.drop") {
            let drop = world.instance.drop_dir(JAIL);
            let aside = drop.with_extension("aside");
            std::fs::copy(&file, &aside).unwrap();
            // The file's time is the moment it speaks of.
            std::fs::File::options().write(true).open(&aside).unwrap().set_modified(as_of.into()).unwrap();
            std::fs::rename(&aside, drop.join("export.csv")).unwrap();
            true
        } else {
            self.other.publish(format!("garbage before {point}").as_bytes()).await.unwrap();
            ingest(world, JAIL, &file, as_of).is_ok()
        };
        let status = world.wait_for_end(program, PASSED_WITHIN);
        let status =
            status.unwrap_or_else(|error| panic!("{point} was not passed: {error:#}\n{}", world.logs()));
        assert_eq!(status.signal(), Some(SIGABRT), "{point}: {status}\n{}", world.log_of(program));

        if with_server {
            world.server.kill9().unwrap();
            world.server.restart().unwrap();
        }
        world.start(program, None).unwrap();
        if !told {
            // The jail's job was not told "stored": it brings the same file again.
            ingest(world, JAIL, &file, as_of).unwrap();
        }
        let report = day.acknowledged(world, AFTER_REDELIVERY).await;
        let report = report.unwrap_or_else(|error| panic!("{point}: {error:#}"));
        self.table.push(format!(
            "{point:<34} died, came back: {:>4} notices, lost {}, duplicates {}, unallowed {}, in {:.1?}",
            report.notices,
            report.lost.len(),
            report.duplicates.len(),
            report.unallowed.len(),
            began.elapsed()
        ));
    }

    /// Each point in turn; at the end every notice is receipted.
    async fn at_each(mut self, points: &[&str], with_server: bool) -> Self {
        for point in points {
            self.at(point, with_server).await;
        }
        eprintln!("{}", self.table.join("\n"));
        assert_eq!(self.table.len(), points.len());
        every_notice_was_receipted(&self.world).await;
        self
    }
}

fn program_of(point: &str) -> &'static str {
    match point.split('.').next().unwrap() {
        "agent" => AGENT,
        "relay" => RELAY,
        _ => BRIDGE,
    }
}

/// Every notice that was delivered is named by a RECEIVED of its addressee, always the same one.
async fn every_notice_was_receipted(world: &World) {
    let hub = world.hub().await.unwrap();
    let mut delivered: Vec<_> =
        hub.notices("*").await.unwrap().into_iter().map(|n| n.notice_id.to_string()).collect();
    let mut receipts = hub.receipts().await.unwrap();
    // The stored receipt again is the same bytes.
    receipts.dedup();
    let mut received: Vec<_> = receipts
        .iter()
        .flat_map(|receipt| &receipt.notices)
        .map(|notice| notice.notice_id.to_string())
        .collect();
    delivered.sort();
    received.sort();
    received.dedup();
    assert_eq!(received, delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_anywhere_loses_nothing_and_repeats_nothing() {
    let points = [&points::AGENT[..], &points::AGENT_DROP].concat();
    Kills::prepared(|_| {}).await.at_each(&points, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_killed_anywhere_loses_nothing_and_repeats_nothing() {
    Kills::prepared(|_| {}).await.at_each(&points::SUBSCRIBER, false).await;
}

/// The command keeps a list: everything is on it, and what is on it again says that it may be a repetition.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_killed_around_a_command_or_what_is_said_loses_nothing_and_a_repetition_says_so() {
    let command = "echo \"$SALLYPORT_NOTICE_ID $SALLYPORT_REDELIVERED\" >> told";
    let kills = Kills::prepared(|instance| {
        let told = instance.dir.join("told");
        let bridge = instance.subscribers.iter_mut().find(|s| BRIDGE.ends_with(&s.id)).unwrap();
        bridge.hand_over = "command".into();
        let command = command.replace("told", &told.display().to_string());
        bridge.command = vec!["/bin/sh".into(), "-c".into(), command];
    });
    let kills = kills.await.at_each(&points::SUBSCRIBER_FURTHER, false).await;
    let instance = &kills.world.instance;
    let log =
        std::fs::read_to_string(instance.hand_over_log(BRIDGE.trim_start_matches("subscriber-"))).unwrap();
    let ids: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["notice_id"].as_str().unwrap().to_owned())
        .collect();
    let told = instance.dir.join("told");
    // The log is written before the receipt, the command runs after it.
    let runs = until_every("every notice was handed over", SOON, DEAR_LOOK_EVERY, || async {
        let runs = std::fs::read_to_string(&told).unwrap_or_default();
        Ok(ids.iter().all(|id| runs.contains(id.as_str())).then_some(runs))
    });
    let runs = runs.await.unwrap_or_else(|error| panic!("{error:#}\n{}", kills.world.logs()));
    for id in ids {
        let of: Vec<&str> = runs.lines().filter(|run| run.starts_with(&id)).collect();
        assert!(of[1..].iter().all(|run| run.ends_with(" true")), "{of:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_between_pull_and_commit_loses_nothing_and_repeats_nothing() {
    Kills::prepared(|_| {}).await.at_each(&points::RELAY_COMMIT, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_between_answer_and_settle_or_while_it_forwards_loses_nothing_and_repeats_nothing() {
    let points = [&points::RELAY_ANSWER[..], &points::RELAY_FURTHER].concat();
    Kills::prepared(|_| {}).await.at_each(&points, false).await;
}

/// The read model is a cache: after a kill in the middle of a fold it says what the streams say.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_while_it_folds_knows_everything_afterwards() {
    let kills = Kills::prepared(|_| {}).await.at_each(&points::RELAY_TRACK, false).await;
    let Kills { mut world, day, .. } = kills;
    let notices = day.audit(&world).unwrap().notices;
    let counted = |lag: &Value| -> u64 {
        lag["deliveries"].as_array().unwrap().iter().map(|row| row["received"].as_u64().unwrap()).sum()
    };
    let known = until_every("the model knows every receipt", SOON, DEAR_LOOK_EVERY, || async {
        let Ok(lag) = world.ask(RELAY, &["lag", "--json"]) else { return Ok(None) };
        Ok((counted(&lag) == notices).then_some(lag))
    });
    assert_eq!(known.await.unwrap()["overall"]["pending"], 0);
    // And a rebuilt one says the same.
    world.end(RELAY).unwrap();
    std::fs::remove_dir_all(world.instance.dir.join("relay-a")).unwrap();
    world.start(RELAY, None).unwrap();
    let rebuilt = until_every("the rebuilt model knows every receipt", SOON, DEAR_LOOK_EVERY, || async {
        let Ok(lag) = world.ask(RELAY, &["lag", "--json"]) else { return Ok(None) };
        Ok((counted(&lag) == notices).then_some(lag))
    });
    assert_eq!(rebuilt.await.unwrap()["overall"]["pending"], 0);
}

/// An Acceptance that waits for its jail: the node dies in the middle of the page, the agent between page and store.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_or_an_agent_killed_while_missed_answers_are_read_closes_the_row_all_the_same() {
    for point in points::CATCHUP {
        let Kills { mut world, mut day, .. } = Kills::prepared(|_| {}).await;
        // The relay accepts while the agent is dead.
        world.end(AGENT).unwrap();
        world.start(AGENT, Some("crash:agent.publish.after-puback")).unwrap();
        let custodies = day.next(CUSTODIES).unwrap();
        let (file, as_of) = day.write(&world.instance, &custodies).unwrap();
        let _ = ingest(&world, JAIL, &file, as_of);
        world.wait_for_end(AGENT, PASSED_WITHIN).unwrap();
        let hub = world.hub().await.unwrap();
        hub.settled("INGEST", "relay", AFTER_REDELIVERY).await.unwrap();
        let program = program_of(point);
        if program == RELAY {
            world.end(RELAY).unwrap();
            world.start(RELAY, Some(&format!("crash:{point}"))).unwrap();
            world.relays_are_up().await.unwrap();
            world.start(AGENT, None).unwrap();
        } else {
            world.begin(AGENT, Some(&format!("crash:{point}"))).unwrap();
        }
        let died = world.wait_for_end(program, PASSED_WITHIN).unwrap();
        assert_eq!(died.signal(), Some(SIGABRT), "{point}: {died}");
        world.start(program, None).unwrap();
        ingest(&world, JAIL, &file, as_of).unwrap();
        let report = day.acknowledged(&world, AFTER_REDELIVERY).await.unwrap();
        eprintln!("{point}: died, came back: {} notices, lost 0, duplicates 0", report.notices);
    }
}

/// One point per arrow, and the server dies with the program.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_together_with_a_program_on_any_arrow_loses_nothing_and_repeats_nothing() {
    let points = [
        "agent.publish.after-send",
        "relay.commit.after-batch-ack",
        "relay.answer.after-publish",
        "subscriber.receipt.before-publish",
        "relay.forward.before-settle",
    ];
    Kills::prepared(|_| {}).await.at_each(&points, true).await;
}

/// A point that somebody added to a program and not to the lists would go untested.
#[test]
fn every_crash_point_of_every_program_is_on_a_list() {
    let root = sallyport_harness::paths::workspace_root();
    let lists = std::fs::read_to_string(root.join("tests/e2e/src/points.rs")).unwrap();
    let mut named = Vec::new();
    for folder in ["agent/src", "relay/src", "subscriber/src"] {
        points_named_in(&root.join(folder), &mut named);
    }
    assert!(named.len() >= 35, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|point| !lists.contains(&format!("\"{point}\""))).collect();
    assert!(missing.is_empty(), "not killed anywhere: {missing:?}");
}

/// Texts of the form `program.stage.step` in a folder's sources.
fn points_named_in(folder: &std::path::Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            points_named_in(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for quoted in text.split('"').skip(1).step_by(2) {
            let tokens: Vec<_> = quoted.split('.').collect();
            let is_point = tokens.len() == 3
                && ["agent", "relay", "subscriber"].contains(&tokens[0])
                && tokens[1..]
                    .iter()
                    .all(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
                && (text.contains("fault::point")
                    || path.ends_with("faults.rs")
                    || path.ends_with("crash_points.rs"));
            if is_point && !found.iter().any(|known| known == quoted) {
                found.push(quoted.to_owned());
            }
        }
    }
}
