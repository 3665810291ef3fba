//! The names of every point at which a test may kill this program: one between any two steps of a notice's way. They
//! do something only in a build with the feature `faults` (see `sallyport_link::fault`).

/// A batch was pulled, nothing is stored.
pub const AFTER_PULL: &str = "subscriber.receive.after-pull";
/// The batch is stored with its receipts, nothing is in the hand-over log.
pub const AFTER_COMMIT: &str = "subscriber.store.after-commit";
/// The hand-over log holds the batch, the store does not know that yet.
pub const AFTER_APPEND: &str = "subscriber.log.after-append";
/// No receipt of the batch was published.
pub const BEFORE_PUBLISH: &str = "subscriber.receipt.before-publish";
/// The broker stored the receipts, nothing is settled.
pub const AFTER_PUBACK: &str = "subscriber.receipt.after-puback";
/// The batch is settled, the store does not know that its receipts were published.
pub const AFTER_SETTLE: &str = "subscriber.settle.after";
/// The notice lies beside its place in the folder, and the store knows it.
pub const BEFORE_RENAME: &str = "subscriber.sink.before-rename";
/// The notice is in its place, the store does not know that yet.
pub const AFTER_RENAME: &str = "subscriber.sink.after-rename";

/// All of them, in the order in which a notice passes them.
pub const ALL: [&str; 8] = [
    AFTER_PULL,
    AFTER_COMMIT,
    AFTER_APPEND,
    BEFORE_PUBLISH,
    AFTER_PUBACK,
    AFTER_SETTLE,
    BEFORE_RENAME,
    AFTER_RENAME,
];

/// The deliberate defect: every `TWICE_EVERY`th stored notice is handed over twice, in the log and at the sink.
pub const MUTANT_HAND_OVER_TWICE: &str = "hand-over-twice";

/// Often enough to happen in a small run, seldom enough that most notices are right.
const TWICE_EVERY: i64 = 50;

/// How often the notice stored as number `seq` is handed over: once, unless the mutant is on.
pub(crate) fn times_handed_over(seq: i64) -> usize {
    if seq % TWICE_EVERY == 0 && sallyport_link::fault::mutant(MUTANT_HAND_OVER_TWICE) { 2 } else { 1 }
}
