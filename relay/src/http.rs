//! `/metrics` and `/healthz`, on loopback. Healthy means that the relay delivers, not that its process lives: the
//! connection is up, the fold moves, and nobody's oldest undelivered notice stands still.
//!
//! Out of scope: what counts as standing still (`track::watch`), pages for people.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use async_nats::{Client, connection::State as Connection};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::{SignedDuration, Timestamp};
use sallyport_link::{clock, guard::guarded, registry::too_old};
use sallyport_proto::{
    ids::{Ori, SubscriberId},
    registry::Registry,
};
use sallyport_relay_core::ledger::Stream;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    mend::{Missing, SILENT_NAMED_MAX, Silent},
    metrics::Metrics,
    node::BUILD,
    track::store::Positions,
};

/// A message of a jail waits so long for its answer before intake counts as standing still: several ack_waits, and leader
/// changes.
const UNANSWERED_AFTER: SignedDuration = SignedDuration::from_secs(40);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A subscriber whose oldest notice stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stalled {
    /// Who.
    pub subscriber: SubscriberId,
    /// Notices of which facility.
    pub ori: Ori,
    /// How many wait.
    pub pending: u64,
    /// Age of the oldest.
    pub oldest_age_s: i64,
}

/// What the fold last saw; shared with `/healthz`.
#[derive(Debug, Default)]
pub struct Health {
    seen: Mutex<Option<Seen>>,
    compared: Mutex<Compared>,
}

/// What the comparison with the jails last said.
#[derive(Debug, Default, Clone)]
pub(crate) struct Compared {
    pub(crate) missing: Vec<Missing>,
    pub(crate) silent: Vec<Silent>,
}

#[derive(Debug)]
struct Seen {
    positions: Positions,
    unanswered: (u64, Option<Timestamp>),
    stalled: Vec<Stalled>,
}

impl Health {
    /// The fold looked at its model.
    pub(crate) fn seen(
        &self,
        positions: Positions,
        unanswered: (u64, Option<Timestamp>),
        stalled: Vec<Stalled>,
    ) {
        let seen = Seen { positions, unanswered, stalled };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    /// The mend compared.
    pub(crate) fn compared(&self, compared: Compared) {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = compared;
    }

    /// The judgement at `now`.
    pub fn judge(&self, connected: bool, now: Timestamp) -> Verdict {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = Stream::ALL.iter().filter(|stream| {
            let position = seen.as_ref().and_then(|seen| seen.positions.get(stream));
            position.is_none_or(|position| !position.is_whole(now))
        });
        let stale_streams: Vec<&'static str> = stale.map(|stream| stream.name()).collect();
        let (unanswered, oldest) = seen.as_ref().map(|seen| seen.unanswered).unwrap_or_default();
        let intake_stalled = oldest.is_some_and(|at| now.duration_since(at) > UNANSWERED_AFTER);
        let stalled = seen.as_ref().map(|seen| seen.stalled.clone()).unwrap_or_default();
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lost = compared.missing.iter().any(|missing| missing.kept);
        let silent_facilities = compared.silent.len();
        let silent = compared.silent.into_iter().take(SILENT_NAMED_MAX).collect();
        Verdict {
            healthy: connected && stale_streams.is_empty() && !intake_stalled && stalled.is_empty() && !lost,
            connected,
            stale_streams,
            unanswered,
            intake_stalled,
            stalled,
            missing: compared.missing,
            silent_facilities,
            silent,
        }
    }
}

/// Whether the relay delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// All of the below is well.
    pub healthy: bool,
    /// The connection to NATS is up.
    pub connected: bool,
    /// Streams of which the read model was not known to be whole within the last 30 s.
    pub stale_streams: Vec<&'static str>,
    /// Messages of jails without an answer.
    pub unanswered: u64,
    /// The oldest of them waits for too long.
    pub intake_stalled: bool,
    /// Whose oldest notice stands still.
    pub stalled: Vec<Stalled>,
    /// What jails numbered and the streams do not hold. Not well while a jail may still have any of it: what nobody keeps
    /// any more stays named, and a person decides.
    pub missing: Vec<Missing>,
    /// Facilities without a heartbeat: no fault of the relay's, so no reason to be unwell.
    pub silent_facilities: usize,
    /// The first of them by name.
    pub silent: Vec<Silent>,
}

/// What `/healthz` answers.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    verdict: Verdict,
    /// The registry in force asks for a newer relay. No reason to be unwell: whoever restarts what is not healthy would end
    /// a node that does not start again.
    below_minimum_version: Option<String>,
}

/// What the pages need.
#[derive(Clone)]
pub struct Pages {
    /// The node's connection.
    pub client: Client,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// What its fold saw.
    pub health: Arc<Health>,
    /// The registry in force.
    pub registry: Arc<ArcSwap<Registry>>,
}

