//! What end-to-end tests stand on: a world (a real nats-server with the accounts that `provision` renders, and our own
//! programs as child processes), a day of exports with the audit's judgement of it, a jail and an agency that speak the protocol by hand, and the hub seen from above.
//!
//! Out of scope: how servers, programs and links are started and broken (`tests/harness`), what an instance consists of
//! (`tests/ground`), and what should have been handed over (`tests/audit`).

pub mod agency;
pub mod day;
pub mod event;
pub mod hub;
pub mod jail;
pub mod login;
pub mod patience;
pub mod points;
pub mod world;

pub use agency::FakeAgency;
pub use day::{Custody, Day};
pub use event::{Draft, Sealed};
pub use hub::Hub;
pub use jail::FakeJail;
pub use world::World;
