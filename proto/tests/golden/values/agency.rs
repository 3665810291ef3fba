//! What a subscriber says: receipt, request, availability.

use sallyport_proto::{
    operations::Availability,
    receipt::{EndpointRefusal, Receipt, ReceiptFor, Response, Statement},
    redact::Redacted,
    request::{Instrument, Request, RequestDetails},
    vocabulary::{
        AskedAction, AvailabilityKind, EndpointRefusalCode, ProbableCause, Purpose, ReceiptLevel,
        ResponseKind, Severity, SourceClock, WarrantClass,
    },
};

use super::common::*;

pub fn receipt_full() -> Receipt {
    Receipt {
        provenance: provenance("subscriber"),
        subscriber: subscriber(),
        ori: ori(),
        notices: vec![receipt_for_full(), receipt_for_minimal()],
        statement: Statement::Response(response_full()),
        by_whom: "duty-officer".into(),
        text: Some("Two officers on their way.".into()),
        traffic: exercise(),
        t6_received: Some(at(6, SourceClock::Subscriber)),
        staged: Some(at(7, SourceClock::Subscriber)),
        t7_seen: Some(at(8, SourceClock::Person)),
        t8_answered: Some(at(9, SourceClock::Person)),
        published: at(10, SourceClock::Subscriber),
        agreement: Some(agreement()),
    }
}

pub fn receipt_minimal() -> Receipt {
    Receipt {
        notices: vec![receipt_for_minimal()],
        statement: Statement::Level(ReceiptLevel::Received),
        by_whom: "machine".into(),
        text: None,
        t6_received: None,
        staged: None,
        t7_seen: None,
        t8_answered: None,
        agreement: None,
        ..receipt_full()
    }
}

pub fn receipt_refusal() -> Receipt {
    Receipt { statement: Statement::Refusal(refusal_full()), ..receipt_minimal() }
}

pub fn receipt_for_full() -> ReceiptFor {
    ReceiptFor {
        notice_id: notice(),
        event_digest: digest("event"),
        attempt: 2,
        superseded: true,
        t6_received: Some(at(5, SourceClock::Subscriber)),
    }
}

pub fn receipt_for_minimal() -> ReceiptFor {
    ReceiptFor { attempt: 0, superseded: false, t6_received: None, ..receipt_for_full() }
}

/// More than any one kind of response holds: every field once.
pub fn response_full() -> Response {
    Response {
        kind: ResponseKind::WillTakeCustody,
        eta: Some(roughly(40, SourceClock::Person)),
        answer_by: Some(at(41, SourceClock::Person)),
        contact: Some("duty desk".into()),
        forward_to: Some(next_ori()),
    }
}

pub fn refusal_full() -> EndpointRefusal {
    EndpointRefusal {
        code: EndpointRefusalCode::StagingFailed,
        severity: Severity::Failure,
        text: "the application answered 500".into(),
    }
}

pub fn request_full() -> Request {
    Request {
        provenance: provenance("subscriber"),
        request_id: request(),
        subscriber: subscriber(),
        ori: ori(),
        jurisdiction: "zz".parse().unwrap(),
        instrument: instrument_full(),
        purpose: Purpose::InterstateWarrant,
        legal_basis: "EXAMPLE".into(),
        case_number: Some("EX-1".into()),
        agreement: agreement(),
        asks: vec![AskedAction::Notify, AskedAction::HoldAsPrinted],
        expires: at(58, SourceClock::Subscriber),
        revalidate: Some(at(57, SourceClock::Subscriber)),
        supersedes: Some(EARLIER_REQUEST.parse().unwrap()),
        cancels: Some(EARLIER_REQUEST.parse().unwrap()),
        details: Some(details_full()),
        traffic: exercise(),
        lodged: at(42, SourceClock::Subscriber),
        from_paper: true,
        reply_due: Some(at(43, SourceClock::Subscriber)),
    }
}

pub fn request_minimal() -> Request {
    Request {
        instrument: instrument_minimal(),
        case_number: None,
        asks: vec![AskedAction::Notify],
        revalidate: None,
        supersedes: None,
        cancels: None,
        details: None,
        from_paper: false,
        reply_due: None,
        ..request_full()
    }
}

pub fn instrument_full() -> Instrument {
    Instrument {
        form: "NCIC".into(),
        revision: Some("2020-01".into()),
        issued: Some(roughly(44, SourceClock::Person)),
        received: Some(at(45, SourceClock::Agent)),
        issuing_office: Some(next_ori()),
        probable_cause: vec![ProbableCause::FinalOrder, ProbableCause::BiometricMatch],
        resume_custody: true,
        warrant_class: WarrantClass::Judicial,
        court: Some("Invented District Court".into()),
        judge_office: Some("Division 1".into()),
        served_on_person: Some(at(46, SourceClock::Person)),
        ncic_number: Some("W000000001".into()),
        clock_rule: Some("48 hours, as printed".into()),
    }
}

pub fn instrument_minimal() -> Instrument {
    Instrument {
        form: "I-247A".into(),
        revision: None,
        issued: None,
        received: None,
        issuing_office: None,
        probable_cause: Vec::new(),
        resume_custody: false,
        warrant_class: WarrantClass::None,
        court: None,
        judge_office: None,
        served_on_person: None,
        ncic_number: None,
        clock_rule: None,
    }
}

pub fn details_full() -> RequestDetails {
    let person = || Some(Redacted::new(PERSON.to_owned()));
    RequestDetails {
        fbi_ucn: person(),
        state_id: person(),
        alien_number: person(),
        booking_number: person(),
        person_name: person(),
        birth_date: person(),
    }
}

pub fn availability_full() -> Availability {
    Availability {
        provenance: provenance("subscriber"),
        availability_id: STATEMENT.parse().unwrap(),
        subscriber: subscriber(),
        kind: AvailabilityKind::DivertTo,
        start: at(47, SourceClock::Subscriber),
        end: Some(at(48, SourceClock::Subscriber)),
        divert_to: Some(other_subscriber()),
        text: Some("The desk moves.".into()),
        by_whom: "duty-officer".into(),
        traffic: exercise(),
        agreement: Some(agreement()),
    }
}

pub fn availability_minimal() -> Availability {
    Availability {
        kind: AvailabilityKind::Open,
        end: None,
        divert_to: None,
        text: None,
        agreement: None,
        ..availability_full()
    }
}
