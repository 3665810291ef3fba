//! The subscriber's configuration: one TOML file, read whole and cross-checked before any socket opens.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use sallyport_link::{
    config::{self, ConfigProblems, ConnectSeed, beside},
    registry,
};
use sallyport_proto::{
    ids::{InstanceId, SubscriberId},
    key::{RegistrarKey, Signer},
    problem::Problems,
    registry::Registry,
};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    BUILD,
    hand_over::{Command, Sink},
};

/// What one bridge runs with.
pub struct Config {
    /// The relay network.
    pub instance: InstanceId,
    /// Who we are.
    pub me: SubscriberId,
    /// Signs receipts.
    pub signer: Signer,
    /// Logs in.
    pub connect_seed: ConnectSeed,
    /// The registry as it was at start.
    pub registry: Registry,
    /// For reading it again.
    pub registry_source: registry::Source,
    /// `nats://...`
    pub nats_url: String,
    /// Store, hand-over log, lock.
    pub store_dir: PathBuf,
    /// Where notices go.
    pub sink: Sink,
    /// `/metrics`, `/healthz`.
    pub http_listen: Option<SocketAddr>,
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    subscriber: SubscriberPart,
    registry: RegistryPart,
    nats: Nats,
    store: Store,
    hand_over: HandOver,
    http: Option<Http>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscriberPart {
    instance: Text,
    id: Text,
    signing_seed_file: PathBuf,
    connect_seed_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryPart {
    file: PathBuf,
    registrar_key: Text,
    #[serde(default = "default_reload_s")]
    reload_s: u64,
}

/// A change of the registry counts within seconds everywhere.
fn default_reload_s() -> u64 {
    2
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nats {
    url: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOver {
    to: Text,
    dir: Option<Spanned<PathBuf>>,
    command: Option<Spanned<Vec<String>>>,
    timeout_s: Option<Spanned<u64>>,
    tries: Option<Spanned<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    listen: Text,
}

/// A command that takes longer is stuck: the next notice waits behind it.
const COMMAND_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// With pauses of 1, 2, 4 and 8 s: a restart of the application is bridged, a broken one is reported in a minute.
const COMMAND_TRIES_DEFAULT: u32 = 5;

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
        let near = |path: &Path| beside(file, path);
        let mut values = Problems::of(text);
        let instance = values.parse("subscriber.instance", &raw.subscriber.instance);
        let me = values.parse("subscriber.id", &raw.subscriber.id);
        let registrar: Option<RegistrarKey> =
            values.parse("registry.registrar_key", &raw.registry.registrar_key);
        let url = &raw.nats.url;
        if !url.get_ref().starts_with("nats://") && !url.get_ref().starts_with("tls://") {
            values.add("nats.url", Some(url.span()), "must start with nats:// or tls://");
        }
        let sink = sink(&mut values, raw.hand_over, &near);
        let http_listen = raw.http.as_ref().map(|http| listen(&mut values, &http.listen));
        p.take(file, values.finish(Some(())));

        let signer = config::signer(p, file, SIGNING_SEED, &near(&raw.subscriber.signing_seed_file));
        let connect_seed =
            config::connect_seed(p, file, CONNECT_SEED, &near(&raw.subscriber.connect_seed_file));
        let registry_file = near(&raw.registry.file);
        let registry = registrar.as_ref().and_then(|key| config::registry(p, &registry_file, Some(key)));
        if let (Some(registry), Some(instance), Some(me)) = (&registry, &instance, &me) {
            agree(p, file, registry, instance, me, signer.as_ref(), connect_seed.as_ref());
        }
        Some(Self {
            instance: instance?,
            me: me?,
            signer: signer?,
            connect_seed: connect_seed?,
            registry: registry?,
            registry_source: registry::Source {
                file: registry_file,
                registrar: Some(registrar?),
                look_every: Duration::from_secs(raw.registry.reload_s.max(1)),
                build: BUILD,
            },
            nats_url: raw.nats.url.into_inner(),
            store_dir: near(&raw.store.dir),
            sink: sink?,
            http_listen: match http_listen {
                None => None,
                Some(listen) => Some(listen?),
            },
        })
    }
}

const SIGNING_SEED: &str = "subscriber.signing_seed_file";
const CONNECT_SEED: &str = "subscriber.connect_seed_file";

fn listen(values: &mut Problems<'_>, text: &Text) -> Option<SocketAddr> {
    let address: SocketAddr = values.parse("http.listen", text)?;
    if address.ip().is_loopback() {
        return Some(address);
    }
    values.add(
        "http.listen",
        Some(text.span()),
        "must be a loopback address: there is no TLS and no login here",
    );
    None
}

fn sink(values: &mut Problems<'_>, raw: HandOver, near: &dyn Fn(&Path) -> PathBuf) -> Option<Sink> {
    let HandOver { to, dir, command, timeout_s, tries } = raw;
    let kind = to.get_ref().as_str();
    let mut only_with = |there: Option<std::ops::Range<usize>>, key: &str, owner: &str| {
        if there.is_some() && kind != owner {
            values.add(format!("hand_over.{key}"), there, format!("counts only with to = \"{owner}\""));
        }
    };
    only_with(dir.as_ref().map(Spanned::span), "dir", "files");
    only_with(command.as_ref().map(Spanned::span), "command", "command");
    only_with(timeout_s.as_ref().map(Spanned::span), "timeout_s", "command");
    only_with(tries.as_ref().map(Spanned::span), "tries", "command");
    match kind {
        "lines" => Some(Sink::Lines),
        "none" => Some(Sink::None),
        "files" => {
            let Some(dir) = dir else {
                values.add("hand_over.dir", Some(to.span()), "missing: the folder for the files");
                return None;
            };
            let path = near(dir.get_ref());
            if path.exists() && !path.is_dir() {
                values.add("hand_over.dir", Some(dir.span()), format!("{} is not a folder", path.display()));
                return None;
            }
            Some(Sink::Files(path))
        }
        "command" => {
            let Some(command) = command.filter(|words| !words.get_ref().is_empty()) else {
                values.add("hand_over.command", Some(to.span()), "missing: the program and its arguments");
                return None;
            };
            let program = Path::new(&command.get_ref()[0]);
            if program.is_absolute() && !program.is_file() {
                let text = format!("{} is not there", program.display());
                values.add("hand_over.command", Some(command.span()), text);
                return None;
            }
            let timeout = positive(values, "timeout_s", timeout_s.map(|at| (at.span(), *at.get_ref())));
            let tries = positive(values, "tries", tries.map(|at| (at.span(), u64::from(*at.get_ref()))));
            Some(Sink::Command(Command {
                words: command.into_inner(),
                timeout: timeout.map_or(COMMAND_TIMEOUT_DEFAULT, Duration::from_secs),
                tries_max: tries
                    .map_or(COMMAND_TRIES_DEFAULT, |tries| u32::try_from(tries).unwrap_or(u32::MAX)),
            }))
        }
        _ => {
            values.add("hand_over.to", Some(to.span()), "none of lines, files, command, none");
            None
        }
    }
}

fn positive(
    values: &mut Problems<'_>,
    key: &str,
    value: Option<(std::ops::Range<usize>, u64)>,
) -> Option<u64> {
    let (at, value) = value?;
    if value == 0 {
        values.add(format!("hand_over.{key}"), Some(at), "must be at least 1");
    }
    Some(value)
}

/// We must be the one the registry lists, with these very keys: others would not be believed, or not let in.
fn agree(
    p: &mut ConfigProblems,
    file: &Path,
    registry: &Registry,
    instance: &InstanceId,
    me: &SubscriberId,
    signer: Option<&Signer>,
    connect_seed: Option<&ConnectSeed>,
) {
    if registry.instance != *instance {
        p.add(file, "subscriber.instance", format!("the registry is of instance {}", registry.instance));
    }
    let Some(listed) = registry.subscribers.get(me) else {
        p.add(file, "subscriber.id", format!("subscriber {me} is not in the registry"));
        return;
    };
    if signer.is_some_and(|signer| listed.signing_key.as_str() != signer.keyid()) {
        p.add(file, SIGNING_SEED, "is not the signing key the registry lists for this subscriber");
    }
    if connect_seed.is_some_and(|seed| listed.connect_key.as_str() != seed.public_key()) {
        p.add(file, CONNECT_SEED, "is not the connect key the registry lists for this subscriber");
    }
}
