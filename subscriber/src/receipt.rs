//! Makes and signs what this subscriber says about notices. A receipt is made once: its bytes are stored, and every
//! repetition sends the same.
//!
//! When it is said: `store::batch` (RECEIVED, refusals), `hand_over` (STAGED), `cli` (people).

use jiff::Timestamp;
use sallyport_proto::{
    ids::{InstanceId, Ori, SubscriberId},
    key::Signer,
    limits,
    provenance::{AgreementId, Provenance, TrafficClass},
    receipt::{EndpointRefusal, Receipt, ReceiptFor, Response, Statement},
    subject,
    time::Moment,
    vocabulary::{EndpointRefusalCode, ReceiptLevel, Severity, SourceClock},
};

use crate::{BUILD, verify::Refused};

/// Who states what no person stated.
pub const MACHINE: &str = "machine";

/// Signs for one subscriber.
#[derive(Clone)]
pub struct Maker {
    instance: InstanceId,
    me: SubscriberId,
    signer: Signer,
}

/// A signed receipt, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where it is published.
    pub subject: String,
    /// The envelope.
    pub bytes: Vec<u8>,
}

/// What a receipt about one stored notice needs to name.
#[derive(Debug, Clone)]
pub struct About {
    /// The notice and attempt it speaks of.
    pub notice: ReceiptFor,
    /// Of that notice.
    pub traffic: TrafficClass,
    /// Of that notice.
    pub agreement: Option<AgreementId>,
}

impl Maker {
    /// Signs as `me` with `signer`.
    pub fn new(instance: InstanceId, me: SubscriberId, signer: Signer) -> Self {
        Self { instance, me, signer }
    }

    /// Whose receipts these are.
    pub fn subscriber(&self) -> &SubscriberId {
        &self.me
    }

    /// One RECEIVED for notices of one facility and traffic class, stored at `t6`.
    pub fn received(
        &self,
        ori: Ori,
        notices: Vec<ReceiptFor>,
        traffic: TrafficClass,
        agreement: Option<AgreementId>,
        t6: Timestamp,
    ) -> Made {
        let statement = Statement::Level(ReceiptLevel::Received);
        let mut receipt = self.blank(ori, notices, traffic, statement, t6);
        receipt.agreement = agreement;
        receipt.t6_received = Some(machine_time(t6));
        self.seal(receipt)
    }

    /// The endpoint could not believe or read it.
    pub fn refused(&self, refused: &Refused, now: Timestamp) -> Made {
        let statement = Statement::Refusal(EndpointRefusal {
            code: refused.fault.code(),
            severity: Severity::Failure,
            text: bounded(refused.fault.to_string()),
        });
        let notice = ReceiptFor {
            notice_id: refused.notice_id.clone(),
            event_digest: refused.event_digest,
            attempt: refused.attempt,
            superseded: false,
            t6_received: None,
        };
        let ori = refused.notice_id.ori();
        self.seal(self.blank(ori, vec![notice], refused.traffic.clone(), statement, now))
    }

    /// The agency's own application has it.
    pub fn staged(&self, about: About, now: Timestamp) -> Made {
        let mut receipt = self.about(about, Statement::Level(ReceiptLevel::Staged), now);
        receipt.staged = Some(machine_time(now));
        self.seal(receipt)
    }

    /// The agency's own application could not be given it.
    pub fn staging_failed(&self, about: About, why: String, now: Timestamp) -> Made {
        let refusal = EndpointRefusal {
            code: EndpointRefusalCode::StagingFailed,
            severity: Severity::Failure,
            text: bounded(why),
        };
        self.seal(self.about(about, Statement::Refusal(refusal), now))
    }

    /// A person has seen it.
    pub fn seen(&self, about: About, by: String, text: Option<String>, now: Timestamp) -> Made {
        let mut receipt = self.about(about, Statement::Level(ReceiptLevel::Seen), now);
        receipt.by_whom = by;
        receipt.text = text;
        receipt.t7_seen = Some(machine_time(now));
        self.seal(receipt)
    }

    /// A person answers it. When they saw it stays unsaid: nobody noted it.
    pub fn response(
        &self,
        about: About,
        response: Response,
        by: String,
        text: Option<String>,
        now: Timestamp,
    ) -> Made {
        let mut receipt = self.about(about, Statement::Response(response), now);
        receipt.by_whom = by;
        receipt.text = text;
        receipt.t8_answered = Some(machine_time(now));
        self.seal(receipt)
    }

    /// Stands in every message.
    pub fn provenance(&self) -> Provenance {
        Provenance::of(&self.instance, BUILD)
    }

    /// The key for messages that are not receipts.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    fn about(&self, about: About, statement: Statement, now: Timestamp) -> Receipt {
        let ori = about.notice.notice_id.ori();
        let mut receipt = self.blank(ori, vec![about.notice], about.traffic, statement, now);
        receipt.agreement = about.agreement;
        receipt
    }

    fn blank(
        &self,
        ori: Ori,
        notices: Vec<ReceiptFor>,
        traffic: TrafficClass,
        statement: Statement,
        now: Timestamp,
    ) -> Receipt {
        Receipt {
            provenance: self.provenance(),
            subscriber: self.me.clone(),
            ori,
            notices,
            statement,
            by_whom: MACHINE.to_owned(),
            text: None,
            traffic,
            t6_received: None,
            staged: None,
            t7_seen: None,
            t8_answered: None,
            published: machine_time(now),
            agreement: None,
        }
    }

    fn seal(&self, receipt: Receipt) -> Made {
        let subject = subject::notify_receipt(&self.me, receipt.kind());
        Made { subject, bytes: receipt.seal(&self.signer) }
    }
}

/// A receipt with a longer text would be refused: its end says least.
fn bounded(mut text: String) -> String {
    let mut end = text.len().min(limits::REFUSAL_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn machine_time(at: Timestamp) -> Moment {
    Moment::exact(at, SourceClock::Subscriber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_letter() {
        let text = bounded("\u{e9}".repeat(limits::REFUSAL_TEXT_BYTES_MAX));
        assert!(text.len() <= limits::REFUSAL_TEXT_BYTES_MAX && text.chars().all(|c| c == '\u{e9}'));
        assert_eq!(bounded("short".into()), "short");
    }
}
