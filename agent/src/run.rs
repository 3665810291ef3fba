//! The running agent: opens the store, connects, starts every task under supervision, and ends in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sallyport_link::{
    clock,
    connect::{self, LinkCounters, Login},
    lock::LockError,
    publish::chain,
    registry::{self, FloorError, TooOld},
    tasks::{OnError, Tasks},
};
use sallyport_proto::{registry::Registry, subject};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    answers::{Answers, CatchUp},
    config::Config,
    drop_folder::DropFolder,
    heartbeat::Pulse,
    http::{self, Interface},
    intake::{BUILD, Intake},
    metrics::Metrics,
    publish::Publisher,
    store::{self, Kind, Store, StoreError, prune},
};

/// Closed rows are looked through this often; one that is an hour over its time hurts nobody.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// A large export is stored in this time; the jail's service manager waits longer.
const COMMAND_ENDS_WITHIN: Duration = Duration::from_secs(30);
/// Between two tries for the lock.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store; another agent may hold it.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// An older registry than this agent had in force, or its version cannot be kept.
    #[error(transparent)]
    Registry(#[from] FloorError),
    /// The registry asks for a newer program.
    #[error(transparent)]
    TooOld(#[from] TooOld),
    /// The lock file.
    #[error("cannot say where the agent listens")]
    Lock(#[from] LockError),
    /// The HTTP port is taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection cannot be made at all; a server that is only away is waited for.
    #[error("cannot connect to {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The subscription cannot be made.
    #[error("cannot subscribe to the answers")]
    Subscribe(#[from] async_nats::SubscribeError),
}

/// Runs until a signal or a failing task; gives whether it ended well.
pub async fn run(config: Config) -> Result<bool, StartError> {
    registry::lets_start(&config.registry_at_start, BUILD)?;
    let facility = config.facility.clone();
    let (store, mut writer) = open_store(&config).await?;
    let keeper =
        registry::Keeper::new(config.registry.clone(), &config.store_dir, &config.registry_at_start)?;
    let counters = Arc::new(LinkCounters::default());
    let metrics = Arc::new(Metrics::new(counters.clone()));
    let (in_force, registry) = watch::channel(Arc::new(config.registry_at_start.clone()));
    let intake = Intake::new(&config, store.clone(), registry.clone(), metrics.clone());
    let shutdown = CancellationToken::new();
    let (st, ori) = (&facility.jurisdiction, &facility.ori);

    let (client, js) = connect::connect(login(&config), counters.clone())
        .await
        .map_err(|source| StartError::Connect { url: config.nats_url.clone(), source })?;
    // Before the first catch-up: what is answered while that one is read arrives here.
    let live = client.subscribe(subject::notify_answers(st, ori)).await?;

    let mut tasks = Tasks::new(shutdown.clone());
    if let Some(address) = config.http {
        let listener = http::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let bound = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let interface =
            Interface { intake: intake.clone(), metrics: metrics.clone(), client: client.clone() };
        tasks.spawn("http", OnError::ShutDown, http::run(interface, listener, shutdown.clone()));
        writer.publish_address(bound)?;
        tracing::info!(address = %bound, "listening");
    }
    let answers = Answers {
        ori: ori.clone(),
        store: store.clone(),
        known: Arc::new(store.reader()?),
        registry,
        metrics: metrics.clone(),
    };
    tasks.spawn("answers", OnError::ShutDown, answers.clone().run(live, shutdown.clone()));
    let catch_up = CatchUp {
        answers,
        client: client.clone(),
        instance: facility.instance.clone(),
        subject: subject::notify_catchup(st, ori),
        connects: counters.connects.subscribe(),
        shutdown: shutdown.clone(),
    };
    tasks.spawn("catch-up", OnError::ShutDown, catch_up.run());
    let pulse = Pulse {
        store: store.clone(),
        client: client.clone(),
        js: js.clone(),
        facility: facility.clone(),
        traffic: config.traffic.clone(),
        every: config.heartbeat_every,
        connects: counters.connects.subscribe(),
        shutdown: shutdown.clone(),
    };
    // A jail without heartbeats looks silent; its events go on.
    tasks.spawn("heartbeat", OnError::GoOn, pulse.run());
    let publisher = Publisher {
        store: store.clone(),
        client: client.clone(),
        js,
        subject: subject::notify_release(st, ori),
        counters,
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    };
    tasks.spawn("publish", OnError::ShutDown, publisher.run());
    metrics.registry(&in_force.borrow());
    let put = move |new: Registry| {
        metrics.registry(&new);
        in_force.send_replace(Arc::new(new));
    };
    tasks.spawn("registry", OnError::ShutDown, keeper.run(|_| Ok(()), put, shutdown.clone()));
    if let Some(dir) = &config.intake.drop_dir {
        let folder = DropFolder {
            dir: dir.clone(),
            rescan: config.intake.rescan,
            quiet: config.intake.quiet,
            intake: intake.clone(),
            shutdown: shutdown.clone(),
        };
        tasks.spawn("drop-folder", OnError::ShutDown, folder.run());
    }
    tasks.spawn("prune", OnError::GoOn, prune_now_and_then(store, shutdown));
    tracing::info!(facility = ori.as_str(), traffic = config.traffic.kind().as_str(), "agent runs");

    drop(intake);
    let well = tasks.run().await;
    connect::close(&client).await;
    writer.close();
    Ok(well)
}

/// How this agent logs in.
pub(crate) fn login(config: &Config) -> Login<'_> {
    let facility = &config.facility;
    Login {
        url: &config.nats_url,
        name: format!("sallyport-agent-{}", facility.ori),
        seed: &facility.connect.0,
        inbox_prefix: subject::inbox_of_agent(&facility.jurisdiction, &facility.ori),
        js_api: None,
    }
}

/// A command that is storing a file holds the lock for a moment and does not listen: it is waited for. Another agent
/// says where it listens, and is not.
async fn open_store(config: &Config) -> Result<(Store, store::WriterThread), StoreError> {
    let facility = &config.facility;
    let deadline = tokio::time::Instant::now() + COMMAND_ENDS_WITHIN;
    loop {
        match store::open(&config.store_dir, &facility.instance, &facility.ori) {
            Err(StoreError::Taken { .. })
                if store::holder(&config.store_dir).is_none() && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            other => return other,
        }
    }
}

async fn prune_now_and_then(store: Store, shutdown: CancellationToken) -> Result<(), StoreError> {
    let mut every = tokio::time::interval(PRUNE_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        loop {
            match store.write(Kind::Upkeep, |connection| prune(connection, clock::now())).await {
                Ok(0) => break,
                Ok(rows) => tracing::info!(rows, "pruned closed events"),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "closed events were not pruned; trying again in an hour");
                    break;
                }
            }
        }
    }
}
