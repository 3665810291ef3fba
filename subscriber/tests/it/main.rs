//! What the subscriber promises, from verification to hand-over; the bridge on a real nats-server with the accounts of a
//! real instance.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs, unreachable_pub)]

mod breaker;
mod bridge;
mod bridge_answers;
mod bridge_sinks;
mod config;
#[cfg(feature = "faults")]
mod crashes;
mod ground;
mod health;
mod keep;
mod reach;
mod reconcile;
mod supersede;
mod trust;
mod verify;
mod world;
