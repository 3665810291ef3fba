//! The registry in force at a running program: which one may count at its start, when a changed file counts, and whether
//! the program is too old for it.
//!
//! How a registry is read and its signature checked: `config`. What stands in it: `sallyport_proto::registry`.

mod floor;
mod keeper;
mod minimum;
#[cfg(test)]
mod sample;

pub use floor::{Floor, FloorError};
pub use keeper::{Keeper, Source};
pub use minimum::{TooOld, lets_start, too_old};
