//! Streams and durables as the server states them, judged by what `provision` would make (`drift` finds the differences).

use std::time::Duration;

use sallyport_link::doctor::{
    Code, Finding,
    durable::{self, BRIDGE, Handler},
};
use sallyport_proto::{registry::Registry, subject};
use sallyport_relay_core::admit::OBSERVED_AGE_MAX;
use serde_json::Value;

use super::{Pair, Seen};
use crate::{
    config::Config,
    in_hand,
    provision::{
        drift::{self, Difference},
        streams::NEED_SHARE_WARN_PERCENT,
    },
};

/// An event older than `OBSERVED_AGE_MAX` is not routed by a machine any more: that is the longest outage after which
/// everything still goes its way, and every record must outlive it.
const LONGEST_OUTAGE: Duration = Duration::from_secs(OBSERVED_AGE_MAX.as_secs().unsigned_abs());
/// `routed` records outlive it by two days, so that neither clock nor redelivery matters: what was routed before must be seen, or it is routed
/// again.
const DELIVER_KEEPS: Duration = LONGEST_OUTAGE.saturating_add(Duration::from_secs(2 * 24 * 60 * 60));

/// A relay node says that work goes on after half the wait; a bridge does not.
const RELAY: Handler = Handler { silent_max: in_hand::SILENT_MAX, relieved_within: in_hand::ACK_WAIT };
const EDIT: &str = "run `sallyport-relay provision`; what it reports as DRIFT is for a person: nats stream edit (docs/operating.md)";

pub(super) fn judge(config: &Config, seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    for pair in &seen.streams {
        found.extend(judge_stream(pair));
    }
    for pair in &seen.durables {
        found.extend(judge_durable(pair, &config.registry));
    }
    found
}

fn judge_stream(pair: &Pair) -> Vec<Finding> {
    let Some(is) = &pair.is else { return Vec::new() };
    let differences = drift::differences(&is["config"], &pair.should);
    let mut found: Vec<Finding> = differences.iter().filter_map(|d| judge_setting(pair, d)).collect();
    let (bytes, may) = (is["state"]["bytes"].as_u64().unwrap_or(0), is["config"]["max_bytes"].as_u64());
    // What discards its oldest is full by design.
    let full = may.filter(|may| *may > 0 && is["config"]["discard"] == "new");
    if let Some(share) = full.map(|may| bytes.saturating_mul(100) / may)
        && share >= NEED_SHARE_WARN_PERCENT
    {
        found.push(Finding::warning(
            Code::StreamFilling,
            format!(
                "{} is {share} % full; a full one refuses, and what it refuses waits at its sender",
                pair.label
            ),
            "raise provision.max_file_store_bytes, render, restart the server, `provision`",
        ));
    }
    found
}

/// What one setting that differs comes to. Copies and shares are judged over all streams (`server`).
fn judge_setting(pair: &Pair, difference: &Difference) -> Option<Finding> {
    let label = &pair.label;
    let bad =
        |why: &str| Some(Finding::unsafe_(Code::StreamUnsafe, format!("{label}: {difference}: {why}"), EDIT));
    let on = difference.is.as_bool() == Some(true);
    match difference.key.as_str() {
        "num_replicas" | "max_bytes" => None,
        "max_age" => Some(judge_age(pair, difference)),
        "duplicate_window" => Some(Finding::warning(
            Code::DuplicateWindow,
            format!(
                "{label}: {difference} (nanoseconds): a longer one swallows copies that want an answer and costs memory, a shorter one stores them twice"
            ),
            EDIT,
        )),
        "storage" => bad("in memory it is gone when the server stops"),
        "retention" => bad("only `limits` keeps what one reader has taken, or what nobody reads yet"),
        "discard" if difference.should == "new" => {
            bad("when it is full it drops the oldest instead of refusing the newest")
        }
        "deny_purge" if !on => bad("evidence can be emptied by one request"),
        "no_ack" if on => bad("nobody hears whether a message was stored"),
        "sealed" if on => bad("it takes nothing more"),
        "persist_mode" => bad("a message is acknowledged before it is on the disk"),
        "allow_atomic" if !on => bad("no relay can commit"),
        "allow_rollup_hdrs" | "allow_msg_ttl" if on => bad("a message can make others, or itself, disappear"),
        "subjects" => bad("messages go past it, or strange ones into it"),
        "republish" => bad("everything is copied to another subject"),
        "mirror" | "sources" | "subject_transform" => bad("what it holds is not what was sent to it"),
        "max_msgs" => bad("it is bounded by a number that nobody chose"),
        _ => Some(Finding::warning(Code::Drift, format!("{label}: {difference}"), EDIT)),
    }
}

