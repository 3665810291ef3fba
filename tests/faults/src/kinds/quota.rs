//! A server that may store no more, where no small file system can be mounted under it: JetStream's own `max_file_store`
//! of one server of the cluster, just above what it holds. No store of ours can be put into a nats-server. Unlike a full
//! disk it does not switch JetStream off: streams that this server leads refuse, and it gives their lead away.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream::stream;
use sallyport_harness::Server;
use sallyport_proto::subject;

use super::{
    Done,
    disks::{FULL_FOR, complaints, kept_running},
};
use crate::{World, calm, flow::Pace};

/// What a server may store, as its configuration names it.
const KEY: &str = "max_file_store:";
/// Room for what is under way while the server starts; a burst brings several times as much.
const ROOM_BYTES: u64 = 256 * 1024;
/// The streams that the server is to lead: only a leader refuses by its quota.
const LED: [&str; 2] = [subject::INGEST, subject::DELIVER];
/// Until a burst has filled it, also on a busy machine.
const MET_WITHIN: Duration = Duration::from_secs(60);
/// Until it leads them.
const LED_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn reached(world: &mut World) -> Result<Done> {
    let jails = world.jails.clone();
    let paused = jails.pause();
    paused.wait();
    let node = world.cluster.nodes().last_mut().context("a cluster has nodes")?;
    let config = node.dir().join("nats.conf");
    let name = node.dir().file_name().and_then(|name| name.to_str()).context("a node's name")?.to_owned();
    let before = std::fs::read_to_string(&config).context("read a server's configuration")?;
    let held = held_by(node)?;
    let reserved = unreserved(world)?;
    let node = world.cluster.nodes().last_mut().context("a cluster has nodes")?;
    let tight = with_quota(&before, held + ROOM_BYTES)?;
    node.rewrite(|_| tight.clone())?;
    node.restart()?;
    world.cluster.wait_until_whole()?;
    for stream in LED {
        lead(world, &name, stream)?;
    }
    let complained = complaints(world)?;
    drop(paused);
    let burst = world.jails.flow(Pace::BURST)?;
    let mut restarts = 0;
    // Who follows when the room ends says nothing, and can lead no more: by its own account it is full all the same.
    calm::until("a server meets its quota", MET_WITHIN, || {
        restarts += world.revive()?;
        let said = complaints(world)? > complained;
        let node = world.cluster.nodes().last_mut().context("a cluster has nodes")?;
        Ok((said || held_by(node)? >= held + ROOM_BYTES).then_some(()))
    })?;
    restarts += kept_running(world, FULL_FOR)?;
    let met = complaints(world)? - complained;
    let node = world.cluster.nodes().last_mut().context("a cluster has nodes")?;
    node.rewrite(|_| before.clone())?;
    node.restart()?;
    world.cluster.wait_until_whole()?;
    // Leaders may still move.
    calm::until("the streams have their limits again", LED_WITHIN, || Ok(reserve(world, &reserved).ok()))?;
    restarts += world.revive()?;
    burst.finish()?;
    Ok(Done::noted(format!(
        "a server's store (JetStream's quota, {name}: {} KiB) full for {} s, said {met} times, {restarts} restarts",
        (held + ROOM_BYTES) / 1024,
        FULL_FOR.as_secs()
    )))
}

/// Takes their limits from all streams, and gives what these were: a server counts them as reserved, and takes no stream
/// whose reservation is beyond its quota, however little it holds.
fn unreserved(world: &World) -> Result<Vec<stream::Config>> {
    world.at_hub(async |hub| {
        let names: serde_json::Value = hub
            .login
            .js
            .request("STREAM.NAMES", &serde_json::json!({}))
            .await
            .context("ask for all streams")?;
        let mut were = Vec::new();
        for name in names["streams"].as_array().context("names of streams")? {
            let config = hub.stream(name.as_str().context("a name")?).await?.cached_info().config.clone();
            let free = stream::Config { max_bytes: -1, ..config.clone() };
            hub.login.js.update_stream(free).await.context("take a stream's limit away")?;
            were.push(config);
        }
        Ok(were)
    })
}

/// Gives them back.
fn reserve(world: &World, were: &[stream::Config]) -> Result<()> {
    world.at_hub(async |hub| {
        for config in were {
            hub.login.js.update_stream(config.clone()).await.context("give a stream its limit again")?;
        }
        Ok(())
    })
}

/// What a server holds, as it counts itself against its quota.
fn held_by(node: &Server) -> Result<u64> {
    let page: serde_json::Value = serde_json::from_str(&node.monitor("/jsz")?).context("read /jsz")?;
    page["storage"].as_u64().context("what a server holds")
}

fn with_quota(text: &str, bytes: u64) -> Result<String> {
    let line = text.lines().find(|line| line.trim_start().starts_with(KEY));
    let line = line.with_context(|| format!("the configuration names no {KEY}"))?;
    Ok(text.replacen(line, &format!("  {KEY} {bytes}"), 1))
}

/// Asks a stream's leader to give way until this server leads it.
fn lead(world: &World, server: &str, stream: &str) -> Result<()> {
    calm::until("a server leads a stream", LED_WITHIN, || {
        let leads = world.at_hub(async |hub| {
            let info = hub.stream(stream).await?.cached_info().cluster.clone();
            let leads = info.and_then(|cluster| cluster.leader).is_some_and(|leader| leader == server);
            if !leads {
                let to = serde_json::json!({ "placement": { "preferred": server } });
                let asked = format!("STREAM.LEADER.STEPDOWN.{stream}");
                let _: serde_json::Value =
                    hub.login.js.request(asked, &to).await.context("ask to step down")?;
            }
            Ok(leads)
        });
        // Between two leaders nobody answers.
        Ok(leads.unwrap_or(false).then_some(()))
    })
}
