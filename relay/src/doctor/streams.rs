//! Streams and durables as the server states them, judged by what `provision` would make (`drift` finds the differences).

use std::time::Duration;

use sallyport_link::doctor::{
    Code, Finding,
    durable::{self, BRIDGE, Handler},
};
use sallyport_proto::{registry::Registry, subject};
use sallyport_relay_core::admit::OBSERVED_AGE_MAX;

use super::{Pair, Seen};
use crate::{
    config::Config,
    in_hand,
    provision::{
        drift::{self, Difference},
        durables::RELAY_MAX_ACK_PENDING,
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
const RELAY: Handler = Handler {
    silent_max: in_hand::SILENT_MAX,
    relieved_within: in_hand::ACK_WAIT,
    in_work: RELAY_MAX_ACK_PENDING,
};
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
    // Not set: no bound.
    let (is, should) = (difference.is.as_u64(), difference.should.as_u64());
    let is_less = is.is_some_and(|is| should.is_none_or(|should| is < should));
    match difference.key.as_str() {
        "num_replicas" => None,
        "max_bytes" if is_less => bad("it is full long before its share of the disk is, and refuses then"),
        // More than its share is judged over all streams.
        "max_bytes" => None,
        "max_age" => Some(judge_age(pair, difference)),
        "duplicate_window" => Some(judge_window(pair, difference)),
        "max_msgs_per_subject" if is_less => {
            bad("of one facility or subscriber it drops or refuses what is more than that")
        }
        "discard_new_per_subject" if !on => bad(
            "a facility or subscriber with as many messages as it may have loses its oldest with each new one",
        ),
        "discard_new_per_subject" => {
            bad("it refuses what is new of a facility or agency, instead of its oldest going")
        }
        "max_msg_size" if is_less => bad("it refuses messages that the protocol permits"),
        "consumer_limits" => bad("durables get limits that nobody chose: they can be deleted, or stop"),
        "allow_msg_schedules" | "allow_msg_counter" | "subject_delete_marker_ttl" => {
            bad("messages appear, change or disappear by themselves")
        }
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

/// A copy that wants an answer has a Msg-Id of its own; one that a restored store gives again is swallowed for so long.
fn judge_window(pair: &Pair, difference: &Difference) -> Finding {
    let text = |why: &str| format!("{}: {difference} (nanoseconds): {why}", pair.label);
    if difference.is.as_u64() > difference.should.as_u64() {
        let why = "copies that want an answer are swallowed for so long, and each costs memory";
        return Finding::unsafe_(Code::DuplicateWindow, text(why), EDIT);
    }
    Finding::warning(
        Code::DuplicateWindow,
        text("copies are stored twice; none is lost or routed twice"),
        EDIT,
    )
}

fn judge_age(pair: &Pair, difference: &Difference) -> Finding {
    let is = difference.is.as_u64().map(Duration::from_nanos);
    let should = difference.should.as_u64().map(Duration::from_nanos);
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
        Some(is) if !least.is_zero() && Some(is) < should => Finding::unsafe_(
            Code::RetentionShort,
            format!(
                "{} keeps {:.1} days, and `provision` asks for {:.1}: evidence goes before anybody decided so",
                pair.label,
                days(is),
                days(should.unwrap_or_default())
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
    let tight = tightest(pair, registry);
    found.extend(durable::judge_deadline(
        &pair.label,
        config,
        tight.as_ref().map(|(deadline, whose)| (*deadline, whose.as_str())),
    ));
    for difference in drift::differences(config, &pair.should) {
        match difference.key.as_str() {
            "max_ack_pending" if difference.is.as_i64().is_none_or(|is| is > handler.in_work) => {
                found.push(drifts(pair, &difference));
            }
            key if durable::JUDGED.contains(&key) => {}
            "filter_subject" | "filter_subjects" => {
                found.push(Finding::unsafe_(
                    Code::DurableUnsafe,
                    format!("{}: {difference}: messages go past it", pair.label),
                    "stop its program, delete the durable (nats consumer rm), run `sallyport-relay provision`; what comes again is known and not handed over twice",
                ));
            }
            _ => found.push(drifts(pair, &difference)),
        }
    }
    found
}

fn drifts(pair: &Pair, difference: &Difference) -> Finding {
    Finding::warning(
        Code::Drift,
        format!("{}: {difference}", pair.label),
        "nats consumer edit; `sallyport-relay provision` names every difference",
    )
}

/// The tightest deadline of those whom a message at this durable may be for, and whose it is: an event may be for
/// anybody. What comes back from subscribers has none.
fn tightest(pair: &Pair, registry: &Registry) -> Option<(Duration, String)> {
    let subscribers = registry.subscribers.values().filter(|subscriber| match pair.stream.as_str() {
        subject::DELIVER => pair.label == format!("durable {} on DELIVER", subscriber.id),
        stream => stream == subject::INGEST,
    });
    let tight = subscribers.flat_map(|s| &s.subscriptions).min_by_key(|s| s.received_within_s)?;
    Some((Duration::from_secs(tight.received_within_s.into()), format!("subscription {}", tight.id)))
}

#[cfg(test)]
mod tests;
