//! Days of events through the real programs on a real cluster of three, while one fault after the other is applied; after
//! each, the independent audit must find nothing lost and nothing twice.
//!
//! Out of scope: what should have been handed over (`tests/audit`), faults that only a simulation can order (`tests/sim`),
//! speed (`tests/bench`). The way: [`World`] (the instance, its links and disks), `flow` (what the jails export), `kinds`
//! (the faults), `calm` and `judge` (the verdict), `run` (one fault), `soak` (many, at random).

pub mod budget;
pub mod calm;
pub mod flow;
pub mod ground;
pub mod judge;
pub mod kinds;
mod lasting;
pub mod link;
pub mod previous;
pub mod run;
pub mod soak;
pub mod takeovers;
pub mod world;

pub use lasting::lasting;
pub use run::{Outcome, Trial};
pub use world::{Disks, World};
