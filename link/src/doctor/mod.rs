//! What `check` looks for beyond the configuration: combinations of settings under which a program loses notices or shows
//! them to others. Each module has its judgement, which is pure, and beside it the look at this machine or the server.
//!
//! What a relay alone can see (streams, durables, the servers' own settings) is judged there; what `check` prints and which
//! codes there are is listed in docs/operating.md.

mod finding;
mod report;

pub mod clocks;
pub mod durable;
pub mod folder;
pub mod line;
pub mod need;
pub mod seeds;
pub mod version;

pub use finding::{Code, Finding, Severity};
pub use report::{Report, problems_as_json};
