//! The commands that only look: `lag`, `trace`, `audit`, `verify`.

use std::{path::Path, sync::Arc};

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use sallyport_link::{
    clock,
    config::signature_path,
    connect::{self, LinkCounters, Login},
    exit,
};
use sallyport_proto::{
    ids::{EventId, Ori},
    key::RegistrarKey,
    subject,
};
use sallyport_relay::{
    audit::{self, Scan},
    config::Config,
    lag::Lag,
    sweep::SweepError,
    trace::{self, Trace, bundle},
};

use super::{complain, refuse, say, shout};

/// Reads the read model of this node.
pub(super) fn lag(file: &Path, hours: i64, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let window = SignedDuration::from_hours(hours);
    match Lag::read(&config.store_dir, &config.registry, window, clock::now()) {
        Ok(lag) => {
            print(&lag, json);
            // Old figures are not what was asked for.
            if lag.known { exit::OK } else { exit::FAILED }
        }
        Err(error) => shout(exit::UNAVAILABLE, &error),
    }
}

/// Reads the read model, then the records themselves at the streams.
pub(super) async fn trace(
    file: &Path,
    event: &EventId,
    facility: Option<&Ori>,
    bundle: Option<&Path>,
    json: bool,
) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let (client, js) = match log_in(&config, "trace").await {
        Ok(connected) => connected,
        Err(error) => return shout(exit::UNAVAILABLE, &error),
    };
    let gathered =
        trace::gather(&js, &config.store_dir, &config.registry, event, facility, clock::now()).await;
    connect::close(&client).await;
    let trace = match gathered {
        Ok(trace) => trace,
        Err(error) => return shout(exit::DATA, &error),
    };
    print(&trace, json);
    let verified = if trace.is_verified() { exit::OK } else { exit::FAILED };
    match bundle {
        None => verified,
        Some(out) => write_bundle(&trace, &config, out).unwrap_or(verified),
    }
}

/// As this node's user, for one command.
pub(super) async fn log_in(
    config: &Config,
    command: &str,
) -> Result<(async_nats::Client, async_nats::jetstream::Context), async_nats::ConnectError> {
    let login = Login {
        url: &config.nats_url,
        name: format!("sallyport-relay-{}-{command}", config.node),
        seed: &config.connect_seed,
        inbox_prefix: subject::inbox_of_relay(&config.node),
        js_api: None,
    };
    connect::connect(login, Arc::new(LinkCounters::default())).await
}

/// From when on a command looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    /// A time.
    Time(Timestamp),
    /// So long ago.
    Ago(SignedDuration),
}

/// Reads `--since`.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Since::Time(time));
    }
    let span: Span = text.parse().map_err(|_| "neither a time nor a span like 90m, 24h, 7d".to_owned())?;
    // Weeks and days of 24 hours: nobody audits by the calendar.
    let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    if ago.is_negative() {
        return Err("lies in the future".into());
    }
    Ok(Since::Ago(ago))
}

/// Reads the streams and compares them.
pub(super) async fn audit(file: &Path, since: Option<Since>, grace_s: i64, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let since = since.map(|since| match since {
        Since::Time(time) => time,
        Since::Ago(ago) => clock::now().saturating_sub(ago).unwrap_or(Timestamp::MIN),
    });
    let (client, js) = match log_in(&config, "audit").await {
        Ok(connected) => connected,
        Err(error) => return shout(exit::UNAVAILABLE, &error),
    };
    let scan = Scan {
        instance: config.instance.clone(),
        node: config.node.clone(),
        since,
        grace: SignedDuration::from_secs(grace_s.max(0)),
    };
    let audited = audit::run(&js, &config.store_dir, &config.registry, scan).await;
    connect::close(&client).await;
    match audited {
        Ok(audit) => {
            print(&audit, json);
            if audit.clean { exit::OK } else { exit::FAILED }
        }
        Err(error @ audit::Error::Sweep(SweepError::Busy { .. })) => shout(exit::BUSY, &error),
        Err(error) => shout(exit::UNAVAILABLE, &error),
    }
}

/// Writes the evidence; an exit code when it could not.
fn write_bundle(trace: &Trace, config: &Config, out: &Path) -> Option<u8> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let registry = bundle::RegistryFiles {
        file: read(&config.registry_file),
        signature: read(&signature_path(&config.registry_file)),
    };
    let bundle = match bundle::Bundle::of(trace, registry) {
        Ok(bundle) => bundle,
        Err(error) => return Some(shout(exit::DATA, &error)),
    };
    if let Err(error) = std::fs::write(out, bundle.to_bytes()) {
        complain(&format!("cannot write {}: {error}", out.display()));
        return Some(exit::UNAVAILABLE);
    }
    let warning = if bundle.contains_person_data() { "; IT HOLDS PERSON DATA" } else { "" };
    complain(&format!("wrote {}{warning}", out.display()));
    let left_out = trace.left_out();
    left_out.iter().for_each(|record| complain(&format!("LEFT OUT of the bundle: {record}")));
    (!left_out.is_empty()).then_some(exit::FAILED)
}

/// Checks a bundle; needs no configuration, no registry and no connection.
pub(super) fn verify(file: &Path, registrar: &RegistrarKey, json: bool) -> u8 {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            complain(&format!("cannot read {}: {error}", file.display()));
            return exit::UNAVAILABLE;
        }
    };
    let report = bundle::verify(&bytes, registrar);
    print(&report, json);
    if report.holds() { exit::OK } else { exit::FAILED }
}

fn print<T: serde::Serialize + std::fmt::Display>(value: &T, json: bool) {
    if json {
        say(&serde_json::to_string(value).unwrap_or_default());
    } else {
        say(&value.to_string());
    }
}
