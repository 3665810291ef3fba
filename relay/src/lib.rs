//! The relay: pulls what jails publish, routes it, commits notices, answers, forwards receipts, keeps a read model.
//! Data's way: `intake` -> `commit` -> `answer` (with `parked`); beside it `forward`, `catchup`, `track`.
//! What is pure lives in `relay/core`.

mod answer;
pub mod archive;
pub mod audit;
mod catchup;
mod commit;
pub mod config;
pub mod doctor;
mod forward;
mod heads;
pub mod http;
pub mod in_hand;
mod intake;
pub mod keys;
pub mod lag;
pub mod mend;
pub mod metrics;
pub mod node;
mod parked;
pub mod provision;
mod reader;
pub mod restore;
pub mod service;
pub mod sweep;
pub mod trace;
pub mod track;
