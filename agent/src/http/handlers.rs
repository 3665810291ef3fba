//! What each address of the interface does. Nothing waits for more than the local fsync.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use sallyport_link::{clock, publish::chain, registry::too_old};
use sallyport_proto::ids::SubscriberId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Interface, UNANSWERED_TOO_LONG};
use crate::{
    intake::{BUILD, EventStatus, ExportOptions, IntakeError, PingError},
    status::{self, Vitals},
    store::{Reader, StoreError},
};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// One event or an array of them; 200 when all are stored, 400 when one is wrong (the good ones are stored).
pub(super) async fn events(
    State(at): State<Interface>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let began = std::time::Instant::now();
    expect(&headers, JSON)?;
    let value: Value = serde_json::from_slice(&body).map_err(|error| {
        Failure(
            StatusCode::BAD_REQUEST,
            format!("not JSON: line {}, column {}", error.line(), error.column()),
        )
    })?;
    let (many, values) = match value {
        Value::Array(values) => (true, values),
        one => (false, vec![one]),
    };
    let mut answers = at.intake.events(values).await?;
    at.metrics.accept_took(began.elapsed());
    let all_good = answers.iter().all(|answer| answer.status != EventStatus::Refused);
    let code = if all_good { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(match (many, answers.pop()) {
        (false, Some(answer)) => (code, Json(answer)).into_response(),
        (_, last) => {
            answers.extend(last);
            (code, Json(answers)).into_response()
        }
    })
}

#[derive(Deserialize)]
pub(super) struct ExportQuery {
    as_of: Timestamp,
    #[serde(default)]
    backfill: bool,
    #[serde(default)]
    retract: bool,
    #[serde(default)]
    lift_floor: bool,
}

/// A whole export as the body; its summary when everything in it is stored or kept aside.
pub(super) async fn exports(
    State(at): State<Interface>,
    Query(query): Query<ExportQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    expect(&headers, BYTES)?;
    let ExportQuery { as_of, backfill, retract, lift_floor } = query;
    let options = ExportOptions { as_of, backfill, retract, lift_floor };
    let summary = at.intake.export(body, options).await?;
    Ok(Json(summary).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PingBody {
    subscriber: SubscriberId,
}

/// Stores a ping; what comes back is in the status of its event.
pub(super) async fn pings(
    State(at): State<Interface>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    expect(&headers, JSON)?;
    let body: PingBody = serde_json::from_slice(&body)
        .map_err(|_| Failure(StatusCode::BAD_REQUEST, "not {\"subscriber\": ID}".to_owned()))?;
    let pinged = at.intake.ping(body.subscriber).await?;
    Ok(Json(pinged).into_response())
}

/// The outbox at a glance.
pub(super) async fn status(State(at): State<Interface>) -> Result<Response, Failure> {
    let mut overview = status::overview(&reader(&at)?, clock::now())?;
    overview.vitals.connected = Some(is_connected(&at));
    Ok(Json(overview).into_response())
}

/// One event.
pub(super) async fn status_of(
    State(at): State<Interface>,
    Path(event): Path<String>,
) -> Result<Response, Failure> {
    match status::event(&reader(&at)?, &event)? {
        Some(view) => Ok(Json(view).into_response()),
        None => Err(Failure(StatusCode::NOT_FOUND, "no such event, or more than one begins so".to_owned())),
    }
}

/// Whether events can be stored and are answered: not merely whether the process lives.
pub(super) async fn health(State(at): State<Interface>) -> Result<Response, Failure> {
    let vitals = vitals(&at)?;
    let waits_too_long =
        vitals.outbox_oldest_age_s.is_some_and(|age| age > UNANSWERED_TOO_LONG.as_secs_f64());
    let (code, word) = match waits_too_long {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "events wait for an answer of the relay"),
    };
    // No reason to be unwell: whoever restarts what is not healthy would end an agent that does not start again.
    let too_old = too_old(&at.intake.registry_now(), BUILD).map(|why| why.to_string());
    let body = json!({ "status": word, "vitals": vitals, "below_minimum_version": too_old });
    Ok((code, Json(body)).into_response())
}

/// Prometheus text.
pub(super) async fn metrics(State(at): State<Interface>) -> Result<Response, Failure> {
    let text = at
        .metrics
        .export(&vitals(&at)?)
        .map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn reader(at: &Interface) -> Result<Reader, StoreError> {
    at.intake.store().reader()
}

fn vitals(at: &Interface) -> Result<Vitals, StoreError> {
    let mut vitals = status::vitals(&reader(at)?, clock::now())?;
    vitals.connected = Some(is_connected(at));
    Ok(vitals)
}

fn is_connected(at: &Interface) -> bool {
    at.client.connection_state() == async_nats::connection::State::Connected
}

/// A form in a page can send only the types that need no permission: none of ours.
fn expect(headers: &HeaderMap, kind: &'static str) -> Result<(), Failure> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if given.eq_ignore_ascii_case(kind) {
        return Ok(());
    }
    Err(Failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Content-Type must be {kind}")))
}

/// An answer that is not the one asked for, in words, as JSON.
pub(super) struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.0.is_server_error() {
            tracing::error!(status = self.0.as_u16(), error = self.1, "a request failed");
        }
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        // Nothing was stored: the caller may send the same again.
        Self(StatusCode::SERVICE_UNAVAILABLE, chain(&error))
    }
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Self {
        let code = match &error {
            IntakeError::NoMapping => StatusCode::CONFLICT,
            IntakeError::Unreadable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            IntakeError::Reading => StatusCode::INTERNAL_SERVER_ERROR,
            IntakeError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            IntakeError::TooMany { .. } | IntakeError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self(code, chain(&error))
    }
}

impl From<PingError> for Failure {
    fn from(error: PingError) -> Self {
        let code = match &error {
            PingError::NotAllowed | PingError::NoAgreement => StatusCode::FORBIDDEN,
            PingError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self(code, chain(&error))
    }
}
