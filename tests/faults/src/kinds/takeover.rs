//! How soon the other relay nodes have done what a dead one had begun.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sallyport_proto::subject;

use crate::World;

/// Between two looks: the figure's resolution.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Far beyond any figure that would be acceptable.
const PATIENCE: Duration = Duration::from_secs(90);

/// Since the death of a node.
#[derive(Debug, Clone, Copy)]
pub struct Takeover {
    /// Until everything on INGEST and RECEIPTS that was stored before the death was settled.
    pub whole: Duration,
    /// How many messages of both streams somebody had begun and not settled when it died.
    pub begun: usize,
}

/// Call it the moment a relay node is dead.
pub fn takeover(world: &World) -> Result<Takeover> {
    let dead = Instant::now();
    world.at_hub(async |hub| {
        let streams = [subject::INGEST, subject::RECEIPTS];
        let (mut marks, mut begun) = ([0; 2], 0);
        for (mark, stream) in marks.iter_mut().zip(streams) {
            *mark = hub.stream(stream).await?.cached_info().state.last_sequence;
            begun += hub.durable(stream, subject::RELAY_DURABLE).await?.num_ack_pending;
        }
        for (mark, stream) in marks.into_iter().zip(streams) {
            loop {
                let info = hub.durable(stream, subject::RELAY_DURABLE).await;
                // A look that fails while a leader is elected says nothing.
                if info.is_ok_and(|info| info.ack_floor.stream_sequence >= mark) {
                    break;
                }
                if dead.elapsed() > PATIENCE {
                    bail!("{stream} up to {mark} is not settled {PATIENCE:?} after a node died");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(Takeover { whole: dead.elapsed(), begun })
    })
}