/// Why the pages are not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Anyone on the network could read them.
    #[error("{0} is not a loopback address: /metrics and /healthz are served on loopback only")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {listen}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Serving ended.
    #[error("serving /metrics and /healthz")]
    Serve(#[source] std::io::Error),
}

/// Serves until shutdown.
pub async fn run(listen: SocketAddr, pages: Pages, shutdown: CancellationToken) -> Result<(), Error> {
    if !listen.ip().is_loopback() {
        return Err(Error::NotLoopback(listen));
    }
    let listener =
        tokio::net::TcpListener::bind(listen).await.map_err(|source| Error::Listen { listen, source })?;
    let listen = listener.local_addr().unwrap_or(listen);
    tracing::info!(%listen, "/metrics and /healthz");
    axum::serve(listener, router(pages))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(Error::Serve)
}

fn router(pages: Pages) -> Router {
    guarded(Router::new().route("/metrics", get(metrics)).route("/healthz", get(healthz)).with_state(pages))
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.export() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn healthz(State(pages): State<Pages>) -> Response {
    let connected = pages.client.connection_state() == Connection::Connected;
    let verdict = pages.health.judge(connected, clock::now());
    let status = if verdict.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let below_minimum_version = too_old(&pages.registry.load(), BUILD).map(|why| why.to_string());
    (status, axum::Json(Answer { verdict, below_minimum_version })).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::track::store::Position;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn whole(age_s: i64) -> Positions {
        let whole_at = Some(now() - SignedDuration::from_secs(age_s));
        let position = Position { created: "x".into(), sequence: 1, stored: None, whole_at };
        Stream::ALL.iter().map(|stream| (*stream, position.clone())).collect()
    }

    fn judged(connected: bool, change: impl FnOnce(&Health)) -> Verdict {
        let health = Health::default();
        health.seen(whole(1), (0, None), Vec::new());
        change(&health);
        health.judge(connected, now())
    }

    #[test]
    fn a_relay_that_delivers_is_healthy() {
        assert!(judged(true, |_| {}).healthy);
        let fresh = |health: &Health| health.seen(whole(1), (3, Some(now())), Vec::new());
        assert!(judged(true, fresh).healthy, "work that has just come is no fault");
    }

    #[test]
    fn a_lost_connection_is_not_healthy() {
        assert!(!judged(false, |_| {}).healthy);
    }

    #[test]
    fn a_fold_that_was_never_seen_or_stands_still_is_not_healthy() {
        let never = Health::default().judge(true, now());
        assert_eq!((never.healthy, never.stale_streams.len()), (false, Stream::ALL.len()));
        assert!(!judged(true, |health| health.seen(whole(31), (0, None), Vec::new())).healthy);
        let one_missing = |health: &Health| {
            let mut positions = whole(1);
            positions.remove(&Stream::Receipts);
            health.seen(positions, (0, None), Vec::new());
        };
        assert_eq!(judged(true, one_missing).stale_streams, ["RECEIPTS"]);
    }

    #[test]
    fn undelivered_work_that_stands_still_is_named() {
        let stalled = Stalled {
            subscriber: "fed-a".parse().unwrap(),
            ori: "zz0010000".parse().unwrap(),
            pending: 3,
            oldest_age_s: 61,
        };
        let verdict = judged(true, |health| health.seen(whole(1), (0, None), vec![stalled.clone()]));
        assert_eq!((verdict.healthy, verdict.stalled), (false, vec![stalled]));
    }

    #[test]
    fn missing_events_are_named_and_unwell_while_a_jail_has_them_and_a_silent_jail_is_only_named() {
        let missing = Missing {
            ori: "zz0010000".parse().unwrap(),
            epoch: "e1".into(),
            seqs: "4-6".into(),
            count: 3,
            kept: true,
        };
        let silent = Silent { ori: "zz0010000".parse().unwrap(), heartbeat_age_s: Some(200) };
        let both = Compared { missing: vec![missing.clone()], silent: vec![silent.clone()] };
        let verdict = judged(true, |health| health.compared(both));
        assert_eq!((verdict.healthy, &verdict.missing[..]), (false, &[missing.clone()][..]));
        let missing = vec![Missing { kept: false, ..missing }];
        let rest = Compared { missing: missing.clone(), silent: vec![silent.clone(); SILENT_NAMED_MAX + 1] };
        let verdict = judged(true, |health| health.compared(rest));
        assert_eq!((verdict.healthy, &verdict.missing), (true, &missing));
        assert_eq!(
            (verdict.silent_facilities, verdict.silent.len()),
            (SILENT_NAMED_MAX + 1, SILENT_NAMED_MAX)
        );
    }

    #[test]
    fn messages_of_jails_without_an_answer_are_not_healthy_for_long() {
        let oldest = now() - SignedDuration::from_secs(41);
        let verdict = judged(true, |health| health.seen(whole(1), (1, Some(oldest)), Vec::new()));
        assert_eq!((verdict.healthy, verdict.intake_stalled, verdict.unanswered), (false, true, 1));
    }
}
