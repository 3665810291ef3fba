//! People at an agency: whoever is handed a notice may see it, answer it, or say that their application could not take it,
//! at once or later, once or several times. The relay's fold takes it as they say it; no promise hangs on it.

use std::rc::Rc;

use sallyport_proto::{
    receipt::{EndpointRefusal, Receipt, ReceiptFor, Response, Statement},
    subject,
    time::Moment,
    vocabulary::{EndpointRefusalCode, ReceiptLevel, ResponseKind, Severity, SourceClock},
};
use sallyport_subscriber::verify::Verified;

use crate::{
    agency::Agency,
    exec::{MS, S, Us},
    process::Life,
};

/// Of a thousand notices so many are spoken of.
const SPOKEN_OF: u64 = 500;
const STATEMENTS_MAX: u64 = 3;
/// A desk that is quicker than the machine's own receipt,
const AT_ONCE: Us = 4 * MS;
/// and one that is not.
const LATER: Us = 40 * S;
/// Of a thousand notices that withdraw something, so many are acknowledged as such.
const ACKNOWLEDGED: u64 = 400;

impl Agency {
    /// What people make of a notice that was handed over just now.
    pub(crate) fn people(self: &Rc<Self>, life: &Life, verified: &Verified) {
        let world = life.world();
        if !world.weather.borrow().people || !world.chance.borrow_mut().permille(SPOKEN_OF) {
            return;
        }
        let notice = &verified.notice;
        let about = ReceiptFor {
            notice_id: notice.notice_id.clone(),
            event_digest: notice.event_digest,
            attempt: notice.attempt,
            superseded: false,
            t6_received: None,
        };
        let withdraws = verified.head.release_state.withdraws();
        let (agency, traffic, life) = (self.clone(), notice.traffic.clone(), life.clone());
        let speaks = life.clone();
        life.spawn(async move {
            let statements = speaks.world().chance.borrow_mut().within(1, STATEMENTS_MAX);
            for _ in 0..statements {
                let (wait, statement) = agency.statement(&speaks, withdraws);
                speaks.sleep(wait).await;
                let at = speaks.moment(SourceClock::Subscriber);
                let receipt = Receipt {
                    provenance: agency.maker.provenance(),
                    subscriber: agency.me.clone(),
                    ori: about.notice_id.ori(),
                    notices: vec![about.clone()],
                    statement,
                    by_whom: "desk".to_owned(),
                    text: None,
                    traffic: traffic.clone(),
                    t6_received: None,
                    staged: None,
                    t7_seen: None,
                    t8_answered: None,
                    published: at,
                    agreement: None,
                };
                let to = subject::hub_receipt(&agency.me, receipt.kind());
                let bytes = receipt.seal(agency.maker.signer());
                speaks.until_stored(subject::RECEIPTS, to, bytes.into()).await.expect("no limit there");
            }
        });
    }

    fn statement(&self, life: &Life, withdraws: bool) -> (Us, Statement) {
        let mut chance = life.world().chance.borrow_mut();
        let most = if chance.permille(500) { AT_ONCE } else { LATER };
        let wait = chance.below(most);
        let response = |kind, eta: Option<Moment>| {
            Statement::Response(Response { kind, eta, answer_by: None, contact: None, forward_to: None })
        };
        let refusal = |severity| {
            let code = EndpointRefusalCode::StagingFailed;
            Statement::Refusal(EndpointRefusal { code, severity, text: String::new() })
        };
        if withdraws && chance.permille(ACKNOWLEDGED) {
            return (wait, response(ResponseKind::RetractionAcknowledged, None));
        }
        let statement = match chance.below(6) {
            0 | 1 => Statement::Level(ReceiptLevel::Seen),
            2 => response(ResponseKind::WillTakeCustody, Some(life.moment(SourceClock::Subscriber))),
            3 => response(ResponseKind::NoInterest, None),
            4 => refusal(Severity::Failure),
            _ => refusal(Severity::Warning),
        };
        (wait, statement)
    }
}
