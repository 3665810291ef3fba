//! The named crash points of our programs, in the order in which a running day passes them; the build with crash points
//! dies there. A test looks through the sources that none is left out.

/// Between two steps of an event at the jail.
pub const AGENT: [&str; 7] = [
    "agent.intake.before-commit",
    "agent.intake.after-commit",
    "agent.publish.before-send",
    "agent.publish.after-send",
    "agent.publish.after-puback",
    "agent.answer.before-store",
    "agent.answer.after-store",
];
/// Of a jail that reads a drop folder.
pub const AGENT_DROP: [&str; 1] = ["agent.drop.before-move"];
/// From pulling to a committed batch.
pub const RELAY_COMMIT: [&str; 6] = [
    "relay.intake.after-pull",
    "relay.commit.before",
    "relay.commit.before-last-message",
    "relay.commit.after-batch-ack",
    "relay.commit.after-batch",
    "relay.commit.after",
];
/// From a verdict to a settled message, and receipts on their way back: where a node has something in hand.
pub const RELAY_ANSWER: [&str; 5] = [
    "relay.answer.before-publish",
    "relay.answer.after-publish",
    "relay.answer.before-settle",
    "relay.forward.after-pull",
    "relay.forward.before-settle",
];
/// Of a node that parks, and of one that has settled already.
pub const RELAY_FURTHER: [&str; 2] = ["relay.answer.after-parking", "relay.answer.after-settle"];
/// Of the read model.
pub const RELAY_TRACK: [&str; 2] = ["relay.track.before-commit", "relay.track.after-commit"];
/// From pulling to a file in its place.
pub const SUBSCRIBER: [&str; 8] = [
    "subscriber.receive.after-pull",
    "subscriber.store.after-commit",
    "subscriber.log.after-append",
    "subscriber.receipt.before-publish",
    "subscriber.receipt.after-puback",
    "subscriber.settle.after",
    "subscriber.sink.before-rename",
    "subscriber.sink.after-rename",
];
/// Around a line or a command, and around what sink and people say.
pub const SUBSCRIBER_FURTHER: [&str; 4] = [
    "subscriber.sink.before-hand-over",
    "subscriber.sink.after-hand-over",
    "subscriber.outbox.before-publish",
    "subscriber.outbox.after-puback",
];
/// Of answers that were missed.
pub const CATCHUP: [&str; 2] = ["relay.catchup.mid-page", "agent.catchup.after-page"];

/// All that a node passes which has something in hand.
pub fn relay_at_work() -> Vec<&'static str> {
    [RELAY_COMMIT.as_slice(), &RELAY_ANSWER].concat()
}
