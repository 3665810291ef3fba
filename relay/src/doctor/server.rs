//! What the servers say of themselves, judged: sync, place and share of the store, copies, clocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use async_nats::ServerInfo;
use sallyport_link::doctor::{
    Code, Finding,
    clocks::{self, Stated},
    folder,
};
use serde_json::Value;

use super::{Seen, folder_of};
use crate::{
    config::Config,
    provision::safety::{self, Answer, Unsafe},
};

/// What a majority needs that outlives one node.
const COPIES: u64 = 3;
/// The rest is for logs, compaction and whatever else lies on that disk: a server whose disk is full stops JetStream.
const DISK_PERCENT_MAX: u64 = 80;

/// What the connection itself says: which server it is with, and where the others are.
pub(super) struct Met {
    /// Its id, if it runs on this machine: it saw us come from there.
    pub(super) here: Option<String>,
    /// Addresses of all servers of the cluster, as they tell their clients.
    pub(super) addresses: Vec<String>,
}

impl Met {
    pub(super) fn by(info: &ServerInfo) -> Self {
        let ours = info.client_ip.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        Self { here: ours.then(|| info.server_id.clone()), addresses: info.connect_urls.clone() }
    }
}

/// Everything about each server.
pub(super) fn judge(config: &Config, answers: &[Answer], met: &Met) -> Vec<Finding> {
    let mut found = Vec::new();
    for answer in answers {
        let name = name(&answer.stated);
        match safety::verdict(&answer.stated) {
            Ok(()) => {}
            Err(Unsafe::NoJetStream { .. }) => {
                found.push(Finding::unsafe_(
                    Code::NoJetStream,
                    format!("server {name} has no JetStream: it stores nothing"),
                    "start it with the configuration that `sallyport-relay provision` renders",
                ));
            }
            Err(_) => found.push(Finding::unsafe_(
                Code::SyncNotAlways,
                format!("server {name} does not sync `always`: a power cut loses acknowledged messages"),
                "set `sync_interval: always` in its jetstream block and restart it",
            )),
        }
        let time = answer.stated["server"]["time"].as_str().and_then(|time| time.parse().ok());
        found.extend(time.and_then(|stated| {
            let Answer { sent, received, .. } = *answer;
            clocks::judge(&format!("server {name}"), Stated { sent, stated, received })
        }));
        found.extend(store(config, &answer.stated, met));
    }
    found.extend(places(answers, &met.addresses));
    found
}

fn name(stated: &Value) -> &str {
    stated["server"]["name"].as_str().unwrap_or("(unnamed)")
}

/// Where a server stores, and how much it may.
fn store(config: &Config, stated: &Value, met: &Met) -> Vec<Finding> {
    let (mut found, name) = (Vec::new(), name(stated));
    let jetstream = &stated["data"]["config"];
    let (Some(dir), Some(may)) = (jetstream["store_dir"].as_str(), jetstream["max_storage"].as_u64()) else {
        return found;
    };
    let (dir, what) = (folder_of(dir), format!("the store of server {name}"));
    let should = config.provision.max_file_store_bytes;
    if may != should {
        found.push(Finding::warning(
            Code::Drift,
            format!("server {name} may store {may} bytes, and provision.max_file_store_bytes is {should}"),
            "`sallyport-relay provision`, then restart the server with the rendered configuration",
        ));
    }
    let here = met.here.is_some() && met.here.as_deref() == stated["server"]["id"].as_str();
    let seen = here.then(|| folder::look(dir).ok()).flatten().filter(|seen| seen.mode.is_some());
    if let Some(seen) = seen {
        found.extend(folder::judge_ground(&what, &seen).into_iter().map(|finding| match finding.code {
            Code::StoreTemporary => Finding { code: Code::ServerStoreTemporary, ..finding },
            _ => finding,
        }));
        let share = seen.disk_bytes / 100 * DISK_PERCENT_MAX;
        if may > share {
            found.push(Finding::unsafe_(
                Code::DiskShare,
                format!("server {name} may store {may} bytes, and {DISK_PERCENT_MAX} % of its disk are {share}: the disk is full before the server refuses"),
                "lower provision.max_file_store_bytes, or give it a larger disk; `provision`, restart the server",
            ));
        }
        return found;
    }
    if let Some(temporary) = folder::temporary(dir) {
        found.push(Finding::unsafe_(
            Code::ServerStoreTemporary,
            format!("{what} {} lies in {temporary}, which is emptied at a restart or by a timer", dir.display()),
            "set provision.server_store_dir to a disk that stays, `provision`, move the store, restart the server",
        ));
    }
    let of = |why: &str| {
        format!(
            "{what} {} {why}: nobody knows whether {may} bytes are less than {DISK_PERCENT_MAX} % of its disk, and what kind of disk it is",
            dir.display()
        )
    };
    // Servers belong on machines of their own: there the look is made, and here it is no failure that it is not.
    found.push(if here {
        Finding::not_seen(
            Code::ServerDiskUnseen,
            of("cannot be looked at from here"),
            "run `check` as a user who may enter the folder; df there",
        )
    } else {
        Finding::warning(
            Code::ServerDiskUnseen,
            of("is not on this machine"),
            "run `check` on that machine, with nats.url = its own server on 127.0.0.1; df there",
        )
    });
    found
}

