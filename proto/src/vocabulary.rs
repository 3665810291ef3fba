//! The enumerations of the domain as checked types: what the wire calls UNSPECIFIED or an unknown number does not exist
//! here. Texts are the domain's own words in capitals.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{field::FieldError, wire};

/// A text that is none of the words of a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of {words}")]
pub struct UnknownWord {
    /// What was given.
    pub text: String,
    /// What could have been.
    pub words: String,
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word of this vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Checks a number from the wire; `field` names where it stood.
            pub fn from_wire(field: &'static str, value: i32) -> Result<Self, FieldError> {
                match wire::$name::try_from(value) {
                    $(Ok(wire::$name::$variant) => Ok(Self::$variant),)+
                    _ => Err(FieldError::unknown(field, value)),
                }
            }
        }

        impl From<$name> for wire::$name {
            fn from(word: $name) -> Self {
                match word { $($name::$variant => Self::$variant,)+ }
            }
        }

        impl From<$name> for i32 {
            fn from(word: $name) -> Self {
                wire::$name::from(word) as i32
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord {
                    text: text.to_owned(),
                    words: Self::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

vocabulary! {
    /// Whose clock stated a time.
    SourceClock {
        JailRecord = "JAIL_RECORD",
        Agent = "AGENT",
        Broker = "BROKER",
        Relay = "RELAY",
        Subscriber = "SUBSCRIBER",
        Person = "PERSON",
    }
}

vocabulary! {
    /// Real, or not, from the first byte to the last page.
    TrafficKind {
        Actual = "ACTUAL",
        Exercise = "EXERCISE",
        Test = "TEST",
        Ping = "PING",
    }
}

vocabulary! {
    /// Where the release of a custody stands. Later supersedes.
    ReleaseState {
        Expected = "EXPECTED",
        Scheduled = "SCHEDULED",
        InProcess = "IN_PROCESS",
        Released = "RELEASED",
        Cancelled = "CANCELLED",
        Transferred = "TRANSFERRED",
        Retracted = "RETRACTED",
        Closed = "CLOSED",
        Escaped = "ESCAPED",
        Deceased = "DECEASED",
    }
}

vocabulary! {
    /// How sure the jail is; ordered from the least to the most.
    Certainty {
        Inferred = "INFERRED",
        Likely = "LIKELY",
        Confirmed = "CONFIRMED",
    }
}

vocabulary! {
    /// Why a custody ends, in canonical words; the jail's own text stays in the part.
    ReleaseReason {
        Unknown = "UNKNOWN",
        BondPosted = "BOND_POSTED",
        OwnRecognizance = "OWN_RECOGNIZANCE",
        PretrialSupervision = "PRETRIAL_SUPERVISION",
        NoChargesFiled = "NO_CHARGES_FILED",
        ChargesDismissed = "CHARGES_DISMISSED",
        Acquitted = "ACQUITTED",
        TimeServed = "TIME_SERVED",
        SentenceExpired = "SENTENCE_EXPIRED",
        SentenceSuspended = "SENTENCE_SUSPENDED",
        Probation = "PROBATION",
        Parole = "PAROLE",
        CourtOrder = "COURT_ORDER",
        TransferAgency = "TRANSFER_AGENCY",
        TransferPrison = "TRANSFER_PRISON",
        TransferHospital = "TRANSFER_HOSPITAL",
        Temporary = "TEMPORARY",
        HomeDetention = "HOME_DETENTION",
        BookedInError = "BOOKED_IN_ERROR",
        ErroneousRelease = "ERRONEOUS_RELEASE",
        Escape = "ESCAPE",
        Death = "DEATH",
        BookAndRelease = "BOOK_AND_RELEASE",
        TreatmentCourt = "TREATMENT_COURT",
        FinePaid = "FINE_PAID",
    }
}

vocabulary! {
    /// What a subscriber wants to know it for. Belongs to subscription, request and disclosure, never to an event.
    Purpose {
        CriminalWarrant = "CRIMINAL_WARRANT",
        CivilImmigration = "CIVIL_IMMIGRATION",
        Supervision = "SUPERVISION",
        InterstateWarrant = "INTERSTATE_WARRANT",
        Protective = "PROTECTIVE",
    }
}

vocabulary! {
    /// Of a notice only.
    Priority {
        Routine = "ROUTINE",
        Urgent = "URGENT",
    }
}

vocabulary! {
    /// Why this attempt of a notice was made.
    NoticeWhy {
        First = "FIRST",
        Reminder = "REMINDER",
        Escalation = "ESCALATION",
        Replay = "REPLAY",
    }
}

vocabulary! {
    /// How routing of an event ended.
    RoutedVerdict {
        Routed = "ROUTED",
        NoSubscription = "NO_SUBSCRIPTION",
    }
}

vocabulary! {
    /// How far a notice got, ordered; the OVERDUE levels are stated by the relay alone.
    ReceiptLevel {
        Relayed = "RELAYED",
        Received = "RECEIVED",
        Staged = "STAGED",
        Seen = "SEEN",
        Responded = "RESPONDED",
        OverdueReceived = "OVERDUE_RECEIVED",
        OverdueSeen = "OVERDUE_SEEN",
    }
}

vocabulary! {
    /// What people at the agency answer.
    ResponseKind {
        WillTakeCustody = "WILL_TAKE_CUSTODY",
        WillAnswerBy = "WILL_ANSWER_BY",
        NoInterest = "NO_INTEREST",
        RequestWithdrawn = "REQUEST_WITHDRAWN",
        CannotAttend = "CANNOT_ATTEND",
        NotOurSubject = "NOT_OUR_SUBJECT",
        CitizenshipReview = "CITIZENSHIP_REVIEW",
        WrongAgency = "WRONG_AGENCY",
        WarrantToFollow = "WARRANT_TO_FOLLOW",
        RetractionAcknowledged = "RETRACTION_ACKNOWLEDGED",
    }
}

vocabulary! {
    /// Why an endpoint could not take a notice.
    EndpointRefusalCode {
        CannotDecrypt = "CANNOT_DECRYPT",
        UnknownKey = "UNKNOWN_KEY",
        UnsupportedVersion = "UNSUPPORTED_VERSION",
        Expired = "EXPIRED",
        StagingFailed = "STAGING_FAILED",
        PolicyRefused = "POLICY_REFUSED",
        BadSignature = "BAD_SIGNATURE",
    }
}

vocabulary! {
    /// How bad a refusal of an endpoint is.
    Severity {
        Warning = "WARNING",
        Failure = "FAILURE",
    }
}

vocabulary! {
    /// Why the relay refused what a jail sent.
    RefusalCode {
        BadSignature = "BAD_SIGNATURE",
        UnknownKey = "UNKNOWN_KEY",
        WrongSubject = "WRONG_SUBJECT",
        BadEnvelope = "BAD_ENVELOPE",
        TooLarge = "TOO_LARGE",
        UnsupportedVersion = "UNSUPPORTED_VERSION",
        Expired = "EXPIRED",
        Conflict = "CONFLICT",
        PredecessorMissing = "PREDECESSOR_MISSING",
        TooManyRecipients = "TOO_MANY_RECIPIENTS",
    }
}

vocabulary! {
    /// Boxes of a detainer form.
    ProbableCause {
        FinalOrder = "FINAL_ORDER",
        PendingProceedings = "PENDING_PROCEEDINGS",
        BiometricMatch = "BIOMETRIC_MATCH",
        Statements = "STATEMENTS",
    }
}

vocabulary! {
    /// What kind of warrant stands behind an instrument.
    WarrantClass {
        None = "NONE",
        Administrative = "ADMINISTRATIVE",
        Judicial = "JUDICIAL",
    }
}

vocabulary! {
    /// What an instrument asks; the relay answers the ask to notify and carries the others as printed.
    AskedAction {
        Notify = "NOTIFY",
        HoldAsPrinted = "HOLD_AS_PRINTED",
        TransferAsPrinted = "TRANSFER_AS_PRINTED",
    }
}

vocabulary! {
    /// What a jail replies to a request.
    ReplyKind {
        Received = "RECEIVED",
        AcceptedForNotification = "ACCEPTED_FOR_NOTIFICATION",
        Declined = "DECLINED",
        NeedsJudicialWarrant = "NEEDS_JUDICIAL_WARRANT",
        NotInCustody = "NOT_IN_CUSTODY",
        NotIdentified = "NOT_IDENTIFIED",
        Referred = "REFERRED",
        Cancelled = "CANCELLED",
    }
}

vocabulary! {
    /// Who states an outcome.
    OutcomeSide {
        Facility = "FACILITY",
        Subscriber = "SUBSCRIBER",
    }
}

vocabulary! {
    /// What came of it.
    OutcomeKind {
        CustodyTaken = "CUSTODY_TAKEN",
        ReleasedNoShow = "RELEASED_NO_SHOW",
        ReleasedDeclinedBySubscriber = "RELEASED_DECLINED_BY_SUBSCRIBER",
        ReleasedNoResponse = "RELEASED_NO_RESPONSE",
        ReleasedBeforeNotice = "RELEASED_BEFORE_NOTICE",
        Transferred = "TRANSFERRED",
        StillInCustody = "STILL_IN_CUSTODY",
        RequestDeclinedByLawOrPolicy = "REQUEST_DECLINED_BY_LAW_OR_POLICY",
        NeverReceived = "NEVER_RECEIVED",
        Cancelled = "CANCELLED",
        Deceased = "DECEASED",
        Escaped = "ESCAPED",
    }
}

vocabulary! {
    /// Whether a desk can be reached.
    AvailabilityKind {
        Open = "OPEN",
        Maintenance = "MAINTENANCE",
        DeskClosed = "DESK_CLOSED",
        DivertTo = "DIVERT_TO",
    }
}

vocabulary! {
    /// What the relay decided.
    ControlKind {
        DeadlineMissed = "DEADLINE_MISSED",
        Escalated = "ESCALATED",
        DeadLettered = "DEAD_LETTERED",
        Replayed = "REPLAYED",
        Silenced = "SILENCED",
        Paused = "PAUSED",
        Resumed = "RESUMED",
        Discarded = "DISCARDED",
    }
}

vocabulary! {
    /// An outside effect has two records.
    ControlPhase {
        Decided = "DECIDED",
        Done = "DONE",
    }
}

impl ResponseKind {
    /// Responses after which the subscriber wants nothing more of the notice: what it says later changes nothing.
    /// CANNOT_ATTEND is not one: a desk that has nobody now may have somebody in an hour, and says so on the same notice.
    pub fn ends_interest(self) -> bool {
        matches!(self, Self::NoInterest | Self::RequestWithdrawn | Self::NotOurSubject | Self::WrongAgency)
    }
}

impl ReleaseState {
    /// Nothing follows but a correction.
    pub fn ends_custody(self) -> bool {
        matches!(self, Self::Released | Self::Transferred | Self::Escaped | Self::Deceased)
    }

    /// Carries nothing but "disregard": no part goes with it.
    pub fn withdraws(self) -> bool {
        matches!(self, Self::Retracted | Self::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_the_wire_and_its_text() {
        for state in ReleaseState::ALL {
            assert_eq!(ReleaseState::from_wire("s", i32::from(*state)).unwrap(), *state);
            assert_eq!(state.as_str().parse::<ReleaseState>().unwrap(), *state);
        }
    }

    #[test]
    fn unspecified_and_unknown_numbers_do_not_exist_past_the_border() {
        assert!(ReleaseReason::from_wire("r", 0).is_err());
        assert!(ReleaseReason::from_wire("r", 4711).is_err());
    }

    #[test]
    fn certainty_is_ordered() {
        assert!(Certainty::Inferred < Certainty::Likely && Certainty::Likely < Certainty::Confirmed);
    }
}
