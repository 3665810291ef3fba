//! From the raw file to a checked `Config`, naming every problem.

use std::{net::SocketAddr, path::Path, time::Duration};

use sallyport_agent_core::{custody::FacilitySecret, disclose::AllowList, mapping::Mapping};
use sallyport_link::{
    config::{self, ConfigProblems, beside, read_text},
    registry,
};
use sallyport_proto::{
    problem::Problems, provenance::TrafficClass, registry::Registry, vocabulary::TrafficKind,
};

use super::{Config, Facility, Intake, Seed, form};
use crate::intake::BUILD;

/// Without a setting: often enough that nobody waits for a dropped file, rare enough for a network share.
const RESCAN_S: u32 = 10;
/// Without a setting: a writer that pauses longer than this is rare, and a file that still grows comes back.
const DROP_QUIET_S: u32 = 5;
/// Without a setting.
const HEARTBEAT_S: u32 = 60;
/// The relay counts a jail as silent after three that did not come.
const HEARTBEAT_MAX_S: u32 = 300;
/// A key that was registered counts within this time.
const REGISTRY_LOOK_EVERY: Duration = Duration::from_secs(2);
/// Keys of the registry that the agent names in problems of its own file.
const REGISTRY_FILE: &str = "registry.file";

pub(super) fn config(path: &Path) -> Result<Config, ConfigProblems> {
    let mut problems = ConfigProblems::default();
    let checked = checked(path, &mut problems);
    problems.finish(checked)
}

fn checked(path: &Path, problems: &mut ConfigProblems) -> Option<Config> {
    let text = read_text(problems, path, "file", path)?;
    // What can be read in spite of mistakes of form is checked all the same: every problem at once.
    let mut form = Problems::of(&text);
    let raw: Option<form::File> = form.read();
    problems.take(path, form.finish(Some(())));
    let raw = raw?;
    let mut found = Problems::of(&text);
    let p = &mut found;

    let traffic = traffic(p, &raw.traffic);
    let http = match &raw.http {
        None => Some(None),
        Some(http) => listen(p, &http.listen).map(Some),
    };
    let nats_url = url(p, &raw.nats.url);
    let rescan = seconds(p, "intake.rescan_s", raw.intake.rescan_s.as_ref(), RESCAN_S);
    let quiet = seconds(p, "intake.drop_quiet_s", raw.intake.drop_quiet_s.as_ref(), DROP_QUIET_S);
    let heartbeat_every = heartbeat(p, raw.heartbeat.every_s.as_ref());
    let pinned = pinned(p, &raw.registry, traffic.as_ref());
    let instance = p.parse("facility.instance", &raw.facility.instance);
    let jurisdiction = p.parse("facility.jurisdiction", &raw.facility.jurisdiction);
    let ori = p.parse("facility.ori", &raw.facility.ori);
    if raw.intake.drop_dir.is_some() && raw.intake.mapping.is_none() {
        p.add("intake.drop_dir", None, "files in it are read with intake.mapping, which is not set");
    }

    let mapping = match &raw.intake.mapping {
        None => Some(None),
        Some(file) => mapping(problems, path, &beside(path, file)).map(Some),
    };
    // An allow-list is checked against the mapping's names only when the mapping is good.
    let known = mapping.as_ref().and_then(Option::as_ref).map(Mapping::known_names);
    let allow = AllowList::check(&raw.allow, known.as_ref(), p);
    let facility = secrets(problems, path, &raw.facility);
    let registry_file = beside(path, &raw.registry.file);
    let registry =
        pinned.as_ref().and_then(|pinned| config::registry(problems, &registry_file, pinned.as_ref()));

    let facility = (|| {
        let (signer, connect, secret) = facility?;
        Some(Facility {
            instance: instance?,
            jurisdiction: jurisdiction?,
            ori: ori?,
            signer,
            connect,
            secret,
        })
    })();
    if let (Some(facility), Some(registry)) = (&facility, &registry) {
        cross_check(p, facility, registry, allow.as_ref());
    }
    problems.take(path, found.finish(Some(())));
    problems.locate(path, &text);
    Some(Config {
        facility: facility?,
        registry: registry::Source {
            file: registry_file,
            registrar: pinned?,
            look_every: REGISTRY_LOOK_EVERY,
            build: BUILD,
        },
        registry_at_start: registry?,
        nats_url: nats_url?,
        store_dir: beside(path, &raw.store.dir),
        http: http?,
        intake: Intake {
            mapping: mapping?,
            drop_dir: raw.intake.drop_dir.as_ref().map(|dir| beside(path, dir)),
            rescan: rescan?,
            quiet: quiet?,
        },
        heartbeat_every: heartbeat_every?,
        traffic: traffic?,
        allow: allow?,
    })
}