/// Whether every server answered, and stands on a machine of its own.
fn places(answers: &[Answer], addresses: &[String]) -> Vec<Finding> {
    let mut found = Vec::new();
    let nodes = nodes(answers);
    if (answers.len() as u64) < nodes {
        found.push(Finding::not_seen(
            Code::NoAnswer,
            format!("{} of {nodes} servers answered: nothing is known of the others", answers.len()),
            "look at the servers that are down, then check again",
        ));
    }
    let stated = answers
        .iter()
        .filter_map(|answer| Some((answer.stated["server"]["host"].as_str()?, name(&answer.stated))));
    let told = addresses.iter().filter_map(|address| Some((address.rsplit_once(':')?.0, address.as_str())));
    let hosts = several(stated);
    let (how, on) = if hosts.is_empty() { ("address", several(told)) } else { ("host", hosts) };
    for (machine, servers) in on {
        found.push(Finding::warning(
            Code::NodesOnOneMachine,
            format!(
                "{} servers of {nodes} have the same {how} {machine} ({}): their copies are lost together",
                servers.len(),
                servers.into_iter().collect::<Vec<_>>().join(", ")
            ),
            "run each server on a machine, and if possible in a room, of its own",
        ));
    }
    found
}

/// Places at which more than one is. An address that means every one says nothing.
fn several<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut at: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (place, who) in all.filter(|(place, _)| !matches!(*place, "" | "0.0.0.0" | "::" | "[::]")) {
        at.entry(place).or_default().insert(who);
    }
    at.retain(|_, who| who.len() > 1);
    at
}

/// How many servers the cluster has, whether or not they answered.
fn nodes(answers: &[Answer]) -> u64 {
    let stated =
        answers.iter().filter_map(|a| a.stated["data"]["meta_cluster"]["cluster_size"].as_u64()).max();
    stated.unwrap_or(1).max(answers.len() as u64)
}

/// Copies against nodes: what the configuration asks for, and what there is.
pub(super) fn judge_replicas(asked: usize, servers: Option<&[Answer]>, seen: &Seen) -> Vec<Finding> {
    let Some(nodes) = servers.map(nodes) else { return Vec::new() };
    let mut found = Vec::new();
    if asked as u64 > nodes {
        found.push(Finding::unsafe_(
            Code::ReplicasMany,
            format!("provision.replicas is {asked}, and there are {nodes} servers: no stream can be made or take a message"),
            format!("add servers, or set provision.replicas = {}", if nodes < COPIES { 1 } else { COPIES }),
        ));
    }
    let copies = |config: &Value| config["num_replicas"].as_u64().filter(|n| *n > 0);
    let few: Vec<&str> = seen
        .all()
        .filter(|pair| {
            let is = pair.is.as_ref().map(|is| copies(&is["config"]));
            // A durable that states none has as many as its stream.
            is.is_some_and(|is| {
                is.or(pair.label.starts_with("stream").then_some(1)).is_some_and(|n| n < COPIES)
            })
        })
        .map(|pair| pair.label.as_str())
        .collect();
    if nodes >= COPIES && (!few.is_empty() || (asked as u64) < COPIES) {
        let what = if few.is_empty() { "provision.replicas".to_owned() } else { few.join(", ") };
        found.push(Finding::unsafe_(
            Code::ReplicasFew,
            format!("fewer than {COPIES} copies on a cluster of {nodes}: one lost disk loses what was acknowledged ({what})"),
            format!("set provision.replicas = {COPIES} and run `sallyport-relay provision`; durables that it reports as DRIFT: nats consumer edit --replicas {COPIES}"),
        ));
    }
    found
}

/// What the streams may take together against what each server may store.
pub(super) fn judge_share(servers: &[Answer], seen: &Seen) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut together = 0;
    for stream in &seen.streams {
        let Some(is) = &stream.is else { continue };
        match is["config"]["max_bytes"].as_u64().filter(|bytes| *bytes > 0) {
            Some(bytes) => together += bytes,
            None => found.push(Finding::unsafe_(
                Code::DiskShare,
                format!("{} has no bound (max_bytes): it can take the room of all others", stream.label),
                "run `sallyport-relay provision`; if it reports DRIFT: nats stream edit --max-bytes",
            )),
        }
    }
    for server in servers {
        let may = server.stated["data"]["config"]["max_storage"].as_u64().unwrap_or(u64::MAX);
        if together > may {
            found.push(Finding::unsafe_(
                Code::DiskShare,
                format!(
                    "streams may hold {together} bytes together, and server {} may store {may}: it refuses all of them before one is full",
                    name(&server.stated)
                ),
                "raise max_file_store (provision.max_file_store_bytes), render, restart the server",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