fn judge_age(pair: &Pair, difference: &Difference) -> Finding {
    let is = difference.is.as_u64().map(Duration::from_nanos);
    let days = |age: Duration| age.as_secs_f64() / (24.0 * 60.0 * 60.0);
    let least = match pair.stream.as_str() {
        subject::DELIVER => DELIVER_KEEPS,
        // No evidence: what is the case now, and what waits for a person.
        subject::HEARTBEATS | subject::PARKED => Duration::ZERO,
        _ => LONGEST_OUTAGE,
    };
    match is {
        Some(is) if is < least => Finding::unsafe_(
            Code::RetentionShort,
            format!(
                "{} keeps {:.1} days, and must keep {:.0}: an outage of up to {:.0} days loses nothing only then (an event observed longer ago is refused as EXPIRED)",
                pair.label,
                days(is),
                days(least),
                days(LONGEST_OUTAGE)
            ),
            "run `sallyport-relay provision`: it lengthens max_age",
        ),
        _ => Finding::warning(Code::Drift, format!("{}: {difference} (nanoseconds)", pair.label), EDIT),
    }
}

fn judge_durable(pair: &Pair, registry: &Registry) -> Vec<Finding> {
    let Some(config) = pair.is.as_ref().map(|is| &is["config"]) else { return Vec::new() };
    let handler = if pair.stream == subject::DELIVER { BRIDGE } else { RELAY };
    let mut found = durable::judge(&pair.label, config, handler);
    found.extend(over_deadline(pair, config, registry));
    // Judged above already.
    let judged = ["ack_policy", "max_deliver", "headers_only", "mem_storage", "ack_wait", "num_replicas"];
    for difference in drift::differences(config, &pair.should) {
        match difference.key.as_str() {
            key if judged.contains(&key) => {}
            "filter_subject" | "filter_subjects" | "deliver_policy" | "opt_start_seq" | "opt_start_time" => {
                found.push(Finding::unsafe_(
                    Code::DurableUnsafe,
                    format!("{}: {difference}: messages go past it", pair.label),
                    "stop its program, delete the durable (nats consumer rm), run `sallyport-relay provision`; what comes again is known and not handed over twice",
                ));
            }
            _ => found.push(Finding::warning(
                Code::Drift,
                format!("{}: {difference}", pair.label),
                "nats consumer edit; `sallyport-relay provision` names every difference",
            )),
        }
    }
    found
}

/// A notice that is lost on the way to a bridge comes again after the wait: that must be before it counts as late.
fn over_deadline(pair: &Pair, config: &Value, registry: &Registry) -> Option<Finding> {
    if pair.stream != subject::DELIVER {
        return None;
    }
    let wait = durable::ack_wait(config)?;
    let subscriber =
        registry.subscribers.values().find(|s| pair.label == format!("durable {} on DELIVER", s.id))?;
    let tight = subscriber.subscriptions.iter().min_by_key(|subscription| subscription.received_within_s)?;
    let deadline = Duration::from_secs(tight.received_within_s.into());
    (wait >= deadline).then(|| {
        Finding::warning(
            Code::AckWaitOverDeadline,
            format!(
                "{}: a notice lost on the way comes again after {wait:?}; subscription {} wants it received within {deadline:?}",
                pair.label, tight.id
            ),
            "raise received_within_s in the registry above the wait",
        )
    })
}

#[cfg(test)]
mod tests;
