//! A jail on paper for tests: keys, a signed registry with three subscribers, a mapping and a configuration, written into
//! a folder; and the other parties' keys, so that a test can answer in their names. Invented throughout.
#![allow(
    dead_code,
    missing_docs,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

use std::path::{Path, PathBuf};

use nkeys::KeyPair;
use sallyport_proto::{key::Signer, registry};

pub const ORI: &str = "zz0010000";
pub const OTHER_ORI: &str = "zz0020000";
pub const JURISDICTION: &str = "zz";
pub const INSTANCE: &str = "zz-test";
/// Allowed BOND_POSTED and TIME_SERVED.
pub const SUPERVISION: &str = "test-supervision";
/// Allowed where the mapped flag `hold` is set.
pub const CIVIL: &str = "test-civil";
/// In the registry, in no allow-list entry.
pub const STRANGER: &str = "test-stranger";

/// Who may be told, unless a test says otherwise.
pub const ALLOW: &str = r#"
[[allow]]
subscriber = "test-supervision"
rule_id = "rule-1"
agreement = "zz-supervision"
purpose = "SUPERVISION"
reasons = ["BOND_POSTED", "TIME_SERVED"]
fields = ["booking_number", "person_name"]

[[allow]]
subscriber = "test-civil"
rule_id = "rule-2"
agreement = "zz-civil"
purpose = "CIVIL_IMMIGRATION"
flag = "hold"
as_request = true
fields = ["booking_number"]
"#;

/// One row is one charge.
pub const MAPPING: &str = r#"
name = "test-rows"
version = "1"
[input]
delimiter = ","
encoding = "utf-8"
time_zone = "America/Los_Angeles"
time_formats = ["%Y-%m-%d %H:%M"]
[custody]
booking_number = "booking"
[release]
door = "door"
[[trigger]]
column = "bail"
reason = "BOND_POSTED"
[charge]
disposition = "how"
[[disposition]]
rank = 1
reason = "BOND_POSTED"
state = "RELEASED"
texts = ["Bail"]
[[disposition]]
rank = 2
reason = "TIME_SERVED"
state = "RELEASED"
texts = ["Served"]
[[disposition]]
rank = 3
reason = "COURT_ORDER"
state = "RELEASED"
texts = ["Order"]
[[floor]]
column = "court"
values = ["JUV"]
kind = "juvenile"
[[flag]]
name = "hold"
column = "hold"
values = ["1"]
[[field]]
name = "person_name"
column = "name"
"#;

pub const HEADER: &str = "booking,name,door,bail,how,court,hold\n";

/// A jail's folder, and the keys of everybody else.
pub struct Jail {
    pub dir: tempfile::TempDir,
    pub registrar: KeyPair,
    pub relay: Signer,
    pub facility: KeyPair,
    pub connect: KeyPair,
    pub subscribers: Vec<(&'static str, Signer)>,
    registry: String,
}

/// What differs between tests.
pub struct Setting<'a> {
    pub nats_url: &'a str,
    pub allow: &'a str,
    pub drop_dir: bool,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { nats_url: "nats://127.0.0.1:4222", allow: ALLOW, drop_dir: false }
    }
}

