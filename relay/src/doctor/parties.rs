//! Who would not start again: jails and agencies whose programs are below the registry's version floor, by the build that
//! stands in what they signed last. What they say counts all the same (docs/adr/0008).
//!
//! Out of scope: this node's own version (`sallyport_link::doctor::version`); the other nodes, each of which says it of
//! itself.

use std::{fmt::Write, time::Duration};

use async_nats::jetstream::{self, stream::LastRawMessageErrorKind};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use sallyport_link::{
    doctor::{Code, Finding},
    publish::chain,
};
use sallyport_proto::{
    operations::Heartbeat,
    receipt::Receipt,
    registry::{Facility, Registry, Subscriber},
    subject::{self, ReceiptKind},
    version::{BuildVersion, Version},
};

/// Reads of one message each, at the same time.
const AT_ONCE: usize = 32;
/// All of them. One message each: it takes longer only where the server does not answer.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);
/// The others are counted.
const NAMED_MAX: usize = 20;

enum Party<'r> {
    Facility(&'r Facility),
    Subscriber(&'r Subscriber),
}

/// A party that is behind.
#[derive(Debug, PartialEq, Eq)]
struct Behind {
    name: String,
    build: String,
    stored: Timestamp,
}

/// What is known of one party.
enum Known {
    Behind(Behind),
    Well,
    /// It never spoke, or what it said last names no version.
    Nothing,
}

/// Looks at what every party said last, if the registry has a floor at all.
pub(super) async fn look(client: &async_nats::Client, registry: &Registry) -> Option<Finding> {
    let minimum = registry.minimum_version?;
    let js = jetstream::new(client.clone());
    let facilities = registry.facilities.values().map(Party::Facility);
    let parties = facilities.chain(registry.subscribers.values().map(Party::Subscriber));
    let asked = stream::iter(parties).map(|party| known(&js, party, minimum)).buffered(AT_ONCE).collect();
    let all: Result<Vec<Result<Known, String>>, _> = tokio::time::timeout(LOOK_DEADLINE, asked).await;
    let (mut behind, mut unknown) = (Vec::new(), 0);
    for known in all.unwrap_or_else(|_| vec![Err("no answer in time".into())]) {
        match known {
            Ok(Known::Behind(party)) => behind.push(party),
            Ok(Known::Well) => {}
            Ok(Known::Nothing) => unknown += 1,
            Err(why) => {
                return Some(Finding::not_seen(
                    Code::NoAnswer,
                    format!("which versions jails and agencies run is not known: {why}"),
                    "look at the server and its log, then check again",
                ));
            }
        }
    }
    judge(minimum, &behind, unknown)
}

async fn known(js: &jetstream::Context, party: Party<'_>, minimum: Version) -> Result<Known, String> {
    let (stream, subject) = match &party {
        Party::Facility(f) => (subject::HEARTBEATS, subject::ingest_heartbeat(&f.jurisdiction, &f.ori)),
        Party::Subscriber(s) => (subject::RECEIPTS, subject::hub_receipt(&s.id, ReceiptKind::Received)),
    };
    let bound = js.get_stream_no_info(stream).await.map_err(|error| chain(&error))?;
    let message = match bound.get_last_raw_message_by_subject(&subject).await {
        Ok(message) => message,
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(Known::Nothing),
        Err(error) => return Err(format!("{subject}: {}", chain(&error))),
    };
    // By its own key: the build is a statement of that party, and of nobody else.
    let (name, provenance) = match &party {
        Party::Facility(f) => {
            let beat = Heartbeat::open(&message.payload, &f.signing_key).ok();
            (format!("facility {}", f.ori), beat.map(|beat| beat.provenance))
        }
        Party::Subscriber(s) => {
            let receipt = Receipt::open(&message.payload, &s.signing_key).ok();
            (format!("subscriber {}", s.id), receipt.map(|receipt| receipt.provenance))
        }
    };
    let stored = Timestamp::from_nanosecond(message.time.unix_timestamp_nanos()).unwrap_or_default();
    let Some(build) = provenance.map(|provenance| provenance.build) else { return Ok(Known::Nothing) };
    Ok(match BuildVersion::of(&build) {
        None => Known::Nothing,
        Some(version) if version.is_below(minimum) => Known::Behind(Behind { name, build, stored }),
        Some(_) => Known::Well,
    })
}

fn judge(minimum: Version, behind: &[Behind], unknown: usize) -> Option<Finding> {
    if behind.is_empty() {
        return None;
    }
    let mut text = format!(
        "the registry asks for {minimum} or newer, and {} ran older programs when they last spoke: ",
        behind.len()
    );
    for (n, Behind { name, build, stored }) in behind.iter().take(NAMED_MAX).enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{name} ({build}, {stored:.0})");
    }
    if behind.len() > NAMED_MAX {
        let _ = write!(text, " and {} more", behind.len() - NAMED_MAX);
    }
    if unknown > 0 {
        let _ = write!(text, "; of {unknown} nothing is known");
    }
    Some(Finding::warning(
        Code::OthersBelowMinimumVersion,
        text,
        "they go on and do not start again: upgrade them before they are restarted, or have the registrar lower `minimum_version` in the registry's next version",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn behind(parties: usize) -> Vec<Behind> {
        let stored = "2026-11-21T12:00:00.25Z".parse().unwrap();
        let party =
            |n| Behind { name: format!("facility zz{n:07}"), build: "sallyport-agent/0.1.0".into(), stored };
        (0..parties).map(party).collect()
    }

    #[test]
    fn who_is_behind_is_named_with_build_and_time_and_a_country_is_counted() {
        let minimum = "0.2.0".parse().unwrap();
        assert_eq!(judge(minimum, &[], 7), None);
        let one = judge(minimum, &behind(1), 2).unwrap();
        assert_eq!(one.code, Code::OthersBelowMinimumVersion);
        let named = "facility zz0000000 (sallyport-agent/0.1.0, 2026-11-21T12:00:00Z); of 2 nothing is known";
        assert!(one.text.contains("asks for 0.2.0") && one.text.ends_with(named), "{}", one.text);
        let many = judge(minimum, &behind(3_143), 0).unwrap();
        assert!(
            many.text.contains("3143 ran older") && many.text.ends_with("and 3123 more"),
            "{}",
            many.text
        );
    }
}
