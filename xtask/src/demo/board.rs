//! What a person watches: one line per subscriber, drawn anew on a terminal, now and then where there is none.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::stage::Stage;

/// Without a terminal: a line this often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The agents' outboxes are asked this often; the logs are counted at every look.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Width of the bars.
const BAR: usize = 40;

pub(super) struct Board {
    logs: Vec<(String, PathBuf)>,
    drawn: usize,
    terminal: bool,
    said: Instant,
    asked: Option<Instant>,
    waiting: u64,
}

impl Board {
    pub(super) fn new(stage: &Stage) -> anyhow::Result<Self> {
        let logs = stage.instance.subscribers.iter();
        Ok(Self {
            logs: logs.map(|s| (s.id.clone(), stage.instance.hand_over_log(&s.id))).collect(),
            drawn: 0,
            terminal: std::io::stderr().is_terminal(),
            said: Instant::now(),
            asked: None,
            waiting: 0,
        })
    }

    /// Counts and draws; gives how many notices are handed over, and how many events wait in the jails' outboxes or
    /// notices for their receipt. `due`: 0 while it is not known yet.
    pub(super) fn look(&mut self, stage: &Stage, due: u64) -> anyhow::Result<(u64, u64)> {
        let counts: Vec<u64> = self.logs.iter().map(|(_, log)| lines(log)).collect();
        if self.asked.is_none_or(|asked| asked.elapsed() > ASK_EVERY) {
            self.waiting = waiting(stage);
            self.asked = Some(Instant::now());
        }
        let total = counts.iter().sum();
        if self.terminal {
            self.draw(&counts, due);
        } else if self.said.elapsed() > LINE_EVERY {
            self.said = Instant::now();
            let of = if due > 0 { format!(" of {due}") } else { String::new() };
            super::say(&format!("{total}{of} notices handed over, {} waiting", self.waiting));
        }
        Ok((total, self.waiting))
    }

    fn draw(&mut self, counts: &[u64], due: u64) {
        let mut out = anstream::stderr().lock();
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A", self.drawn);
        }
        // A share of all that is due, once that is known; before, of what came so far.
        let most = due.max(counts.iter().sum()).max(1);
        for ((id, _), count) in self.logs.iter().zip(counts) {
            let filled = (count * BAR as u64 / most) as usize;
            let _ = writeln!(out, "\x1b[2K  {id:<20} {count:>6}  {}", "#".repeat(filled));
        }
        let total: u64 = counts.iter().sum();
        let of = if due > 0 { format!(" of {due}") } else { String::new() };
        let _ = writeln!(out, "\x1b[2K  {total}{of} notices handed over; {} waiting", self.waiting);
        self.drawn = counts.len() + 1;
    }

    /// Leaves the last picture standing.
    pub(super) fn finish(&mut self) {
        self.drawn = 0;
    }
}

fn lines(log: &PathBuf) -> u64 {
    std::fs::read(log).map(|bytes| bytes.iter().filter(|&&b| b == b'\n').count() as u64).unwrap_or(0)
}

/// What is shown while a program has not made its store yet: something waits.
const NOT_KNOWN_YET: u64 = 1;

/// Events not yet accepted, over all agents, and notices not yet received, at the relay. A program that cannot say yet
/// counts as one that waits: when it stays so, the run is stalled and says so.
fn waiting(stage: &Stage) -> u64 {
    let outboxes = stage.instance.facilities.iter().map(|facility| {
        stage
            .status(&facility.ori)
            .ok()
            .and_then(|status| status["outbox_depth"].as_u64())
            .unwrap_or(NOT_KNOWN_YET)
    });
    let at_relay =
        stage.lag_now().ok().and_then(|lag| lag["overall"]["pending"].as_u64()).unwrap_or(NOT_KNOWN_YET);
    outboxes.sum::<u64>() + at_relay
}
