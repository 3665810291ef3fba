//! What leaves: compares a custody and the decisions on it with what was told before, and drafts the events that say the
//! difference. A reading that changes nothing for anybody gives nothing.
//!
//! Which of them are stored, signed and sent, and when, is `outbox` and the agent's shell.

mod assemble;
mod digest;
mod facts;
mod memory;
mod plan;

pub use assemble::{AssembleError, Context, Fresh, assemble};
pub use facts::HeadFacts;
pub use memory::{Left, Memory, Standing, Told};
pub use plan::{Draft, DraftKind, Input, Recipient, plan};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod properties;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