fn heartbeat(p: &mut Problems<'_>, raw: Option<&toml::Spanned<u32>>) -> Option<Duration> {
    let every_s = raw.map_or(HEARTBEAT_S, |raw| *raw.get_ref());
    if !(1..=HEARTBEAT_MAX_S).contains(&every_s) {
        let text =
            format!("must be from 1 to {HEARTBEAT_MAX_S}: a jail that is silent for longer counts as gone");
        p.add("heartbeat.every_s", raw.map(toml::Spanned::span), text);
        return None;
    }
    Some(Duration::from_secs(every_s.into()))
}

fn traffic(p: &mut Problems<'_>, raw: &form::Traffic) -> Option<TrafficClass> {
    let kind = p.parse::<TrafficKind>("traffic.kind", &raw.kind)?;
    let exercise = raw.exercise_id.as_ref();
    if kind != TrafficKind::Exercise
        && let Some(id) = exercise
    {
        p.add("traffic.exercise_id", Some(id.span()), "only an EXERCISE has one");
    }
    match (kind, exercise) {
        (TrafficKind::Exercise, Some(id)) if !id.get_ref().trim().is_empty() => {
            Some(TrafficClass::Exercise(id.get_ref().clone()))
        }
        (TrafficKind::Exercise, _) => {
            p.add("traffic.exercise_id", Some(raw.kind.span()), "an EXERCISE needs an id");
            None
        }
        (TrafficKind::Test, _) => Some(TrafficClass::Test),
        (TrafficKind::Actual, _) => {
            let text =
                "ACTUAL is refused: disclosures are not sealed yet, so that a relay could read person data";
            p.add("traffic.kind", Some(raw.kind.span()), text);
            None
        }
        (TrafficKind::Ping, _) => {
            p.add(
                "traffic.kind",
                Some(raw.kind.span()),
                "PING is what the ping command sends, never a facility's traffic",
            );
            None
        }
    }
}

fn listen(p: &mut Problems<'_>, raw: &form::Text) -> Option<SocketAddr> {
    let address: SocketAddr = p.parse("http.listen", raw)?;
    if address.ip().is_loopback() {
        return Some(address);
    }
    p.add(
        "http.listen",
        Some(raw.span()),
        "must be a loopback address: whoever reaches it can state events of this jail",
    );
    None
}

fn url(p: &mut Problems<'_>, raw: &form::Text) -> Option<String> {
    let url = raw.get_ref();
    if ["nats://", "tls://"]
        .iter()
        .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        return Some(url.clone());
    }
    p.add("nats.url", Some(raw.span()), "not of the form nats://host:port or tls://host:port");
    None
}

fn seconds(
    p: &mut Problems<'_>,
    key: &'static str,
    raw: Option<&toml::Spanned<u32>>,
    otherwise: u32,
) -> Option<Duration> {
    let seconds = raw.map_or(otherwise, |raw| *raw.get_ref());
    if seconds == 0 {
        p.add(key, raw.map(toml::Spanned::span), "at least 1");
        return None;
    }
    Some(Duration::from_secs(seconds.into()))
}

