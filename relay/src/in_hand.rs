//! What this node has pulled and not settled yet. The server is told every few seconds that work goes on, so that a slow
//! answer is not taken for a dead node; a node that is dead, frozen or cut off tells nothing, and is relieved (ADR 0007).
//!
//! Out of scope: what waits in the client's own buffer and was not begun; `settle`, which ends it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{Client, Subject, jetstream};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::metrics::InFlight;

/// What a dead node had begun is given to another this soon: with the time to do it, under ten seconds.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(8);
/// Work that takes longer than half of it says so.
const SAY_EVERY: Duration = Duration::from_secs(4);
/// Between two looks at what is in hand.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So long the server hears nothing of work that goes on.
pub(crate) const SILENT_MAX: Duration = SAY_EVERY.saturating_add(LOOK_EVERY);
/// A node that has not come to an end by then lets go: whatever it hangs on, another may not. Several elections long.
const HELD_AT_MOST: Duration = Duration::from_secs(60);

/// Everything in hand, by batches.
#[derive(Debug, Default)]
pub struct InHand(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    last: u64,
    batches: HashMap<u64, Batch>,
}

#[derive(Debug)]
struct Batch {
    since: Instant,
    said: Instant,
    replies: Vec<Subject>,
}

/// A batch in work; dropped when it is settled or given back.
#[must_use = "the batch counts as in hand only while this lives"]
#[derive(Debug)]
pub(crate) struct Hold {
    in_hand: Arc<InHand>,
    number: u64,
    _counted: Option<InFlight>,
}

impl InHand {
    /// Holds these messages from now on; what counts them as in flight goes along.
    pub(crate) fn hold<'m>(
        self: &Arc<Self>,
        messages: impl Iterator<Item = &'m jetstream::Message>,
        counted: Option<InFlight>,
    ) -> Hold {
        let now = Instant::now();
        let replies = messages.filter_map(|message| message.reply.clone()).collect();
        let mut held = self.lock();
        held.last += 1;
        let number = held.last;
        held.batches.insert(number, Batch { since: now, said: now, replies });
        Hold { in_hand: self.clone(), number, _counted: counted }
    }

    /// The messages of which it is time to say that work goes on.
    fn due(&self, now: Instant) -> Vec<Subject> {
        let mut due = Vec::new();
        for batch in self.lock().batches.values_mut() {
            let is_due = now.duration_since(batch.said) >= SAY_EVERY;
            if is_due && now.duration_since(batch.since) < HELD_AT_MOST {
                batch.said = now;
                due.extend(batch.replies.iter().cloned());
            }
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.in_hand.lock().batches.remove(&self.number);
    }
}

/// Says of what is in hand that work goes on, until shutdown; what is left then is settled or given back by its stage.
pub(crate) async fn run(
    in_hand: Arc<InHand>,
    client: Client,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        for reply in in_hand.due(Instant::now()) {
            // A link that is down says nothing, and should not: the message is another node's by then.
            if let Err(error) = client.publish(reply, jetstream::AckKind::Progress.into()).await {
                tracing::debug!(%error, "progress not sent");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn held(in_hand: &Arc<InHand>) -> Hold {
        let hold = in_hand.hold(std::iter::empty(), None);
        in_hand.lock().batches.get_mut(&hold.number).unwrap().replies = vec!["ack".into()];
        hold
    }

    #[test]
    fn work_that_lasts_is_spoken_of_at_half_the_ack_wait_and_not_before() {
        let in_hand = Arc::new(InHand::default());
        let _hold = held(&in_hand);
        let began = Instant::now();
        assert!(in_hand.due(began).is_empty());
        assert_eq!(in_hand.due(began + ACK_WAIT / 2 + LOOK_EVERY).len(), 1);
        assert!(in_hand.due(began + ACK_WAIT / 2 + LOOK_EVERY * 2).is_empty(), "said just now");
        assert_eq!(in_hand.due(began + ACK_WAIT + LOOK_EVERY).len(), 1);
    }

    #[test]
    fn what_is_settled_or_hangs_too_long_is_not_spoken_of() {
        let in_hand = Arc::new(InHand::default());
        let began = Instant::now();
        drop(held(&in_hand));
        assert!(in_hand.due(began + ACK_WAIT).is_empty());
        let _hangs = held(&in_hand);
        assert!(in_hand.due(Instant::now() + HELD_AT_MOST).is_empty());
    }
}
