//! How the bridge stands, by its store: what waits, and what the relay says of our notices. Works while the bridge runs
//! and while it does not.

use jiff::Timestamp;
use serde::Serialize;

use crate::store::{Reach, Store, StoreError, micros};

/// What `status` prints. No person data.
#[derive(Debug, Serialize)]
pub(super) struct State {
    /// Receipts that the broker has not stored.
    receipts_waiting: i64,
    /// Age of the oldest of them, seconds.
    receipts_oldest_s: i64,
    /// Notices that wait for the application.
    sink_waiting: i64,
    /// Age of the oldest of them, seconds.
    sink_oldest_s: i64,
    /// For how long the application is down and left alone, but for one notice now and then; none: it is not.
    sink_breaker_open_s: Option<i64>,
    /// What the relay says of our notices, and what came.
    relay: Reach,
}

impl State {
    pub(super) fn of(store: &Store, now: Timestamp) -> Result<Self, StoreError> {
        let (sink, outbox) = (store.sink_backlog()?, store.outbox_backlog()?);
        let age = |since: Option<i64>| since.map_or(0, |since| (micros(now) - since).max(0) / 1_000_000);
        Ok(Self {
            receipts_waiting: outbox.0,
            receipts_oldest_s: age(outbox.1),
            sink_waiting: sink.0,
            sink_oldest_s: age(sink.1),
            sink_breaker_open_s: store.breaker_open_since()?.map(|since| age(Some(micros(since)))),
            relay: store.reach(now)?,
        })
    }

    /// For a person.
    pub(super) fn in_words(&self) -> String {
        let Reach { head_age_s, silent, rank, missing, alarm, since, through, .. } = &self.relay;
        let relay = match head_age_s {
            None => "relay     it never said how many notices there are".to_owned(),
            Some(age) if *silent => {
                format!("relay     SILENT for {age} s: nobody knows whether notices wait there")
            }
            Some(age) => format!("relay     heard {age} s ago; {rank} notices so far"),
        };
        let reach = match (missing, alarm) {
            (0, _) => "missing   none".to_owned(),
            (missing, false) => format!("missing   {missing} on their way, or lost"),
            (missing, true) => {
                format!(
                    "missing   {missing} NEVER CAME, behind sequence {since} up to {through}: ask the relay's operator for an audit"
                )
            }
        };
        let anew = anew(&self.relay).map_or_else(String::new, |text| format!("\n{text}"));
        let down = self.sink_breaker_open_s.map_or_else(String::new, |s| format!(", DOWN for {s} s"));
        format!(
            "receipts  {} wait, the oldest for {} s\nsink      {} wait, the oldest for {} s{down}\n{relay}\n{reach}{anew}",
            self.receipts_waiting, self.receipts_oldest_s, self.sink_waiting, self.sink_oldest_s
        )
    }
}

/// What the relay's stream lost, in words; none while it is the one that it always was.
fn anew(relay: &Reach) -> Option<String> {
    let at = relay.made_anew?.strftime("%F %TZ");
    let Reach { not_there, owed, acknowledged, .. } = relay;
    if not_there + owed == 0 {
        return Some(format!(
            "stream    the relay's count began anew at {at}; all that we know of is on its stream"
        ));
    }
    let mut what = Vec::new();
    if *not_there > 0 {
        what.push(format!("we hold {not_there} notices that it does not hold"));
    }
    if *owed > 0 {
        what.push(format!("{owed} notices that we were told of before never came"));
    }
    let what = what.join(", and ");
    Some(if *acknowledged {
        format!("stream    the relay's stream was made anew or cut short at {at}; {what} (acknowledged)")
    } else {
        format!(
            "stream    THE RELAY'S STREAM WAS MADE ANEW or cut short at {at}: {what}. Ask the relay's operator; once you know \
             enough: `sallyport-subscriber acknowledge-stream`"
        )
    })
}
