//! What the registry file accepts, and above all what it rejects.
#![allow(clippy::unwrap_used, missing_docs)]

use nkeys::{KeyPair, KeyPairType};
use sallyport_proto::{
    key::{RegistrarKey, Signer},
    registry::{self, EndDate, Registry, SignatureError},
};

fn good() -> String {
    let v = || KeyPair::new_service().public_key();
    let u = || KeyPair::new_user().public_key();
    format!(
        r#"instance = "zz-demo"
version = 3
issued = "2026-11-01T00:00:00Z"
[[relay]]
node = "a"
signing_key = "{}"
connect_key = "{}"
[operator]
provision_key = "{}"
monitor_key = "{}"
[[facility]]
ori = "zz0010000"
jurisdiction = "zz"
name = "Northgate"
signing_key = "{}"
connect_key = "{}"
[[subscriber]]
id = "demo-supervision"
ori = "zzfed0001"
name = "Demo"
class = "SUPERVISION"
signing_key = "{}"
connect_key = "{}"
[[subscriber.subscription]]
id = "s1"
purpose = "SUPERVISION"
legal_basis = "EXAMPLE"
case_number = "EX-1"
expires = "2027-12-31"
priority = "ROUTINE"
[subscriber.subscription.filter]
reasons = ["BOND_POSTED"]
[[agreement]]
id = "a1"
version = 1
facility = "*"
subscriber = "demo-supervision"
kinds = ["release"]
fields = ["booking_number"]
fallback = "none"
legal_basis = "EXAMPLE"
review = "2027-06-30"
ends = "2027-12-31"
"#,
        v(),
        u(),
        u(),
        u(),
        v(),
        u(),
        v(),
        u()
    )
}

/// `text` is refused, and the problem names `key` and says `what`.
fn check_rejected(text: &str, key: &str, what: &str) {
    let problems = Registry::parse(text).unwrap_err();
    assert!(
        problems.iter().any(|p| p.key.contains(key) && p.text.contains(what)),
        "{key} / {what}: {problems:?}"
    );
}

#[test]
fn a_good_file_is_read_whole() {
    let registry = Registry::parse(&good()).unwrap();
    assert_eq!(registry.version, 3);
    let subscriber = registry.subscribers.values().next().unwrap();
    assert_eq!(subscriber.subscriptions[0].received_within_s, 30);
    let ori = "zz0010000".parse().unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    assert!(registry.live_agreement(&"a1".parse().unwrap(), &ori, &subscriber.id, now).is_some());
    let later = "2028-01-01T00:00:00Z".parse().unwrap();
    assert!(registry.live_agreement(&"a1".parse().unwrap(), &ori, &subscriber.id, later).is_none());
}

#[test]
fn every_problem_is_named_at_once_with_its_line() {
    let text = good()
        .replace("\"ROUTINE\"", "\"SOON\"")
        .replace("expires = \"2027-12-31\"", "expires = \"2027-02-31\"")
        .replace("ori = \"zz0010000\"", "ori = \"ZZ\"");
    let problems = Registry::parse(&text).unwrap_err();
    for key in ["facility[0].ori", "subscription[0].priority", "subscription[0].expires"] {
        assert!(problems.iter().any(|p| p.key.contains(key) && p.line.is_some()), "{key}: {problems:?}");
    }
}

#[test]
fn a_version_floor_is_a_release_or_a_problem_with_its_line() {
    assert_eq!(Registry::parse(&good()).unwrap().minimum_version, None, "an older registry has none");
    let with =
        |value: &str| good().replace("version = 3\n", &format!("version = 3\nminimum_version = {value}\n"));
    let registry = Registry::parse(&with("\"0.10.2\"")).unwrap();
    assert_eq!(registry.minimum_version.unwrap().to_string(), "0.10.2");
    check_rejected(&with("\"0.2.0-rc.1\""), "minimum_version", "pre-release");
    check_rejected(&with("0.2"), "minimum_version", "string");
    let problems = Registry::parse(&with("\"0.2\"")).unwrap_err();
    assert_eq!((problems[0].key.as_str(), problems[0].line), ("minimum_version", Some(3)), "{problems:?}");
}

#[test]
fn keys_of_the_wrong_kind_and_shared_keys_are_refused() {
    let user = KeyPair::new_user().public_key();
    let text = good();
    let signing = text.lines().find(|l| l.starts_with("signing_key")).unwrap();
    let swapped = text.replacen(signing, &format!("signing_key = \"{user}\""), 1);
    check_rejected(&swapped, "relay[0].signing_key", "signing key");
    let other = text.lines().filter(|l| l.starts_with("signing_key")).nth(1).unwrap();
    check_rejected(&text.replacen(other, signing, 1), "facility[0].signing_key", "somebody else's");
}

#[test]
fn a_connect_key_made_of_the_bytes_of_a_signing_key_is_refused() {
    let text = good();
    let of_kind = |kind| KeyPair::new_from_raw(kind, [7; 32]).unwrap().public_key();
    let replaced = |text: &str, name: &str, key: String| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        text.replacen(line, &format!("{name} = \"{key}\""), 1)
    };
    let text = replaced(&text, "signing_key", of_kind(KeyPairType::Service));
    let text = replaced(&text, "connect_key", of_kind(KeyPairType::User));
    check_rejected(&text, "relay[0].connect_key", "somebody else's");
}

#[test]
fn an_agreement_with_somebody_unknown_is_refused() {
    let text = good().replace("subscriber = \"demo-supervision\"", "subscriber = \"nobody\"");
    check_rejected(&text, "agreement a1", "nobody");
}

#[test]
fn an_unknown_key_is_refused() {
    check_rejected(
        &good().replace("[operator]", "[operator]\nextra = 1"),
        "operator.extra",
        "unknown field `extra`",
    );
}

#[test]
fn a_last_day_is_inclusive() {
    let end = EndDate("2027-12-31".parse().unwrap());
    assert!(!end.is_past("2027-12-31T23:59:59Z".parse().unwrap()));
    assert!(end.is_past("2028-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(end.days_left("2027-12-01T12:00:00Z".parse().unwrap()), 30);
}

#[test]
fn only_the_pinned_registrar_and_the_unchanged_file_are_believed() {
    let pair = KeyPair::new_operator();
    let registrar = Signer::registrar_from_seed(&pair.seed().unwrap()).unwrap();
    let pinned: RegistrarKey = pair.public_key().parse().unwrap();
    let other: RegistrarKey = KeyPair::new_operator().public_key().parse().unwrap();
    let sig = registry::sign(&registrar, b"file");
    assert_eq!(registry::verify(&pinned, b"file", &sig), Ok(()));
    assert_eq!(registry::verify(&pinned, b"file ", &sig), Err(SignatureError::Changed));
    assert!(matches!(registry::verify(&other, b"file", &sig), Err(SignatureError::OtherKey { .. })));
    assert_eq!(registry::verify(&pinned, b"file", "{}"), Err(SignatureError::Malformed));
}
