//! A small jail in a temporary folder: exports written by hand, the shipped mapping, the demo's allow-list and registry,
//! and hand-over logs line by line.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod county;
mod inputs;
mod logs;
mod properties;
mod revisions;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::key::CustodyKeys;
use crate::{Export, FacilityInput, Inputs, Report, audit};

const ORI: &str = "zz0010000";
const SUPERVISION: &str = "demo-supervision";
const MARSHALS: &str = "demo-marshals";
const CIVIL: &str = "demo-civil";
const HEADER: &str = "booking_id,booking_dt,bail_posted_dt,release_dt,booking_charge_desc,charge_release_dt,\
                      jurisdiction_cd,release_disposition_desc,type,seriousness,felony,misdemeanor,imm_hold,\
                      release_to_imm,cancel_detainer";

const AGENT: &str = r#"
[facility]
ori = "zz0010000"
jurisdiction = "zz"
[traffic]
kind = "EXERCISE"
[[allow]]
subscriber = "demo-supervision"
rule_id = "demo-allow-1"
agreement = "zz-supervision"
purpose = "SUPERVISION"
reasons = ["BOND_POSTED", "OWN_RECOGNIZANCE", "TIME_SERVED"]
fields = ["booking_number", "disposition_texts", "charges", "booked"]
[[allow]]
subscriber = "demo-marshals"
rule_id = "demo-allow-2"
agreement = "zz-marshals"
purpose = "CRIMINAL_WARRANT"
release_states = ["TRANSFERRED", "ESCAPED"]
fields = ["booking_number"]
[[allow]]
subscriber = "demo-civil"
rule_id = "demo-allow-3"
agreement = "zz-civil"
purpose = "CIVIL_IMMIGRATION"
flag = "imm_hold"
as_request = true
fields = ["booking_number"]
"#;

const REGISTRY: &str = r#"
[[subscriber]]
id = "demo-supervision"
[[subscriber.subscription]]
expires = "2027-12-31"
[subscriber.subscription.filter]
reasons = ["BOND_POSTED", "OWN_RECOGNIZANCE", "COURT_ORDER"]
[[subscriber]]
id = "demo-marshals"
[[subscriber.subscription]]
expires = "2027-12-31"
[subscriber.subscription.filter]
release_states = ["TRANSFERRED", "ESCAPED"]
[[subscriber]]
id = "demo-civil"
[[subscriber.subscription]]
expires = "2027-12-31"
[subscriber.subscription.filter]
requests_only = true
[[facility]]
ori = "zz0010000"
ends = "2028-12-31"
[[agreement]]
id = "zz-supervision"
facility = "*"
subscriber = "demo-supervision"
kinds = ["release"]
fields = ["booking_number", "disposition_texts", "charges", "booked"]
ends = "2027-12-31"
[[agreement]]
id = "zz-marshals"
facility = "zz0010000"
subscriber = "demo-marshals"
kinds = ["release"]
fields = ["booking_number"]
ends = "2027-12-31"
[[agreement]]
id = "zz-civil"
facility = "*"
subscriber = "demo-civil"
kinds = ["release"]
fields = ["booking_number"]
ends = "2027-12-31"
"#;

/// One charge row of the county's columns; times are of one invented day.
#[derive(Debug, Clone, Copy)]
struct Charge {
    booking: &'static str,
    bail: &'static str,
    door: &'static str,
    charge: &'static str,
    ended: &'static str,
    court: &'static str,
    text: &'static str,
    imm_hold: bool,
}

/// A custody released on bond.
const BOND: Charge = Charge {
    booking: "NG-26-000001",
    bail: "2026-03-17 14:00:00",
    door: "2026-03-17 15:10:00",
    charge: "An invented charge",
    ended: "2026-03-17 15:00:00",
    court: "NGM",
    text: "Bail Bond",
    imm_hold: false,
};

impl Charge {
    /// The same charge as it stood before the door.
    fn at_bail(self) -> Self {
        Self { door: "", ended: "", text: "", ..self }
    }

