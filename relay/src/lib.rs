//! The relay: pulls what jails publish, routes it, commits notices, answers, forwards receipts, keeps a read model.
//! Data's way: `intake` -> `commit` (with `parked`) -> `answer`; beside it `forward`, `catchup`, `track`.
//! What is pure lives in `relay/core`.

pub mod config;
pub mod keys;
pub mod metrics;
pub mod provision;
