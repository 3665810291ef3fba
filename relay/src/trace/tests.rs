//! What the trace of small stories shows.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_proto::{
    registry::Registry,
    time::Moment,
    vocabulary::{ReceiptLevel, SourceClock},
};
use sallyport_relay_core::{
    fixture::{self, records::Story, uuid},
    ledger::{Model, changes},
};

use super::*;

/// The trace of event `n`, as `gather` would make it from streams with these records.
pub(crate) fn traced(story: &Story, n: u32, registry: &Registry) -> Trace {
    let event: EventId = uuid(n).parse().unwrap();
    let ori: Ori = "zz0010000".parse().unwrap();
    let mut model = Model::default();
    for change in story.records.iter().flat_map(|record| changes(&record.record())) {
        model.apply(change);
    }
    let ids: std::collections::BTreeSet<NoticeId> =
        model.notices.keys().map(|(id, _)| id.clone()).filter(|id| id.event() == event).collect();
    let notices =
        ids.into_iter().map(|id| fetch::notice(id.clone(), &model.notice(&id).unwrap()).unwrap()).collect();
    let originals = story
        .records
        .iter()
        .map(|record| Original {
            stream: record.stream,
            sequence: record.sequence,
            subject: record.subject.clone(),
            stored: record.stored,
            payload: record.payload.clone(),
        })
        .collect();
    assemble(event, ori, originals, registry, notices, false)
}

fn registry() -> Registry {
    fixture::registry().subscriber("fed-a", &[]).subscriber("fed-b", &[]).parse()
}

fn story() -> Story {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let told = story.publish(1, &["fed-a", "fed-b"], |head| {
        let hand_typed = Moment {
            uncertainty_s: 900,
            ..Moment::exact("2026-11-21T15:00:00Z".parse().unwrap(), SourceClock::JailRecord)
        };
        head.t10_released = Some(hand_typed);
    });
    story.route(&told, &["fed-a"]).accept(&told);
    story.receipt(&told, "fed-a", ReceiptLevel::Received);
    story
}

#[test]
fn every_time_is_shown_in_order_with_its_clock_and_uncertainty() {
    let trace = traced(&story(), 1, &registry());
    let named: Vec<&str> = trace.timeline.iter().filter_map(|line| line.t).collect();
    assert_eq!(named, ["t0", "t2", "t3", "t4", "t5", "t6", "t10"].map(|t| t).to_vec());
    assert!(trace.timeline.is_sorted_by_key(|line| line.at.at));
    let door = trace.timeline.iter().find(|line| line.t == Some("t10")).unwrap();
    assert_eq!((door.at.clock, door.at.uncertainty_s), (SourceClock::JailRecord, 900));
    let due: Vec<&Line> = trace.timeline.iter().filter(|line| line.expected).collect();
    assert_eq!(due.len(), 2, "RECEIVED and SEEN are due");
    let text = trace.to_string();
    for shown in ["JAIL_RECORD +-900 s", "t10-t6 (lead)", "RECEIVED of fed-a stored by the broker: counted"] {
        assert!(text.contains(shown), "{shown} is missing in\n{text}");
    }
    assert!(text.ends_with("every signature verifies"), "{text}");
    let json = serde_json::to_value(&trace).unwrap();
    assert_eq!(json["notices"][0]["status"], "received");
    assert!(json["notices"][0]["lead_received_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn skew_is_shown_with_its_size() {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let ahead = story.now() + SignedDuration::from_secs(3);
    let told = story.publish(1, &["fed-a"], |head| {
        head.t2_observed = Moment::exact(ahead, SourceClock::Agent);
    });
    story.route(&told, &["fed-a"]);
    let trace = traced(&story, 1, &registry());
    let stage = trace.notices[0].stages.iter().find(|stage| stage.stage == Stage::Store).unwrap();
    assert!(stage.ms < -2_900.0 && stage.skew_ms.unwrap() > 2_900.0, "{stage:?}");
}

#[test]
fn each_signature_that_does_not_verify_is_named() {
    let other = fixture::registry().subscriber("fed-x", &[]).parse();
    let trace = traced(&story(), 1, &other);
    let failing: Vec<_> = trace.records.iter().filter(|record| !record.verified).collect();
    assert_eq!(failing.len(), 1, "only fed-a is unknown there: {failing:?}");
    assert_eq!((failing[0].stream, failing[0].signed_by.as_str()), (Stream::Receipts, "fed-a"));
    assert!(!trace.is_verified() && trace.to_string().contains("NOT EVERY SIGNATURE VERIFIES"));

    let mut tampered = story();
    let notice = tampered.records.iter_mut().find(|record| record.stream == Stream::Deliver).unwrap();
    let last = notice.payload.len() - 1;
    notice.payload[last] ^= 1;
    let trace = traced(&tampered, 1, &registry());
    let failing: Vec<_> = trace.records.iter().filter(|record| !record.verified).collect();
    assert_eq!((failing.len(), failing[0].what.as_str()), (1, "notice to fed-a, attempt 0"));
}
