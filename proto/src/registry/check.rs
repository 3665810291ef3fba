//! From the raw registry file to a checked `Registry`, naming every problem.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use toml::Spanned;

use super::{
    Agreement, EndDate, Facility, Filter, Operator, Registry, RelayNode, Subscriber, Subscription, file,
};
use crate::{
    envelope::Digest,
    ids::{AgreementName, SubscriberId},
    problem::{Problem, Problems},
    provenance::AgreementId,
    vocabulary::Certainty,
};

type Text = Spanned<String>;

/// Message kinds an agreement may name.
const KINDS: [&str; 3] = ["release", "request", "outcome"];
/// What happens when attempts run out.
const FALLBACKS: [&str; 3] = ["none", "mail", "fax"];

pub(super) fn registry(text: &str) -> Result<Registry, Vec<Problem>> {
    let mut problems = Problems::of(text);
    let Some(raw) = problems.read::<file::File>() else { return problems.finish(None) };
    let p = &mut problems;
    let mut keys = BTreeSet::new();

    let relays = numbered(raw.relay, "relay", |key, raw| relay(p, &mut keys, key, raw));
    let operator = operator(p, &mut keys, raw.operator);
    let facilities = numbered(raw.facility, "facility", |key, raw| facility(p, &mut keys, key, raw));
    let subscribers = numbered(raw.subscriber, "subscriber", |key, raw| subscriber(p, &mut keys, key, raw));
    let agreements = numbered(raw.agreement, "agreement", |key, raw| agreement(p, key, raw));

    if relays.is_empty() && p.is_empty() {
        p.add("relay", None, "at least one relay node is needed: nothing else may sign answers");
    }
    unique(p, "relay.node", relays.iter().map(|r| r.node.as_str()));
    unique(p, "facility.ori", facilities.iter().map(|f| f.ori.as_str()));
    unique(p, "subscriber.id", subscribers.iter().map(|s| s.id.as_str()));
    unique(p, "agreement.id", agreements.iter().map(|a| a.id.id.as_str()));
    for agreement in &agreements {
        let key = format!("agreement {}", agreement.id.id);
        if !subscribers.iter().any(|s| s.id == agreement.subscriber) {
            p.add(&key, None, format!("subscriber {} is not in this registry", agreement.subscriber));
        }
        if let Some(ori) = &agreement.facility
            && !facilities.iter().any(|f| f.ori == *ori)
        {
            p.add(&key, None, format!("facility {ori} is not in this registry"));
        }
    }

    let instance = p.parse("instance", &raw.instance);
    let issued = p.parse("issued", &raw.issued);
    let refresh_by = raw.refresh_by.as_ref().and_then(|at| p.parse("refresh_by", at));
    let minimum_version =
        raw.minimum_version.as_ref().and_then(|version| p.parse("minimum_version", version));
    let checked = (|| {
        Some(Registry {
            instance: instance?,
            version: raw.version,
            issued: issued?,
            refresh_by,
            minimum_version,
            relays,
            operator: operator?,
            facilities: facilities.into_iter().map(|f| (f.ori.clone(), f)).collect(),
            subscribers: subscribers.into_iter().map(|s| (s.id.clone(), s)).collect(),
            agreements: agreements.into_iter().map(|a| (a.id.id.clone(), a)).collect(),
            digest: Digest::of(text.as_bytes()),
        })
    })();
    problems.finish(checked)
}

/// Checks each entry of a list under its numbered key; entries with problems are left out, the problems are noted.
fn numbered<R, C>(raw: Vec<R>, name: &str, mut check: impl FnMut(&str, R) -> Option<C>) -> Vec<C> {
    raw.into_iter().enumerate().filter_map(|(n, raw)| check(&format!("{name}[{n}]"), raw)).collect()
}

fn unique<'a>(p: &mut Problems<'_>, key: &str, ids: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            p.add(key, None, format!("{id} stands twice"));
        }
    }
}

