//! The relay's configuration: one TOML file, read whole and cross-checked before any socket opens.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use sallyport_link::config::{self, ConfigProblems, ConnectSeed, beside};
use sallyport_proto::{
    ids::{InstanceId, NodeId},
    key::{RegistrarKey, Signer},
    problem::Problems,
    registry::Registry,
};
use serde::Deserialize;
use toml::Spanned;

/// What one node runs with.
pub struct Config {
    /// Where it was read, for paths relative to it.
    pub file: PathBuf,
    /// The relay network.
    pub instance: InstanceId,
    /// This node.
    pub node: NodeId,
    /// Signs notices and answers.
    pub signer: Signer,
    /// Logs in.
    pub connect_seed: ConnectSeed,
    /// Where the registry lies.
    pub registry_file: PathBuf,
    /// Pinned; none only with `unsigned = true`.
    pub registrar: Option<RegistrarKey>,
    /// The registry as it was at start.
    pub registry: Registry,
    /// How often the file is looked at again.
    pub registry_reload: Duration,
    /// `nats://...`
    pub nats_url: String,
    /// Reads the server's settings (SYS account).
    pub monitor_seed: ConnectSeed,
    /// Only `provision` needs it.
    pub provision_seed_file: Option<PathBuf>,
    /// How streams are made.
    pub provision: Provision,
    /// Read model.
    pub store_dir: PathBuf,
    /// `/metrics`, `/healthz`.
    pub http_listen: Option<SocketAddr>,
    /// What a jail numbered and the relay does not hold is asked for after this time.
    pub audit_grace: SignedDuration,
    /// How often every subscriber is told how far its notices reach.
    pub head_every: Duration,
}

/// How `provision` makes streams and the static server's configuration.
#[derive(Debug, Clone)]
pub struct Provision {
    /// 1 on one machine, 3 otherwise.
    pub replicas: usize,
    /// JetStream's share of the disk, per server.
    pub max_file_store_bytes: u64,
    /// Where the static server's configuration is rendered.
    pub server_config: Option<PathBuf>,
    /// Its client address.
    pub server_listen: String,
    /// Its JetStream store.
    pub server_store_dir: PathBuf,
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Node,
    registry: RegistryPart,
    nats: Nats,
    #[serde(default)]
    provision: ProvisionPart,
    store: Store,
    http: Option<Http>,
    #[serde(default)]
    audit: Audit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Audit {
    grace_s: u32,
    head_every_s: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { grace_s: AUDIT_GRACE_S, head_every_s: HEAD_EVERY_S }
    }
}

/// Longer than an event waits for its predecessor (60 s) and a dead node's work for the next (15 s).
const AUDIT_GRACE_S: u32 = 120;
/// As a jail's heartbeat.
const HEAD_EVERY_S: u32 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    instance: Text,
    name: Text,
    signing_seed_file: PathBuf,
    connect_seed_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryPart {
    file: PathBuf,
    registrar_key: Option<Text>,
    #[serde(default)]
    unsigned: bool,
    #[serde(default = "default_reload_s")]
    reload_s: u64,
}

