//! Whether a durable, as the server states its configuration, lets every message arrive: for the relay, which sees all of
//! them, and for a subscriber, which sees its own.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{Code, Finding};
use crate::{clock, connect::JETSTREAM_TIMEOUT};

/// How the program at a durable works.
#[derive(Debug, Clone, Copy)]
pub struct Handler {
    /// A message is in work so long before the server hears of it again: an ack, or word that work goes on.
    pub silent_max: Duration,
    /// Somebody else must get a dead program's messages this soon.
    pub relieved_within: Duration,
    /// So many messages all programs at the durable together have in work at once.
    pub in_work: i64,
}

/// A bridge's work on one message: store, receipt, PubAck (one JetStream time-out). Nothing is said of it before; the first
/// redelivery is `provision`'s.
pub const BRIDGE: Handler =
    Handler { silent_max: JETSTREAM_TIMEOUT, relieved_within: Duration::from_secs(10), in_work: 256 };

/// Settings that `provision` never makes, and what each does to the messages.
const STRANGE: [(&str, &str); 8] = [
    (
        "inactive_threshold",
        "the server deletes it when nobody pulls for that long: what waits there is passed over",
    ),
    ("rate_limit_bps", "it gives out no more than that"),
    ("max_batch", "it refuses to give out as many at once as a program asks for"),
    ("max_expires", "it refuses to wait as long as a program asks for"),
    ("max_bytes", "it refuses what a program asks for"),
    ("priority_groups", "it gives nothing to who does not ask as one of its groups"),
    ("opt_start_seq", "what lies before is passed over"),
    ("opt_start_time", "what lies before is passed over"),
];
/// Of how a program gets its messages; other settings are the caller's.
pub const JUDGED: [&str; 18] = [
    "ack_policy",
    "max_deliver",
    "headers_only",
    "mem_storage",
    "ack_wait",
    "deliver_policy",
    "replay_policy",
    "max_ack_pending",
    "num_replicas",
    "inactive_threshold",
    "pause_until",
    "rate_limit_bps",
    "max_batch",
    "max_expires",
    "max_bytes",
    "priority_groups",
    "opt_start_seq",
    "opt_start_time",
];

/// `label`: "durable relay on INGEST"; `config`: as `CONSUMER.INFO` states it.
pub fn judge(label: &str, config: &Value, handler: Handler) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut bad = |text: String| {
        let mend = "run `sallyport-relay provision`; what it reports as DRIFT is edited with the nats tool (nats consumer edit)";
        found.push(Finding::unsafe_(Code::DurableUnsafe, format!("{label}: {text}"), mend));
    };
    if config["ack_policy"].as_str() != Some("explicit") {
        bad("what a program fetched counts as handled before it is (ack_policy is not explicit)".into());
    }
    let tries = config["max_deliver"].as_i64().unwrap_or(-1);
    if tries > 0 {
        bad(format!("a message is passed over for ever after {tries} tries (max_deliver)"));
    }
    if config["headers_only"].as_bool() == Some(true) {
        bad("messages come without their content (headers_only)".into());
    }
    if config["mem_storage"].as_bool() == Some(true) {
        bad("what was settled is forgotten when the server starts again (mem_storage)".into());
    }
    let policy = config["deliver_policy"].as_str().unwrap_or("all");
    if policy != "all" {
        bad(format!("it begins with {policy}, and what lies before is passed over (deliver_policy)"));
    }
    if config["replay_policy"].as_str() == Some("original") {
        bad("an hour's messages take it an hour (replay_policy is original)".into());
    }
    let (pending, in_work) = (config["max_ack_pending"].as_i64().unwrap_or(-1), handler.in_work);
    if (1..in_work).contains(&pending) {
        bad(format!(
            "with {pending} messages in work it gives out no more, and the programs take {in_work} at once (max_ack_pending): one that is slow stops all the others"
        ));
    }
    // The server keeps a time that is over.
    let paused = config["pause_until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
    if let Some(until) = paused.filter(|until| *until > clock::now()) {
        bad(format!("it gives out nothing until {until} (pause_until)"));
    }
    for (key, why) in STRANGE {
        if is_set(&config[key]) {
            bad(format!("{why} ({key} is {})", config[key]));
        }
    }
    found.extend(judge_ack_wait(label, config, handler));
    found
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.as_i64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(_) | Value::Object(_) => true,
    }
}

/// A message that is lost on its way to a program comes again after the first wait: that must be before it counts as late.
/// `deadline`: the tightest of whom it may be for, and in whose words.
pub fn judge_deadline(label: &str, config: &Value, deadline: Option<(Duration, &str)>) -> Option<Finding> {
    let first = config["backoff"].get(0).and_then(Value::as_u64).or(config["ack_wait"].as_u64());
    let (first, (deadline, whose)) = (Duration::from_nanos(first?), deadline?);
    (first >= deadline).then(|| {
        Finding::unsafe_(
            Code::AckWaitOverDeadline,
            format!("{label}: what is lost on the way comes again after {first:?}; {whose} wants it received within {deadline:?}"),
            "set ack_wait and backoff to what `sallyport-relay provision` names (nats consumer edit), or raise received_within_s in the registry",
        )
    })
}

