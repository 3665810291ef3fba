//! Deterministic simulation: the cores of agent, relay and subscriber (the subscriber's store and log included) over a
//! simulated broker, simulated disks and clocks, all of which fail. One seed is one run, and always the same run.
//!
//! The way of a run: `story` (what happens in the jails) and `weather` (what may go wrong) are drawn from the seed;
//! `jail`, `node` and `agency` are the programs' shells, with the product's own cores inside, on `exec`; `storm` strikes;
//! `law` watches every store, settle and head; `reach` says what a bridge must make of the heads; when all is quiet,
//! `verdict` compares what was handed over with `reference`.
//! `coverage` says what of the machines' tables was gone through, `ways` which moves of a delivery can be; `mutant` breaks
//! the shells on purpose. Jails send by the product's own window, `node::mend` mends as the product's `relay::mend` does.
//!
//! Out of scope: the real broker, links and disks (`tests/e2e`, `tests/harness`), and how fast anything is.
#![allow(clippy::expect_used, reason = "a fault of the simulation itself ends the run, loudly")]

mod agency;
mod broker;
mod chance;
mod coverage;
mod disk;
mod exec;
mod ground;
mod jail;
mod keep;
mod law;
mod many;
mod mutant;
mod net;
mod node;
mod people;
mod process;
mod reach;
mod reference;
mod run;
mod storm;
mod story;
mod verdict;
mod ways;
mod weather;
mod world;

pub use keep::keep;
pub use many::{Budget, Failure, Summary, kept_seeds, many};
pub use mutant::Mutant;
pub use run::{Options, Outcome, run};
