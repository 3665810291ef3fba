//! The instance of the demonstration: invented names, jurisdiction `zz`, two jails, three agencies that ask for and may
//! have different things.

use std::path::Path;

use crate::{Allow, Facility, Instance, Subscriber, example};

/// ORIs of the two jails of the shipped day.
pub const DEMO_FACILITIES: [&str; 2] = ["zz0010000", "zz0020000"];

/// Fields that every subscriber of the demonstration may have.
const FIELDS: [&str; 4] = ["booking_number", "disposition_texts", "charges", "booked"];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

/// The demonstration in `dir`, for a server on `nats_port`.
pub fn demo(dir: &Path, nats_port: u16) -> Instance {
    let facility = |ori: &str, name: &str| Facility {
        ori: ori.into(),
        name: name.into(),
        mapping: Some(example("county-mapping.toml")),
        allow: allow_list(),
        http_port: 0,
        drop: true,
    };
    Instance {
        dir: dir.to_owned(),
        name: "zz-demo".into(),
        version: 1,
        minimum_version: None,
        nats_port,
        replicas: 1,
        nodes: vec!["a".into()],
        facilities: vec![
            facility(DEMO_FACILITIES[0], "Northgate County Jail"),
            facility(DEMO_FACILITIES[1], "Southfield County Jail"),
        ],
        subscribers: subscribers(),
        exercise_id: "demo".into(),
        max_file_store_bytes: 4_000_000_000,
    }
}

/// What both jails allow.
fn allow_list() -> Vec<Allow> {
    let allow = |subscriber: &str, purpose: &str| Allow {
        subscriber: subscriber.into(),
        purpose: purpose.into(),
        release_states: Vec::new(),
        reasons: Vec::new(),
        request_flag: None,
        fields: words(&FIELDS),
    };
    vec![
        Allow {
            reasons: words(&["BOND_POSTED", "OWN_RECOGNIZANCE", "TIME_SERVED"]),
            ..allow("demo-supervision", "SUPERVISION")
        },
        Allow {
            release_states: words(&["TRANSFERRED", "ESCAPED"]),
            ..allow("demo-marshals", "CRIMINAL_WARRANT")
        },
        Allow { request_flag: Some("imm_hold".into()), ..allow("demo-civil", "CIVIL_IMMIGRATION") },
    ]
}

/// What the three agencies ask for.
fn subscribers() -> Vec<Subscriber> {
    let subscriber = |id: &str, ori: &str, name: &str, purpose: &str| Subscriber {
        id: id.into(),
        ori: ori.into(),
        name: name.into(),
        purpose: purpose.into(),
        release_states: Vec::new(),
        reasons: Vec::new(),
        requests_only: false,
        priority: "ROUTINE".into(),
        hand_over: "files".into(),
        command: Vec::new(),
        http_port: 0,
        subscribed: true,
        cases: 0,
    };
    vec![
        Subscriber {
            reasons: words(&["BOND_POSTED", "OWN_RECOGNIZANCE", "COURT_ORDER"]),
            ..subscriber("demo-supervision", "zzfed0001", "Demo Supervision Office", "SUPERVISION")
        },
        Subscriber {
            release_states: words(&["TRANSFERRED", "ESCAPED"]),
            priority: "URGENT".into(),
            ..subscriber("demo-marshals", "zzfed0002", "Demo Marshals", "CRIMINAL_WARRANT")
        },
        Subscriber {
            requests_only: true,
            ..subscriber("demo-civil", "zzfed0003", "Demo Civil Office", "CIVIL_IMMIGRATION")
        },
    ]
}
