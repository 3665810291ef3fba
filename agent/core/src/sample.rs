//! What the tests of this crate share: the shipped mapping, an allow-list like the demo's, and one facility.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_proto::{
    ids::{AgreementName, Ori, SubscriberId},
    problem::{Problem, Problems, read_toml},
    provenance::AgreementId,
};

use crate::{
    custody::{Custody, FacilitySecret, custody_key},
    disclose::{self, AllowForm, AllowList, Decisions, Grant, Grants},
    mapping::Mapping,
    revise::{self, Draft, Memory},
};

pub(crate) const COUNTY: &str = include_str!("../../../deploy/examples/county-mapping.toml");

/// The allow-list of the demo.
pub(crate) const ALLOW: &str = r#"
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
fields = ["booking_number", "health"]
"#;

/// A mapping for tests that need one of every kind of column.
pub(crate) const EVERY_COLUMN: &str = r#"
name = "every-column"
version = "3"
[input]
delimiter = ","
encoding = "utf-8"
time_zone = "America/Los_Angeles"
time_formats = ["%Y-%m-%d %H:%M"]
as_of = "exported"
[custody]
booking_number = "number"
booked = "booked"
[release]
door = "door"
door_uncertainty_s = 60
entered = "typed"
scheduled = "planned"
transferred_to = "next"
[[trigger]]
column = "bail"
reason = "BOND_POSTED"
[[trigger]]
column = "order"
reason = "COURT_ORDER"
[charge]
description = "charge"
disposition = "how"
[[disposition]]
rank = 3
reason = "BOND_POSTED"
state = "RELEASED"
texts = ["Bail"]
[[disposition]]
rank = 7
reason = "COURT_ORDER"
state = "RELEASED"
texts = ["Order"]
[[disposition]]
rank = 2
reason = "TRANSFER_HOSPITAL"
state = "TRANSFERRED"
health = true
texts = ["Hospital"]
[[floor]]
column = "mark"
values = ["Sealed"]
kind = "sealed"
[[flag]]
name = "hold"
column = "hold"
values = ["Y"]
[[field]]
name = "person_name"
column = "name"
[[field]]
name = "housing"
column = "cell"
[[field]]
name = "court_date"
column = "court"
[ignore]
columns = ["noise"]
health = ["meds"]
"#;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn mapping(text: &str) -> Mapping {
    Mapping::parse(text).unwrap()
}

pub(crate) fn ori() -> Ori {
    "zz0010000".parse().unwrap()
}

pub(crate) fn secret() -> FacilitySecret {
    FacilitySecret::from_hex(&"5a".repeat(32)).unwrap()
}

pub(crate) fn subscriber(text: &str) -> SubscriberId {
    text.parse().unwrap()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowFile {
    #[serde(default)]
    allow: Vec<AllowForm>,
}

pub(crate) fn checked_allow(text: &str) -> Result<AllowList, Vec<Problem>> {
    let file: AllowFile = read_toml(text)?;
    let mut problems = Problems::of(text);
    let list = AllowList::check(&file.allow, Some(&mapping(COUNTY).known_names()), &mut problems);
    problems.finish(list)
}

pub(crate) fn allow(text: &str) -> AllowList {
    checked_allow(text).unwrap()
}

/// Every agreement stands and lets every field through, except those listed here.
#[derive(Default)]
pub(crate) struct AllBut(pub(crate) BTreeSet<&'static str>);

impl Grants for AllBut {
    fn grant(&self, _: &SubscriberId, agreement: &AgreementName, _: Timestamp) -> Option<Grant> {
        let fields = disclose::PART_FIELDS.iter().map(|field| (*field).to_owned()).collect();
        let id = AgreementId { id: agreement.clone(), version: 1 };
        (!self.0.contains(agreement.as_str())).then_some(Grant { agreement: id, fields })
    }
}

/// One facility that remembers what it told of one custody.
pub(crate) struct Jail {
    pub(crate) allow: AllowList,
    pub(crate) grants: AllBut,
    pub(crate) memory: Memory,
    pub(crate) sent: u64,
}

impl Jail {
    pub(crate) fn new(allow_text: &str) -> Self {
        Self { allow: allow(allow_text), grants: AllBut::default(), memory: Memory::default(), sent: 0 }
    }

    pub(crate) fn decide(&self, custody: &Custody) -> Decisions {
        let (ori, secret, now) = (ori(), secret(), at("2026-11-21T12:00:00Z"));
        let input = disclose::Input { custody, ori: &ori, secret: &secret, grants: &self.grants, now };
        disclose::decide(&input, &self.allow)
    }

    /// Plans what leaves because of this reading, and records that it left.
    pub(crate) fn read(&mut self, custody: &Custody) -> Vec<Draft> {
        let (ori, secret, now) = (ori(), secret(), at("2026-11-21T12:00:00Z"));
        let custody_key = custody_key(&secret, &ori, custody.booking_number.expose());
        let decisions = self.decide(custody);
        let drafts = revise::plan(&revise::Input {
            custody_key: &custody_key,
            custody,
            decisions: &decisions,
            memory: &self.memory,
            secret: &secret,
            grants: &self.grants,
            now,
        });
        for draft in &drafts {
            self.memory.record(draft, &event(self.sent));
            self.sent += 1;
        }
        drafts
    }
}

/// The nth event of a test.
pub(crate) fn event(n: u64) -> sallyport_proto::ids::EventId {
    format!("0192a3b4-c5d6-7e7f-8a9b-{n:012x}").parse().unwrap()
}
