//! The shipped day, as two jails would export it: at bail a row without a door time, at the door the full rows, later the
//! corrections. Source times run `speed` times as fast; latencies are what they are.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use sallyport_ground::example;

use super::{
    board::Board,
    pause,
    replay::{Replay, Taken},
    say,
    stage::Stage,
};
use crate::sample;

/// The board is drawn anew at least this often while the day waits for its next export.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Replays the day; returns when the last export is ingested.
pub(super) fn play(stage: &mut Stage, speed: f64, board: &mut Board) -> anyhow::Result<Replay> {
    let steps = sample::day(&example("synthetic-day.csv"))?;
    let Some(first) = steps.first() else { anyhow::bail!("the day is empty") };
    say(&format!(
        "A day of two jails in {} exports, {speed} times as fast. Source times are compressed; latencies are not.",
        steps.len()
    ));
    let clock = Clock { source: first.export_at, start: Timestamp::now(), speed };
    let folder = stage.instance.dir.join("exports");
    std::fs::create_dir_all(&folder)?;
    let mut replay = Replay {
        exports: Vec::new(),
        as_of: clock.start,
        backfill: false,
        speed,
        taken: Vec::new(),
        summary: None,
    };
    for (number, step) in steps.iter().enumerate() {
        let rebased = sample::rebase(step, |at| clock.local(at))?;
        let as_of = clock.moved(step.export_at);
        while let Ok(wait) = Duration::try_from(as_of.duration_since(Timestamp::now()))
            && !wait.is_zero()
        {
            super::go_on()?;
            board.look(stage, 0)?;
            pause(wait.min(LOOK_EVERY));
        }
        let file = folder.join(format!("{}-{number:04}.csv", step.facility));
        std::fs::write(&file, rebased.to_csv()?)?;
        replay.taken.push(Taken { ori: step.facility.clone(), at: Timestamp::now(), as_of });
        stage.ingest(&step.facility, &file, &["--as-of", &as_of.to_string()])?;
        replay.add(&step.facility, file, Some(as_of));
    }
    Ok(replay)
}

/// Maps the day's own times onto now, faster.
struct Clock {
    source: DateTime,
    start: Timestamp,
    speed: f64,
}

impl Clock {
    fn moved(&self, at: DateTime) -> Timestamp {
        let since = at.duration_since(self.source).as_secs_f64() / self.speed;
        // Milliseconds: what the replayed exports write.
        let millis = SignedDuration::from_millis((since * 1_000.0).round() as i64);
        let start = Timestamp::from_millisecond(self.start.as_millisecond()).unwrap_or(self.start);
        start.saturating_add(millis).unwrap_or(start)
    }

    /// The replayed exports state UTC: no clock change may fall into a demonstration.
    fn local(&self, at: DateTime) -> DateTime {
        self.moved(at).to_zoned(TimeZone::UTC).datetime()
    }
}
