//! What a jail says: head, disclosure, part, reply, outcome, heartbeat.

use sallyport_proto::{
    disclosure::{Charge, Disclosure, Part},
    envelope::Digest,
    event::ReleaseHead,
    operations::{ClockOffset, Heartbeat, RangeDigest},
    outcome::{AboutNotice, Outcome, WayBack},
    redact::Redacted,
    reply::Reply,
    vocabulary::{
        Certainty, OutcomeKind, OutcomeSide, Purpose, ReleaseReason, ReleaseState, ReplyKind, SourceClock,
    },
};

use super::common::*;

fn person() -> Option<Redacted<String>> {
    Some(PERSON.to_owned().into())
}

pub fn head_full() -> ReleaseHead {
    ReleaseHead {
        provenance: provenance("agent"),
        event_id: event(),
        ori: ori(),
        jurisdiction: "zz".parse().unwrap(),
        custody_key: custody(),
        revision: 2,
        supersedes: Some(earlier_event()),
        release_state: ReleaseState::Transferred,
        certainty: Certainty::Inferred,
        reason: ReleaseReason::TransferAgency,
        t0_trigger: Some(at(0, SourceClock::JailRecord)),
        t1_entered: Some(roughly(1, SourceClock::Person)),
        t2_observed: at(2, SourceClock::Agent),
        t3_decided: at(3, SourceClock::Agent),
        t9_cleared: Some(at(9, SourceClock::JailRecord)),
        t10_released: Some(roughly(10, SourceClock::JailRecord)),
        expected: Some(window()),
        traffic: exercise(),
        epoch: "epoch-1".into(),
        seq: 300,
        disclosure_sha256: vec![digest("first"), digest("second")],
        transferred_to: Some(next_ori()),
        registry_version: 7,
        backfill: true,
        mapping_version: "county-3".into(),
        inferred_uncertainty_s: 1_800,
    }
}

pub fn head_minimal() -> ReleaseHead {
    ReleaseHead {
        provenance: provenance("agent"),
        event_id: event(),
        ori: ori(),
        jurisdiction: "zz".parse().unwrap(),
        custody_key: custody(),
        revision: 1,
        supersedes: None,
        release_state: ReleaseState::Expected,
        certainty: Certainty::Confirmed,
        reason: ReleaseReason::Unknown,
        t0_trigger: None,
        t1_entered: None,
        t2_observed: at(2, SourceClock::Agent),
        t3_decided: at(3, SourceClock::Agent),
        t9_cleared: None,
        t10_released: None,
        expected: None,
        traffic: exercise(),
        epoch: "epoch-1".into(),
        seq: 1,
        disclosure_sha256: vec![digest("first")],
        transferred_to: None,
        registry_version: 0,
        backfill: false,
        mapping_version: String::new(),
        inferred_uncertainty_s: 0,
    }
}

pub fn disclosure_full() -> Disclosure {
    Disclosure {
        salt: [0xA5; 16],
        event_id: event(),
        subscriber_id: subscriber(),
        request_id: Some(request()),
        agreement: agreement(),
        purpose: Purpose::Supervision,
        rule_id: "allow-supervision".into(),
        pack_version: "allow-list-1".into(),
        fields: vec!["booking_number".into(), "charges".into()],
        part: Some(part_full()),
    }
}

pub fn disclosure_minimal() -> Disclosure {
    Disclosure {
        salt: [0x5A; 16],
        subscriber_id: other_subscriber(),
        request_id: None,
        fields: Vec::new(),
        part: None,
        ..disclosure_full()
    }
}

