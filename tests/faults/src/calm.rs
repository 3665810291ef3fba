//! Waiting until nothing is under way any more: outboxes empty, every durable settled, everything due handed over, every
//! file in its folder. Whatever a look fails at while servers come back counts as "not yet".

use std::time::Duration;

use anyhow::{Context, Result};
use sallyport_audit::Report;
use sallyport_harness::wait;

use crate::{World, judge};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Elections, a redelivery after the longest backoff that a fault of seconds leads to, and a busy machine.
pub const CALM_WITHIN: Duration = Duration::from_secs(150);

/// Looks until `look` yields a value; fails after `deadline`, naming `what` was waited for. An error ends the wait.
pub fn until<T>(what: &str, deadline: Duration, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait::until_every(LOOK_EVERY, what, deadline, look)
}

impl World {
    /// Waits until everything is done, and gives what the audit says then. What is still missing at the end of the wait is
    /// the audit's to name, so that a loss is reported as a loss.
    pub fn calm(&mut self) -> Result<Report> {
        let mut last = String::from("no look was finished");
        let waited = until("everything is handed over and settled", CALM_WITHIN, || {
            self.revive()?;
            match self.is_calm() {
                Ok(None) => return Ok(Some(())),
                Ok(Some(what)) => last = what,
                Err(error) => last = format!("{error:#}"),
            }
            Ok(None)
        });
        let report = judge::audited(&self.instance, &self.jails)?;
        if report.lost.is_empty() && report.duplicates.is_empty() {
            waited.with_context(|| format!("{last}\n{}", self.logs()))?;
        }
        Ok(report)
    }

    /// Waits until no event is under way to this subscriber; no jail may be exporting.
    pub fn nothing_under_way_for(&mut self, subscriber: &str) -> Result<()> {
        until("a subscriber has caught up", CALM_WITHIN, || {
            self.revive()?;
            let empty = self.outboxes_wait().is_ok_and(|wait| wait.is_none());
            let settled = self.at_hub(async |hub| {
                let ingest = hub.is_settled("INGEST", "relay").await?;
                Ok(ingest && hub.is_settled("DELIVER", subscriber).await?)
            });
            Ok((empty && settled.unwrap_or(false)).then_some(()))
        })
    }

    /// Which outbox is not empty, in words.
    fn outboxes_wait(&self) -> Result<Option<String>> {
        for facility in &self.instance.facilities {
            let status = self.ask(&format!("agent-{}", facility.ori), &["status", "--json"])?;
            if status["outbox_depth"] != 0 {
                return Ok(Some(format!("{} rows wait at {}", status["outbox_depth"], facility.ori)));
            }
        }
        Ok(None)
    }

    /// None when all is calm, else what is not.
    fn is_calm(&self) -> Result<Option<String>> {
        let subscribers: Vec<String> = self.instance.subscribers.iter().map(|s| s.id.clone()).collect();
        let unsettled = self.at_hub(async |hub| {
            let ours = [("INGEST", "relay"), ("RECEIPTS", "relay")];
            let theirs = subscribers.iter().map(|id| ("DELIVER", id.as_str()));
            // The receipts last: everything else may add to them.
            for (stream, durable) in theirs.chain(ours) {
                if !hub.is_settled(stream, durable).await? {
                    return Ok(Some(format!("{durable} has not settled {stream}")));
                }
            }
            Ok(None)
        })?;
        if unsettled.is_some() {
            return Ok(unsettled);
        }
        if let Some(what) = self.outboxes_wait()? {
            return Ok(Some(what));
        }
        let lost = judge::audited(&self.instance, &self.jails)?.lost.len();
        if lost > 0 {
            return Ok(Some(format!("{lost} notices are not handed over")));
        }
        let missing = judge::folders(&self.instance)?.missing.len();
        Ok((missing > 0).then(|| format!("{missing} files are not in their folders")))
    }
}
