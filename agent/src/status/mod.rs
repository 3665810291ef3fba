//! What the agent knows of its outbox, read from the store without disturbing it: for commands, pages and metrics.
//!
//! It answers "were they told, and are they coming"; never "wait". Whoever shows an ETA shows [`NOT_A_REASON`] beside it.

mod event;
mod overview;
mod text;

use jiff::Timestamp;
use serde::Serialize;

use crate::store::{Reader, StoreError};

pub use event::{EventView, ReceiptView, RecipientView, event};
pub use overview::{KeptAside, Overview, RefusedEvent, overview};

/// Stands beside every ETA (invariant 7).
pub const NOT_A_REASON: &str = "This is not a reason to hold. Release when cleared.";

/// The figures that health and metrics are made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Vitals {
    /// Events not yet answered by the relay.
    pub outbox_depth: u64,
    /// Age of the oldest of them, seconds.
    pub outbox_oldest_age_s: Option<f64>,
    /// When the relay last accepted an event.
    pub last_acceptance: Option<Timestamp>,
    /// When answers were last caught up with.
    pub last_catchup: Option<Timestamp>,
    /// Events that were refused for good, of the last 30 days.
    pub refused_events: u64,
    /// Custodies that nobody may be told of.
    pub allowed_to_nobody: u64,
    /// Custodies kept aside.
    pub kept_aside: u64,
    /// Whether the connection stands; absent where only the store is read.
    pub connected: Option<bool>,
}

/// Reads them.
pub fn vitals(reader: &Reader, now: Timestamp) -> Result<Vitals, StoreError> {
    let depth = reader.depth()?;
    let counts = reader.counts()?;
    Ok(Vitals {
        outbox_depth: depth.open,
        outbox_oldest_age_s: depth.oldest.map(|oldest| now.duration_since(oldest).as_secs_f64().max(0.0)),
        last_acceptance: reader.last_acceptance()?,
        last_catchup: reader.last_catchup()?,
        refused_events: counts.refused,
        allowed_to_nobody: counts.withheld,
        kept_aside: counts.kept_aside,
        connected: None,
    })
}

/// Microseconds between two times, absent when one of them is. Never clamped: two clocks can disagree.
fn us_between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<i64> {
    Some(to?.as_microsecond() - from?.as_microsecond())
}
