//! What an instance of the simulation consists of: keys from fixed seeds, the registry in two versions, and each jail's
//! rules. Invented names only.

use std::fmt::Write as _;

use nkeys::{KeyPair, KeyPairType};
use sallyport_agent_core::{
    custody::FacilitySecret,
    disclose::{AllowForm, AllowList},
};
use sallyport_proto::{key::Signer, problem::Problems, registry::Registry};
use serde::Deserialize;

/// The relay network.
pub(crate) const INSTANCE: &str = "zz-sim";
/// The jurisdiction of both jails.
pub(crate) const JURISDICTION: &str = "zz";
/// The jails. The older registry does not know the second.
pub(crate) const JAILS: [&str; 2] = ["zz0010000", "zz0020000"];
/// The agencies.
pub(crate) const SUBSCRIBERS: [&str; 3] = ["office", "marshals", "civil"];
/// The nodes.
pub(crate) const NODES: [&str; 2] = ["a", "b"];
/// The registry's versions: before and after a roll-out.
pub(crate) const VERSIONS: [u64; 2] = [7, 8];
pub(crate) const OLD: u64 = VERSIONS[0];
pub(crate) const NEW: u64 = VERSIONS[1];

/// Release states that a subscription names; none: any. What the registry text says, for the reference model as well.
pub(crate) fn subscribed_states(version: u64, subscriber: &str) -> &'static [&'static str] {
    match (subscriber, version) {
        ("marshals", OLD) => &["RELEASED"],
        ("marshals", _) => &["RELEASED", "SCHEDULED"],
        ("civil", _) => &["EXPECTED", "RELEASED", "CANCELLED"],
        _ => &[],
    }
}

fn pair(kind: KeyPairType, n: u8) -> KeyPair {
    KeyPair::new_from_raw(kind, [n; 32]).expect("32 bytes are a seed")
}

fn signer(n: u8) -> Signer {
    let seed = pair(KeyPairType::Service, n).seed().expect("made from a seed");
    Signer::from_seed(&seed).expect("a service key")
}

const NODE_KEYS: u8 = 10;
const JAIL_KEYS: u8 = 20;
const SUBSCRIBER_KEYS: u8 = 30;
const CONNECT_KEYS: u8 = 100;

pub(crate) fn node_signer(n: usize) -> Signer {
    signer(NODE_KEYS + n as u8)
}

pub(crate) fn jail_signer(n: usize) -> Signer {
    signer(JAIL_KEYS + n as u8)
}

pub(crate) fn subscriber_signer(n: usize) -> Signer {
    signer(SUBSCRIBER_KEYS + n as u8)
}

/// One version of the registry.
pub(crate) fn registry(version: u64) -> Registry {
    Registry::parse(&registry_text(version)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn registry_text(version: u64) -> String {
    let mut connect = CONNECT_KEYS;
    let mut user = || {
        connect += 1;
        pair(KeyPairType::User, connect).public_key()
    };
    let sign = |n| pair(KeyPairType::Service, n).public_key();
    let mut text = format!("instance = '{INSTANCE}'\nversion = {version}\nissued = '2026-11-01T00:00:00Z'\n");
    writeln!(text, "[operator]\nprovision_key = '{}'\nmonitor_key = '{}'", user(), user()).expect("a string");
    for (n, node) in (0..).zip(NODES) {
        let keys = (sign(NODE_KEYS + n), user());
        writeln!(text, "[[relay]]\nnode = '{node}'\nsigning_key = '{}'\nconnect_key = '{}'", keys.0, keys.1)
            .expect("a string");
    }
    let jails = if version == OLD { &JAILS[..1] } else { &JAILS[..] };
    for (n, ori) in (0..).zip(jails) {
        let keys = (sign(JAIL_KEYS + n), user());
        writeln!(
            text,
            "[[facility]]\nori = '{ori}'\njurisdiction = '{JURISDICTION}'\nname = 'Jail'\nsigning_key = '{}'\n\
             connect_key = '{}'",
            keys.0, keys.1
        )
        .expect("a string");
    }
    for (n, id) in (0..).zip(SUBSCRIBERS) {
        let keys = (sign(SUBSCRIBER_KEYS + n), user());
        let states = subscribed_states(version, id);
        writeln!(
            text,
            "[[subscriber]]\nid = '{id}'\nori = 'zzfed000{n}'\nname = 'Office'\nclass = 'SUPERVISION'\n\
             signing_key = '{}'\nconnect_key = '{}'\nsubscription = [{{ id = 'all', purpose = 'SUPERVISION', \
             legal_basis = 'EXAMPLE', case_number = 'EX-1', expires = '2027-12-31', priority = 'ROUTINE', \
             filter = {{ release_states = {states:?} }} }}]\n\
             [[agreement]]\nid = 'agreed-{id}'\nversion = 1\nfacility = '*'\nsubscriber = '{id}'\n\
             kinds = ['release']\nfields = ['release_text']\nattempts = 0\nfallback = 'none'\n\
             legal_basis = 'EXAMPLE'\nreview = '2027-01-01'\nends = '2027-12-31'",
            keys.0, keys.1
        )
        .expect("a string");
    }
    text
}

/// Whom a jail may tell: `office` everything, `marshals` by reason, `civil` by release state. The reference model says
/// the same in its own words.
const ALLOW: &str = r#"
[[allow]]
subscriber = "office"
rule_id = "any"
agreement = "agreed-office"
purpose = "SUPERVISION"
fields = ["release_text"]
[[allow]]
subscriber = "marshals"
rule_id = "by-reason"
agreement = "agreed-marshals"
purpose = "SUPERVISION"
reasons = ["BOND_POSTED", "TIME_SERVED"]
fields = []
[[allow]]
subscriber = "civil"
rule_id = "by-state"
agreement = "agreed-civil"
purpose = "SUPERVISION"
release_states = ["EXPECTED", "RELEASED", "CANCELLED"]
fields = []
"#;

#[derive(Deserialize)]
struct Forms {
    allow: Vec<AllowForm>,
}

/// The rules of every jail.
pub(crate) fn allow_list() -> AllowList {
    let forms: Forms = toml::from_str(ALLOW).expect("the rules are written above");
    let mut problems = Problems::of(ALLOW);
    let list = AllowList::check(&forms.allow, None, &mut problems);
    problems.finish(list).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A jail's secret.
pub(crate) fn secret(jail: usize) -> FacilitySecret {
    FacilitySecret::from_hex(&format!("{:02x}", jail + 1).repeat(32)).expect("32 bytes in hex")
}
