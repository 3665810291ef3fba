//! The subscriber's side of Sallyport: takes notices from the relay network, proves and stores them, answers each with a
//! signed receipt, and hands them over to the agency's own application or desk.
//!
//! The modules are the stages of a notice's way: `receive` (pull), `verify` (both signatures), `keep` (one transaction,
//! then the hand-over log), `acknowledge` (receipt, PubAck, settle), `hand_over` (from the store to the sink), `outbox`
//! (what people say later). `bridge` runs them all; an agency that writes its own program takes the stages it wants.
//!
//! Out of scope: who is told and why (the jail and the relay decide), and what the agency does with a notice.

pub mod acknowledge;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod crash_points;
pub mod doctor;
pub mod hand_over;
pub mod heads;
pub mod http;
pub mod keep;
pub mod log;
pub mod metrics;
pub mod outbox;
pub mod receipt;
pub mod receive;
pub mod store;
pub mod trust;
pub mod verify;

/// Program and version, as it stands in every message we sign.
pub const BUILD: &str = concat!("sallyport-subscriber/", env!("CARGO_PKG_VERSION"));
