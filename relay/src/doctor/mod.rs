//! What `check` of a relay node looks at beyond its configuration: its own machine, every server (as the monitor user), and
//! every stream and durable (as itself). It changes nothing. What one setting means: `server`, `streams`; who runs old programs: `parties`; what three
//! programs share: `sallyport_link::doctor`.

mod parties;
mod server;
mod streams;

use std::path::Path;

use async_nats::Request;
use sallyport_link::{
    connect::Login,
    doctor::{
        Code, Finding, Report, folder,
        line::{self, Line},
        need::{self, NO_NUMBER, NO_REQUEST, Need, Outcome, Try},
        seeds, version,
    },
};
use sallyport_proto::subject;
use serde_json::Value;

use self::server::Met;
use crate::{
    config::Config,
    node::BUILD,
    provision::{self, durables, safety},
};

/// Looks at everything; with `offline` at this machine alone.
pub async fn look(config: &Config, offline: bool) -> Report {
    let mut report = Report::default();
    report.add(version::judge(&config.registry, BUILD));
    report.add(seeds::look(&config.file));
    report.add(folder::look_and_judge("the store", &config.store_dir));
    if offline {
        report.add_offline("servers, streams, durables, permissions and clocks");
        return report;
    }
    let servers = servers(config, &mut report).await;
    match line::connect(login(config)).await {
        Ok(line) => {
            report.add(line::judge_address(&config.nats_url, line.client.server_info().tls_required));
            report.add(line.try_all(&needs(config)).await);
            let seen = Seen::by(&line, config, &mut report).await;
            report.add(streams::judge(config, &seen));
            report.add(server::judge_replicas(config.provision.replicas, servers.as_deref(), &seen));
            report.add(server::judge_share(servers.as_deref().unwrap_or_default(), &seen));
            report.add(parties::look(&line.client, &config.registry).await);
            line.close().await;
        }
        // Said once, by whoever tried first.
        Err(finding) if report.findings().contains(&finding) => {}
        Err(finding) => report.add([finding]),
    }
    report
}

fn login(config: &Config) -> Login<'_> {
    Login {
        url: &config.nats_url,
        name: format!("sallyport-relay-{}", config.node),
        seed: &config.connect_seed,
        inbox_prefix: subject::inbox_of_relay(&config.node),
        js_api: None,
    }
}

/// What every server says of itself, judged; none when none said anything.
async fn servers(config: &Config, report: &mut Report) -> Option<Vec<safety::Answer>> {
    let line = match line::connect(safety::login(config)).await {
        Ok(line) => line,
        Err(finding) => {
            report.add([finding]);
            return None;
        }
    };
    let met = Met::by(&line.client.server_info());
    let answers = safety::ask(&line.client).await;
    line.close().await;
    match answers {
        Ok(answers) => {
            report.add(server::judge(config, &answers, &met));
            Some(answers)
        }
        Err(error) => {
            report.add([Finding::not_seen(
                Code::NoAnswer,
                format!("the servers' own settings are not known: {error}"),
                "`sallyport-relay provision --server-config-only`, then reload the server",
            )]);
            None
        }
    }
}

/// Streams and durables as they should be, each with what the server states of it.
struct Seen {
    streams: Vec<Pair>,
    durables: Vec<Pair>,
}

struct Pair {
    /// "stream INGEST", "durable relay on INGEST".
    label: String,
    /// The stream it is, or is on.
    stream: String,
    should: Value,
    /// `STREAM.INFO` or `CONSUMER.INFO`; none where that could not be had, which is said.
    is: Option<Value>,
}

impl Seen {
    async fn by(line: &Line, config: &Config, report: &mut Report) -> Self {
        let mut unsaid = provision::Report::default();
        let mut seen = Self { streams: Vec::new(), durables: Vec::new() };
        for stream in provision::streams::wanted(&config.registry, &config.provision, &mut unsaid) {
            let label = format!("stream {}", stream.name);
            let is = info(line, &label, format!("$JS.API.STREAM.INFO.{}", stream.name), report).await;
            let should = serde_json::to_value(&stream).unwrap_or_default();
            seen.streams.push(Pair { label, stream: stream.name, should, is });
        }
        for durable in durables::wanted(&config.registry, config.provision.replicas) {
            let (stream, name) = durable.place();
            let label = format!("durable {name} on {stream}");
            let subject = format!("$JS.API.CONSUMER.INFO.{stream}.{name}");
            let is = info(line, &label, subject, report).await;
            seen.durables.push(Pair { label, stream: stream.into(), should: durable.stated(), is });
        }
        for warning in unsaid.warnings {
            report.add([Finding::warning(
                Code::DiskShare,
                warning,
                "raise it, or give the streams a larger disk",
            )]);
        }
        seen
    }

    fn all(&self) -> impl Iterator<Item = &Pair> {
        self.streams.iter().chain(&self.durables)
    }
}

async fn info(line: &Line, label: &str, subject: String, report: &mut Report) -> Option<Value> {
    let outcome = match line.ask(&subject, Request::new().payload(Vec::new().into())).await {
        Ok(message) => {
            let stated: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            if stated["config"].is_object() {
                return Some(stated);
            }
            let why = stated["error"]["description"].as_str().unwrap_or("no configuration");
            report.add([Finding::unsafe_(
                Code::NotProvisioned,
                format!("{label} is not there ({why})"),
                "run `sallyport-relay provision`",
            )]);
            return None;
        }
        Err(outcome) => outcome,
    };
    // Nobody serves JetStream's API where JetStream is off: `server` says so.
    if outcome != Outcome::NobodyThere {
        report.add(need::judge(&Need::new(subject, Try::Api(""), "look at streams and durables"), outcome));
    }
    None
}

/// What a running node does at the server.
fn needs(config: &Config) -> Vec<Need> {
    let store = |subject: &str, what| Need::new(subject, Try::Store, what);
    let mut needs = vec![
        store("hub.v1.deliver.check.none", "notices"),
        store("hub.v1.routed.check.none", "routing"),
        store("hub.v1.answer.check.none", "answers to jails"),
        store("hub.v1.control.check", "decisions"),
        store("hub.v1.parked.check", "parking of what is refused"),
        store("hub.v1.head.check", "telling agencies how far their notices reach"),
        Need::new("$JS.API.STREAM.MSG.GET.DELIVER", Try::Api(NO_REQUEST), "reading of records"),
        Need::new(subject::HUB_CATCHUP, Try::Hear, "catch-up for jails"),
    ];
    for stream in [subject::INGEST, subject::RECEIPTS, subject::REQUESTS] {
        let pull = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", subject::RELAY_DURABLE);
        needs.push(Need::new(pull, Try::Quiet(NO_NUMBER), "pulling of messages"));
        needs.extend(need::acks(stream, subject::RELAY_DURABLE));
    }
    for (reader, what) in [
        (subject::track_consumer(&config.node), "read model"),
        (subject::audit_consumer(&config.node), "`audit`"),
        (subject::archive_consumer(&config.node), "`archive`"),
    ] {
        // Of no stream of ours: a running reader is left alone whatever the server makes of the content.
        for call in ["CREATE", "DELETE", "INFO", "MSG.NEXT"] {
            let subject = format!("$JS.API.CONSUMER.{call}.CHECK.{reader}");
            needs.push(Need::new(subject, Try::Quiet(NO_REQUEST), what));
        }
    }
    needs
}

/// The store of a server as it names it: below the folder that the configuration gives.
fn folder_of(store_dir: &str) -> &Path {
    let path = Path::new(store_dir);
    if path.ends_with("jetstream") { path.parent().unwrap_or(path) } else { path }
}
