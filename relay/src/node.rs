//! What every stage of one node shares: identity, connection, the registry in force, counters.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_nats::{Client, jetstream};
use jiff::Timestamp;
use sallyport_proto::{
    ids::{InstanceId, NodeId},
    key::Signer,
    provenance::Provenance,
    registry::Registry,
};
use sallyport_relay_core::route::Index;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Program and version, in every message this node writes.
pub const BUILD: &str = concat!("sallyport-relay/", env!("CARGO_PKG_VERSION"));

/// One running node.
pub struct Node {
    /// The relay network.
    pub instance: InstanceId,
    /// This node's name.
    pub name: NodeId,
    /// Signs what it writes.
    pub signer: Signer,
    /// The connection.
    pub client: Client,
    /// JetStream on it.
    pub js: jetstream::Context,
    /// The registry in force and what is derived from it.
    pub routing: Arc<ArcSwap<Routing>>,
    /// The same registry, for readers that need nothing else.
    pub registry: Arc<ArcSwap<Registry>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Says stop.
    pub shutdown: CancellationToken,
}

/// A registry with its routing index: swapped together, so that a route names the version it was made by.
pub struct Routing {
    /// The registry.
    pub registry: Arc<Registry>,
    /// Its index.
    pub index: Index,
}

impl Routing {
    /// Indexes a registry.
    pub fn new(registry: Arc<Registry>, now: Timestamp) -> Self {
        let index = Index::build(&registry, now);
        Self { registry, index }
    }
}

impl Node {
    /// Stands in every message this node signs.
    pub fn provenance(&self) -> Provenance {
        Provenance::of(&self.instance, BUILD)
    }
}
