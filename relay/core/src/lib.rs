//! The relay's decisions, pure: who is told of an event (`route`), how that is committed once (`commit`), until when a receipt is due (`deadline`), how far one
//! notice got (`delivery`), what the times say (`latency`), and what the streams add up to (`ledger`), which
//! number is missing (`dense`), and whether anything was lost on the way (`audit`).
//!
//! No clock, no network, no database: `now` is an argument, records come as bytes, and the shell performs what is
//! decided here. Signatures are checked by the shell before routing, and again by `trace` and `verify`.

pub mod audit;
pub mod commit;
pub mod deadline;
pub mod delivery;
pub mod dense;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod latency;
pub mod ledger;
pub mod route;
