//! A hard limit on the time of a test that applies faults: whatever hangs ends the test's process, by the name of what was
//! going on. Not a wait for a state: those have deadlines of their own, most of them longer than a test may take.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};

/// Names to every test of the suite the moment at which the whole must be over, in seconds of the Unix epoch: each test is
/// a process of its own, and all of them share what time there is.
pub const SUITE_ENDS: &str = "SALLYPORT_FAULT_SUITE_ENDS";

/// As a test that panicked ends.
const FAILED: i32 = 101;

/// Time that is running out. Dropped: kept.
#[derive(Debug)]
pub struct Budget {
    doing: Arc<Mutex<String>>,
    _kept: SyncSender<()>,
}

impl Budget {
    /// From now on, so much and no more; `exceeded` is told what was going on when it was over.
    pub fn watched(limit: Duration, exceeded: impl FnOnce(&str) + Send + 'static) -> Result<Self> {
        let doing = Arc::new(Mutex::new(String::from("the start")));
        let (kept, ended) = sync_channel::<()>(1);
        let watched = doing.clone();
        let watch = move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                exceeded(&lock(&watched));
            }
        };
        std::thread::Builder::new().name("budget".into()).spawn(watch).context("start a watch")?;
        Ok(Self { doing, _kept: kept })
    }

    /// From now on, so much and no more, and not beyond the end of the suite, if that is named; over it, the process ends
    /// as a failed test.
    pub fn of(limit: Duration) -> Result<Self> {
        let limit = limit.min(left_of_suite()?.unwrap_or(limit));
        Self::watched(limit, move |doing| {
            #[allow(clippy::print_stderr, reason = "the last word of a test")]
            {
                eprintln!(
                    "FAILED: not done after {} s, all that was left to it: in {doing}",
                    limit.as_secs()
                );
            }
            // Servers and programs die with us; what is mounted is swept by the next world.
            std::process::exit(FAILED);
        })
    }

    /// What begins now, for the message.
    pub fn begins(&self, what: &str) {
        what.clone_into(&mut lock(&self.doing));
    }
}

/// As [`SUITE_ENDS`] names it.
pub fn moment_after(limit: Duration) -> Result<String> {
    Ok((now()? + limit).as_secs().to_string())
}

fn left_of_suite() -> Result<Option<Duration>> {
    let Some(ends) = std::env::var_os(SUITE_ENDS) else { return Ok(None) };
    let ends =
        ends.to_str().and_then(|ends| ends.parse().ok()).with_context(|| format!("read {SUITE_ENDS}"))?;
    Ok(Some(Duration::from_secs(ends).saturating_sub(now()?)))
}

fn now() -> Result<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).context("a time")
}

fn lock(of: &Mutex<String>) -> MutexGuard<'_, String> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_hangs_is_named_and_what_ends_in_time_is_not() {
        let (say, said) = sync_channel(2);
        let hangs = Budget::watched(Duration::from_millis(300), {
            let say = say.clone();
            move |doing| say.send(doing.to_owned()).unwrap()
        });
        let hangs = hangs.unwrap();
        hangs.begins("link-cut");
        let ends = Budget::watched(Duration::from_millis(300), move |doing| {
            say.send(format!("ended in time: {doing}")).unwrap();
        });
        drop(ends.unwrap());
        assert_eq!(said.recv().unwrap(), "link-cut");
        // The other sender is gone without a word.
        assert!(said.recv().is_err());
    }
}
