//! The jail's agent: takes records of the jail, decides and stores what may leave, sends it until the relay has answered,
//! and shows what came back.
//!
//! What a record says and who may be told is decided in `sallyport_agent_core`, which knows no clock, file or network;
//! this crate is the shell around it. Nothing here may ever delay a release.

mod answers;
pub mod cli;
pub mod config;
mod doctor;
mod drop_folder;
pub mod faults;
mod heartbeat;
mod http;
pub mod intake;
pub mod metrics;
mod publish;
pub mod run;
pub mod status;
pub mod store;

/// A jail on paper, shared with the tests that start the program.
#[cfg(test)]
#[path = "../tests/jail/mod.rs"]
mod jail;