pub fn part_full() -> Part {
    Part {
        booking_number: person(),
        person_name: person(),
        birth_date: person(),
        fbi_ucn: person(),
        state_id: person(),
        alien_number: person(),
        disposition_texts: vec![PERSON.to_owned(), "Time Served".to_owned()].into(),
        charges: vec![charge_full(), Charge::default()].into(),
        booked: Some(roughly(11, SourceClock::JailRecord)),
        housing: person(),
        details: [("bond_kind", "surety"), ("shift", PERSON)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<std::collections::BTreeMap<_, _>>()
            .into(),
        release_text: person(),
        health_reason: Some(ReleaseReason::TransferHospital),
    }
}

pub fn charge_full() -> Charge {
    Charge {
        description: PERSON.into(),
        code: "1-2-3".into(),
        offence_level: "M2".into(),
        court: "CC".into(),
        ended: Some(at(12, SourceClock::JailRecord)),
        disposition_text: "Bail Bond".into(),
    }
}

pub fn reply_full() -> Reply {
    Reply {
        provenance: provenance("agent"),
        request_id: request(),
        request_digest: digest("request"),
        subscriber: subscriber(),
        ori: ori(),
        kind: ReplyKind::Declined,
        rule_id: Some("deny-1".into()),
        citation: Some("Invented Code 1-2-3".into()),
        pack_version: Some("pack-4".into()),
        text: Some("Not without a judicial warrant.".into()),
        at: at(13, SourceClock::Agent),
        custody_key: Some(custody()),
        traffic: exercise(),
        agreement: Some(agreement()),
        by_whom: Some("counsel".into()),
    }
}

pub fn reply_minimal() -> Reply {
    Reply {
        kind: ReplyKind::Received,
        rule_id: None,
        citation: None,
        pack_version: None,
        text: None,
        custody_key: None,
        agreement: None,
        by_whom: None,
        ..reply_full()
    }
}

pub fn outcome_full() -> Outcome {
    Outcome {
        provenance: provenance("agent"),
        outcome_id: STATEMENT.parse().unwrap(),
        ori: ori(),
        custody_key: Some(custody()),
        notice: Some(AboutNotice { notice_id: notice(), event_digest: digest("event") }),
        request_id: Some(request()),
        subscriber: Some(subscriber()),
        side: OutcomeSide::Facility,
        kind: OutcomeKind::RequestDeclinedByLawOrPolicy,
        rule_id: Some("deny-1".into()),
        act: Some(roughly(14, SourceClock::Person)),
        t11_recorded: at(15, SourceClock::Agent),
        by_whom: "sergeant".into(),
        text: Some("As the rule says.".into()),
        traffic: exercise(),
        agreement: Some(agreement()),
        supersedes: Some(EARLIER_STATEMENT.parse().unwrap()),
        transferred_to: Some(next_ori()),
        way_back: Some(way_back_full()),
    }
}

pub fn way_back_full() -> WayBack {
    WayBack {
        event_published: Some(at(16, SourceClock::Agent)),
        answer_at_jail: Some(at(17, SourceClock::Agent)),
        answer_shown: Some(at(18, SourceClock::Agent)),
        human_answer: Some(at(19, SourceClock::Person)),
    }
}

/// A subscriber's, about a request that the jail says it never had.
pub fn outcome_minimal() -> Outcome {
    Outcome {
        provenance: provenance("subscriber"),
        custody_key: None,
        notice: None,
        side: OutcomeSide::Subscriber,
        kind: OutcomeKind::NeverReceived,
        rule_id: None,
        act: None,
        text: None,
        agreement: None,
        supersedes: None,
        transferred_to: None,
        way_back: None,
        ..outcome_full()
    }
}

pub fn heartbeat_full() -> Heartbeat {
    Heartbeat {
        provenance: provenance("agent"),
        ori: ori(),
        jurisdiction: "zz".parse().unwrap(),
        outbox_depth: 3,
        outbox_oldest: Some(at(20, SourceClock::Agent)),
        last_intake: Some(at(21, SourceClock::Agent)),
        clock_offset: Some(ClockOffset { offset_ms: -12, bound_ms: 40 }),
        epoch: "epoch-1".into(),
        seq: 300,
        at: at(22, SourceClock::Agent),
        traffic: exercise(),
        kept_from: None,
        range: None,
    }
}

pub fn heartbeat_ranged() -> Heartbeat {
    Heartbeat {
        kept_from: Some(7),
        range: Some(RangeDigest::of(299, [Digest::of(b"299"), Digest::of(b"300")])),
        ..heartbeat_full()
    }
}

pub fn heartbeat_minimal() -> Heartbeat {
    Heartbeat {
        outbox_depth: 0,
        outbox_oldest: None,
        last_intake: None,
        clock_offset: None,
        seq: 0,
        ..heartbeat_full()
    }
}
