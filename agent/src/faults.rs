//! Names of the agent's crash points and mutants, in one place: the kill tests enumerate them. They exist only in a build
//! with the feature `faults`.

/// Events are in the open transaction; nothing is on disk.
pub const INTAKE_BEFORE_COMMIT: &str = "agent.intake.before-commit";
/// Events are on disk; the caller has not been told.
pub const INTAKE_AFTER_COMMIT: &str = "agent.intake.after-commit";
/// About to publish.
pub const PUBLISH_BEFORE_SEND: &str = "agent.publish.before-send";
/// Published; the PubAck is outstanding.
pub const PUBLISH_AFTER_SEND: &str = "agent.publish.after-send";
/// The PubAck came; it is not recorded.
pub const PUBLISH_AFTER_PUBACK: &str = "agent.publish.after-puback";
/// An answer is in the open transaction.
pub const ANSWER_BEFORE_STORE: &str = "agent.answer.before-store";
/// An answer is on disk.
pub const ANSWER_AFTER_STORE: &str = "agent.answer.after-store";
/// A page of missed answers was read; nothing of it is stored.
pub const CATCHUP_AFTER_PAGE: &str = "agent.catchup.after-page";
/// A dropped file was read and stored, and still lies in the folder.
pub const DROP_BEFORE_MOVE: &str = "agent.drop.before-move";

/// Every crash point, in the order of an event's way.
pub const CRASH_POINTS: [&str; 9] = [
    INTAKE_BEFORE_COMMIT,
    INTAKE_AFTER_COMMIT,
    DROP_BEFORE_MOVE,
    PUBLISH_BEFORE_SEND,
    PUBLISH_AFTER_SEND,
    PUBLISH_AFTER_PUBACK,
    ANSWER_BEFORE_STORE,
    ANSWER_AFTER_STORE,
    CATCHUP_AFTER_PAGE,
];

/// Silently skips every 100th custody of an intake.
pub const SKIP_100TH_CUSTODY: &str = "skip-100th-custody";
/// Discloses to a subscriber of the registry that the jail does not allow, when there is one.
pub const SEND_TO_NOT_ALLOWED: &str = "send-to-not-allowed";

/// Every mutant of the agent.
pub const MUTANTS: [&str; 2] = [SKIP_100TH_CUSTODY, SEND_TO_NOT_ALLOWED];
