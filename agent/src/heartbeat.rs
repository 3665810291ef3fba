//! Says once a minute that the jail is alive, how far it numbered, and what its newest numbers stand for: the relay sees
//! from it what it does not hold. Signed by the facility, on its own subject.
//!
//! Everything in it is about what was given a number, that is, about what is sent: nothing in it changes because of an
//! event that is not. `last_intake` is therefore when something to be sent was last stored, never when a record was read.

use std::time::Duration;

use async_nats::{connection::State, jetstream};
use sallyport_link::{clock, publish::chain};
use sallyport_proto::{
    operations::Heartbeat,
    provenance::{Provenance, TrafficClass},
    subject,
    time::Moment,
    vocabulary::SourceClock,
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Facility,
    intake::BUILD,
    publish::Connects,
    store::{Reader, Store, StoreError},
};

/// A PubAck is awaited so long at the end.
const LAST_WORD: Duration = Duration::from_secs(2);

/// States heartbeats until shutdown.
pub(crate) struct Pulse {
    pub(crate) store: Store,
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    pub(crate) facility: Facility,
    pub(crate) traffic: TrafficClass,
    pub(crate) every: Duration,
    pub(crate) connects: Connects,
    pub(crate) shutdown: CancellationToken,
}

impl Pulse {
    /// At every connect, every `every`, and once more at the end.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let reader = self.store.reader()?;
        let mut every = tokio::time::interval(self.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Every branch is cancel-safe: they only wait.
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                changed = self.connects.changed() => if changed.is_err() { break },
                _ = every.tick() => {}
            }
            if self.client.connection_state() == State::Connected {
                self.beat(&reader).await?;
            }
        }
        if self.client.connection_state() == State::Connected
            && tokio::time::timeout(LAST_WORD, self.beat(&reader)).await.is_err()
        {
            tracing::debug!("the last heartbeat was not acknowledged");
        }
        Ok(())
    }

    /// One that is lost is followed by the next.
    async fn beat(&self, reader: &Reader) -> Result<(), StoreError> {
        let bytes = self.heartbeat(reader)?.seal(&self.facility.signer);
        let subject = subject::notify_heartbeat(&self.facility.jurisdiction, &self.facility.ori);
        let acked = match self.js.publish(subject, bytes.into()).await {
            Ok(ack) => ack.await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = acked {
            tracing::warn!(error = %chain(&error), "no PubAck for a heartbeat");
        }
        Ok(())
    }

    fn heartbeat(&self, reader: &Reader) -> Result<Heartbeat, StoreError> {
        let numbered = reader.numbered()?;
        let moment = |at| Moment::exact(at, SourceClock::Agent);
        Ok(Heartbeat {
            provenance: Provenance::of(&self.facility.instance, BUILD),
            ori: self.facility.ori.clone(),
            jurisdiction: self.facility.jurisdiction.clone(),
            outbox_depth: numbered.depth.open,
            outbox_oldest: numbered.depth.oldest.map(moment),
            last_intake: numbered.last_stored.map(moment),
            clock_offset: None,
            epoch: numbered.epoch,
            seq: numbered.seq,
            at: clock::moment(SourceClock::Agent),
            traffic: self.traffic.clone(),
            kept_from: numbered.kept_from,
            range: numbered.range,
        })
    }
}
