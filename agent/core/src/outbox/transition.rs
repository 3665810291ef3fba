//! The row's own table: every step that a row can make, by where it stands and what comes. The machine decides by it
//! (`Row::transition`), so that whoever counts what was gone through counts the machine itself.

use std::fmt;

use jiff::Timestamp;
use sallyport_proto::answer::{AcceptedEvent, Refusal, is_permanent};

use super::{Effect, Resend, Row, Status};

/// What comes to a row.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The publisher's turn at this time.
    Deadline(Timestamp),
    /// The last attempt never reached the broker.
    Unsent,
    /// The relay committed an event.
    Acceptance(&'a AcceptedEvent),
    /// The relay refused some bytes.
    Refusal(&'a Refusal),
    /// The relay does not hold it any more.
    Resend,
}

/// The names, every one of them, and their words, from one list: none can be forgotten.
macro_rules! table {
    ($($name:ident: $words:literal,)*) => {
        /// One step of a row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Transition {
            $(#[doc = $words] $name,)*
        }

        impl Transition {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Where it stands, what comes, what that does.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

table! {
    Sent: "open + due -> sent",
    NotYetDue: "open + early -> nothing",
    DueAgain: "open + unsent -> due",
    Accepted: "open + acceptance -> closed",
    Refused: "open + permanent refusal -> closed",
    RefusedForNow: "open + curable refusal -> stays open",
    AskedForWhileOpen: "open + resend -> due",
    AcceptedIsNeverDue: "accepted + due -> nothing",
    AcceptedStaysUnsent: "accepted + unsent -> nothing",
    AcceptedAgain: "accepted + acceptance -> already closed",
    RefusedAfterAcceptance: "accepted + refusal -> already closed",
    Reopened: "accepted + resend -> open",
    RefusedIsNeverDue: "refused + due -> nothing",
    RefusedStaysUnsent: "refused + unsent -> nothing",
    AcceptedAfterRefusal: "refused + acceptance -> closed",
    RefusedAgain: "refused + refusal -> already closed",
    RefusedIsNotSentAgain: "refused + resend -> nothing",
    AcceptanceOfOther: "any + acceptance of other bytes -> not this row",
    RefusalOfOther: "any + refusal of other bytes -> not this row",
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Transition {
    /// What it is to whoever brought an answer.
    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Accepted | Self::Refused | Self::AcceptedAfterRefusal => Effect::Closed,
            Self::AcceptanceOfOther | Self::RefusalOfOther => Effect::NotThisRow,
            Self::AcceptedAgain | Self::RefusedAfterAcceptance | Self::RefusedAgain => Effect::AlreadyClosed,
            // No answer, or one that changes nothing.
            Self::Sent
            | Self::NotYetDue
            | Self::DueAgain
            | Self::RefusedForNow
            | Self::AskedForWhileOpen
            | Self::AcceptedIsNeverDue
            | Self::AcceptedStaysUnsent
            | Self::Reopened
            | Self::RefusedIsNeverDue
            | Self::RefusedStaysUnsent
            | Self::RefusedIsNotSentAgain => Effect::StaysOpen,
        }
    }

    /// What it is to whoever asked for the row again.
    pub(super) fn resend(self) -> Resend {
        match self {
            Self::Reopened => Resend::Reopened,
            Self::AskedForWhileOpen => Resend::DueNow,
            _ => Resend::Refused,
        }
    }
}

impl Row {
    /// What this would do. Every pair of a standing and an input is named here: a new one of either does not compile
    /// before it is.
    pub fn transition(&self, input: Input<'_>) -> Transition {
        use Transition as T;
        match (self.status, input) {
            (_, Input::Acceptance(accepted)) if !self.is_of(accepted) => T::AcceptanceOfOther,
            (_, Input::Refusal(refusal)) if !self.names(refusal) => T::RefusalOfOther,
            (Status::Open { .. }, Input::Deadline(now)) if self.is_due(now) => T::Sent,
            (Status::Open { .. }, Input::Deadline(_)) => T::NotYetDue,
            (Status::Open { .. }, Input::Unsent) => T::DueAgain,
            (Status::Open { .. }, Input::Acceptance(_)) => T::Accepted,
            (Status::Open { .. }, Input::Refusal(refusal)) if is_for_good(refusal) => T::Refused,
            (Status::Open { .. }, Input::Refusal(_)) => T::RefusedForNow,
            (Status::Open { .. }, Input::Resend) => T::AskedForWhileOpen,
            (Status::Accepted, Input::Deadline(_)) => T::AcceptedIsNeverDue,
            (Status::Accepted, Input::Unsent) => T::AcceptedStaysUnsent,
            (Status::Accepted, Input::Acceptance(_)) => T::AcceptedAgain,
            (Status::Accepted, Input::Refusal(_)) => T::RefusedAfterAcceptance,
            (Status::Accepted, Input::Resend) => T::Reopened,
            (Status::Refused(_), Input::Deadline(_)) => T::RefusedIsNeverDue,
            (Status::Refused(_), Input::Unsent) => T::RefusedStaysUnsent,
            (Status::Refused(_), Input::Acceptance(_)) => T::AcceptedAfterRefusal,
            (Status::Refused(_), Input::Refusal(_)) => T::RefusedAgain,
            (Status::Refused(_), Input::Resend) => T::RefusedIsNotSentAgain,
        }
    }

    fn is_of(&self, accepted: &AcceptedEvent) -> bool {
        accepted.event_id == self.event_id && accepted.digest == self.digest
    }

    fn names(&self, refusal: &Refusal) -> bool {
        refusal.digest == self.digest && refusal.event_id.as_ref().is_none_or(|id| *id == self.event_id)
    }
}

/// Permanent is only what says so *and* has a code that can be.
fn is_for_good(refusal: &Refusal) -> bool {
    refusal.permanent && is_permanent(refusal.code)
}
