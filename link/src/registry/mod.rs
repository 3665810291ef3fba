//! The registry in force at a running program: which one may count at its start, and when a changed file counts.
//!
//! How a registry is read and its signature checked: `config`. What stands in it: `sallyport_proto::registry`.

mod floor;
mod keeper;

pub use floor::{Floor, FloorError};
pub use keeper::{Keeper, Source};
