//! How soon the other relay nodes have done what a dead one had begun.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sallyport_proto::subject;

use crate::World;

/// Between two looks: the figure's resolution.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Far beyond any figure that would be acceptable.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the living have in hand is settled by then, and what the dead node had is not: it is given to nobody before half of
/// the durable's `ack_wait` of eight seconds has passed.
const LIVING_SETTLE_WITHIN: Duration = Duration::from_secs(2);

/// Since the death of a node.
#[derive(Debug, Clone, Copy)]
pub struct Takeover {
    /// Until everything on INGEST and RECEIPTS that was stored before the death was settled.
    pub whole: Duration,
    /// How many messages of both streams, stored before the death, nobody had settled two seconds later: the dead node's.
    pub begun: u64,
}

/// Call it the moment a relay node is dead.
pub fn takeover(world: &World) -> Result<Takeover> {
    let dead = Instant::now();
    world.at_hub(async |hub| {
        let streams = [subject::INGEST, subject::RECEIPTS];
        let (mut marks, mut begun) = ([0; 2], 0);
        for (mark, stream) in marks.iter_mut().zip(streams) {
            *mark = hub.stream(stream).await?.cached_info().state.last_sequence;
        }
        tokio::time::sleep_until((dead + LIVING_SETTLE_WITHIN).into()).await;
        for (mark, stream) in marks.into_iter().zip(streams) {
            let info = hub.durable(stream, subject::RELAY_DURABLE).await?;
            // What came since is pending, too: of that no more than the messages up to the mark counts.
            let open = mark.saturating_sub(info.ack_floor.stream_sequence);
            begun += open.min(info.num_ack_pending as u64);
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