/// A key that no other entry has: two parties with one key could sign for each other. The letter does not count: a connect
/// key of the same 32 bytes as a signing key would let a server have evidence signed (ADR 0003).
fn key<T: FromStr + Display>(
    p: &mut Problems<'_>,
    keys: &mut BTreeSet<String>,
    name: String,
    text: &Text,
) -> Option<T>
where
    T::Err: Display,
{
    let material = nkeys::from_public_key(text.get_ref())
        .map_or_else(|_| text.get_ref().clone(), |(_, bytes)| data_encoding::HEXLOWER.encode(&bytes));
    if !keys.insert(material) {
        p.add(name, Some(text.span()), "this key is already somebody else's in this registry");
        return None;
    }
    p.parse(name, text)
}

fn relay(p: &mut Problems<'_>, keys: &mut BTreeSet<String>, at: &str, raw: file::Relay) -> Option<RelayNode> {
    let node = p.parse(format!("{at}.node"), &raw.node);
    let signing_key = key(p, keys, format!("{at}.signing_key"), &raw.signing_key);
    let connect_key = key(p, keys, format!("{at}.connect_key"), &raw.connect_key);
    Some(RelayNode { node: node?, signing_key: signing_key?, connect_key: connect_key? })
}

fn operator(p: &mut Problems<'_>, keys: &mut BTreeSet<String>, raw: file::Operator) -> Option<Operator> {
    let provision_key = key(p, keys, "operator.provision_key".into(), &raw.provision_key);
    let monitor_key = key(p, keys, "operator.monitor_key".into(), &raw.monitor_key);
    Some(Operator { provision_key: provision_key?, monitor_key: monitor_key? })
}

fn facility(
    p: &mut Problems<'_>,
    keys: &mut BTreeSet<String>,
    at: &str,
    raw: file::Facility,
) -> Option<Facility> {
    let ori = p.parse(format!("{at}.ori"), &raw.ori);
    let jurisdiction = p.parse(format!("{at}.jurisdiction"), &raw.jurisdiction);
    let signing_key = key(p, keys, format!("{at}.signing_key"), &raw.signing_key);
    let connect_key = key(p, keys, format!("{at}.connect_key"), &raw.connect_key);
    let ends = raw.ends.as_ref().map(|end| date(p, format!("{at}.ends"), end));
    Some(Facility {
        ori: ori?,
        jurisdiction: jurisdiction?,
        name: raw.name,
        signing_key: signing_key?,
        connect_key: connect_key?,
        releases_per_day: raw.releases_per_day,
        ends: match ends {
            None => None,
            Some(end) => Some(end?),
        },
    })
}

fn subscriber(
    p: &mut Problems<'_>,
    keys: &mut BTreeSet<String>,
    at: &str,
    raw: file::Subscriber,
) -> Option<Subscriber> {
    let id: Option<SubscriberId> = p.parse(format!("{at}.id"), &raw.id);
    let ori = p.parse(format!("{at}.ori"), &raw.ori);
    let class = p.parse(format!("{at}.class"), &raw.class);
    let signing_key = key(p, keys, format!("{at}.signing_key"), &raw.signing_key);
    let connect_key = key(p, keys, format!("{at}.connect_key"), &raw.connect_key);
    let count = raw.subscription.len();
    let subscriptions =
        numbered(raw.subscription, &format!("{at}.subscription"), |key, raw| subscription(p, key, raw));
    unique(p, &format!("{at}.subscription.id"), subscriptions.iter().map(|s| s.id.as_str()));
    if subscriptions.len() != count {
        return None;
    }
    Some(Subscriber {
        id: id?,
        ori: ori?,
        name: raw.name,
        class: class?,
        signing_key: signing_key?,
        connect_key: connect_key?,
        subscriptions,
    })
}

