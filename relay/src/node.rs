//! What every stage of one node shares: identity, connection, the registry in force, counters.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_nats::{Client, jetstream};
use sallyport_link::{clock, registry::too_old};
use sallyport_proto::{
    ids::{InstanceId, NodeId},
    key::Signer,
    provenance::Provenance,
    registry::Registry,
};
use sallyport_relay_core::{commit::Author, route::Routing};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{in_hand::InHand, metrics::Metrics};

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
    /// How often that connection was made.
    pub connects: watch::Receiver<u64>,
    /// The registry in force and what is derived from it.
    pub routing: Arc<ArcSwap<Routing>>,
    /// The same registry, for readers that need nothing else.
    pub registry: Arc<ArcSwap<Registry>>,
    /// What was pulled and is not settled yet.
    pub in_hand: Arc<InHand>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Says stop.
    pub shutdown: CancellationToken,
}

impl Node {
    /// As `relay_core` has it write.
    pub fn author(&self) -> Author<'_> {
        Author { instance: &self.instance, build: BUILD, node: &self.name, signer: &self.signer }
    }

    /// From here on every stage goes by it.
    pub fn put_in_force(&self, registry: Registry) {
        self.metrics.below_minimum_version(too_old(&registry, BUILD).is_some());
        let registry = Arc::new(registry);
        self.routing.store(Arc::new(Routing::new(registry.clone(), clock::now())));
        self.registry.store(registry);
    }

    /// Stands in every message this node signs.
    pub fn provenance(&self) -> Provenance {
        Provenance::of(&self.instance, BUILD)
    }
}
