//! The streams: file storage, limits retention, `discard: new`, no purge, no reliance on Msg-Id dedupe.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use sallyport_proto::{limits, registry::Registry, subject};

use super::{Error, Report};
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
/// Heartbeats: enough to see a gap, no history.
const HEARTBEATS_PER_FACILITY: i64 = 10;
/// One durable per subscriber; the server's default of 1,000 is too few.
const DELIVER_CONSUMERS_MAX: i32 = 5_000;
/// 2.15 permits 1,000 unless told otherwise; one durable and a reader per node need far less.
const CONSUMERS_MAX: i32 = 100;
/// Alarm share: a need above it is warned about at provisioning.
const NEED_SHARE_WARN_PERCENT: u64 = 60;

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
pub(super) fn wanted(registry: &Registry, provision: &Provision, report: &mut Report) -> Vec<Config> {
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
            max_messages_per_subject: HEARTBEATS_PER_FACILITY,
            discard: DiscardPolicy::Old,
            ..base(subject::HEARTBEATS, &["ingest.v1.heartbeat.*.*"], EACH_OTHER_PERCENT)
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
        if need > have * NEED_SHARE_WARN_PERCENT / 100 {
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
    let current = match js.get_stream(&name).await {
        Ok(stream) => stream.cached_info().config.clone(),
        Err(error) if is_not_found(&error) => {
            js.create_stream(wanted).await.map_err(|e| failed("create", e.to_string()))?;
            report.created.push(format!("stream {name}"));
            return Ok(());
        }
        Err(error) => return Err(failed("read", error.to_string())),
    };
    let differences = differences(&current, &wanted);
    if differences.is_empty() {
        report.unchanged.push(format!("stream {name}"));
        return Ok(());
    }
    let (harmful, harmless): (Vec<_>, Vec<_>) = differences.into_iter().partition(|d| d.may_lose);
    for difference in &harmful {
        report.drift.push(format!("stream {name}: {}", difference.text));
    }
    if harmful.is_empty() {
        js.update_stream(wanted).await.map_err(|e| failed("update", e.to_string()))?;
        let what: Vec<_> = harmless.into_iter().map(|d| d.text).collect();
        report.updated.push(format!("stream {name}: {}", what.join("; ")));
    }
    Ok(())
}

fn is_not_found(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::context::GetStreamErrorKind as Kind;
    matches!(error.kind(), Kind::JetStream(e) if e.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

struct Difference {
    text: String,
    /// Bringing it in line could delete messages, or cannot be undone, or is a promise somebody relies on.
    may_lose: bool,
}

fn differences(current: &Config, wanted: &Config) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |key: &str, is: String, should: String, may_lose: bool| {
        if is != should {
            found.push(Difference { text: format!("{key} is {is}, should be {should}"), may_lose });
        }
    };
    let show = |v: &dyn std::fmt::Debug| format!("{v:?}");
    compare("subjects", show(&current.subjects), show(&wanted.subjects), true);
    compare("retention", show(&current.retention), show(&wanted.retention), true);
    compare("storage", show(&current.storage), show(&wanted.storage), true);
    compare("discard", show(&current.discard), show(&wanted.discard), true);
    compare("deny_purge", show(&current.deny_purge), show(&wanted.deny_purge), true);
    compare("deny_delete", show(&current.deny_delete), show(&wanted.deny_delete), true);
    compare(
        "max_bytes",
        show(&current.max_bytes),
        show(&wanted.max_bytes),
        wanted.max_bytes < current.max_bytes,
    );
    compare("max_age", show(&current.max_age), show(&wanted.max_age), wanted.max_age < current.max_age);
    compare(
        "max_msg_size",
        show(&current.max_message_size.max(0)),
        show(&wanted.max_message_size.max(0)),
        false,
    );
    compare(
        "max_msgs_per_subject",
        show(&current.max_messages_per_subject),
        show(&wanted.max_messages_per_subject),
        wanted.max_messages_per_subject < current.max_messages_per_subject
            || current.max_messages_per_subject < 0,
    );
    compare("max_consumers", show(&current.max_consumers), show(&wanted.max_consumers), true);
    compare(
        "replicas",
        show(&current.num_replicas),
        show(&wanted.num_replicas),
        wanted.num_replicas < current.num_replicas,
    );
    compare("duplicate_window", show(&current.duplicate_window), show(&wanted.duplicate_window), false);
    compare("allow_atomic", show(&current.allow_atomic_publish), show(&wanted.allow_atomic_publish), false);
    found
}
