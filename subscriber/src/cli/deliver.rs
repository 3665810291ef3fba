//! The way out of what people say. It is stored already: the running bridge publishes it, or, where none runs, this
//! process does.

use std::{sync::Arc, time::Duration};

use sallyport_link::{
    connect::{self, LinkCounters},
    exit, registry,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::{
    BUILD, bridge,
    config::Config,
    metrics::Metrics,
    outbox::Outbox,
    store::{Shared, Store, StoreError},
};

/// A running bridge looks at the outbox several times a second; the rest is the broker's.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(5);
/// Without a bridge: a leader change takes up to 9 s. What is not out by then stays in the outbox.
const BROKER_PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at whether the bridge has published it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of something said.
#[derive(Debug, Serialize)]
pub(crate) struct Delivered {
    pub(crate) notice_id: String,
    pub(crate) word: String,
    pub(crate) receipt: i64,
    pub(crate) published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome_id: Option<String>,
}

/// Waits for the running bridge to publish it, or publishes it here when none runs.
pub(crate) async fn deliver(config: &Config, said: Delivered) -> Result<Delivered, Failure> {
    let store = Shared::new(Store::open(&config.store_dir, &config.me)?);
    match Store::lock(&config.store_dir) {
        Ok(_lock) => publish_here(config, &store).await?,
        Err(StoreError::Busy { .. }) => wait_for_bridge(&store, said.receipt).await?,
        Err(error) => return Err(error.into()),
    }
    let receipt = said.receipt;
    let published = store.with(move |store| store.is_published(receipt)).await?;
    Ok(Delivered { published, ..said })
}

async fn wait_for_bridge(store: &Shared, receipt: i64) -> Result<(), StoreError> {
    let waited = tokio::time::timeout(BRIDGE_PATIENCE, async {
        while !store.with(move |store| store.is_published(receipt)).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    });
    // Too long is no failure: it is stored and will be published.
    waited.await.unwrap_or(Ok(()))
}

async fn publish_here(config: &Config, store: &Shared) -> Result<(), Failure> {
    // What was said is stored: the next bridge that may run publishes it.
    registry::lets_start(&config.registry, BUILD)?;
    let counters = Arc::new(LinkCounters::default());
    let (client, js) = connect::connect(bridge::login(config), counters)
        .await
        .map_err(|error| Failure::new(exit::UNAVAILABLE, error.to_string()))?;
    let last = store.with(|store| store.last_receipt()).await?;
    let outbox = Outbox { js, store: store.clone(), metrics: Metrics::new() };
    let shutdown = CancellationToken::new();
    let drained = tokio::time::timeout(BROKER_PATIENCE, outbox.drain(Some(last), &shutdown)).await;
    match drained {
        Ok(result) => {
            result?;
            connect::close(&client).await;
            Ok(())
        }
        Err(_) => Err(Failure::new(
            exit::UNAVAILABLE,
            "the broker cannot be reached; it is stored and published by the next run",
        )),
    }
}
