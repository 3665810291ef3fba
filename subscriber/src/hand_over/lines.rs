//! JSON lines on standard output. At least once: a line whose mark was lost in a crash comes again and says so.

use std::io::Write;

use sallyport_link::fault;
use sallyport_proto::registry::Registry;

use super::{HandOverError, Shape};
use crate::{
    crash_points::{self, times_handed_over},
    metrics::Metrics,
    store::{Due, Shared},
};

pub(super) async fn hand_over(
    store: &Shared,
    due: Vec<Due>,
    registry: &Registry,
    metrics: &Metrics,
) -> Result<(), HandOverError> {
    let mut text = String::new();
    for notice in &due {
        let redelivered = notice.tries > 0;
        let line = Shape::of(&notice.bytes, notice.superseded, redelivered, registry)?.line()?;
        for _ in 0..times_handed_over(notice.seq) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    let seqs: Vec<i64> = due.iter().map(|notice| notice.seq).collect();
    let begun = seqs.clone();
    // Before the lines: once they may be out, they are repetitions.
    store.with(move |store| store.begun(&begun)).await?;
    fault::point(crash_points::BEFORE_HAND_OVER);
    let written = tokio::task::spawn_blocking(move || {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    });
    written.await.map_err(crate::store::StoreError::CutShort)?.map_err(HandOverError::Lines)?;
    fault::point(crash_points::AFTER_HAND_OVER);
    metrics.handed_over("done", seqs.len());
    Ok(store.with(move |store| store.handed_over(&seqs)).await?)
}
