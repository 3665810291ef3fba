//! Three nats-servers on loopback as one cluster with JetStream, for streams with three replicas.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::ports::{self, Port};
use crate::server::{Ground, Server};
use crate::wait;

/// What three replicas need.
pub const NODES: usize = 3;
const NAME: &str = "sallyport";
/// An election takes up to some ten seconds; a busy machine more.
const WHOLE_DEADLINE: Duration = Duration::from_secs(60);

/// A cluster of [`NODES`] servers in one temporary folder; all die with it.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    _route_ports: Vec<Port>,
    _dir: Option<TempDir>,
}

impl Cluster {
    /// Starts all nodes with the configuration that `text` writes for each (the same accounts; names, routes and ports
    /// are given on the command line) and waits until each says that JetStream is whole.
    pub fn start(text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("sallyport-cluster-").tempdir().context("make a folder")?;
        let mut cluster = Self::start_in(dir.path(), &[], text)?;
        cluster._dir = Some(dir);
        Ok(cluster)
    }

    /// As [`Cluster::start`] in a folder that stays, each node in `node-<n>` of it, with further command-line options.
    pub fn start_in(dir: &Path, further: &[&str], text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        let route_ports = (0..NODES).map(|_| ports::claim()).collect::<Result<Vec<_>>>()?;
        let routes: Vec<String> =
            route_ports.iter().map(|port| format!("nats://127.0.0.1:{}", port.number)).collect();
        let mut nodes = Vec::with_capacity(NODES);
        for (index, own_route) in routes.iter().enumerate() {
            let name = format!("node-{}", index + 1);
            let options =
                ["--server_name", &name, "--cluster_name", NAME, "--cluster", own_route, "--routes"];
            let mut options: Vec<String> = options.map(str::to_owned).to_vec();
            options.push(routes.join(","));
            options.extend(further.iter().map(|option| (*option).to_owned()));
            nodes.push(Server::prepare_in(&dir.join(&name), &text)?.with_options(options));
        }
        let mut cluster = Self { nodes, _route_ports: route_ports, _dir: None };
        cluster.start_all()?;
        Ok(cluster)
    }

    /// Starts all nodes, of which none runs, and waits until they are whole: after the death of all of them at once, no
    /// node becomes healthy alone.
    pub fn start_all(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.spawn()?;
        }
        for node in &mut self.nodes {
            node.wait_until_healthy()?;
        }
        self.wait_until_whole()
    }

    /// Waits until a leader of JetStream sees every other node up to date: each node may call itself healthy before
    /// that, and a stream with three replicas then finds no place.
    pub fn wait_until_whole(&self) -> Result<()> {
        wait::until("the cluster is whole", WHOLE_DEADLINE, || {
            Ok(self
                .nodes
                .iter()
                .filter_map(|node| node.monitor("/jsz").ok())
                .any(|page| sees_all(&page))
                .then_some(()))
        })
    }

    /// All nodes' addresses, comma-separated as clients take them.
    pub fn url(&self) -> String {
        self.nodes.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    /// The nodes, to be killed and restarted one by one.
    pub fn nodes(&mut self) -> &mut [Server] {
        &mut self.nodes
    }
}

/// Whether a `/jsz` page is the leader's and names every other node as current.
fn sees_all(page: &str) -> bool {
    let Ok(page) = serde_json::from_str::<Value>(page) else { return false };
    let followers = page["meta_cluster"]["replicas"].as_array().map_or(&[][..], Vec::as_slice);
    followers.len() == NODES - 1
        && followers.iter().all(|node| node["current"] == true && node["offline"] != true)
}

#[cfg(test)]
mod tests {
    use super::sees_all;

    #[test]
    fn only_a_leader_with_current_followers_sees_all() {
        let page =
            |followers: &str| format!(r#"{{"meta_cluster":{{"cluster_size":3,"replicas":[{followers}]}}}}"#);
        let current = r#"{"name":"a","current":true}"#;
        assert!(sees_all(&page(&format!("{current},{current}"))));
        assert!(!sees_all(&page(current)));
        assert!(!sees_all(&page(&format!(r#"{current},{{"name":"b","current":false}}"#))));
        assert!(!sees_all(&page(&format!(r#"{current},{{"name":"b","current":true,"offline":true}}"#))));
        assert!(!sees_all(r#"{"meta_cluster":{"cluster_size":3,"leader":"node-2"}}"#));
        assert!(!sees_all("not found"));
    }
}
