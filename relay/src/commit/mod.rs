//! Second stage: routes events and commits them, all that is waiting in one atomic batch: per event a notice per
//! recipient and one `routed` record with expected last subject sequence 0, so that it happens once whichever node does
//! it. Neither a refusal nor a timeout of a batch proves anything: then the `routed` records at the leader say what is.
//!
//! One open batch per node. What was decided goes on to `answer`, which tells the jail and only then settles.

mod ahead;
mod batch;
mod draft;
mod known;
mod predecessor;
mod resolve;

use std::{convert::Infallible, sync::Arc};

use sallyport_link::fault;
use tokio::sync::mpsc;

pub(crate) use ahead::{BATCHES_WAITING_MAX, Prepared, run as write_ahead};
pub(crate) use known::Accepted;

use self::{ahead::Ahead, known::Known, resolve::Committer};
use crate::{
    intake::{Content, Pulled, Refused},
    metrics::InFlight,
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
    /// Counted as in flight until the batch is done.
    pub(crate) in_flight: Vec<InFlight>,
}

/// Messages that go into one atomic batch together, when that many wait.
const EVENTS_PER_COMMIT_MAX: usize = 128;

/// Commits until the intake ends.
pub(crate) async fn run(
    node: Arc<Node>,
    mut prepared: mpsc::Receiver<Prepared>,
    answer: mpsc::Sender<DecidedBatch>,
) -> Result<(), Infallible> {
    let mut committer = Committer::new(node.clone(), Known::default());
    // Not ended by the token: what was pulled is still committed and answered, the intake closes the channel.
    while let Some(first) = prepared.recv().await {
        let (mut pulled, mut ahead) = (first.pulled, first.ahead);
        let mut in_flight = vec![first.in_flight];
        // Commit everything that is waiting in one batch: its fixed cost is paid once.
        while pulled.len() < EVENTS_PER_COMMIT_MAX
            && let Ok(more) = prepared.try_recv()
        {
            pulled.extend(more.pulled);
            ahead.extend(more.ahead);
            in_flight.push(more.in_flight);
        }
        fault::point("relay.commit.before");
        let decided = decide(&mut committer, pulled, ahead).await;
        fault::point("relay.commit.after");
        if answer.send(DecidedBatch { decided, in_flight }).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn decide(committer: &mut Committer, pulled: Vec<Pulled>, ahead: Ahead) -> Vec<Decided> {
    let verdicts = committer.resolve(&pulled, ahead).await;
    pulled
        .into_iter()
        .zip(verdicts)
        .map(|(mut pulled, verdict)| {
            let refused = match &pulled.content {
                Content::Refused(refused) => Some(refused.clone()),
                Content::Event(_) => None,
            };
            // The event's bytes are not needed any more; the message keeps the original for parking.
            if let Some(refused) = refused.clone() {
                pulled.content = Content::Refused(refused);
            }
            let verdict = refused.map_or(verdict, Verdict::Refused);
            Decided { pulled, verdict }
        })
        .collect()
}
