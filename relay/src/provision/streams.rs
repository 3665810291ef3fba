//! The streams: file storage, limits retention, `discard: new`, no purge, no reliance on Msg-Id dedupe.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use sallyport_link::publish::chain;
use sallyport_proto::{limits, registry::Registry, subject};
use serde_json::Value;

use super::{
    Error, Report,
    drift::{self, Difference},
};
use crate::config::Provision;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Long enough for an outage to be noticed by people, short enough to fit a disk; longer only as evidence.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Notices are in the subscriber's own store by then.
const DELIVER_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Refused messages wait this long for a person.
const PARKED_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Ids cost 0.2 KB each for this long; the guarantee is idempotency by event id, not this window.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// A flood of one facility is refused before it fills the stream for the others.
const INGEST_MESSAGES_PER_FACILITY: i64 = 500_000;
/// The same for one subscriber and kind of receipt: 5,000 a day for as long as RECEIPTS keeps them, and some.
const RECEIPTS_MESSAGES_PER_SUBJECT: i64 = 500_000;
/// Heartbeats and heads: enough to see a gap, no history.
const HEARTBEATS_PER_SUBJECT: i64 = 10;
/// One durable per subscriber; the server's default of 1,000 is too few.
const DELIVER_CONSUMERS_MAX: i32 = 5_000;
/// 2.15 permits 1,000 unless told otherwise; one durable and a reader per node need far less.
const CONSUMERS_MAX: i32 = 100;
/// Alarm share: a need above it is warned about at provisioning.
pub(crate) const NEED_SHARE_WARN_PERCENT: u64 = 60;

/// Shares of `max_file_store`, percent; the remaining 10 stay free.
const INGEST_PERCENT: f64 = 25.0;
const DELIVER_PERCENT: f64 = 35.0;
const RECEIPTS_PERCENT: f64 = 15.0;
const ANSWERS_PERCENT: f64 = 10.0;
/// HEARTBEATS, REQUESTS, CONTROL, PARKED: 5 together.
const EACH_OTHER_PERCENT: f64 = 1.25;

/// Mean bytes of one event on each of its streams, for sizing (measured on the shipped sample, rounded up).
const EVENT_BYTES_MEAN: u64 = 2_000;
/// Revisions of a custody, at most, as the domain's volumes have it.
const REVISIONS_MEAN: u64 = 3;

/// Every stream, as the registry's volumes and the disk ask for it.
pub(crate) fn wanted(registry: &Registry, provision: &Provision, report: &mut Report) -> Vec<Config> {
    let base = |name: &str, subjects: &[&str], percent: f64| Config {
        name: name.into(),
        subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: provision.replicas,
        max_bytes: (provision.max_file_store_bytes as f64 * percent / 100.0) as i64,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_age: MAX_AGE,
        max_consumers: CONSUMERS_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        deny_purge: true,
        // Never `deny_delete`: it cannot be taken back, and courts order records expunged.
        deny_delete: false,
        allow_direct: false,
        ..Config::default()
    };
    let streams = vec![
        Config {
            max_message_size: limits::INGEST_MESSAGE_BYTES_MAX as i32,
            max_messages_per_subject: INGEST_MESSAGES_PER_FACILITY,
            discard_new_per_subject: true,
            ..base(subject::INGEST, &["ingest.v1.release.*.*"], INGEST_PERCENT)
        },
        Config {
            max_messages_per_subject: HEARTBEATS_PER_SUBJECT,
            discard: DiscardPolicy::Old,
            ..base(subject::HEARTBEATS, &["ingest.v1.heartbeat.*.*", "hub.v1.head.*"], EACH_OTHER_PERCENT)
        },
        Config {
            max_message_size: limits::DELIVER_MESSAGE_BYTES_MAX as i32,
            max_age: DELIVER_MAX_AGE,
            max_consumers: DELIVER_CONSUMERS_MAX,
            allow_atomic_publish: true,
            ..base(subject::DELIVER, &["hub.v1.deliver.>", "hub.v1.routed.>"], DELIVER_PERCENT)
        },
        Config {
            max_message_size: limits::RECEIPT_MESSAGE_BYTES_MAX as i32,
            max_messages_per_subject: RECEIPTS_MESSAGES_PER_SUBJECT,
            discard_new_per_subject: true,
            ..base(subject::RECEIPTS, &["hub.v1.receipt.>"], RECEIPTS_PERCENT)
        },
        base(subject::ANSWERS, &["hub.v1.answer.>"], ANSWERS_PERCENT),
        base(subject::REQUESTS, &["hub.v1.request.>"], EACH_OTHER_PERCENT),
        base(subject::CONTROL, &["hub.v1.control.>"], EACH_OTHER_PERCENT),
        Config {
            max_age: PARKED_MAX_AGE,
            discard: DiscardPolicy::Old,
            ..base(subject::PARKED, &["hub.v1.parked.>"], EACH_OTHER_PERCENT)
        },
    ];
    warn_of_need(registry, &streams, report);
    streams
}