/// The pinned key; `Some(None)` where an unsigned registry is permitted.
fn pinned(
    p: &mut Problems<'_>,
    raw: &form::Registry,
    traffic: Option<&TrafficClass>,
) -> Option<Option<sallyport_proto::key::RegistrarKey>> {
    match (&raw.registrar_key, raw.unsigned) {
        (Some(key), false) => p.parse("registry.registrar_key", key).map(Some),
        (Some(_), true) => {
            p.add(
                "registry.unsigned",
                None,
                "a registry with a registrar_key is signed: leave one of the two out",
            );
            None
        }
        (None, false) => {
            p.add(
                REGISTRY_FILE,
                None,
                "registrar_key is missing: keys are taken from a registry that the registrar signed",
            );
            None
        }
        // With a wrong traffic class that problem is named already.
        (None, true) if matches!(traffic, None | Some(TrafficClass::Exercise(_) | TrafficClass::Test)) => {
            Some(None)
        }
        (None, true) => {
            p.add(
                "registry.unsigned",
                None,
                "an unsigned registry is refused unless traffic.kind is EXERCISE or TEST",
            );
            None
        }
    }
}

fn mapping(problems: &mut ConfigProblems, owner: &Path, file: &Path) -> Option<Mapping> {
    let text = read_text(problems, owner, "intake.mapping", file)?;
    problems.take(file, Mapping::parse(&text))
}

type Secrets = (sallyport_proto::key::Signer, Seed, FacilitySecret);

fn secrets(problems: &mut ConfigProblems, path: &Path, raw: &form::Facility) -> Option<Secrets> {
    let signer =
        config::signer(problems, path, "facility.signing_seed_file", &beside(path, &raw.signing_seed_file));
    let connect = config::connect_seed(
        problems,
        path,
        "facility.connect_seed_file",
        &beside(path, &raw.connect_seed_file),
    );
    let secret_file = beside(path, &raw.secret_file);
    let secret = read_text(problems, path, "facility.secret_file", &secret_file).and_then(|text| {
        FacilitySecret::from_hex(&text)
            .map_err(|error| {
                problems.add(path, "facility.secret_file", format!("{}: {error}", secret_file.display()))
            })
            .ok()
    });
    Some((signer?, Seed(connect?), secret?))
}

/// What two files must agree on. A registry that does not know us would have everything refused, hours later.
fn cross_check(p: &mut Problems<'_>, facility: &Facility, registry: &Registry, allow: Option<&AllowList>) {
    if registry.instance != facility.instance {
        p.add("facility.instance", None, format!("the registry is of instance {}", registry.instance));
    }
    match registry.facilities.get(&facility.ori) {
        None => p.add("facility.ori", None, "the registry does not list this facility"),
        Some(entry) => {
            if entry.jurisdiction != facility.jurisdiction {
                let text = format!("the registry lists this facility in {}", entry.jurisdiction);
                p.add("facility.jurisdiction", None, text);
            }
            if entry.signing_key.as_str() != facility.signer.keyid() {
                p.add(
                    "facility.signing_seed_file",
                    None,
                    "not the key that the registry lists for this facility",
                );
            }
            if entry.connect_key.as_str() != facility.connect.0.public_key() {
                p.add(
                    "facility.connect_seed_file",
                    None,
                    "not the key that the registry lists for this facility",
                );
            }
        }
    }
    let Some(allow) = allow else { return };
    for (n, (subscriber, name)) in allow.agreements().enumerate() {
        if !registry.subscribers.contains_key(subscriber) {
            p.add(format!("allow[{n}].subscriber"), None, format!("{subscriber} is not in the registry"));
        } else if !registry.agreements.get(name).is_some_and(|agreement| {
            agreement.subscriber == *subscriber
                && agreement.facility.as_ref().is_none_or(|ori| *ori == facility.ori)
        }) {
            let text = format!("the registry has no agreement {name} of this facility with {subscriber}");
            p.add(format!("allow[{n}].agreement"), None, text);
        }
    }
}
