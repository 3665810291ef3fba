//! The lines a child prints, kept as they come, so that a test can wait for one.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many lines an error quotes.
const LINES_QUOTED: usize = 20;

/// A line and its place, so that the next search can begin behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 0.
    pub index: usize,
    /// Without its end.
    pub text: String,
}

/// All lines of one output so far. Clones look at the same lines.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    closed: bool,
}

impl Lines {
    /// Reads `output` on a thread of its own until it closes, which the end of the child brings about.
    pub(super) fn read(name: &str, output: impl Read + Send + 'static) -> Result<Self> {
        let lines = Self::default();
        let reader = lines.clone();
        std::thread::Builder::new()
            .name(format!("read {name}"))
            .spawn(move || reader.fill(BufReader::new(output)))
            .context("start a thread that reads")?;
        Ok(lines)
    }

    /// An output nobody reads here.
    pub(super) fn none() -> Self {
        let lines = Self::default();
        lines.lock().closed = true;
        lines
    }

    /// The lines so far.
    pub fn so_far(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// How many lines there are so far; a search from here on sees only new ones.
    pub fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// The first line at or behind number `from` that `wanted` accepts. Fails at the deadline, or at once when the
    /// output is closed and no such line is in it.
    pub fn wait_for(&self, from: usize, wanted: impl Fn(&str) -> bool, deadline: Duration) -> Result<Line> {
        let end = Instant::now() + deadline;
        let mut next = from;
        let mut kept = self.lock();
        loop {
            while let Some(text) = kept.lines.get(next) {
                if wanted(text) {
                    return Ok(Line { index: next, text: text.clone() });
                }
                next += 1;
            }
            if kept.closed {
                bail!("the output closed without the line that was waited for");
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("waited {deadline:?} in vain for a line");
            }
            kept = self.shared.changed.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All lines, once the output is closed.
    pub(super) fn finish(&self, deadline: Duration) -> Result<Vec<String>> {
        let kept = self.lock();
        let open = |kept: &mut Kept| !kept.closed;
        let (kept, timeout) = self
            .shared
            .changed
            .wait_timeout_while(kept, deadline, open)
            .unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() && !kept.closed {
            bail!("the program ended, but something it started holds its output open");
        }
        Ok(kept.lines.clone())
    }

    /// The last lines, for an error.
    pub(super) fn last(&self) -> String {
        let kept = self.lock();
        kept.lines[kept.lines.len().saturating_sub(LINES_QUOTED)..].join("\n")
    }

    fn fill(&self, mut output: impl BufRead) {
        let mut line = Vec::new();
        // An error ends the output as its close does: there is nothing more to read.
        while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            self.lock().lines.push(text);
            self.shared.changed.notify_all();
            line.clear();
        }
        self.lock().closed = true;
        self.shared.changed.notify_all();
    }

    /// A panic of a `wanted` closure poisons the lock; the lines are whole all the same.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
