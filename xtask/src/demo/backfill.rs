//! `--input`: past records of one jail, all at once. One event per custody; stage latencies count from the reading.

use std::path::Path;

use super::{replay::Replay, say, stage::Stage};

/// Ingests the file at the first jail.
pub(super) fn play(stage: &Stage, input: &Path) -> anyhow::Result<Replay> {
    let ori = stage.instance.facilities[0].ori.clone();
    say(&format!("Replaying {} as past records of {ori}.", input.display()));
    let as_of = jiff::Timestamp::now();
    let input = input.canonicalize()?;
    let summary = stage.ingest(&ori, &input, &["--backfill", "--as-of", &as_of.to_string()])?;
    let mut replay = Replay {
        exports: Vec::new(),
        as_of,
        backfill: true,
        speed: 1.0,
        taken: Vec::new(),
        summary: Some(summary),
    };
    replay.add(&ori, input, Some(as_of));
    Ok(replay)
}
