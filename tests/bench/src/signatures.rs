//! How many ed25519 signatures and verifications the product makes for one event that goes to one subscriber, read from
//! its code. The signed floor makes as many, at the same hop; `docs/performance.md` repeats the table. When the product
//! signs more or less, this file changes with it, or the signed floor means nothing.
//!
//! "Each" is per event, "batch" per message that stands for all that was in work together (at most 64 events).

use std::hint::black_box;

use anyhow::{Result, ensure};
use sallyport_proto::key::{Signer, SigningKey};
use serde::Serialize;

/// What one hop signs and verifies.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Share {
    /// Signatures for each event.
    pub sign_each: u32,
    /// Verifications for each event.
    pub verify_each: u32,
    /// Signatures for each batch.
    pub sign_batch: u32,
    /// Verifications for each batch.
    pub verify_batch: u32,
}

/// What each hop of a floor does beside moving messages, in the order of the hops.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Shares {
    /// Publisher to A: the agent.
    pub publish: Share,
    /// A to B: the relay, and the agent for what the relay tells it.
    pub route: Share,
    /// B to C: the subscriber.
    pub receive: Share,
    /// C: the relay on the way back, and the agent.
    pub back: Share,
}

/// None: the bare floor.
pub const BARE: Shares = Shares { publish: NONE, route: NONE, receive: NONE, back: NONE };

/// The whole way of an event that is stated now.
pub const WAY: Shares = Shares {
    // agent: `revise::assemble` seals the head when the event is stored; disclosures are only hashed into it.
    publish: Share { sign_each: 1, ..NONE },
    // relay: `intake::verify` opens the head; `commit::draft` seals a notice and a `routed` record; `answer` seals one
    // Acceptance for a facility's events of a batch, which the agent opens (`answers::verify`).
    route: Share { verify_each: 1, sign_each: 2, sign_batch: 1, verify_batch: 1 },
    // subscriber: `verify` opens the notice and the head inside it; `receipt` seals one RECEIVED for the facility's
    // notices of a batch.
    receive: Share { verify_each: 2, sign_batch: 1, ..NONE },
    // relay: `forward` opens each receipt and seals one Progress for a facility's receipts; agent: `answers::verify`
    // opens the Progress and the receipt inside it.
    back: Share { verify_batch: 3, sign_batch: 1, ..NONE },
};

/// The way of an event whose head was signed before the clock started: the product's burst begins with a full outbox,
/// so the burst of the signed floor does not sign heads either.
pub const WAY_FROM_OUTBOX: Shares = Shares { publish: NONE, ..WAY };

const NONE: Share = Share { sign_each: 0, verify_each: 0, sign_batch: 0, verify_batch: 0 };

/// What one event costs, with whole batches spread over their events.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PerEvent {
    /// Signatures.
    pub signed: f64,
    /// Verifications.
    pub verified: f64,
}

impl Shares {
    /// For one event when `events_per_batch` are in work together.
    pub fn per_event(&self, events_per_batch: f64) -> PerEvent {
        let hops = [self.publish, self.route, self.receive, self.back];
        let sum = |each: fn(&Share) -> u32, batch: fn(&Share) -> u32| {
            hops.iter().map(|hop| f64::from(each(hop)) + f64::from(batch(hop)) / events_per_batch).sum()
        };
        PerEvent {
            signed: sum(|s| s.sign_each, |s| s.sign_batch),
            verified: sum(|s| s.verify_each, |s| s.verify_batch),
        }
    }
}

/// The signatures and verifications of one hop, really made.
pub(crate) struct Work {
    signer: Signer,
    key: SigningKey,
    message: &'static [u8],
    signature: Vec<u8>,
    share: Share,
}

impl Work {
    /// Signs `message`, and verifies that signature, as often as the share says.
    pub(crate) fn new((signer, key): &(Signer, SigningKey), share: Share, message: &'static [u8]) -> Self {
        let signature = signer.sign(message);
        Self { signer: signer.clone(), key: key.clone(), message, signature, share }
    }

    /// What one event costs.
    pub(crate) fn each(&self) -> Result<()> {
        self.make(self.share.sign_each, self.share.verify_each)
    }

    /// What one batch costs.
    pub(crate) fn batch(&self) -> Result<()> {
        self.make(self.share.sign_batch, self.share.verify_batch)
    }

    fn make(&self, signatures: u32, verifications: u32) -> Result<()> {
        for _ in 0..signatures {
            black_box(self.signer.sign(self.message));
        }
        for _ in 0..verifications {
            ensure!(self.key.verifies(self.message, &self.signature), "a signature does not verify");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_alone_is_signed_six_times_and_verified_seven_times() {
        let alone = WAY.per_event(1.0);
        assert_eq!((alone.signed, alone.verified), (6.0, 7.0));
    }

    #[test]
    fn a_full_batch_pays_for_its_answers_once() {
        let in_batch = WAY_FROM_OUTBOX.per_event(64.0);
        assert_eq!((in_batch.signed, in_batch.verified), (2.0 + 3.0 / 64.0, 3.0 + 4.0 / 64.0));
    }
}
