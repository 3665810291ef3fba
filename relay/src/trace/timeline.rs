//! Every time that any record states, in order: t0 to t10, the way back, deadlines and expectations.

use jiff::Timestamp;
use sallyport_proto::{
    answer::{Answer, Body},
    event::ReleaseHead,
    ids::EventId,
    notice::Notice,
    receipt::{Receipt, Statement},
    time::Moment,
    vocabulary::{ControlKind, SourceClock},
};
use serde::Serialize;

use super::{NoticeTrace, Opened, Original, opened};

/// One time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When, by which clock, how sure.
    pub at: Moment,
    /// `t0` .. `t10`, where the domain has a name for it.
    pub t: Option<&'static str>,
    /// What.
    pub what: String,
    /// The record that states it: stream and sequence.
    pub record: String,
    /// Lies ahead as stated: a deadline, an ETA, an expected window.
    pub expected: bool,
}

pub(super) fn lay_out(opened: &[(Original, Opened)], event: &EventId, notices: &[NoticeTrace]) -> Vec<Line> {
    let mut lines = Lines { found: Vec::new(), record: String::new() };
    let mut head_shown = false;
    for (original, opened) in opened {
        lines.record = format!("{} {}", original.stream.name(), original.sequence);
        match opened {
            Opened::Event(head) => {
                // A resend states the same times again.
                if !std::mem::replace(&mut head_shown, true) {
                    lines.head(head);
                }
                let digest = opened::digest(original).to_string();
                let short = digest.get(..8).unwrap_or_default();
                lines.broker("t4", original.stored, format!("stored by the broker ({short})"));
            }
            Opened::Routed(routed) => {
                let told = routed.recipients.len();
                let what = format!(
                    "routed by node {}: {told} told, {} without a subscription",
                    routed.relay_node,
                    routed.unsubscribed.len()
                );
                lines.add("t5", routed.t5_routed, what);
            }
            Opened::Notice(notice) => lines.notice(notice, original.stored),
            Opened::Receipt(receipt) => {
                let credit = notices
                    .iter()
                    .flat_map(|notice| &notice.receipts)
                    .find(|(sequence, _)| *sequence == original.sequence)
                    .map_or("", |(_, credit)| credit.as_str());
                lines.receipt(receipt, event, original.stored, credit);
            }
            Opened::Answer(answer) => lines.answer(answer, original.stored),
            Opened::Parked(parked) => {
                lines.broker("", original.stored, format!("parked for a person: {}", parked.reason));
            }
            Opened::Control(control) => {
                let kind = ControlKind::from_wire("control.kind", control.kind);
                let kind = kind.map_or("something unknown", ControlKind::as_str);
                lines.broker("", original.stored, format!("the relay decided: {kind}"));
            }
            Opened::Garbage => lines.broker("", original.stored, "something that cannot be read".into()),
        }
    }
    lines.found.sort_by_key(|line| line.at.at);
    lines.found
}

struct Lines {
    found: Vec<Line>,
    record: String,
}

impl Lines {
    fn push(&mut self, t: &'static str, at: Moment, what: impl Into<String>, expected: bool) {
        let t = (!t.is_empty()).then_some(t);
        self.found.push(Line { at, t, what: what.into(), record: self.record.clone(), expected });
    }

    fn add(&mut self, t: &'static str, at: impl Into<Option<Moment>>, what: impl Into<String>) {
        if let Some(at) = at.into() {
            self.push(t, at, what, false);
        }
    }

    fn ahead(&mut self, at: Option<Moment>, what: impl Into<String>) {
        if let Some(at) = at {
            self.push("", at, what, true);
        }
    }

    fn broker(&mut self, t: &'static str, at: Timestamp, what: String) {
        self.push(t, Moment::exact(at, SourceClock::Broker), what, false);
    }

    fn head(&mut self, head: &ReleaseHead) {
        self.add("t0", head.t0_trigger, "trigger");
        self.add("t1", head.t1_entered, "entered in the jail system");
        self.add("t2", head.t2_observed, "observed by the agent");
        self.add("t3", head.t3_decided, "disclosure decided");
        self.add("t9", head.t9_cleared, "release checks cleared");
        self.add("t10", head.t10_released, "the door");
        let window = head.expected;
        self.ahead(window.and_then(|window| window.earliest), "expected not before");
        self.ahead(window.and_then(|window| window.latest), "expected not after");
    }

    fn notice(&mut self, notice: &Notice, stored: Timestamp) {
        let (to, attempt) = (notice.subscriber(), notice.attempt);
        self.broker("", stored, format!("notice to {to} relayed, attempt {attempt} ({})", notice.why));
        self.ahead(notice.deadlines.received, format!("RECEIVED of {to} is due"));
        self.ahead(notice.deadlines.seen, format!("SEEN of {to} is due"));
        self.ahead(notice.deadlines.answered, format!("an answer of {to} is due"));
    }

    fn receipt(&mut self, receipt: &Receipt, event: &EventId, stored: Timestamp, credit: &str) {
        let from = &receipt.subscriber;
        let word = match &receipt.statement {
            Statement::Level(level) => level.as_str(),
            Statement::Response(response) => response.kind.as_str(),
            Statement::Refusal(refusal) => refusal.code.as_str(),
        };
        let own = receipt.notices.iter().find(|named| named.notice_id.event() == *event);
        let t6 = own.and_then(|named| named.t6_received).or(receipt.t6_received);
        self.add("t6", t6, format!("received by {from}'s machine"));
        self.add("", receipt.staged, format!("in {from}'s own application"));
        self.add("t7", receipt.t7_seen, format!("seen at {from}"));
        self.add("t8", receipt.t8_answered, format!("answered by {from}"));
        self.add("", receipt.published, format!("{from} publishes {word}"));
        let superseded = if own.is_some_and(|named| named.superseded) { ", as superseded" } else { "" };
        self.broker("", stored, format!("{word} of {from} stored by the broker{superseded}: {credit}"));
        if let Statement::Response(response) = &receipt.statement {
            self.ahead(response.eta, format!("{from} expects to arrive"));
            self.ahead(response.answer_by, format!("{from} will answer by"));
        }
    }

    fn answer(&mut self, answer: &Answer, stored: Timestamp) {
        let what = match &answer.body {
            Body::Acceptance(_) => "accepted: the answer to the jail is stored".to_owned(),
            Body::Refusal(refusal) => format!("refused ({}): the answer to the jail is stored", refusal.code),
            Body::Progress(_) => "the receipt went on to the jail".to_owned(),
            Body::Request(_) => "a request went on to the jail".to_owned(),
            Body::Resend(_) => "the jail was asked to send again".to_owned(),
        };
        self.broker("", stored, what);
    }
}
