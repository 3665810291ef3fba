//! Waiting for a state with a deadline: the only place where a test may let time pass.
//!
//! Everything in this crate blocks its thread. In an asynchronous test that is harmless on the runtime's multi-threaded
//! flavour (`#[tokio::test(flavor = "multi_thread")]`): the body of the test runs on a thread that has no other task.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks. Short against anything a person notices, long against the cost of a look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `look` yields a value, and returns it; fails after `deadline`, naming `what` was waited for.
///
/// An error of `look` ends the wait at once: say `Ok(None)` for "not yet".
pub fn until<T>(what: &str, deadline: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_every(LOOK_EVERY, what, deadline, look)
}

/// The same with another time between two looks, where a look costs something.
pub fn until_every<T>(
    look_every: Duration,
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {deadline:?} in vain: {what}");
        }
        pause(look_every);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one pause between two looks; nothing asynchronous runs here"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn returns_what_it_waited_for() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(10), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn names_what_never_came() {
        let error = until::<()>("a train", Duration::from_millis(1), || Ok(None)).unwrap_err();
        assert!(error.to_string().contains("a train"), "{error}");
    }

    #[test]
    fn an_error_ends_the_wait() {
        let error = until::<()>("peace", Duration::from_secs(60), || bail!("war")).unwrap_err();
        assert_eq!(error.to_string(), "war");
    }
}
