//! `ping SUBSCRIBER`: an empty event, the whole way there and back, with its times.

use std::time::Duration;

use sallyport_link::exit;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    complain,
    door::{Client, DoorError},
    fail, ingest, say, say_json,
};
use crate::{
    config::Config,
    intake::Pinged,
    status::{EventView, event},
    store::{self, Reader, StoreError, database},
};

/// Between two looks at the store; short against anything that is measured here, which comes from recorded times.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The figures of one ping. Microseconds, by the jail's own clock unless the name says otherwise.
#[derive(Serialize)]
struct Figures {
    event_id: String,
    subscriber: String,
    /// From the request to the disk.
    stored_us: u64,
    /// From the disk to the signed Acceptance.
    accepted_us: Option<i64>,
    /// From handing it to the broker to their machine, as two clocks state it; may be negative.
    received_two_clocks_us: Option<i64>,
    /// From handing it to the broker to holding their signed receipt: bounds the way there.
    whole_way_back_us: Option<i64>,
    /// Whether the receipt came in time.
    received: bool,
}

pub(super) async fn run(config: Config, subscriber: String, timeout_s: u64, json: bool) -> u8 {
    let Some(address) = store::holder(&config.store_dir) else {
        complain("no agent runs here with an [http] section: nobody could send a ping");
        return exit::UNAVAILABLE;
    };
    let body = serde_json::json!({ "subscriber": subscriber }).to_string();
    let pinged: Pinged =
        match Client::new(address).post("/v1/pings", "application/json", body.as_bytes(), &[]) {
            Ok(pinged) => pinged,
            Err(error @ DoorError::Refused { status: 400 | 403, .. }) => return fail(exit::FAILED, &error),
            Err(error) => return ingest::code(&error),
        };
    let view = match wait_for_receipt(&config, &pinged.event_id, Duration::from_secs(timeout_s)).await {
        Ok(view) => view,
        Err(error) => return fail(exit::UNAVAILABLE, &error),
    };
    let figures = figures(pinged, subscriber, view.as_ref());
    if json {
        say_json(&figures);
    } else {
        say(&text(&figures, view.as_ref()));
    }
    if figures.received { exit::OK } else { exit::STALLED }
}

/// The event as it stands when its receipt is there, or when the time is over.
async fn wait_for_receipt(
    config: &Config,
    id: &str,
    timeout: Duration,
) -> Result<Option<EventView>, StoreError> {
    let reader = Reader::open(&database(&config.store_dir))?;
    let deadline = Instant::now() + timeout;
    loop {
        let view = event(&reader, id)?;
        let done = view.as_ref().is_some_and(|view| {
            view.status == "refused" || view.recipients.iter().any(|r| r.received.is_some())
        });
        // The Acceptance may still be on its way when the receipt is here already.
        let whole = done && view.as_ref().is_some_and(|view| view.closed.is_some());
        if whole || Instant::now() >= deadline {
            return Ok(view);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn figures(pinged: Pinged, subscriber: String, view: Option<&EventView>) -> Figures {
    let recipient = view.and_then(|view| view.recipients.first());
    Figures {
        event_id: pinged.event_id,
        subscriber,
        stored_us: pinged.stored_us,
        accepted_us: view.and_then(|view| view.acceptance_us),
        received_two_clocks_us: recipient.and_then(|r| r.one_way_two_clocks_us),
        whole_way_back_us: recipient.and_then(|r| r.round_trip_us),
        received: recipient.is_some_and(|r| r.received.is_some()),
    }
}

fn text(figures: &Figures, view: Option<&EventView>) -> String {
    let millis = |us: Option<i64>| {
        us.map_or_else(|| "not yet".to_owned(), |us| format!("{}.{:03} ms", us / 1_000, (us % 1_000).abs()))
    };
    let mut text = format!(
        "ping to {} ({})\n  stored      {}\n  accepted    {}\n  received    {} (two clocks)\n  whole way   {} (there and back, one clock)\n",
        figures.subscriber,
        figures.event_id,
        millis(i64::try_from(figures.stored_us).ok()),
        millis(figures.accepted_us),
        millis(figures.received_two_clocks_us),
        millis(figures.whole_way_back_us),
    );
    if !figures.received {
        let routing = view.and_then(|view| view.recipients.first()).map_or("unknown", |r| r.routing);
        let status = view.map_or("not stored", |view| view.status.as_str());
        text.push_str(&format!("no receipt yet: the event is {status}, {routing}\n"));
    }
    text
}
