//! What people do to streams and durables: a durable deleted by mistake, a stream without room.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::stream::Config;
use rand::seq::IndexedRandom;
use sallyport_proto::subject;

use super::Done;
use crate::{World, calm, flow::Pace};

/// Until somebody notices.
const AWAY_FOR: Duration = Duration::from_secs(4);
/// Until there is room again.
const FULL_FOR: Duration = Duration::from_secs(8);
/// A server that is busy with elections takes its time.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// As the server says it.
const NOT_FOUND: &str = "consumer not found";
/// Room that is left when the limit is set: a few messages.
const ROOM_BYTES: u64 = 4_096;
/// Until what waited for room lies on the stream.
const CAME_WITHIN: Duration = Duration::from_secs(60);

/// An agency's durable is deleted, and made again by `provision`: it starts from the beginning of the stream, and nothing
/// may be handed over a second time for that.
pub(super) fn subscriber_durable_deleted(world: &mut World) -> Result<Done> {
    deleted(world, &[(subject::DELIVER, "demo-supervision"), (subject::DELIVER, "demo-marshals")])
}

/// The same of a durable that the relay nodes share: everything is routed or forwarded again, and nothing told twice.
pub(super) fn relay_durable_deleted(world: &mut World) -> Result<Done> {
    deleted(world, &[(subject::INGEST, subject::RELAY_DURABLE), (subject::RECEIPTS, subject::RELAY_DURABLE)])
}

fn deleted(world: &mut World, any_of: &[(&str, &str)]) -> Result<Done> {
    let (stream, durable) = any_of.choose(&mut world.rng).copied().context("a durable")?;
    let stored = world.at_hub(async |hub| Ok(hub.stream(stream).await?.cached_info().state.messages))?;
    // A busy server may have done it and answered too late: gone is gone.
    calm::until("the durable is gone", DONE_WITHIN, || {
        let gone = world.at_hub(async |hub| {
            let stream = hub.stream(stream).await?;
            let deleted = stream.delete_consumer(durable).await;
            Ok(deleted.is_ok() || deleted.is_err_and(|error| error.to_string().contains(NOT_FOUND)))
        });
        Ok(gone.unwrap_or(false).then_some(()))
    })?;
    crate::lasting(AWAY_FOR);
    world.provision()?;
    Ok(Done::noted(format!("{durable} on {stream}, made again over {stored} stored messages")))
}

/// A stream may grow no further for a while: what comes waits where it is kept, and goes on afterwards. It must have been
/// full, and more must have come than there was room for.
pub(super) fn at_its_limit(world: &mut World, name: &str) -> Result<Done> {
    let burst = world.jails.flow(Pace::BURST)?;
    let before = world.at_hub(async |hub| Ok(hub.stream(name).await?.cached_info().clone()))?;
    let limit = before.state.bytes + ROOM_BYTES;
    let mut tight = before.config.clone();
    tight.max_bytes = i64::try_from(limit).context("bytes")?;
    let set = |world: &World, what: &str, config: &Config| {
        calm::until(what, DONE_WITHIN, || {
            let set = world.at_hub(async |hub| Ok(hub.login.js.update_stream(config.clone()).await?));
            Ok(set.is_ok().then_some(()))
        })
    };
    set(world, "the room is taken away", &tight)?;
    crate::lasting(FULL_FOR);
    let full = world.at_hub(async |hub| Ok(hub.stream(name).await?.cached_info().state.clone()));
    set(world, "the room is given back", &before.config)?;
    let full = full?;
    ensure!(full.messages >= before.state.messages, "{name} lost messages");
    burst.finish()?;
    calm::until("what waited has come", CAME_WITHIN, || {
        let now = world.at_hub(async |hub| Ok(hub.stream(name).await?.cached_info().state.bytes));
        // Some may have come between the look and the limit.
        Ok(now.is_ok_and(|now| now > limit.max(full.bytes)).then_some(()))
    })?;
    Ok(Done::noted(format!(
        "{name} took {} messages more in {} s, and the rest afterwards",
        full.messages - before.state.messages,
        FULL_FOR.as_secs()
    )))
}