/// How long a message stays with whoever fetched it: the shortest of ack_wait and backoff.
pub fn ack_wait(config: &Value) -> Option<Duration> {
    let backoff = config["backoff"].as_array().into_iter().flatten().filter_map(Value::as_u64).min();
    backoff.or(config["ack_wait"].as_u64()).map(Duration::from_nanos)
}

fn judge_ack_wait(label: &str, config: &Value, handler: Handler) -> Option<Finding> {
    let wait = ack_wait(config)?;
    let Handler { silent_max, relieved_within, .. } = handler;
    if wait <= silent_max {
        return Some(Finding::unsafe_(
            Code::AckWaitShort,
            format!(
                "{label}: a message comes again after {wait:?}, while it may still be in work for {silent_max:?}: work grows without end under load"
            ),
            format!("set ack_wait to {relieved_within:?} (nats consumer edit --wait)"),
        ));
    }
    (wait > relieved_within).then(|| {
        Finding::warning(
            Code::AckWaitLong,
            format!("{label}: what a dead program had begun waits {wait:?} for the next, instead of {relieved_within:?}"),
            format!("set ack_wait to {relieved_within:?} (nats consumer edit --wait)"),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HANDLER: Handler =
        Handler { silent_max: Duration::from_secs(5), relieved_within: Duration::from_secs(8), in_work: 256 };

    fn check(change: &Value, codes: &[Code]) {
        let mut config =
            json!({ "ack_policy": "explicit", "max_deliver": -1, "ack_wait": 8_000_000_000_u64 });
        for (key, value) in change.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let found: Vec<Code> = judge("durable relay", &config, HANDLER).into_iter().map(|f| f.code).collect();
        assert_eq!(found, codes, "{config}");
    }

    #[test]
    fn what_passes_messages_over_is_unsafe() {
        check(&json!({}), &[]);
        check(&json!({ "max_deliver": 5 }), &[Code::DurableUnsafe]);
        check(&json!({ "ack_policy": "none" }), &[Code::DurableUnsafe]);
        check(
            &json!({ "headers_only": true, "mem_storage": true }),
            &[Code::DurableUnsafe, Code::DurableUnsafe],
        );
    }

    #[test]
    fn what_deletes_it_stops_it_or_starts_it_late_is_unsafe() {
        let bad = &[Code::DurableUnsafe];
        check(&json!({ "max_ack_pending": 255 }), bad);
        check(&json!({ "max_ack_pending": 1 }), bad);
        for more in [256, 1_000, -1] {
            check(&json!({ "max_ack_pending": more }), &[]);
        }
        check(&json!({ "deliver_policy": "new" }), bad);
        check(&json!({ "deliver_policy": "all", "replay_policy": "instant" }), &[]);
        check(&json!({ "replay_policy": "original" }), bad);
        check(&json!({ "deliver_policy": "by_start_sequence", "opt_start_seq": 7 }), &[bad[0], bad[0]]);
        for key in ["inactive_threshold", "rate_limit_bps", "max_batch", "max_expires", "max_bytes"] {
            check(&json!({ key: 1 }), bad);
            check(&json!({ key: 0 }), &[]);
        }
        check(&json!({ "pause_until": "2999-01-01T00:00:00Z" }), bad);
        check(&json!({ "pause_until": "2001-01-01T00:00:00Z" }), &[]);
        check(&json!({ "priority_groups": ["a"] }), bad);
        assert!(STRANGE.iter().all(|(key, _)| JUDGED.contains(key)));
    }

    #[test]
    fn what_is_lost_on_the_way_comes_again_before_it_is_late() {
        let s = |s: u64| s * 1_000_000_000;
        let check = |config: Value, late: bool| {
            let found = judge_deadline("durable d", &config, Some((Duration::from_secs(30), "a")));
            assert_eq!(
                found.map(|f| f.severity),
                late.then_some(crate::doctor::Severity::Unsafe),
                "{config}"
            );
        };
        check(json!({ "ack_wait": s(29) }), false);
        check(json!({ "ack_wait": s(30) }), true);
        // The first wait counts, and overrides ack_wait.
        check(json!({ "ack_wait": s(10), "backoff": [s(7_200), s(10)] }), true);
        check(json!({ "ack_wait": s(7_200), "backoff": [s(10), s(7_200)] }), false);
        assert_eq!(judge_deadline("durable d", &json!({ "ack_wait": s(90) }), None), None, "nobody waits");
    }

    #[test]
    fn the_wait_lies_between_the_handlers_time_and_the_relief() {
        let s = |s: u64| s * 1_000_000_000;
        check(&json!({ "ack_wait": s(5) }), &[Code::AckWaitShort]);
        check(&json!({ "ack_wait": s(6) }), &[]);
        check(&json!({ "ack_wait": s(30) }), &[Code::AckWaitLong]);
        // A backoff overrides the wait.
        check(&json!({ "ack_wait": s(8), "backoff": [s(1), s(30)] }), &[Code::AckWaitShort]);
    }
}
