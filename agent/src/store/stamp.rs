//! Times in the store: whole microseconds since 1970, UTC. Finer than any clock a jail has, and comparable in SQL.

use jiff::Timestamp;

use super::StoreError;

/// As the store keeps it.
pub fn us(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// As it was kept.
pub fn from_us(us: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(us).map_err(|_| StoreError::Damaged { what: "a time" })
}

/// One that may be absent.
pub(super) fn optional(us: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    us.map(from_us).transpose()
}
