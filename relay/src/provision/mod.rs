//! Makes and reconciles what NATS must have: the static server's accounts, streams, durables. Creates what is missing,
//! reports what differs, and never destroys. Everything else only binds (invariant 10).

pub mod accounts;
pub(crate) mod drift;
pub(crate) mod durables;
pub mod safety;
pub(crate) mod streams;

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

use async_nats::jetstream;
use sallyport_link::{
    config::{self, ConfigProblems},
    connect::{self, LinkCounters, Login},
    private,
};
use sallyport_proto::registry::Registry;
use serde::Serialize;

use crate::config::Config;
pub use accounts::Doors;

/// What was found and done, one line each.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Made now.
    pub created: Vec<String>,
    /// Brought in line without loss.
    pub updated: Vec<String>,
    /// Already as it should be.
    pub unchanged: Vec<String>,
    /// Differs, and bringing it in line could lose something: a person decides.
    pub drift: Vec<String>,
    /// Worth knowing.
    pub warnings: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = [
            ("created", &self.created),
            ("updated", &self.updated),
            ("DRIFT", &self.drift),
            ("warning", &self.warnings),
        ];
        for (word, lines) in groups {
            for line in lines {
                writeln!(f, "{word}: {line}")?;
            }
        }
        write!(f, "{} already as they should be", self.unchanged.len())
    }
}

/// Why provisioning did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file the configuration names cannot be used.
    #[error("{0}")]
    Config(ConfigProblems),
    /// No connection.
    #[error("cannot connect to {url}")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is set up unsafely.
    #[error(transparent)]
    Unsafe(#[from] safety::Unsafe),
    /// A request to JetStream failed.
    #[error("{what}: {reason}")]
    JetStream {
        /// Which request.
        what: String,
        /// What the server said.
        reason: String,
    },
    /// The rendered configuration cannot be written.
    #[error("cannot write {file}")]
    Write {
        /// Where.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Renders the static server's configuration into its file. Tells whether it changed, so that the server is reloaded.
pub fn render_server_config(config: &Config, doors: Doors, report: &mut Report) -> Result<(), Error> {
    let Some(file) = &config.provision.server_config else { return Ok(()) };
    let text = accounts::render(&config.registry, &config.provision, doors);
    let name = file.display().to_string();
    let write = |path: &Path, text: &str| {
        // Public keys only; the server may run as another user.
        std::fs::write(path, text)
            .and_then(|()| private::share(path))
            .map_err(|source| Error::Write { file: path.display().to_string(), source })
    };
    match std::fs::read_to_string(file) {
        Ok(old) if old == text => report.unchanged.push(name),
        Ok(old) => {
            write(&file.with_extension("conf.previous"), &old)?;
            write(file, &text)?;
            report.updated.push(format!(
                "{name} (reload the server: nats-server --signal reload; the former one lies beside it)"
            ));
        }
        Err(_) => {
            write(file, &text)?;
            report.created.push(name);
        }
    }
    Ok(())
}

/// Streams and durables on a running server, after checking that it is safe.
pub async fn reconcile(config: &Config, report: &mut Report) -> Result<(), Error> {
    let (client, js) = log_in(config).await?;
    let outcome = apply(&js, &config.registry, config, report).await;
    connect::close(&client).await;
    outcome
}

/// As the provisioning user, on a server that is safe.
pub(crate) async fn log_in(config: &Config) -> Result<(async_nats::Client, jetstream::Context), Error> {
    let mut problems = ConfigProblems::default();
    let seed = match &config.provision_seed_file {
        Some(path) => config::connect_seed(&mut problems, &config.file, "nats.provision_seed_file", path),
        None => {
            problems.add(
                &config.file,
                "nats.provision_seed_file",
                "missing: only this user may create streams",
            );
            None
        }
    };
    let seed = problems.finish(seed).map_err(Error::Config)?;
    safety::check(config).await?;
    let login = Login {
        url: &config.nats_url,
        name: "sallyport-provision".into(),
        seed: &seed,
        inbox_prefix: accounts::PROVISION_INBOX.into(),
        js_api: None,
    };
    connect::connect(login, Arc::new(LinkCounters::default()))
        .await
        .map_err(|source| Error::Connect { url: config.nats_url.clone(), source })
}

/// Makes one stream as `reconcile` would, its first message to have the sequence `first`: what refers to sequences in a
/// restored stream stays right.
pub(crate) async fn make_stream(
    js: &jetstream::Context,
    config: &Config,
    name: &str,
    first: u64,
) -> Result<(), Error> {
    let mut report = Report::default();
    for mut stream in streams::wanted(&config.registry, &config.provision, &mut report) {
        if stream.name == name {
            stream.first_sequence = Some(first);
            streams::reconcile(js, stream, &mut report).await?;
        }
    }
    Ok(())
}

async fn apply(
    js: &jetstream::Context,
    registry: &Registry,
    config: &Config,
    report: &mut Report,
) -> Result<(), Error> {
    let mut names = Vec::new();
    for stream in streams::wanted(registry, &config.provision, report) {
        names.push(stream.name.clone());
        streams::reconcile(js, stream, report).await?;
    }
    let mut places = BTreeSet::new();
    for durable in durables::wanted(registry, config.provision.replicas) {
        places.insert(durable.place());
        durables::reconcile(js, durable, report).await?;
    }
    for stream in &names {
        if let Err(error) = durables::strangers(js, registry, stream, &places, report).await {
            // A server that runs on a configuration of before does not permit it.
            report.warnings.push(format!(
                "{error}; is the rendered configuration loaded? Nobody else's consumers were looked for"
            ));
            break;
        }
    }
    Ok(())
}
