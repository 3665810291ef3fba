//! Until when receipts of one notice are due. A pure function of the terms and of the time of routing; what happens when
//! one is missed is decided elsewhere and recorded on CONTROL.

use jiff::SignedDuration;
use sallyport_proto::{event::ReleaseHead, notice::Deadlines, provenance::TrafficClass, time::Moment};

use crate::route::Terms;

/// The deadlines of a notice routed at `t5`. A backfill and a ping have none: nobody waits for them.
///
/// No deadline for an answer: subscriptions do not name one, and `WILL_ANSWER_BY` is the subscriber's own.
pub fn of(head: &ReleaseHead, terms: &Terms, t5: Moment) -> Deadlines {
    if head.backfill || head.traffic == TrafficClass::Ping {
        return Deadlines::default();
    }
    Deadlines {
        received: Some(after(t5, terms.received_within_s)),
        seen: terms.seen_within_s.map(|within_s| after(t5, within_s)),
        answered: None,
    }
}

fn after(t5: Moment, seconds: u32) -> Moment {
    let due = t5.at.saturating_add(SignedDuration::from_secs(i64::from(seconds)));
    // Saturating addition of an absolute duration cannot fail; the unit check it may fail on is for calendar units.
    Moment { at: due.unwrap_or(t5.at), ..t5 }
}
