//! The agent's loopback interface: events and exports in, health, metrics and status out. Loopback only, and only for
//! programs: a page in a browser can neither state an event nor read one.
//!
//! What an event means is `intake`; the jail's own page comes later.

mod handlers;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use sallyport_link::{guard::guarded, tasks::GRACE};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{intake::Intake, metrics::Metrics};

/// 500 events of 16 KiB.
const EVENTS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// As large as a dropped file may be.
const EXPORT_BYTES_MAX: usize = crate::intake::EXPORT_BYTES_MAX as usize;
/// With events older than this unanswered, `/healthz` says that delivery does not work.
pub(crate) const UNANSWERED_TOO_LONG: Duration = Duration::from_secs(120);

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Interface {
    pub(crate) intake: Intake,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) client: async_nats::Client,
}

/// Opens the port.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until shutdown; requests in work are answered.
pub(crate) async fn run(
    interface: Interface,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), std::io::Error> {
    let stop = shutdown.clone();
    let serving = axum::serve(listener, router(interface))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        served = serving => served,
        // A client that keeps its connection open does not keep the agent from ending.
        () = async { shutdown.cancelled().await; tokio::time::sleep(GRACE / 2).await } => Ok(()),
    }
}

pub(crate) fn router(interface: Interface) -> Router {
    let routes = Router::new()
        .route("/v1/events", post(handlers::events).layer(DefaultBodyLimit::max(EVENTS_BYTES_MAX)))
        .route("/v1/exports", post(handlers::exports).layer(DefaultBodyLimit::max(EXPORT_BYTES_MAX)))
        .route("/v1/pings", post(handlers::pings))
        .route("/v1/status", get(handlers::status))
        .route("/v1/status/{event}", get(handlers::status_of))
        .route("/healthz", get(handlers::health))
        .route("/metrics", get(handlers::metrics))
        .with_state(interface);
    guarded(routes)
}
