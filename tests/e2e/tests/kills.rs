//! `kill -9` at every named point on every arrow of the whole loop. A point is passed by a running day: the program dies
//! there, is started again, the day goes on, and the audit must find nothing. One table per program says what came of each.
//!
//! Programs with crash points are built by `cargo xtask build`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::{os::unix::process::ExitStatusExt, time::Duration};

use sallyport_e2e::{
    Day, FakeJail, World,
    day::ingest,
    patience::{AFTER_REDELIVERY, SOON},
    world::Build,
};
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
    async fn prepared() -> Self {
        let mut world = World::provisioned(|_| {}).await.unwrap();
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
    async fn at_each(mut self, points: &[&str], with_server: bool) {
        for point in points {
            self.at(point, with_server).await;
        }
        eprintln!("{}", self.table.join("\n"));
        assert_eq!(self.table.len(), points.len());
        every_notice_was_receipted(&self.world).await;
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
    let points = [
        "agent.intake.before-commit",
        "agent.intake.after-commit",
        "agent.drop.before-move",
        "agent.publish.before-send",
        "agent.publish.after-send",
        "agent.publish.after-puback",
        "agent.answer.before-store",
        "agent.answer.after-store",
    ];
    Kills::prepared().await.at_each(&points, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_killed_anywhere_loses_nothing_and_repeats_nothing() {
    let points = [
        "subscriber.receive.after-pull",
        "subscriber.store.after-commit",
        "subscriber.log.after-append",
        "subscriber.receipt.before-publish",
        "subscriber.receipt.after-puback",
        "subscriber.settle.after",
        "subscriber.sink.before-rename",
        "subscriber.sink.after-rename",
    ];
    Kills::prepared().await.at_each(&points, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_between_pull_and_commit_loses_nothing_and_repeats_nothing() {
    let points = [
        "relay.intake.after-pull",
        "relay.commit.before",
        "relay.commit.before-last-message",
        "relay.commit.after-batch-ack",
        "relay.commit.after-batch",
        "relay.commit.after",
    ];
    Kills::prepared().await.at_each(&points, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_between_answer_and_settle_or_while_it_forwards_loses_nothing_and_repeats_nothing() {
    let points = [
        "relay.answer.before-publish",
        "relay.answer.after-publish",
        "relay.answer.after-parking",
        "relay.answer.before-settle",
        "relay.answer.after-settle",
        "relay.forward.after-pull",
        "relay.forward.before-settle",
    ];
    Kills::prepared().await.at_each(&points, false).await;
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
    Kills::prepared().await.at_each(&points, true).await;
}

/// A point that somebody added to a program and not to the lists above would go untested.
#[test]
fn every_crash_point_of_every_program_is_on_a_list() {
    let root = sallyport_harness::paths::workspace_root();
    let here = include_str!("kills.rs");
    let mut named = Vec::new();
    for folder in ["agent/src", "relay/src", "subscriber/src"] {
        points_named_in(&root.join(folder), &mut named);
    }
    assert!(named.len() >= 25, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|point| !here.contains(&format!("\"{point}\""))).collect();
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
