//! The loss audit: whether everything that went into an arrow of the loop came out of it, by the records of the streams
//! themselves and nothing else: not the read model, not what a node believes. Signatures are checked on the way in.
//!
//! What is missing is named exactly. Each arrow is judged only for records that are older than a grace time, because what
//! is on its way is not lost. Out of scope: reading streams and asking for single records (`relay::audit`), repair.

mod books;
mod compare;
mod finding;
mod open;
#[cfg(test)]
mod tests;

pub use books::{Books, Counts, Place, Scope};
pub use finding::{Arrow, Finding};
