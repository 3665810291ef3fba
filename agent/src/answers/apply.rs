//! Stores what verified answers say, in one transaction with the position they came from. What was applied before is
//! known by its digest and passed over.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use sallyport_proto::{answer::Body, envelope::Digest, receipt::Receipt, subject::AnswerKind};

use super::{Answers, verify};
use crate::{
    metrics::Metrics,
    store::{
        Applied, Credit, Kind, Position, StoreError, apply_acceptance, apply_refusal, credit, keep_answer,
        keep_receipt, reopen, set_position, stray,
    },
};

/// What came of some answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// A newer registry may make something of them.
    pub(super) may_pass_later: bool,
}

impl Answers {
    /// Verifies and stores answers; with `position`, also how far catch-up came with them.
    pub(super) async fn take(
        &self,
        messages: Vec<Vec<u8>>,
        arrived: Timestamp,
        position: Option<Position>,
    ) -> Result<Tally, StoreError> {
        let registry = self.registry.borrow().clone();
        let mut verified = Vec::with_capacity(messages.len());
        let mut tally = Tally::default();
        for bytes in messages {
            if self.known.has_answer(&Digest::of(&bytes))? {
                continue;
            }
            match verify::answer(bytes, &registry, &self.ori) {
                Ok(answer) => verified.push(answer),
                Err(bad) => {
                    self.metrics.bad_answer(bad.word());
                    tracing::warn!(why = bad.word(), "an answer does not count");
                    tally.may_pass_later |= bad.may_pass_later();
                }
            }
        }
        if verified.is_empty() && position.is_none() {
            return Ok(tally);
        }
        let unsigned = |why: &Result<Receipt, &str>| *why == Err(verify::UNKNOWN_SIGNER);
        tally.may_pass_later |= verified.iter().any(|v| v.receipts.iter().any(|(_, r)| unsigned(r)));
        let metrics = self.metrics.clone();
        let kind = if verified.is_empty() { Kind::Upkeep } else { Kind::Answer };
        let job = self.store.write(kind, move |connection| {
            for answer in &verified {
                apply(connection, answer, arrived, &metrics)?;
            }
            if let Some(position) = &position {
                set_position(connection, position, Some(arrived))?;
            }
            Ok(())
        });
        job.await?;
        Ok(tally)
    }
}

fn apply(
    connection: &Connection,
    verified: &verify::Verified,
    arrived: Timestamp,
    metrics: &Arc<Metrics>,
) -> Result<(), StoreError> {
    let (answer, digest) = (&verified.answer, &verified.digest);
    let node = &answer.relay_node;
    match &answer.body {
        Body::Acceptance(events) => {
            keep_answer(connection, digest, "accepted", &verified.bytes, arrived)?;
            for event in events {
                let applied = apply_acceptance(connection, event, node, digest, arrived)?;
                match applied {
                    Applied::Closed => metrics.accepted(),
                    Applied::Repeated => {}
                    Applied::StaysOpen | Applied::NotOurs | Applied::Unknown => {
                        tracing::warn!(
                            event = event.event_id.as_str(),
                            ?applied,
                            "an acceptance closes no row"
                        );
                    }
                }
            }
        }
        Body::Refusal(refusal) => {
            keep_answer(connection, digest, "refused", &verified.bytes, arrived)?;
            let applied = apply_refusal(connection, refusal, node, digest, arrived)?;
            let (code, closed) = (refusal.code.as_str(), applied == Applied::Closed);
            if matches!(applied, Applied::Closed | Applied::StaysOpen) {
                metrics.refused(code, closed);
            }
            let event = refusal.event_id.as_ref().map(|id| id.as_str());
            tracing::warn!(event, code, closed, text = refusal.text, "the relay refused an event");
        }
        Body::Progress(_) => apply_progress(connection, verified, arrived, metrics)?,
        Body::Resend(wanted) => {
            keep_answer(connection, digest, "resend", b"", arrived)?;
            let done = reopen(connection, &wanted.epoch, &wanted.seqs, arrived)?;
            metrics.reopened(done.reopened as u64);
            tracing::error!(
                epoch = wanted.epoch,
                first = wanted.seqs.first(),
                last = wanted.seqs.last(),
                reopened = done.reopened,
                open = done.open,
                not_held = done.not_held,
                "the relay lost events of ours; they are sent again"
            );
        }
        Body::Request(_) => {
            // Requests are answered by a later version; this one says that it cannot.
            tracing::warn!(kind = ?AnswerKind::Request, "a request came; this version keeps and answers none");
        }
    }
    Ok(())
}

fn apply_progress(
    connection: &Connection,
    verified: &verify::Verified,
    arrived: Timestamp,
    metrics: &Arc<Metrics>,
) -> Result<(), StoreError> {
    let mut final_word = true;
    for (relayed, receipt) in &verified.receipts {
        match receipt {
            Ok(receipt) => {
                let digest = keep_receipt(connection, relayed, &receipt.subscriber, arrived)?;
                for about in &receipt.notices {
                    let credited = credit(connection, &digest, receipt, about, arrived)?;
                    note(metrics, credited, about.notice_id.as_str());
                }
            }
            Err(why) => {
                stray(connection, &Digest::of(&relayed.receipt), None, why, arrived)?;
                note(metrics, Credit::Stray(why), "");
                final_word &= *why != verify::UNKNOWN_SIGNER;
            }
        }
    }
    if final_word {
        // Its receipts are kept by themselves: the answer only as known.
        keep_answer(connection, &verified.digest, "progress", b"", arrived)?;
    }
    Ok(())
}

fn note(metrics: &Metrics, credited: Credit, notice: &str) {
    match credited {
        Credit::New => metrics.receipt("credited"),
        Credit::Repeated => metrics.receipt("repeated"),
        Credit::Stray(why) => {
            metrics.receipt("stray");
            tracing::warn!(notice, why, "a receipt is nobody's here");
        }
    }
}