/// What the registry's volumes will take, beside what the streams may have.
fn warn_of_need(registry: &Registry, streams: &[Config], report: &mut Report) {
    let a_day: u64 = registry.facilities.values().map(|f| u64::from(f.releases_per_day)).sum();
    for stream in streams.iter().filter(|s| s.name == subject::INGEST || s.name == subject::DELIVER) {
        let days = stream.max_age.as_secs() / DAY.as_secs();
        let need = a_day * REVISIONS_MEAN * EVENT_BYTES_MEAN * days;
        let have = u64::try_from(stream.max_bytes).unwrap_or(0);
        if need > have / 100 * NEED_SHARE_WARN_PERCENT {
            report.warnings.push(format!(
                "{}: {a_day} releases a day need about {} MB in {days} days, and it may have {} MB: raise provision.max_file_store_bytes",
                stream.name,
                need / 1_000_000,
                have / 1_000_000
            ));
        }
    }
}

/// Creates the stream, or brings an existing one in line where nothing can be lost by it.
pub(super) async fn reconcile(
    js: &jetstream::Context,
    wanted: Config,
    report: &mut Report,
) -> Result<(), Error> {
    let name = wanted.name.clone();
    let failed =
        |what: &str, reason: String| Error::JetStream { what: format!("{what} stream {name}"), reason };
    let (current, messages) = match js.get_stream(&name).await {
        Ok(stream) => {
            let raw = drift::raw(js, &format!("STREAM.INFO.{name}")).await;
            (raw.map_err(|reason| failed("read", reason))?, stream.cached_info().state.messages)
        }
        Err(error) if is_not_found(&error) => {
            js.create_stream(wanted).await.map_err(|e| failed("create", e.to_string()))?;
            report.created.push(format!("stream {name}"));
            return Ok(());
        }
        Err(error) => return Err(failed("read", chain(&error))),
    };
    let should = serde_json::to_value(&wanted).unwrap_or_default();
    let differences = drift::differences(&current, &should);
    if differences.is_empty() {
        report.unchanged.push(format!("stream {name}"));
        return Ok(());
    }
    let (harmless, harmful): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|difference| is_harmless(difference, messages));
    for difference in &harmful {
        report.drift.push(format!("stream {name}: {difference}"));
    }
    if harmful.is_empty() {
        js.update_stream(wanted).await.map_err(|e| failed("update", e.to_string()))?;
        let what: Vec<_> = harmless.iter().map(ToString::to_string).collect();
        report.updated.push(format!("stream {name}: {}", what.join("; ")));
    }
    Ok(())
}

fn is_not_found(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::context::GetStreamErrorKind as Kind;
    matches!(error.kind(), Kind::JetStream(e) if e.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

/// Whether bringing it in line deletes nothing of the `messages` there are, can be undone, and takes nothing away that
/// somebody relies on. What is not named here is for a person.
fn is_harmless(difference: &Difference, messages: u64) -> bool {
    let (is, should) = (difference.is.as_u64(), difference.should.as_u64());
    match difference.key.as_str() {
        "max_bytes" | "max_age" | "num_replicas" => is < should,
        "max_msgs_per_subject" => {
            should.is_none() || is.is_some_and(|is| Some(is) < should) || should >= Some(messages)
        }
        "max_msg_size" | "duplicate_window" | "allow_direct" | "description" => true,
        "discard_new_per_subject" | "allow_atomic" => difference.should == Value::Bool(true),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn check(key: &str, is: Value, should: Value, harmless: bool) {
        let found = drift::differences(&json!({ key: is }), &json!({ key: should }));
        let [difference] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(is_harmless(difference, 100), harmless, "{difference}");
    }

    #[test]
    fn only_what_can_lose_nothing_is_brought_in_line() {
        check("max_age", json!(10), json!(20), true);
        check("max_age", json!(20), json!(10), false);
        check("max_msgs_per_subject", json!(-1), json!(100), true);
        check("max_msgs_per_subject", json!(-1), json!(99), false);
        check("max_msgs_per_subject", json!(50), json!(99), true);
        check("discard_new_per_subject", json!(false), json!(true), true);
        check("discard_new_per_subject", json!(true), json!(false), false);
        check("republish", json!({"src": ">", "dest": "x.>"}), Value::Null, false);
        check("allow_msg_ttl", json!(true), json!(false), false);
        check("sources", json!([{"name": "OTHER"}]), Value::Null, false);
        check("deny_purge", json!(false), json!(true), false);
        check("a_setting_of_a_later_server", json!("on"), Value::Null, false);
    }
}
