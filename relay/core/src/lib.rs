//! The relay's decisions, pure: what is let in (`admit`), who is told of an event (`route`), how that is committed once
//! (`commit`), to which jail a receipt goes (`way_back`), until when it is due (`deadline`), how far one notice got
//! (`delivery`), what the times say (`latency`), what the streams add up to (`ledger`), which number is missing (`dense`),
//! how far a subscriber's notices reach (`heads`), and whether anything was lost on the way (`audit`).
//!
//! No clock, no network, no database: `now` is an argument, records come as bytes, and the shell performs what is
//! decided here.

pub mod admit;
pub mod audit;
pub mod commit;
pub mod deadline;
pub mod delivery;
pub mod dense;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod heads;
pub mod latency;
pub mod ledger;
pub mod missed;
pub mod route;
pub mod way_back;
