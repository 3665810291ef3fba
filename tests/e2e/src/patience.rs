//! Waiting for a state from asynchronous code, with a deadline: tests wait for nothing else.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::time::Instant;

/// For what the programs do at once: long, because the machine may be busy with other tests.
pub const SOON: Duration = Duration::from_secs(30);
/// For what comes by a redelivery: the relay's ack_wait (8 s) or a subscriber's first backoff (10 s), twice.
pub const AFTER_REDELIVERY: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Between two looks that start a program or read a whole day.
pub const DEAR_LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks until `look` yields a value; fails after `deadline`, naming `what` was waited for. An error ends the wait.
pub async fn until<T, L>(what: &str, deadline: Duration, look: impl FnMut() -> L) -> Result<T>
where
    L: Future<Output = Result<Option<T>>>,
{
    until_every(what, deadline, LOOK_EVERY, look).await
}

/// The same with another pause between two looks.
pub async fn until_every<T, L>(
    what: &str,
    deadline: Duration,
    every: Duration,
    mut look: impl FnMut() -> L,
) -> Result<T>
where
    L: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {deadline:?} in vain: {what}");
        }
        tokio::time::sleep(every).await;
    }
}
