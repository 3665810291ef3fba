//! The subscriber's decisions, pure: whether everything came that the relay says it sent (`reach`).
//!
//! No clock, no network, no database: `now` is an argument, what came is counted by the shell. How a notice is verified
//! and kept is the subscriber's own (`verify`, `store`).

pub mod reach;

#[cfg(test)]
mod tests;
