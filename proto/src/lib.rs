//! The shared language of Sallyport: what a jail's agent, the relay and a subscriber must agree on, and nothing else.
//!
//! Pure: no clock, no randomness, no network, no database. Wire types (`wire`) stop at the border; past it a value is
//! valid by construction: one checked type per message, made by `TryFrom` of the wire type.

pub mod answer;
pub mod catchup;
pub mod disclosure;
pub mod envelope;
pub mod event;
pub mod field;
pub mod ids;
pub mod json;
pub mod key;
pub mod limits;
pub mod notice;
pub mod operations;
pub mod outcome;
pub mod problem;
pub mod provenance;
pub mod receipt;
pub mod redact;
pub mod registry;
pub mod reply;
pub mod request;
pub mod routed;
pub mod signed;
pub mod subject;
pub mod time;
pub mod version;
pub mod vocabulary;

/// Wire types, generated from `sallyport/v1/*.proto` by `cargo xtask proto`. Decode, check, and leave them at the border.
#[allow(missing_docs, clippy::all, rustdoc::all, unreachable_pub)]
#[rustfmt::skip]
#[path = "gen/sallyport.v1.rs"]
pub mod wire;

/// The version of the messages in `sallyport/v1`. Additions do not raise it; a reader refuses a higher one.
pub const SCHEMA_VERSION: u32 = 1;
