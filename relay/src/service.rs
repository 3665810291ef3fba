//! One node, running: checks that the server is safe, connects, starts every stage under supervision, and ends in order.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use sallyport_link::{
    clock,
    connect::{self, LinkCounters, Login},
    lock::{Lock, LockError},
    registry::{self, FloorError, TooOld},
    tasks::{OnError, Tasks},
};
use sallyport_proto::subject;
use sallyport_relay_core::route::Routing;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    answer, catchup, commit,
    config::Config,
    forward,
    heads::Heads,
    http::{self, Health, Pages},
    in_hand, intake,
    mend::Mend,
    metrics::Metrics,
    node::{BUILD, Node},
    provision::safety,
    track::{self, Fold},
};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server would lose what it acknowledged.
    #[error(transparent)]
    Unsafe(#[from] safety::Unsafe),
    /// Another node runs on this store.
    #[error("another relay node runs on the store {}: each node needs a folder of its own", .dir.display())]
    Busy {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The lock cannot be tried.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An older registry than this node had in force, or its version cannot be kept.
    #[error(transparent)]
    Registry(#[from] FloorError),
    /// The registry asks for a newer program.
    #[error(transparent)]
    TooOld(#[from] TooOld),
    /// The connection cannot be made at all.
    #[error("cannot connect to {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
}

/// Runs until a signal or a failing stage; gives whether it ended well.
pub async fn run(config: Config) -> Result<bool, StartError> {
    registry::lets_start(&config.registry, BUILD)?;
    let _lock = only_node_on(&config.store_dir)?;
    let source = registry::Source {
        file: config.registry_file.clone(),
        registrar: config.registrar.clone(),
        look_every: config.registry_reload,
        build: BUILD,
    };
    let keeper = registry::Keeper::new(source, &config.store_dir, &config.registry)?;
    wait_for_safety(&config).await?;
    let counters = Arc::new(LinkCounters::default());
    let login = Login {
        url: &config.nats_url,
        name: format!("sallyport-relay-{}", config.node),
        seed: &config.connect_seed,
        inbox_prefix: subject::inbox_of_relay(&config.node),
        js_api: None,
    };
    let (client, js) = connect::connect(login, counters.clone())
        .await
        .map_err(|source| StartError::Connect { url: config.nats_url.clone(), source })?;
    let shutdown = CancellationToken::new();
    let health = Arc::new(Health::default());
    let first = Arc::new(config.registry.clone());
    let node = Arc::new(Node {
        instance: config.instance.clone(),
        name: config.node.clone(),
        signer: config.signer.clone(),
        client: client.clone(),
        js,
        connects: counters.connects.subscribe(),
        routing: Arc::new(ArcSwap::from_pointee(Routing::new(first.clone(), clock::now()))),
        registry: Arc::new(ArcSwap::from(first)),
        in_hand: Arc::default(),
        metrics: Arc::new(Metrics::new(counters)),
        shutdown: shutdown.clone(),
    });
    let (to_prepare, from_intake) = mpsc::channel(intake::BATCHES_WAITING_MAX);
    let (to_commit, from_prepare) = mpsc::channel(commit::BATCHES_WAITING_MAX);
    let (to_answer, from_commit) = mpsc::channel(answer::BATCHES_WAITING_MAX);
    let mut tasks = Tasks::new(shutdown);
    tasks.spawn("intake", OnError::ShutDown, intake::run(node.clone(), to_prepare));
    let ahead = commit::write_ahead(node.clone(), from_intake, to_commit);
    tasks.spawn("commit.ahead", OnError::ShutDown, ahead);
    tasks.spawn("commit", OnError::ShutDown, commit::run(node.clone(), from_prepare, to_answer));
    tasks.spawn("answer", OnError::ShutDown, answer::run(node.clone(), from_commit));
    tasks.spawn("forward", OnError::ShutDown, forward::run(node.clone()));
    tasks.spawn(
        "in hand",
        OnError::ShutDown,
        in_hand::run(node.in_hand.clone(), client.clone(), node.shutdown.clone()),
    );
    tasks.spawn("catchup", OnError::ShutDown, catchup::run(node.clone()));
    let mend = Mend {
        node: node.clone(),
        health: health.clone(),
        store_dir: config.store_dir.clone(),
        grace: config.audit_grace,
    };
    tasks.spawn("mend", OnError::GoOn, mend.run());
    let heads = Heads { node: node.clone(), store_dir: config.store_dir.clone(), every: config.head_every };
    // An agency without heads knows less; its notices go on.
    tasks.spawn("heads", OnError::GoOn, heads.run());
    let fold = Fold {
        js: node.js.clone(),
        node: node.name.clone(),
        registry: node.registry.clone(),
        store_dir: config.store_dir.clone(),
        metrics: node.metrics.clone(),
        health: health.clone(),
    };
    // Notices flow without the read model; only figures would be missing.
    tasks.spawn("track", OnError::GoOn, track::run(fold, node.shutdown.clone()));
    if let Some(listen) = config.http_listen {
        let (metrics, registry) = (node.metrics.clone(), node.registry.clone());
        let pages = Pages { client: client.clone(), metrics, health, registry };
        tasks.spawn("http", OnError::ShutDown, http::run(listen, pages, node.shutdown.clone()));
    }
    let put = {
        let node = node.clone();
        move |registry| node.put_in_force(registry)
    };
    tasks.spawn("registry", OnError::ShutDown, keeper.run(|_| Ok(()), put, node.shutdown.clone()));
    tracing::info!(node = %node.name, instance = %node.instance, registry = node.registry.load().version, "relay runs");
    let well = tasks.run().await;
    connect::close(&client).await;
    Ok(well)
}

/// The read model and the registry's floor have one writer. Commands that only read the model do not take it.
fn only_node_on(store_dir: &Path) -> Result<Lock, StartError> {
    Lock::take(&store_dir.join("relay.lock")).map_err(|error| match error {
        LockError::Taken { .. } => StartError::Busy { dir: store_dir.to_owned() },
        error @ LockError::Io { .. } => error.into(),
    })
}

/// A server that is not there yet is waited for; one that is there and unsafe is refused.
async fn wait_for_safety(config: &Config) -> Result<(), StartError> {
    loop {
        match safety::check(config).await {
            Ok(()) => return Ok(()),
            Err(safety::Unsafe::Silent) => {
                tracing::warn!(url = config.nats_url, "no server answers yet; waiting for it");
            }
            Err(error) => return Err(error.into()),
        }
    }
}
