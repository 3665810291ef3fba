//! Hears how far our notices reach, as the relay states it once a minute, and compares it with what came: a quiet relay
//! and one that is gone look different, and a notice that never came is seen although nobody names it.
//!
//! Heads are live only, and signed: one that is missed is made good by the next. The judgement itself is pure:
//! `sallyport_subscriber_core::reach`.

use std::{convert::Infallible, time::Duration};

use async_nats::Client;
use futures_util::StreamExt;
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{ids::SubscriberId, operations::SubscriberHead, subject};
use tokio_util::sync::CancellationToken;

use crate::{
    store::{Heard, Reach, Shared},
    trust::Current,
};

/// Between two tries to subscribe.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// The stage.
pub struct Heads {
    /// Where they come.
    pub client: Client,
    /// About whom.
    pub me: SubscriberId,
    /// Whose signatures count.
    pub registry: Current,
    /// Where they are compared.
    pub store: Shared,
}

impl Heads {
    /// Runs until shutdown.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = self.hear() => {}
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(TRY_AGAIN) => {}
            }
        }
    }

    /// Until the subscription ends.
    async fn hear(&self) {
        let mut heads = match self.client.subscribe(subject::notify_head(&self.me)).await {
            Ok(heads) => heads,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot subscribe to our heads yet");
                return;
            }
        };
        while let Some(message) = heads.next().await {
            let opened = SubscriberHead::open(&message.payload, self.registry.borrow().relay_keys());
            match opened {
                Ok(head) if head.subscriber == self.me => self.compare(head).await,
                Ok(head) => {
                    tracing::error!(about = %head.subscriber, "a head about somebody else; not believed")
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "a head that does not verify; not believed")
                }
            }
        }
    }

    async fn compare(&self, head: SubscriberHead) {
        match self.store.with(move |store| store.compare(&head, clock::now())).await {
            Ok((heard, reach)) => say(heard, &reach),
            Err(error) => tracing::warn!(error = %chain(&error), "a head is not compared"),
        }
    }
}

fn say(heard: Heard, reach: &Reach) {
    let Reach { missing, since, through, not_there, owed, .. } = *reach;
    let made_anew = reach.made_anew.map(tracing::field::display);
    if reach.alarm {
        tracing::error!(missing, since, through, "notices were sent to us and never came");
    }
    if reach.lost {
        tracing::error!(
            made_anew,
            not_there,
            owed,
            "the relay's stream was made anew and does not hold what it held for us"
        );
    } else if heard == Heard::Anew {
        tracing::warn!(made_anew, "the relay's number for us begins anew; nothing is known to be lost");
    }
}
