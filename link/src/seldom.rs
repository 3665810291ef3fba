//! Says again only now and then what stays true: a line a second hides the others.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines about the same.
const PAUSE: Duration = Duration::from_secs(30);

/// When something was said last.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    /// Whether it is time to say it; then it counts as said.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.duration_since(last) >= PAUSE);
        if due {
            self.last = Some(now);
        }
        due
    }

    /// It is over: when it comes again it is said at once.
    pub fn over(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_true_is_said_once_in_half_a_minute() {
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        let said = (0..60).filter(|s| seldom.is_due(start + Duration::from_secs(*s))).count();
        assert_eq!(said, 2);
        seldom.over();
        assert!(seldom.is_due(start + Duration::from_secs(61)));
    }
}
