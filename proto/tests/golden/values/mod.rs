//! The values that the golden bytes were made of. Never change one: a new field gets a new case. All invented.
//!
//! By who says it: `jail`, `relay`, `agency`; `common` holds what they share.

pub mod agency;
pub mod common;
pub mod jail;
pub mod relay;
