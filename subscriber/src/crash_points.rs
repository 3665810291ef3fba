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

/// The store knows that a line or command may come; it has not yet.
pub const BEFORE_HAND_OVER: &str = "subscriber.sink.before-hand-over";
/// The line is out or the command has ended, the store does not know that yet.
pub const AFTER_HAND_OVER: &str = "subscriber.sink.after-hand-over";
/// What sink or people say is stored, and not published.
pub const OUTBOX_BEFORE_PUBLISH: &str = "subscriber.outbox.before-publish";
/// The broker stored it, our store does not know that yet.
pub const OUTBOX_AFTER_PUBACK: &str = "subscriber.outbox.after-puback";

/// Those that every notice passes on its way into a folder of files, in their order.
pub const INTO_FILES: [&str; 8] = [
    AFTER_PULL,
    AFTER_COMMIT,
    AFTER_APPEND,
    BEFORE_PUBLISH,
    AFTER_PUBACK,
    AFTER_SETTLE,
    BEFORE_RENAME,
    AFTER_RENAME,
];

/// Those around a line or a command, and around what sink and people say.
pub const FURTHER: [&str; 4] =
    [BEFORE_HAND_OVER, AFTER_HAND_OVER, OUTBOX_BEFORE_PUBLISH, OUTBOX_AFTER_PUBACK];

/// The deliberate defect: every `TWICE_EVERY`th stored notice is handed over twice, in the log and at the sink.
pub const MUTANT_HAND_OVER_TWICE: &str = "hand-over-twice";

/// Often enough to happen in a small run, seldom enough that most notices are right.
const TWICE_EVERY: i64 = 50;

/// How often the notice stored as number `seq` is handed over: once, unless the mutant is on.
pub(crate) fn times_handed_over(seq: i64) -> usize {
    if seq % TWICE_EVERY == 0 && sallyport_link::fault::mutant(MUTANT_HAND_OVER_TWICE) { 2 } else { 1 }
}
