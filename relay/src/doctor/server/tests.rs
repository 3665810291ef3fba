//! Clusters that a test machine does not have.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::doctor::Pair;

fn answer(host: &str, nodes: u64) -> Answer {
    let at = Timestamp::UNIX_EPOCH;
    let stated = json!({
        "server": { "name": host, "host": host, "time": at.to_string() },
        "data": { "config": { "sync_always": true, "max_storage": 1_000 }, "meta_cluster": { "cluster_size": nodes } },
    });
    Answer { sent: at, received: at, stated }
}

fn seen(replicas: u64) -> Seen {
    let pair = |label: &str, config: Value| Pair {
        label: label.into(),
        stream: "INGEST".into(),
        should: Value::Null,
        is: Some(json!({ "config": config })),
    };
    Seen {
        streams: vec![pair("stream INGEST", json!({ "num_replicas": replicas, "max_bytes": 900 }))],
        durables: vec![pair("durable relay on INGEST", json!({ "num_replicas": 0 }))],
    }
}

fn codes(found: &[Finding]) -> Vec<Code> {
    found.iter().map(|finding| finding.code).collect()
}

#[test]
fn copies_fit_the_nodes_or_are_named() {
    let nodes = |n: usize| (0..n).map(|i| answer(&format!("10.0.0.{i}"), n as u64)).collect::<Vec<_>>();
    let check = |asked, n: usize, replicas, expect: &[Code]| {
        let found = judge_replicas(asked, Some(&nodes(n)), &seen(replicas));
        assert_eq!(codes(&found), expect, "{found:?}");
    };
    check(1, 1, 1, &[]);
    check(3, 3, 3, &[]);
    check(3, 5, 3, &[]);
    check(1, 3, 1, &[Code::ReplicasFew]);
    check(3, 3, 1, &[Code::ReplicasFew]);
    check(1, 3, 3, &[Code::ReplicasFew]);
    check(3, 1, 1, &[Code::ReplicasMany]);
    check(5, 3, 3, &[Code::ReplicasMany]);
    assert!(judge_replicas(3, None, &seen(1)).is_empty(), "nobody knows how many there are");
}

#[test]
fn a_server_that_is_silent_and_servers_on_one_machine_are_named() {
    let of = |hosts: &[&str], addresses: &[&str]| {
        let answers: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(n, host)| {
                let mut answer = answer(host, 3);
                answer.stated["server"]["name"] = format!("n{n}").into();
                answer
            })
            .collect();
        places(&answers, &addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let one = [Code::NodesOnOneMachine];
    assert_eq!(codes(&of(&["10.0.0.1", "10.0.0.2"], &[])), [Code::NoAnswer]);
    assert!(of(&["10.0.0.1", "10.0.0.2", "10.0.0.3"], &[]).is_empty());
    let all = of(&["10.0.0.1", "10.0.0.1", "10.0.0.1"], &[]);
    assert!(all[0].text.contains("3 servers of 3"), "{all:?}");
    let two = of(&["10.0.0.1", "10.0.0.2", "10.0.0.1"], &[]);
    assert_eq!(codes(&two), one);
    assert!(two[0].text.contains("2 servers of 3") && two[0].text.contains("n0, n2"), "{two:?}");
    let everywhere = ["0.0.0.0", "0.0.0.0", "0.0.0.0"];
    assert!(of(&everywhere, &[]).is_empty(), "that says nothing");
    // What they tell their clients does.
    assert_eq!(codes(&of(&everywhere, &["10.0.0.1:4222", "10.0.0.2:4222", "10.0.0.1:4223"])), one);
    assert_eq!(codes(&of(&everywhere, &["[fd00::1]:4222", "[fd00::1]:4223"])), one);
    assert!(of(&everywhere, &["10.0.0.1:4222", "10.0.0.2:4222", "10.0.0.3:4222"]).is_empty());
}

#[test]
fn what_streams_may_hold_fits_every_server() {
    assert!(judge_share(&[answer("a", 1)], &seen(1)).is_empty());
    let mut more = seen(1);
    more.streams.extend(seen(1).streams);
    assert_eq!(codes(&judge_share(&[answer("a", 1)], &more)), [Code::DiskShare]);
}
