//! The commands that only look: `lag`, `trace`, `verify`.

use std::{path::Path, sync::Arc};

use jiff::SignedDuration;
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
    config::Config,
    lag::Lag,
    trace::{self, Trace, bundle},
};

use super::{complain, refuse, say, shout};

/// Reads the read model of this node.
pub(super) fn lag(file: &Path, hours: i64, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    match Lag::read(&config.store_dir, SignedDuration::from_hours(hours), clock::now()) {
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
    let login = Login {
        url: &config.nats_url,
        name: format!("sallyport-relay-{}-trace", config.node),
        seed: &config.connect_seed,
        inbox_prefix: subject::inbox_of_relay(&config.node),
        js_api: None,
    };
    let (client, js) = match connect::connect(login, Arc::new(LinkCounters::default())).await {
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
