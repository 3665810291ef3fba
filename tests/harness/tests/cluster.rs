//! Three nodes are one cluster: a stream with three replicas survives the death of any node.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use sallyport_harness::Cluster;

/// A new leader may take up to ten seconds; a busy machine more.
const ELECTED: Duration = Duration::from_secs(60);

#[tokio::test]
async fn three_replicas_survive_a_killed_node() {
    let mut cluster = Cluster::start(|_| "jetstream { sync_interval: always }".into()).unwrap();
    let client = async_nats::connect(cluster.url().split(',').collect::<Vec<_>>()).await.unwrap();
    let context = jetstream::new(client);
    let config = stream::Config {
        name: "R3".into(),
        subjects: vec!["r3".into()],
        num_replicas: 3,
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    context.publish("r3", "before".into()).await.unwrap().await.unwrap();

    cluster.nodes()[0].kill9().unwrap();
    let published = async {
        while let Err(_lost) = async { context.publish("r3", "after".into()).await?.await }.await {}
    };
    tokio::time::timeout(ELECTED, published).await.unwrap();
    cluster.nodes()[0].restart().unwrap();
    // A publish that timed out may have been stored all the same.
    assert!(context.get_stream("R3").await.unwrap().cached_info().state.messages >= 2);
}
