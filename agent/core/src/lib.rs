//! The jail's side of Sallyport, pure: from an export or a caller's event to what may leave the jail, and no further.
//!
//! The data's way: `mapping` says how to read an export, `export` reads it (or `intake_json` reads a caller's event)
//! into a `custody`, `disclose` decides who may be told which fields, `revise` compares with what was told and drafts
//! the events that leave. No clock, no randomness, no files, no network: times, ids and salts are arguments.

pub mod custody;
pub mod disclose;
pub mod export;
pub mod intake_json;
pub mod mapping;
pub mod outbox;
pub mod revise;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod sample;
