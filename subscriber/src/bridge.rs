//! The bridge: all stages of a notice's way in one program, from the configuration to the end.

use std::{sync::Arc, time::Instant};

use sallyport_link::{
    clock,
    connect::{self, LinkCounters, Login},
    registry::{self, FloorError, TooOld},
    tasks::{OnError, Tasks},
};
use sallyport_proto::subject;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    BUILD,
    acknowledge::Acknowledger,
    config::Config,
    hand_over::HandOver,
    heads::Heads,
    http::{self, Window},
    keep::{IN_FLIGHT_MAX, Keeper},
    log::{HandOverLog, LogError},
    metrics::Metrics,
    outbox::Outbox,
    receipt::Maker,
    receive::{Receiver, SecondLook},
    store::{Shared, Store, StoreError},
    trust,
};

/// Why a bridge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store, or another bridge on it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hand-over log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An older registry than this bridge had in force, or its version cannot be kept.
    #[error(transparent)]
    Registry(#[from] FloorError),
    /// The registry asks for a newer program.
    #[error(transparent)]
    TooOld(#[from] TooOld),
    /// Not "the server is away": that is waited for.
    #[error("cannot connect")]
    Connect(#[from] async_nats::ConnectError),
}

/// Runs until a signal or `shutdown`; gives whether all went well.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<bool, StartError> {
    registry::lets_start(&config.registry, BUILD)?;
    let _lock = Store::lock(&config.store_dir)?;
    let keeper = registry::Keeper::new(config.registry_source.clone(), &config.store_dir, &config.registry)?;
    let mut store = Store::open(&config.store_dir, &config.me)?;
    let log = HandOverLog::open(&store.hand_over_log(), &mut store, clock::now())?;
    let store = Shared::new(store);
    let link = Arc::new(LinkCounters::default());
    let (client, js) = connect::connect(login(&config), link.clone()).await?;
    let me = config.me.clone();
    let metrics = Metrics::new();
    let maker = Maker::new(config.instance, config.me.clone(), config.signer);
    let (in_force, registry) = watch::channel(Arc::new(config.registry));
    let (judged, to_keep) = mpsc::channel(IN_FLIGHT_MAX);
    let (kept, to_answer) = mpsc::channel(IN_FLIGHT_MAX);
    let (sink_hint, hint) = watch::channel(());

    let mut tasks = Tasks::new(shutdown.clone());
    let fits = trust::lists(config.me.clone());
    let put = move |new| drop(in_force.send_replace(Arc::new(new)));
    tasks.spawn("registry", OnError::ShutDown, keeper.run(fits, put, shutdown.clone()));
    let receiver = Receiver { js: js.clone(), me: config.me.clone(), registry: registry.clone() };
    tasks.spawn("receive", OnError::ShutDown, receiver.run(judged.clone(), shutdown.clone()));
    let second_look = SecondLook { store: store.clone(), me: config.me, registry: registry.clone() };
    tasks.spawn("second look", OnError::ShutDown, second_look.run(judged, shutdown.clone()));
    let heads =
        Heads { client: client.clone(), me: me.clone(), registry: registry.clone(), store: store.clone() };
    // Without heads a bridge knows less; its notices go on.
    tasks.spawn("heads", OnError::GoOn, heads.run(shutdown.clone()));
    let keeper = Keeper {
        store: store.clone(),
        log,
        maker: maker.clone(),
        sink: config.sink.first_place(),
        sink_hint,
        metrics: metrics.clone(),
    };
    tasks.spawn("keep", OnError::ShutDown, keeper.run(to_keep, kept));
    let acknowledger = Acknowledger {
        client: client.clone(),
        js: js.clone(),
        store: store.clone(),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    };
    tasks.spawn("acknowledge", OnError::ShutDown, acknowledger.run(to_answer));
    let outbox = Outbox { js, store: store.clone(), metrics: metrics.clone() };
    tasks.spawn("outbox", OnError::ShutDown, outbox.run(shutdown.clone()));
    let hand_over = HandOver {
        store: store.clone(),
        sink: config.sink,
        maker,
        registry: registry.clone(),
        hint,
        metrics: metrics.clone(),
    };
    // Without its sink a bridge would receipt and hand nothing over: it ends loudly and is started again.
    tasks.spawn("hand over", OnError::ShutDown, hand_over.run(shutdown.clone()));
    if let Some(listen) = config.http_listen {
        let window = Window { client: client.clone(), link, store, registry, metrics, began: Instant::now() };
        tasks.spawn("http", OnError::ShutDown, http::serve(window, listen, shutdown));
    }
    tracing::info!(subscriber = %me, "bridge runs");
    let well = tasks.run().await;
    connect::close(&client).await;
    Ok(well)
}

/// How this subscriber logs in.
pub fn login(config: &Config) -> Login<'_> {
    Login {
        url: &config.nats_url,
        name: format!("sallyport-subscriber {}", config.me),
        seed: &config.connect_seed,
        inbox_prefix: subject::inbox_of_subscriber(&config.me),
        js_api: Some(subject::SUBSCRIBER_JS_API),
    }
}
