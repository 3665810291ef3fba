//! Whether two clocks agree. Deadlines and latencies are differences of two machines' times.

use jiff::{SignedDuration, Timestamp};

use super::{Code, Finding};

/// Stage latencies are milliseconds, told by two clocks: a second makes them worthless, and a machine whose clock is kept
/// is never so far off.
const WARN_FROM: SignedDuration = SignedDuration::from_secs(1);
/// The RECEIVED deadline of a subscription that sets none: from here on a notice that was received in time looks late, or
/// one that is late looks well.
const UNSAFE_FROM: SignedDuration = SignedDuration::from_secs(30);

/// A clock's statement, asked for and received at these times of our own clock.
#[derive(Debug, Clone, Copy)]
pub struct Stated {
    /// We asked.
    pub sent: Timestamp,
    /// What it said.
    pub stated: Timestamp,
    /// We heard it.
    pub received: Timestamp,
}

impl Stated {
    /// At least so far is that clock ahead of ours; the way there and back counts in nobody's favour.
    fn ahead(self) -> SignedDuration {
        if self.stated > self.received {
            self.stated.duration_since(self.received)
        } else if self.stated < self.sent {
            self.stated.duration_since(self.sent)
        } else {
            SignedDuration::ZERO
        }
    }
}

/// `whose`: "server n1".
pub fn judge(whose: &str, stated: Stated) -> Option<Finding> {
    let ahead = stated.ahead();
    let size = ahead.abs();
    if size < WARN_FROM {
        return None;
    }
    let direction = if ahead.is_positive() { "behind" } else { "ahead of" };
    let text = format!("this machine's clock is {:.1} s {direction} {whose}", size.as_secs_f64());
    let mend = "keep both clocks by NTP (chronyc tracking)";
    Some(if size < UNSAFE_FROM {
        Finding::warning(Code::ClockOffset, text, mend)
    } else {
        Finding::unsafe_(Code::ClockOffset, format!("{text}: deadlines are judged wrongly"), mend)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::doctor::Severity;

    fn check(stated_s: i64, expect: Option<(Severity, &str)>) {
        let at = |s| Timestamp::from_second(1_000_000 + s).unwrap();
        let found = judge("server n1", Stated { sent: at(0), stated: at(stated_s), received: at(2) });
        assert_eq!(found.as_ref().map(|f| f.severity), expect.map(|(severity, _)| severity), "{found:?}");
        if let (Some(found), Some((_, words))) = (found, expect) {
            assert!(found.text.contains(words), "{found:?}");
        }
    }

    #[test]
    fn a_clock_is_off_by_what_the_way_cannot_explain() {
        check(0, None);
        check(2, None);
        check(4, Some((Severity::Warning, "2.0 s behind")));
        check(-3, Some((Severity::Warning, "3.0 s ahead of")));
        check(-31, Some((Severity::Unsafe, "deadlines")));
        check(40, Some((Severity::Unsafe, "behind")));
    }
}