impl Jail {
    pub fn new(setting: &Setting<'_>) -> Self {
        let dir = tempfile::Builder::new().prefix("sallyport-jail-").tempdir().unwrap();
        let (registrar, relay, facility) =
            (KeyPair::new_operator(), KeyPair::new_service(), KeyPair::new_service());
        let connect = KeyPair::new_user();
        let subscribers: Vec<(&str, KeyPair)> =
            [SUPERVISION, CIVIL, STRANGER].map(|id| (id, KeyPair::new_service())).into();
        let registry = registry_text(&relay, &facility, &connect, &subscribers);
        let jail = Self {
            registrar,
            relay: signer(&relay),
            subscribers: subscribers.iter().map(|(id, pair)| (*id, signer(pair))).collect(),
            facility,
            connect,
            registry,
            dir,
        };
        jail.write("sign.nk", &jail.facility.seed().unwrap());
        jail.write("connect.nk", &jail.connect.seed().unwrap());
        jail.write("secret", &"0a".repeat(32));
        jail.write("mapping.toml", MAPPING);
        jail.write_registry(1, |text| text);
        jail.write("agent.toml", &jail.config_text(setting));
        jail
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("agent.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes an export of these rows and gives its path.
    pub fn export(&self, name: &str, rows: &str) -> PathBuf {
        self.write(name, &format!("{HEADER}{rows}"));
        self.path(name)
    }

    /// Writes and signs the registry with this version, changed by `edit`.
    pub fn write_registry(&self, version: u32, edit: impl Fn(String) -> String) {
        let text = edit(self.registry.replace("version = 0 ", &format!("version = {version} ")));
        let registrar = Signer::registrar_from_seed(&self.registrar.seed().unwrap()).unwrap();
        // Signature first: a registry is believed only with it, and looked at again until both fit.
        self.write("registry.toml.sig", &registry::sign(&registrar, text.as_bytes()));
        self.write("registry.toml", &text);
    }

    pub fn subscriber(&self, id: &str) -> &Signer {
        &self.subscribers.iter().find(|(name, _)| *name == id).unwrap().1
    }

    pub fn config_text(&self, setting: &Setting<'_>) -> String {
        let drop_dir = if setting.drop_dir { "drop_dir = \"drop\"\nrescan_s = 1\n" } else { "" };
        format!(
            r#"[facility]
instance = "{INSTANCE}"
jurisdiction = "{JURISDICTION}"
ori = "{ORI}"
signing_seed_file = "sign.nk"
connect_seed_file = "connect.nk"
secret_file = "secret"

[registry]
file = "registry.toml"
registrar_key = "{registrar}"

[nats]
url = "{url}"

[store]
dir = "store"

[http]
listen = "127.0.0.1:0"

[intake]
mapping = "mapping.toml"
{drop_dir}
[traffic]
kind = "EXERCISE"
exercise_id = "test"
{allow}"#,
            registrar = self.registrar.public_key(),
            url = setting.nats_url,
            allow = setting.allow,
        )
    }
}

pub fn signer(pair: &KeyPair) -> Signer {
    Signer::from_seed(&pair.seed().unwrap()).unwrap()
}

fn registry_text(
    relay: &KeyPair,
    facility: &KeyPair,
    connect: &KeyPair,
    subscribers: &[(&str, KeyPair)],
) -> String {
    let mut text = format!(
        r#"instance = "{INSTANCE}"
version = 0 
issued = "2026-11-01T00:00:00Z"
[[relay]]
node = "a"
signing_key = "{}"
connect_key = "{}"
[operator]
provision_key = "{}"
monitor_key = "{}"
[[facility]]
ori = "{ORI}"
jurisdiction = "{JURISDICTION}"
name = "Northgate County Jail"
signing_key = "{}"
connect_key = "{}"
releases_per_day = 60
"#,
        relay.public_key(),
        KeyPair::new_user().public_key(),
        KeyPair::new_user().public_key(),
        KeyPair::new_user().public_key(),
        facility.public_key(),
        connect.public_key(),
    );
    for (n, (id, pair)) in subscribers.iter().enumerate() {
        let (class, agreement) = match *id {
            CIVIL => ("CIVIL_IMMIGRATION", "zz-civil"),
            SUPERVISION => ("SUPERVISION", "zz-supervision"),
            _ => ("CRIMINAL_WARRANT", "zz-stranger"),
        };
        text.push_str(&format!(
            r#"[[subscriber]]
id = "{id}"
ori = "zzfed000{n}"
name = "Invented Office {n}"
class = "{class}"
signing_key = "{}"
connect_key = "{}"
[[subscriber.subscription]]
id = "standing"
purpose = "{class}"
legal_basis = "EXAMPLE"
case_number = "EX-{n}"
expires = "2099-12-31"
priority = "ROUTINE"
received_within_s = 30
[subscriber.subscription.filter]
[[agreement]]
id = "{agreement}"
version = 1
facility = "*"
subscriber = "{id}"
kinds = ["release"]
fields = ["booking_number", "person_name"]
attempts = 0
fallback = "none"
legal_basis = "EXAMPLE"
review = "2099-06-30"
ends = "2099-12-31"
"#,
            pair.public_key(),
            KeyPair::new_user().public_key(),
        ));
    }
    // Tables in an array must stand together.
    let (head, entries) = text.split_at(text.find("[[subscriber]]").unwrap());
    let mut subscribers = String::new();
    let mut agreements = String::new();
    for entry in entries.split("[[subscriber]]").skip(1) {
        let (subscriber, agreement) = entry.split_once("[[agreement]]").unwrap();
        subscribers.push_str(&format!("[[subscriber]]{subscriber}"));
        agreements.push_str(&format!("[[agreement]]{agreement}"));
    }
    format!("{head}{subscribers}{agreements}")
}

/// A file of the repository that only some machines have.
pub fn county_file() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/county_jail_releases.csv");
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not here", path.display());
    None
}
