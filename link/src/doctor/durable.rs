//! Whether a durable, as the server states its configuration, lets every message arrive: for the relay, which sees all of
//! them, and for a subscriber, which sees its own.

use std::time::Duration;

use serde_json::Value;

use super::{Code, Finding};
use crate::connect::JETSTREAM_TIMEOUT;

/// How the program at a durable works.
#[derive(Debug, Clone, Copy)]
pub struct Handler {
    /// A message is in work so long before the server hears of it again: an ack, or word that work goes on.
    pub silent_max: Duration,
    /// Somebody else must get a dead program's messages this soon.
    pub relieved_within: Duration,
}

/// A bridge's work on one message: store, receipt, PubAck (one JetStream time-out). Nothing is said of it before; the first
/// redelivery is `provision`'s.
pub const BRIDGE: Handler =
    Handler { silent_max: JETSTREAM_TIMEOUT, relieved_within: Duration::from_secs(10) };

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
    found.extend(judge_ack_wait(label, config, handler));
    found
}

/// How long a message stays with whoever fetched it: the shortest of ack_wait and backoff.
pub fn ack_wait(config: &Value) -> Option<Duration> {
    let backoff = config["backoff"].as_array().into_iter().flatten().filter_map(Value::as_u64).min();
    backoff.or(config["ack_wait"].as_u64()).map(Duration::from_nanos)
}

fn judge_ack_wait(label: &str, config: &Value, handler: Handler) -> Option<Finding> {
    let wait = ack_wait(config)?;
    let Handler { silent_max, relieved_within } = handler;
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
        Handler { silent_max: Duration::from_secs(5), relieved_within: Duration::from_secs(8) };

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
    fn the_wait_lies_between_the_handlers_time_and_the_relief() {
        let s = |s: u64| s * 1_000_000_000;
        check(&json!({ "ack_wait": s(5) }), &[Code::AckWaitShort]);
        check(&json!({ "ack_wait": s(6) }), &[]);
        check(&json!({ "ack_wait": s(30) }), &[Code::AckWaitLong]);
        // A backoff overrides the wait.
        check(&json!({ "ack_wait": s(8), "backoff": [s(1), s(30)] }), &[Code::AckWaitShort]);
    }
}
