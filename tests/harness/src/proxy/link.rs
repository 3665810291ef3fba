//! The state of the link, shared by all connections of a proxy.

use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the link does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    #[default]
    Up,
    Silent,
    HalfOpen,
    Cut,
    Closed,
}

#[derive(Debug, Default)]
pub(super) struct Link {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Now {
    state: State,
    delay: Duration,
    /// Connections of another age than this one carry nothing any more.
    age: u64,
    /// Both ends of every connection since the last cut.
    open: Vec<[TcpStream; 2]>,
    made: usize,
}

impl Link {
    pub(super) fn set(&self, state: State) {
        let mut now = self.lock();
        if now.state == State::HalfOpen || state == State::HalfOpen {
            now.age += 1;
        }
        now.state = state;
        if matches!(state, State::Cut | State::Closed) {
            for end in now.open.drain(..).flatten() {
                // Closed by its other side already: as wanted.
                let _ = end.shutdown(Shutdown::Both);
            }
        }
        self.changed.notify_all();
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    pub(super) fn state(&self) -> State {
        self.lock().state
    }

    pub(super) fn connections(&self) -> usize {
        self.lock().made
    }

    /// Keeps both ends for the next cut and gives the connection's age; none when the link is cut already.
    pub(super) fn register(&self, ends: [TcpStream; 2]) -> Option<u64> {
        let mut now = self.lock();
        if matches!(now.state, State::Cut | State::Closed) {
            return None;
        }
        now.open.push(ends);
        now.made += 1;
        Some(now.age)
    }

    /// When bytes that came now may go on.
    pub(super) fn due(&self) -> Instant {
        Instant::now() + self.lock().delay
    }

    /// Waits until `due` is past and the link is up for connections of this age; false when it was cut meanwhile.
    pub(super) fn wait_until(&self, due: Instant, age: u64) -> bool {
        let mut now = self.lock();
        loop {
            let left = due.saturating_duration_since(Instant::now());
            let waited = match now.state {
                State::Cut | State::Closed => return false,
                _ if now.age != age => self.changed.wait(now).map_err(PoisonError::into_inner),
                State::Up if left.is_zero() => return true,
                State::Up => {
                    self.changed.wait_timeout(now, left).map(|(now, _)| now).map_err(|e| e.into_inner().0)
                }
                State::Silent | State::HalfOpen => self.changed.wait(now).map_err(PoisonError::into_inner),
            };
            now = waited.unwrap_or_else(|now| now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