fn default_reload_s() -> u64 {
    2
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nats {
    url: Text,
    monitor_seed_file: PathBuf,
    provision_seed_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProvisionPart {
    replicas: usize,
    max_file_store_bytes: u64,
    server_config: Option<PathBuf>,
    server_listen: String,
    server_store_dir: PathBuf,
}

impl Default for ProvisionPart {
    fn default() -> Self {
        Self {
            replicas: 1,
            max_file_store_bytes: 10_000_000_000,
            server_config: None,
            server_listen: "127.0.0.1:4222".into(),
            server_store_dir: "nats-store".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    listen: Text,
}

/// Streams smaller than this could not hold a burst of largest messages.
const MAX_FILE_STORE_BYTES_MIN: u64 = 100_000_000;

impl Config {
    /// Reads `file` and everything it names; every problem is listed.
    pub fn read(file: &Path) -> Result<Self, ConfigProblems> {
        let mut problems = ConfigProblems::default();
        let p = &mut problems;
        let text = config::read_text(p, file, "--config", file);
        // What can be read in spite of mistakes of form is checked all the same: every problem at once.
        let raw = text.as_deref().and_then(|text| {
            let mut form = Problems::of(text);
            let raw: Option<File> = form.read();
            p.take(file, form.finish(Some(())));
            raw
        });
        let config = match (&text, raw) {
            (Some(text), Some(raw)) => Self::check(p, file, text, raw),
            _ => None,
        };
        if let Some(text) = text {
            problems.locate(file, &text);
        }
        problems.finish(config)
    }

    fn check(p: &mut ConfigProblems, file: &Path, text: &str, raw: File) -> Option<Self> {
        let mut values = Problems::of(text);
        let instance = values.parse("node.instance", &raw.node.instance);
        let node: Option<NodeId> = values.parse("node.name", &raw.node.name);
        let registrar =
            raw.registry.registrar_key.as_ref().map(|key| values.parse("registry.registrar_key", key));
        if registrar.is_none() && !raw.registry.unsigned {
            values.add("registry.registrar_key", None, "missing: the relay believes only a signed registry (`unsigned = true` is for demonstrations)");
        }
        if !raw.nats.url.get_ref().starts_with("nats://") && !raw.nats.url.get_ref().starts_with("tls://") {
            values.add("nats.url", Some(raw.nats.url.span()), "must start with nats:// or tls://");
        }
        if !matches!(raw.provision.replicas, 1 | 3 | 5) {
            values.add("provision.replicas", None, "must be 1, 3 or 5");
        }
        if raw.provision.max_file_store_bytes < MAX_FILE_STORE_BYTES_MIN {
            values.add(
                "provision.max_file_store_bytes",
                None,
                format!("must be at least {MAX_FILE_STORE_BYTES_MIN}"),
            );
        }
        let http_listen = raw.http.as_ref().map(|http| {
            let listen: Option<SocketAddr> = values.parse("http.listen", &http.listen);
            if listen.is_some_and(|address| !address.ip().is_loopback()) {
                values.add(
                    "http.listen",
                    Some(http.listen.span()),
                    "must be a loopback address: there is no TLS and no login here",
                );
            }
            listen
        });
        let values_ok = p.take(file, values.finish(Some(())));

        let near = |path: &Path| beside(file, path);
        let signer = config::signer(p, file, "node.signing_seed_file", &near(&raw.node.signing_seed_file));
        let connect_seed =
            config::connect_seed(p, file, "node.connect_seed_file", &near(&raw.node.connect_seed_file));
        let monitor_seed =
            config::connect_seed(p, file, "nats.monitor_seed_file", &near(&raw.nats.monitor_seed_file));
        let registry_file = near(&raw.registry.file);
        let registrar = registrar.flatten();
        let believable = registrar.is_some() || raw.registry.unsigned;
        let registry = believable.then(|| config::registry(p, &registry_file, registrar.as_ref())).flatten();
        values_ok?;
        let (registry, instance, node) = (registry?, instance?, node?);
        let (signer, connect_seed) = (signer?, connect_seed?);
        agree(p, file, &registry, &instance, &node, &signer, &connect_seed);
        Some(Self {
            file: file.to_owned(),
            instance,
            node,
            signer,
            connect_seed,
            registry_file,
            registrar,
            registry,
            registry_reload: Duration::from_secs(raw.registry.reload_s.max(1)),
            nats_url: raw.nats.url.into_inner(),
            monitor_seed: monitor_seed?,
            provision_seed_file: raw.nats.provision_seed_file.as_deref().map(near),
            provision: Provision {
                replicas: raw.provision.replicas,
                max_file_store_bytes: raw.provision.max_file_store_bytes,
                server_config: raw.provision.server_config.as_deref().map(near),
                server_listen: raw.provision.server_listen,
                server_store_dir: near(&raw.provision.server_store_dir),
            },
            store_dir: near(&raw.store.dir),
            http_listen: http_listen.flatten(),
            audit_grace: SignedDuration::from_secs(raw.audit.grace_s.max(1).into()),
            head_every: Duration::from_secs(raw.audit.head_every_s.max(1).into()),
        })
    }
}

/// The node must be the one the registry lists, with these very keys: others would not be believed.
fn agree(
    p: &mut ConfigProblems,
    file: &Path,
    registry: &Registry,
    instance: &InstanceId,
    node: &NodeId,
    signer: &Signer,
    connect_seed: &ConnectSeed,
) {
    if registry.instance != *instance {
        p.add(file, "node.instance", format!("the registry is of instance {}", registry.instance));
    }
    match registry.relays.iter().find(|relay| relay.node == *node) {
        None => p.add(file, "node.name", format!("relay node {node} is not in the registry")),
        Some(relay) => {
            if relay.signing_key.as_str() != signer.keyid() {
                p.add(
                    file,
                    "node.signing_seed_file",
                    "is not the signing key the registry lists for this node",
                );
            }
            if relay.connect_key.as_str() != connect_seed.public_key() {
                p.add(
                    file,
                    "node.connect_seed_file",
                    "is not the connect key the registry lists for this node",
                );
            }
        }
    }
}
