//! What the tests of this crate are made of: a registry text, heads, disclosures. Invented names and numbers only.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;

use sallyport_proto::{
    disclosure::Disclosure,
    event::ReleaseHead,
    ids::SubscriberId,
    provenance::{AgreementId, Provenance, TrafficClass},
    registry::Registry,
    time::Moment,
    vocabulary::{Certainty, Purpose, ReleaseReason, ReleaseState, SourceClock},
};

/// Public keys: 32 bytes that are a point of the curve are needed, so they come from fixed seeds.
fn key(kind: nkeys::KeyPairType, n: u8) -> String {
    nkeys::KeyPair::new_from_raw(kind, [n; 32]).unwrap().public_key()
}

/// Builds the text of a registry with two facilities and one agreement per subscriber (`agreed-<id>`).
#[derive(Debug, Clone)]
pub(crate) struct RegistryText {
    text: String,
    keys: u8,
    agreement_ends: String,
    agreement_facility: String,
    agreement_kinds: String,
}

pub(crate) fn registry() -> RegistryText {
    use nkeys::KeyPairType::{Service, User};
    let mut text = String::from("instance = 'zz-test'\nversion = 7\nissued = '2026-11-01T00:00:00Z'\n");
    let mut keys = 0;
    let mut next = |kind| {
        keys += 1;
        key(kind, keys)
    };
    let (sign, connect) = (next(Service), next(User));
    writeln!(text, "[[relay]]\nnode = 'a'\nsigning_key = '{sign}'\nconnect_key = '{connect}'").unwrap();
    let (provision, monitor) = (next(User), next(User));
    writeln!(text, "[operator]\nprovision_key = '{provision}'\nmonitor_key = '{monitor}'").unwrap();
    for ori in ["zz0010000", "zz0020000"] {
        let (sign, connect) = (next(Service), next(User));
        writeln!(
            text,
            "[[facility]]\nori = '{ori}'\njurisdiction = 'zz'\nname = 'Jail'\nsigning_key = '{sign}'\nconnect_key = '{connect}'"
        )
        .unwrap();
    }
    RegistryText {
        text,
        keys,
        agreement_ends: "2027-12-31".into(),
        agreement_facility: "*".into(),
        agreement_kinds: r#"["release"]"#.into(),
    }
}

impl RegistryText {
    pub(crate) fn agreement_ends(mut self, day: &str) -> Self {
        self.agreement_ends = day.into();
        self
    }

    pub(crate) fn agreement_for(mut self, facility: &str, kinds: &str) -> Self {
        (self.agreement_facility, self.agreement_kinds) = (facility.into(), kinds.into());
        self
    }

    pub(crate) fn subscriber(mut self, id: &str, subscriptions: &[String]) -> Self {
        let (sign, connect) =
            (key(nkeys::KeyPairType::Service, self.keys + 1), key(nkeys::KeyPairType::User, self.keys + 2));
        self.keys += 2;
        writeln!(
            self.text,
            "[[subscriber]]\nid = '{id}'\nori = 'zzfed0001'\nname = 'Office'\nclass = 'SUPERVISION'\n\
             signing_key = '{sign}'\nconnect_key = '{connect}'\nsubscription = [{}]\n\
             [[agreement]]\nid = 'agreed-{id}'\nversion = 1\nfacility = '{}'\nsubscriber = '{id}'\nkinds = {}\n\
             fields = []\nattempts = 0\nfallback = 'none'\nlegal_basis = 'EXAMPLE'\nreview = '2027-01-01'\nends = '{}'",
            subscriptions.join(", "),
            self.agreement_facility,
            self.agreement_kinds,
            self.agreement_ends,
        )
        .unwrap();
        self
    }

    pub(crate) fn parse(&self) -> Registry {
        Registry::parse(&self.text).unwrap_or_else(|problems| panic!("{problems:#?}\n{}", self.text))
    }
}

/// A subscription for SUPERVISION with this filter.
pub(crate) fn subscription(id: &str, filter: &str) -> String {
    subscription_with(id, filter, r#"priority = "ROUTINE", received_within_s = 30"#)
}

pub(crate) fn subscription_with(id: &str, filter: &str, terms: &str) -> String {
    subscription_full(id, filter, "2027-12-31", terms)
}

pub(crate) fn subscription_until(id: &str, expires: &str) -> String {
    subscription_full(id, "", expires, r#"priority = "ROUTINE""#)
}

pub(crate) fn subscription_full(id: &str, filter: &str, expires: &str, terms: &str) -> String {
    format!(
        "{{ id = '{id}', purpose = 'SUPERVISION', legal_basis = 'EXAMPLE', case_number = 'EX-1', \
         expires = '{expires}', {terms}, filter = {{ {filter} }} }}"
    )
}

pub(crate) fn uuid(n: u32) -> String {
    format!("0192a3b4-c5d6-7e7f-8a9b-0000{n:08x}")
}

pub(crate) fn moment(text: &str, clock: SourceClock) -> Moment {
    Moment::exact(text.parse().unwrap(), clock)
}

/// A RELEASED of facility zz0010000, event number `n`.
pub(crate) fn head(n: u32) -> ReleaseHead {
    ReleaseHead {
        provenance: Provenance::of(&"zz-test".parse().unwrap(), "test/0"),
        event_id: uuid(n).parse().unwrap(),
        ori: "zz0010000".parse().unwrap(),
        jurisdiction: "zz".parse().unwrap(),
        custody_key: "ABCDEFGHIJKLMNOPQRSTUVWXYZ".parse().unwrap(),
        revision: 1,
        supersedes: None,
        release_state: ReleaseState::Released,
        certainty: Certainty::Confirmed,
        reason: ReleaseReason::BondPosted,
        t0_trigger: Some(moment("2026-11-21T10:00:00Z", SourceClock::JailRecord)),
        t1_entered: None,
        t2_observed: moment("2026-11-21T11:59:59Z", SourceClock::Agent),
        t3_decided: moment("2026-11-21T11:59:59Z", SourceClock::Agent),
        t9_cleared: None,
        t10_released: Some(moment("2026-11-21T13:00:00Z", SourceClock::JailRecord)),
        expected: None,
        traffic: TrafficClass::Exercise("drill-1".into()),
        epoch: "e1".into(),
        seq: 1,
        disclosure_sha256: Vec::new(),
        transferred_to: None,
        registry_version: 7,
        backfill: false,
        mapping_version: String::new(),
        inferred_uncertainty_s: 0,
    }
}

/// What `subscriber` may have of `head`'s event, for SUPERVISION.
pub(crate) fn disclosure(head: &ReleaseHead, subscriber: &str) -> Disclosure {
    let subscriber_id: SubscriberId = subscriber.parse().unwrap();
    Disclosure {
        salt: [7; 16],
        event_id: head.event_id.clone(),
        agreement: AgreementId { id: format!("agreed-{subscriber_id}").parse().unwrap(), version: 1 },
        subscriber_id,
        request_id: None,
        purpose: Purpose::Supervision,
        rule_id: "rule".into(),
        pack_version: "1".into(),
        fields: Vec::new(),
        part: None,
    }
}
