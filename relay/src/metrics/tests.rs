//! What is exported is what is described.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn touched() -> String {
    let metrics = Metrics::new(Arc::default());
    let (ori, subscriber): (Ori, SubscriberId) = ("zz0010000".parse().unwrap(), "demo-a".parse().unwrap());
    metrics.accepted(&ori, 1);
    metrics.committed(&subscriber, 1);
    metrics.refused(&ori, RefusalCode::Conflict);
    metrics.parked("bad-signature");
    metrics.conflict(&ori);
    metrics.redelivered("INGEST", 1);
    metrics.forwarded(&subscriber, 1);
    metrics.commit_took(std::time::Duration::from_millis(1));
    metrics.folded("INGEST", 1);
    metrics.unreadable("INGEST", 1);
    metrics.refresh(|m| {
        let pair = vec![("subscriber", subscriber.to_string()), ("ori", ori.to_string())];
        m.pending.get_or_create(&of_subscriber(&subscriber)).set(1);
        m.pending_by_facility.get_or_create(&pair).set(1);
        m.heartbeat_age.get_or_create(&of_facility(&ori)).set(1.0);
        m.missing.get_or_create(&of_facility(&ori)).set(2);
        m.lost.get_or_create(&of_stream("INGEST")).set(1);
        m.unmatched.get_or_create(&of_stream("DELIVER")).set(1);
        m.oldest_unreceived.get_or_create(&of_subscriber(&subscriber)).set(1.5);
        let stage = vec![
            ("subscriber", subscriber.to_string()),
            ("stage", "t6-t5".to_owned()),
            ("quantile", "0.5".to_owned()),
        ];
        m.stage.get_or_create(&stage).set(0.1);
        m.unsubscribed.get_or_create(&of_subscriber(&subscriber)).set(1);
        m.position_age.get_or_create(&of_stream("INGEST")).set(0.5);
    });
    metrics.export().unwrap()
}

#[test]
fn what_is_exported_is_what_is_described() {
    let text = touched();
    for described in ALL {
        let line = text
            .lines()
            .find(|line| !line.starts_with('#') && line.starts_with(described.name))
            .unwrap_or_else(|| panic!("{} is not exported:\n{text}", described.name));
        for label in described.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line} has no label {label}");
        }
        assert!(text.contains(&format!("# HELP {} {}.", described.name, described.help)));
    }
    let families = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(families, ALL.len(), "something is exported that is not described");
}

#[test]
fn names_say_component_noun_and_unit() {
    let units = [
        "events",
        "notices",
        "messages",
        "receipts",
        "records",
        "rebuilds",
        "seconds",
        "violations",
        "disconnects",
        "reads",
        "disclosures",
        // Yes or no.
        "version",
    ];
    for described in ALL {
        let unit = described.name.strip_prefix("sallyport_relay_").and_then(|n| n.rsplit('_').next());
        assert!(unit.is_some_and(|unit| units.contains(&unit)), "{}", described.name);
    }
}

#[test]
fn events_in_flight_are_taken_off_when_their_guard_goes() {
    let metrics = Metrics::new(Arc::default());
    let guard = metrics.in_flight(3);
    assert!(metrics.export().unwrap().contains("sallyport_relay_in_flight_events 3"));
    drop(guard);
    assert!(metrics.export().unwrap().contains("sallyport_relay_in_flight_events 0"));
}