    fn line(&self) -> String {
        let Self { booking, bail, door, charge, ended, court, text, imm_hold } = self;
        let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let (charge, text, hold) = (quoted(charge), quoted(text), u8::from(*imm_hold));
        format!(
            "{booking},2026-03-10 08:00:00,{bail},{door},{charge},{ended},{court},{text},property,1.0,0,1,{hold},0,0"
        )
    }
}

fn csv(charges: &[Charge]) -> String {
    charges.iter().fold(format!("{HEADER}\n"), |mut text, charge| {
        writeln!(text, "{}", charge.line()).unwrap();
        text
    })
}

struct Scene {
    dir: TempDir,
    inputs: Inputs,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let facility = FacilityInput {
            ori: ORI.to_owned(),
            jurisdiction: "zz".to_owned(),
            secret_hex: "5a".repeat(32),
            agent_config: write("agent.toml", AGENT),
            mapping: shipped_mapping(),
            exports: Vec::new(),
            backfill: false,
        };
        let inputs = Inputs {
            facilities: vec![facility],
            registry: write("registry.toml", REGISTRY),
            hand_over_logs: BTreeMap::new(),
            as_of: "2026-03-18T12:00:00Z".parse().unwrap(),
        };
        Self { dir, inputs }
    }

    fn facility(&mut self) -> &mut FacilityInput {
        &mut self.inputs.facilities[0]
    }

    /// The jail exports these bytes; the export speaks of the end of the invented day.
    fn export(&mut self, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(format!("export-{}.csv", self.inputs.facilities[0].exports.len()));
        fs::write(&path, bytes).unwrap();
        let as_of = Timestamp::from_second(1_773_817_200).unwrap();
        self.facility().exports.push(Export { path: path.clone(), as_of: Some(as_of) });
        path
    }

    /// Replaces a text in one of the configuration files.
    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Writes one line to a subscriber's log, as of the notice of this custody's revision.
    fn hand_over(&mut self, subscriber: &str, booking: &str, revision: u32, state: &str, reason: &str) {
        let custody_key = CustodyKeys::new(ORI, &"5a".repeat(32)).unwrap().of(booking);
        let event = format!("event-{booking}-{revision}");
        let line = serde_json::json!({
            "at": "2026-03-17T22:00:00Z", "notice_id": format!("{ORI}.{event}.{subscriber}"), "attempt": 0,
            "event_id": event, "ori": ORI, "subscriber": subscriber, "custody_key": custody_key,
            "revision": revision, "release_state": state, "reason": reason, "superseded": false,
            "traffic": "EXERCISE",
        });
        self.append(subscriber, &format!("{line}\n"));
    }

    fn append(&mut self, subscriber: &str, text: &str) {
        let path = self.dir.path().join(format!("{subscriber}.jsonl"));
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(&path, before + text).unwrap();
        self.inputs.hand_over_logs.insert(subscriber.to_owned(), path);
    }

    fn report(&self) -> Report {
        let report = audit(&self.inputs).unwrap();
        assert_eq!(report.notices, report.received + report.lost.len() as u64);
        report
    }

    /// The notices that are due while no log exists: (revision, release state, subscriber), sorted.
    fn due(&self) -> Vec<(u32, String, String)> {
        assert!(self.inputs.hand_over_logs.is_empty());
        let lost = self.report().lost;
        let mut due: Vec<_> = lost
            .into_iter()
            .map(|missing| (missing.notice.revision, missing.release_state, missing.notice.subscriber))
            .collect();
        due.sort();
        due
    }

    fn check_due(&self, expect: &[(u32, &str, &str)]) {
        let expect: Vec<_> =
            expect.iter().map(|(r, state, who)| (*r, (*state).to_owned(), (*who).to_owned())).collect();
        assert_eq!(self.due(), expect);
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn shipped_mapping() -> PathBuf {
    repository().join("deploy/examples/county-mapping.toml")
}
