//! Every setting that cannot be changed on a server that is used rightly.
#![allow(clippy::unwrap_used)]

use sallyport_link::doctor::Severity;
use serde_json::{Value, json};

use super::*;

fn check(key: &str, is: Value, should: Value, expect: Option<(Severity, Code)>) {
    let pair = Pair {
        label: "stream INGEST".into(),
        stream: subject::INGEST.into(),
        should: json!({ key: should }),
        is: Some(json!({ "config": { key: is }, "state": {} })),
    };
    let found = judge_stream(&pair);
    assert_eq!(found.first().map(|f| (f.severity, f.code)), expect, "{found:?}");
}

#[test]
fn settings_that_lose_messages_are_unsafe_and_others_are_drift() {
    let bad = Some((Severity::Unsafe, Code::StreamUnsafe));
    let drift = Some((Severity::Warning, Code::Drift));
    check("storage", json!("memory"), json!("file"), bad);
    check("retention", json!("interest"), json!("limits"), bad);
    check("discard", json!("old"), json!("new"), bad);
    check("discard", json!("new"), json!("old"), Some((Severity::Warning, Code::Drift)));
    check("deny_purge", json!(false), json!(true), bad);
    check("allow_atomic", json!(false), json!(true), bad);
    check("allow_atomic", json!(true), json!(false), Some((Severity::Warning, Code::Drift)));
    check("no_ack", json!(true), json!(false), bad);
    check("sealed", json!(true), json!(false), bad);
    check("persist_mode", json!("async"), Value::Null, bad);
    check("allow_rollup_hdrs", json!(true), json!(false), bad);
    check("allow_msg_ttl", json!(true), json!(false), bad);
    check("republish", json!({ "src": ">", "dest": "x.>" }), Value::Null, bad);
    check("mirror", json!({ "name": "X" }), Value::Null, bad);
    check("subjects", json!(["a"]), json!(["b"]), bad);
    check("max_msgs", json!(10), json!(-1), bad);
    check("discard_new_per_subject", json!(false), json!(true), bad);
    check("discard_new_per_subject", json!(true), json!(false), bad);
    check("max_msgs_per_subject", json!(5), json!(500_000), bad);
    check("max_msgs_per_subject", json!(100_000), json!(-1), bad);
    check("max_msgs_per_subject", json!(-1), json!(10), drift);
    check("max_msgs_per_subject", json!(11), json!(10), drift);
    check("max_msg_size", json!(100), json!(65_536), bad);
    check("max_msg_size", json!(100), json!(-1), bad);
    check("max_msg_size", json!(70_000), json!(65_536), drift);
    check("max_msg_size", json!(-1), json!(65_536), drift);
    check("max_bytes", json!(1_000_000), json!(1_000_000_000), bad);
    // Without a bound, or with more than its share: said of all streams together.
    check("max_bytes", json!(-1), json!(1_000_000_000), None);
    check("max_bytes", json!(2), json!(1), None);
    check("consumer_limits", json!({ "inactive_threshold": 5 }), Value::Null, bad);
    check("allow_msg_schedules", json!(true), Value::Null, bad);
    check("duplicate_window", json!(9), json!(5), Some((Severity::Unsafe, Code::DuplicateWindow)));
    check("duplicate_window", json!(1), json!(5), Some((Severity::Warning, Code::DuplicateWindow)));
    check("deny_delete", json!(true), json!(false), drift);
    check("compression", json!("s2"), Value::Null, drift);
    check("description", json!("x"), Value::Null, Some((Severity::Warning, Code::Drift)));
    check("max_age", json!(0), json!(5), Some((Severity::Warning, Code::Drift)));
    check("max_age", json!(1), json!(5), Some((Severity::Unsafe, Code::RetentionShort)));
    let day = |days: u64| json!(days * 24 * 60 * 60 * 1_000_000_000);
    check("max_age", day(60), day(90), Some((Severity::Unsafe, Code::RetentionShort)));
    check("max_age", day(100), day(90), drift);
    check("num_replicas", json!(1), json!(3), None);
}
