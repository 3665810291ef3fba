//! How events are committed: routed, written as messages of one atomic batch, and, when a batch is refused or its outcome
//! is unknown, looked up until each event has a verdict. Pure: what is to be read, sent and waited for are steps that the
//! shell (or a simulation) carries out.
//!
//! The way: [`Arrival`] -> [`Ahead`] (drafts written before their turn) -> [`Committing`] -> [`Verdict`].

mod again;
mod ahead;
mod draft;
mod known;
mod machine;
mod predecessor;
mod step;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use again::{Again, again};
pub use ahead::Ahead;
pub use draft::{Arrival, Author, Draft, Entry};
pub use known::{Accepted, Key, Known};
pub use machine::Committing;
pub use predecessor::{LOOK_AGAIN, WAIT_MAX};
pub use step::{Found, NotConfirmed, Step, Transition, Verdict};

/// Messages of one batch: JetStream takes 1,000; under it with room for a last event's notices.
pub const ENTRIES_MAX: usize = 900;
