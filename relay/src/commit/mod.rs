//! Second stage: routes events and commits them, all that is waiting in one atomic batch: per event a notice per
//! recipient and one `routed` record with expected last subject sequence 0, so that it happens once whichever node does
//! it. What is decided, and what a refused batch leads to: `relay_core::commit`.
//!
//! One open batch per node. What was decided goes on to `answer`, which tells the jail and only then settles.

mod batch;
mod confirmed;
mod read;
mod resolve;

use std::{convert::Infallible, sync::Arc};

use sallyport_link::{clock, fault};
use sallyport_relay_core::{
    admit::Refused,
    commit::{Accepted, Ahead},
};
use tokio::sync::mpsc;

pub(crate) use self::confirmed::Confirmed;
use self::resolve::Committer;
use crate::{
    in_hand::Hold,
    intake::{Batch, Content, Pulled},
    node::Node,
};

/// What became of one pulled message.
pub(crate) enum Verdict {
    /// Committed, now or before: its `routed` record says so.
    Accepted(Arc<Accepted>),
    /// Not acceptable; parked before it is answered.
    Refused(Refused),
    /// To be delivered again in a moment: its predecessor may still come, or the commit's outcome is not known.
    Again(std::time::Duration),
}

/// A pulled message with its verdict, for `answer`.
pub(crate) struct Decided {
    /// The message.
    pub(crate) pulled: Pulled,
    /// What became of it.
    pub(crate) verdict: Verdict,
}

/// Decided messages of one batch.
pub(crate) struct DecidedBatch {
    /// In stream order.
    pub(crate) decided: Vec<Decided>,
    /// For how long the verdicts count.
    pub(crate) confirmed: Confirmed,
    /// Held, and counted as in flight, until the batch is done.
    pub(crate) holds: Vec<Hold>,
}

/// A batch of the intake with what could be written ahead.
pub(crate) struct Prepared {
    pulled: Vec<Pulled>,
    ahead: Ahead,
    hold: Hold,
}

/// Batches that wait for the committer: while one commits, one more is written. More would only age.
pub(crate) const BATCHES_WAITING_MAX: usize = 1;
/// Messages that go into one atomic batch together, when that many wait.
const EVENTS_PER_COMMIT_MAX: usize = 128;

/// Writes the messages of events ahead of their turn, while the batch before is on its way to the broker: signing and
/// waiting would otherwise take turns. Until the intake ends.
pub(crate) async fn write_ahead(
    node: Arc<Node>,
    mut intake: mpsc::Receiver<Batch>,
    commit: mpsc::Sender<Prepared>,
) -> Result<(), Infallible> {
    while let Some(Batch { pulled, hold }) = intake.recv().await {
        let arrivals = pulled.iter().filter_map(Pulled::arrival);
        let ahead = Ahead::of(arrivals, &node.author(), &node.routing.load(), clock::now());
        if commit.send(Prepared { pulled, ahead, hold }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Commits until the intake ends.
pub(crate) async fn run(
    node: Arc<Node>,
    mut prepared: mpsc::Receiver<Prepared>,
    answer: mpsc::Sender<DecidedBatch>,
) -> Result<(), Infallible> {
    let mut committer = Committer::new(node.clone());
    // Not ended by the token: what was pulled is still committed and answered, the intake closes the channel.
    while let Some(first) = prepared.recv().await {
        let (mut pulled, mut ahead) = (first.pulled, first.ahead);
        let mut holds = vec![first.hold];
        // Commit everything that is waiting in one batch: its fixed cost is paid once.
        while pulled.len() < EVENTS_PER_COMMIT_MAX
            && let Ok(more) = prepared.try_recv()
        {
            pulled.extend(more.pulled);
            ahead.extend(more.ahead);
            holds.push(more.hold);
        }
        fault::point("relay.commit.before");
        let confirmed = Confirmed::begin(&node.connects);
        let decided = decide(&mut committer, pulled, ahead).await;
        fault::point("relay.commit.after");
        if answer.send(DecidedBatch { decided, confirmed, holds }).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn decide(committer: &mut Committer, pulled: Vec<Pulled>, ahead: Ahead) -> Vec<Decided> {
    let mut verdicts = committer.resolve(&pulled, ahead).await.into_iter();
    pulled
        .into_iter()
        .filter_map(|mut pulled| {
            let verdict = match &mut pulled.content {
                Content::Refused(refused) => Verdict::Refused(refused.clone()),
                // One verdict per event.
                Content::Event(_) => verdicts.next()?,
            };
            Some(Decided { pulled, verdict })
        })
        .collect()
}
