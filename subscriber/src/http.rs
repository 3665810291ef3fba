//! `/healthz` and `/metrics` on a loopback port: whether notices get here and answers get away, in figures.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use async_nats::{Client, connection::State};
use axum::{Json, Router, extract::State as Extract, http::StatusCode, response::IntoResponse, routing::get};
use sallyport_link::{clock, connect::LinkCounters, guard::guarded, publish, registry::too_old};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    BUILD,
    metrics::{Look, Metrics},
    store::{SILENT_AFTER, Shared, Store, StoreError},
    trust::Current,
};

/// A receipt that the broker has not stored for so long endangers the RECEIVED deadline (30 s by default).
const OUTBOX_AGE_MAX_S: i64 = 20;

/// What there is to look at.
#[derive(Clone)]
pub struct Window {
    /// The link.
    pub client: Client,
    /// What went wrong on it.
    pub link: Arc<LinkCounters>,
    /// Backlogs.
    pub store: Shared,
    /// Keys in force.
    pub registry: Current,
    /// Counts.
    pub metrics: Metrics,
    /// A bridge that began a moment ago has heard no head yet.
    pub began: Instant,
}

/// Serves until shutdown.
pub async fn serve(window: Window, listen: SocketAddr, shutdown: CancellationToken) -> std::io::Result<()> {
    let routes =
        Router::new().route("/healthz", get(health)).route("/metrics", get(metrics)).with_state(window);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let listen = listener.local_addr().unwrap_or(listen);
    tracing::info!(%listen, "/metrics and /healthz");
    axum::serve(listener, guarded(routes)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn health(Extract(window): Extract<Window>) -> impl IntoResponse {
    let look = match window.look().await {
        Ok(look) => look,
        Err(error) => {
            let why = publish::chain(&error);
            return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "healthy": false, "store": why })));
        }
    };
    let healthy = look.connected
        && look.outbox_oldest_seconds <= OUTBOX_AGE_MAX_S
        && !(look.reach.silent && window.began.elapsed() >= SILENT_AFTER)
        && !look.reach.alarm
        && !look.reach.lost;
    let body = json!({
        "healthy": healthy,
        "connected": look.connected,
        "registry_version": look.registry_version,
        // No reason to be unwell: whoever restarts what is not healthy would end a bridge that does not start again.
        "below_minimum_version": look.too_old.map(|why| why.to_string()),
        "receipts_waiting": look.outbox_waiting,
        "receipts_oldest_s": look.outbox_oldest_seconds,
        "sink_waiting": look.sink_waiting,
        "sink_oldest_s": look.sink_oldest_seconds,
        "relay_head_age_s": look.reach.head_age_s,
        "relay_silent": look.reach.silent,
        "missing": look.reach.missing,
        "relay_made_anew": look.reach.made_anew,
        "not_at_relay": look.reach.not_there,
        "owed": look.reach.owed,
        "lost": look.reach.lost,
        "sink_breaker": if look.sink_breaker_open_seconds.is_some() { "open" } else { "closed" },
        "sink_breaker_open_s": look.sink_breaker_open_seconds,
    });
    (if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

async fn metrics(Extract(window): Extract<Window>) -> Result<impl IntoResponse, StatusCode> {
    let look = window.look().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let text = window.metrics.text(look, &window.link).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

impl Window {
    async fn look(&self) -> Result<Look, StoreError> {
        let now = clock::now();
        let backlogs = move |store: &mut Store| {
            Ok((
                store.sink_backlog()?,
                store.outbox_backlog()?,
                store.reach(now)?,
                store.breaker_open_since()?,
            ))
        };
        let (sink, outbox, reach, breaker) = self.store.with(backlogs).await?;
        let now = crate::store::micros(now);
        let (registry_version, too_old) = {
            let registry = self.registry.borrow();
            (registry.version, too_old(&registry, BUILD))
        };
        let age = |since: Option<i64>| since.map_or(0, |since| (now - since).max(0) / 1_000_000);
        Ok(Look {
            connected: self.client.connection_state() == State::Connected,
            registry_version,
            too_old,
            sink_waiting: sink.0,
            sink_oldest_seconds: age(sink.1),
            sink_breaker_open_seconds: breaker.map(|since| age(Some(crate::store::micros(since)))),
            outbox_waiting: outbox.0,
            outbox_oldest_seconds: age(outbox.1),
            reach,
        })
    }
}
