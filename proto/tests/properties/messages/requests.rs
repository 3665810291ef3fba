//! What agencies ask and jails answer, and how it ended.

use super::*;

pub fn request(d: &mut Draw) -> Request {
    let cancels = d.maybe(Draw::uuid);
    Request {
        provenance: d.provenance(),
        request_id: d.uuid(),
        subscriber: subscriber(d),
        ori: d.ori(),
        jurisdiction: d.token(),
        instrument: instrument(d),
        purpose: d.word(Purpose::ALL),
        legal_basis: d.text(),
        case_number: d.maybe(Draw::text),
        agreement: d.agreement(),
        asks: d.some(usize::from(cancels.is_none()), 3, |d| d.word(AskedAction::ALL)),
        expires: d.moment(),
        revalidate: d.maybe_moment(),
        supersedes: d.maybe(Draw::uuid),
        cancels,
        details: d.maybe(|d| RequestDetails {
            fbi_ucn: d.redacted(),
            state_id: d.redacted(),
            alien_number: d.redacted(),
            booking_number: d.redacted(),
            person_name: d.redacted(),
            birth_date: d.redacted(),
        }),
        traffic: d.traffic(),
        lodged: d.moment(),
        from_paper: d.coin(),
        reply_due: d.maybe_moment(),
    }
}

fn instrument(d: &mut Draw) -> Instrument {
    Instrument {
        form: d.text(),
        revision: d.maybe(Draw::text),
        issued: d.maybe_moment(),
        received: d.maybe_moment(),
        issuing_office: d.maybe(Draw::ori),
        probable_cause: d.some(0, 4, |d| d.word(ProbableCause::ALL)),
        resume_custody: d.coin(),
        warrant_class: d.word(WarrantClass::ALL),
        court: d.maybe(Draw::text),
        judge_office: d.maybe(Draw::text),
        served_on_person: d.maybe_moment(),
        ncic_number: d.maybe(Draw::text),
        clock_rule: d.maybe(Draw::text),
    }
}

pub fn reply(d: &mut Draw) -> Reply {
    let kind = d.word(ReplyKind::ALL);
    let (rule, citation) = (d.text(), d.text());
    Reply {
        provenance: d.provenance(),
        request_id: d.uuid(),
        request_digest: d.digest(),
        subscriber: subscriber(d),
        ori: d.ori(),
        kind,
        rule_id: (kind == ReplyKind::Declined || d.coin()).then_some(rule),
        citation: (kind == ReplyKind::Declined || d.coin()).then_some(citation),
        pack_version: d.maybe(Draw::text),
        text: d.maybe(Draw::text),
        at: d.moment(),
        custody_key: d.maybe(Draw::custody),
        traffic: d.traffic(),
        agreement: d.maybe(Draw::agreement),
        by_whom: d.maybe(Draw::text),
    }
}

pub fn outcome(d: &mut Draw) -> Outcome {
    let (side, kind) = (d.word(OutcomeSide::ALL), d.word(OutcomeKind::ALL));
    let (ori, subscriber, rule) = (d.ori(), subscriber(d), d.text());
    let notice =
        d.maybe(|d| AboutNotice { notice_id: d.notice(&ori, &subscriber), event_digest: d.digest() });
    let request_id = d.maybe(Draw::uuid);
    let custody = d.custody();
    let needs_custody = notice.is_none() && request_id.is_none();
    Outcome {
        provenance: d.provenance(),
        outcome_id: d.uuid(),
        custody_key: (needs_custody || d.coin()).then_some(custody),
        subscriber: (notice.is_some() || side == OutcomeSide::Subscriber || d.coin()).then_some(subscriber),
        ori,
        notice,
        request_id,
        side,
        kind,
        rule_id: (kind == OutcomeKind::RequestDeclinedByLawOrPolicy || d.coin()).then_some(rule),
        act: d.maybe_moment(),
        t11_recorded: d.moment(),
        by_whom: d.text(),
        text: d.maybe(Draw::text),
        traffic: d.traffic(),
        agreement: d.maybe(Draw::agreement),
        supersedes: d.maybe(Draw::uuid),
        transferred_to: d.maybe(Draw::ori),
        way_back: (side == OutcomeSide::Facility && d.coin()).then(|| WayBack {
            event_published: d.maybe_moment(),
            answer_at_jail: d.maybe_moment(),
            answer_shown: d.maybe_moment(),
            human_answer: d.maybe_moment(),
        }),
    }
}