fn subscription(p: &mut Problems<'_>, at: &str, raw: file::Subscription) -> Option<Subscription> {
    let id = p.parse(format!("{at}.id"), &raw.id);
    let purpose = p.parse(format!("{at}.purpose"), &raw.purpose);
    let expires = date(p, format!("{at}.expires"), &raw.expires);
    let priority = p.parse(format!("{at}.priority"), &raw.priority);
    let legal_basis = filled(p, format!("{at}.legal_basis"), &raw.legal_basis);
    let case_number = filled(p, format!("{at}.case_number"), &raw.case_number);
    let filter = filter(p, &format!("{at}.filter"), raw.filter);
    Some(Subscription {
        id: id?,
        purpose: purpose?,
        legal_basis: legal_basis?,
        case_number: case_number?,
        expires: expires?,
        priority: priority?,
        received_within_s: raw.received_within_s,
        seen_within_s: raw.seen_within_s,
        filter: filter?,
    })
}

fn filter(p: &mut Problems<'_>, at: &str, raw: file::Filter) -> Option<Filter> {
    let facilities = set(p, &format!("{at}.facilities"), &raw.facilities);
    let jurisdictions = set(p, &format!("{at}.jurisdictions"), &raw.jurisdictions);
    let release_states = set(p, &format!("{at}.release_states"), &raw.release_states);
    let reasons = set(p, &format!("{at}.reasons"), &raw.reasons);
    let minimum_certainty = match &raw.minimum_certainty {
        None => Some(Certainty::Inferred),
        Some(text) => p.parse(format!("{at}.minimum_certainty"), text),
    };
    Some(Filter {
        facilities: facilities?,
        jurisdictions: jurisdictions?,
        release_states: release_states?,
        reasons: reasons?,
        minimum_certainty: minimum_certainty?,
        requests_only: raw.requests_only,
    })
}

/// A set in which every entry parses; one that lost an entry would match more than was asked for.
fn set<T: FromStr + Ord>(p: &mut Problems<'_>, at: &str, raw: &[Text]) -> Option<BTreeSet<T>>
where
    T::Err: Display,
{
    let parsed: Vec<Option<T>> = raw.iter().map(|text| p.parse(at, text)).collect();
    parsed.into_iter().collect()
}

fn agreement(p: &mut Problems<'_>, at: &str, raw: file::Agreement) -> Option<Agreement> {
    let id: Option<AgreementName> = p.parse(format!("{at}.id"), &raw.id);
    let facility = match raw.facility.get_ref().as_str() {
        "*" => Some(None),
        _ => p.parse(format!("{at}.facility"), &raw.facility).map(Some),
    };
    let subscriber = p.parse(format!("{at}.subscriber"), &raw.subscriber);
    let kinds: Vec<Option<String>> =
        raw.kinds.iter().map(|kind| one_of(p, &format!("{at}.kinds"), kind, &KINDS)).collect();
    let fallback = one_of(p, &format!("{at}.fallback"), &raw.fallback, &FALLBACKS);
    let legal_basis = filled(p, format!("{at}.legal_basis"), &raw.legal_basis);
    let review = date(p, format!("{at}.review"), &raw.review);
    let ends = date(p, format!("{at}.ends"), &raw.ends);
    Some(Agreement {
        id: AgreementId { id: id?, version: raw.version },
        facility: facility?,
        subscriber: subscriber?,
        kinds: kinds.into_iter().collect::<Option<_>>()?,
        fields: raw.fields.into_iter().collect(),
        attempts: raw.attempts,
        fallback: fallback?,
        legal_basis: legal_basis?,
        review: review?,
        ends: ends?,
    })
}

fn one_of(p: &mut Problems<'_>, at: &str, text: &Text, words: &[&str]) -> Option<String> {
    if words.contains(&text.get_ref().as_str()) {
        return Some(text.get_ref().clone());
    }
    p.add(at, Some(text.span()), format!("none of {}", words.join(", ")));
    None
}

fn filled(p: &mut Problems<'_>, at: String, text: &Text) -> Option<String> {
    if text.get_ref().trim().is_empty() {
        p.add(at, Some(text.span()), "must not be empty");
        return None;
    }
    Some(text.get_ref().clone())
}

fn date(p: &mut Problems<'_>, at: String, text: &Text) -> Option<EndDate> {
    p.parse::<jiff::civil::Date>(at, text).map(EndDate)
}
