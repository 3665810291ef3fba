//! Renders the static server's configuration from the registry: one account for the system, one for the hub, one for
//! the jails, one per subscriber. Separate accounts with service imports are what stops reply-subject injection
//! (docs/nats.md 9); permissions alone do not.

use std::{collections::BTreeMap, fmt::Write};

use sallyport_link::doctor::line::USER_INFO;
use sallyport_proto::{
    ids::SubscriberId,
    registry::{Facility, Registry, Subscriber},
    subject,
};

use crate::config::Provision;

/// Inbox prefix of the provisioning user.
pub(crate) const PROVISION_INBOX: &str = "_INBOX_provision";
/// Inbox prefix of the monitoring user.
pub(crate) const MONITOR_INBOX: &str = "_INBOX_monitor";

/// Nobody serves it. An account that imports it as `$JS.API.INFO` gets no JetStream API of its own from the server; one
/// that does not gets it, and then every request that is imported from the hub is answered twice, first by an error
/// 10039 of the account's own missing JetStream.
const NO_SERVICE: &str = "hub.v1.none";
/// What the server looks for when it decides about an account's own JetStream API.
const ACCOUNT_INFO_API: &str = "$JS.API.INFO";

/// Who may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doors {
    /// Everybody whom the registry names.
    Open,
    /// The operator's two users alone, and the provisioning one may publish what an archive holds: while an empty cluster
    /// is filled, a jail's new message must not take the place of an old one, and no relay may route before DELIVER is
    /// there.
    Restoring,
}

/// The whole configuration file. Deterministic: the same registry gives the same bytes.
pub fn render(registry: &Registry, provision: &Provision, doors: Doors) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match doors {
        Doors::Open => write_all(&mut out, registry, provision, doors),
        Doors::Restoring => {
            let nobody = Registry {
                relays: Vec::new(),
                facilities: BTreeMap::new(),
                subscribers: BTreeMap::new(),
                agreements: BTreeMap::new(),
                ..registry.clone()
            };
            write_all(&mut out, &nobody, provision, doors)
        }
    };
    out
}

/// What an archive holds.
const ARCHIVED_SUBJECTS: [&str; 6] = [
    "ingest.v1.release.>",
    "hub.v1.deliver.>",
    "hub.v1.routed.>",
    "hub.v1.receipt.>",
    "hub.v1.answer.>",
    "hub.v1.control.>",
];

fn write_all(out: &mut String, registry: &Registry, provision: &Provision, doors: Doors) -> std::fmt::Result {
    writeln!(
        out,
        "# Rendered by `sallyport-relay provision` from the registry of {}, version {}.",
        registry.instance, registry.version
    )?;
    if doors == Doors::Restoring {
        writeln!(out, "# FOR `sallyport-relay restore` ONLY: no jail, no agency and no relay can log in.")?;
        writeln!(
            out,
            "# Afterwards: `sallyport-relay provision --server-config-only`, and reload the server."
        )?;
    }
    writeln!(out, "# Do not edit: the next run would replace it. Change the registry and provision again.")?;
    writeln!(out, "listen: {:?}", provision.server_listen)?;
    writeln!(out, "jetstream {{")?;
    writeln!(out, "  store_dir: {:?}", provision.server_store_dir.display().to_string())?;
    writeln!(out, "  max_file_store: {}", provision.max_file_store_bytes)?;
    writeln!(out, "  # Without it a power cut loses messages that were acknowledged.")?;
    writeln!(out, "  sync_interval: always")?;
    writeln!(out, "}}")?;
    writeln!(out, "system_account: SYS")?;
    writeln!(out, "accounts {{")?;
    system(out, registry)?;
    hub(out, registry, doors)?;
    edge(out, registry)?;
    for subscriber in registry.subscribers.values() {
        agency(out, subscriber)?;
    }
    writeln!(out, "}}")
}

fn list(items: &[String]) -> String {
    let quoted: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

fn user(
    out: &mut String,
    key: &str,
    publish: &[String],
    subscribe: &[String],
    responses: bool,
) -> std::fmt::Result {
    // Who one is, and the server's time: `check` compares clocks.
    let publish = [publish, &[USER_INFO.to_owned()]].concat();
    writeln!(out, "      {{ nkey: {key}, permissions: {{")?;
    writeln!(out, "          publish: {{ allow: {} }}", list(&publish))?;
    writeln!(out, "          subscribe: {{ allow: {} }}", list(subscribe))?;
    if responses {
        writeln!(out, "          allow_responses: {{ max: 1024, expires: \"1m\" }}")?;
    }
    writeln!(out, "        }} }}")
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn system(out: &mut String, registry: &Registry) -> std::fmt::Result {
    writeln!(out, "  SYS {{\n    users: [")?;
    user(
        out,
        registry.operator.monitor_key.as_str(),
        &strings(&[
            "$SYS.REQ.SERVER.PING.>",
            "$SYS.REQ.SERVER.*.VARZ",
            "$SYS.REQ.SERVER.*.JSZ",
            "$SYS.REQ.SERVER.*.CONNZ",
            "$SYS.REQ.SERVER.*.HEALTHZ",
        ]),
        &[format!("{MONITOR_INBOX}.>")],
        false,
    )?;
    writeln!(out, "    ]\n  }}")
}

fn hub(out: &mut String, registry: &Registry, doors: Doors) -> std::fmt::Result {
    writeln!(out, "  HUB {{\n    jetstream: enabled\n    users: [")?;
    let provision = [
        strings(&[
            "$JS.API.INFO",
            "$JS.API.STREAM.CREATE.*",
            "$JS.API.STREAM.UPDATE.*",
            "$JS.API.STREAM.INFO.*",
        ]),
        strings(&[
            "$JS.API.CONSUMER.CREATE.>",
            "$JS.API.CONSUMER.DURABLE.CREATE.>",
            "$JS.API.CONSUMER.INFO.>",
            // To find consumers that nobody here made.
            "$JS.API.CONSUMER.NAMES.*",
        ]),
        match doors {
            Doors::Open => Vec::new(),
            Doors::Restoring => {
                [strings(&ARCHIVED_SUBJECTS), strings(&["$JS.API.STREAM.MSG.GET.*"])].concat()
            }
        },
    ]
    .concat();
    user(
        out,
        registry.operator.provision_key.as_str(),
        &provision,
        &[format!("{PROVISION_INBOX}.>")],
        false,
    )?;
    for relay in &registry.relays {
        user(
            out,
            relay.connect_key.as_str(),
            &relay_publish(&[
                subject::track_consumer(&relay.node),
                subject::audit_consumer(&relay.node),
                subject::archive_consumer(&relay.node),
            ]),
            &[format!("{}.>", subject::inbox_of_relay(&relay.node)), subject::HUB_CATCHUP.to_owned()],
            true,
        )?;
    }
    writeln!(out, "    ]\n    exports: [")?;
    writeln!(out, "      {{ service: \"ingest.v1.release.>\", accounts: [EDGE] }}")?;
    writeln!(out, "      {{ service: \"ingest.v1.heartbeat.>\", accounts: [EDGE] }}")?;
    writeln!(out, "      {{ service: \"hub.v1.catchup.>\", response: stream, accounts: [EDGE] }}")?;
    writeln!(out, "      {{ stream: \"hub.v1.answer.>\", accounts: [EDGE] }}")?;
    let agencies: Vec<_> = registry.subscribers.keys().map(account).collect();
    if !agencies.is_empty() {
        writeln!(out, "      {{ service: {NO_SERVICE:?}, accounts: [{}] }}", agencies.join(", "))?;
    }
    for subscriber in registry.subscribers.keys() {
        let account = account(subscriber);
        writeln!(out, "      {{ stream: {:?}, accounts: [{account}] }}", subject::hub_head(subscriber))?;
        for (subject, response) in hub_services(subscriber) {
            let response = if response { ", response: stream" } else { "" };
            writeln!(out, "      {{ service: {subject:?}{response}, accounts: [{account}] }}")?;
        }
    }
    writeln!(out, "    ]\n  }}")
}

/// What a relay node may publish; its own readers per stream are named exactly (invariant 10).
fn relay_publish(readers: &[String]) -> Vec<String> {
    let mut allow = strings(&[
        "hub.v1.deliver.>",
        "hub.v1.routed.>",
        "hub.v1.answer.>",
        "hub.v1.control.>",
        "hub.v1.head.*",
        "hub.v1.evidence.>",
        "hub.v1.parked.>",
        "$JS.API.CONSUMER.INFO.*.relay",
        "$JS.API.CONSUMER.MSG.NEXT.*.relay",
        "$JS.ACK.*.relay.>",
        "$JS.ACK.*.*.*.relay.>",
        "$JS.API.STREAM.INFO.*",
        "$JS.API.STREAM.MSG.GET.*",
    ]);
    for reader in readers {
        for call in ["CREATE", "DELETE", "INFO", "MSG.NEXT"] {
            allow.push(format!("$JS.API.CONSUMER.{call}.*.{reader}"));
        }
    }
    // The board and `lag` read how far each subscriber's durable is.
    allow.push(format!("$JS.API.CONSUMER.INFO.{}.*", subject::DELIVER));
    allow
}

/// The hub's services for one subscriber, and whether the answer is a stream of messages.
fn hub_services(subscriber: &SubscriberId) -> Vec<(String, bool)> {
    let deliver = subject::DELIVER;
    vec![
        (format!("$JS.API.CONSUMER.INFO.{deliver}.{subscriber}"), false),
        (format!("$JS.API.CONSUMER.MSG.NEXT.{deliver}.{subscriber}"), true),
        (format!("$JS.ACK.{deliver}.{subscriber}.>"), false),
        (format!("$JS.ACK.*.*.{deliver}.{subscriber}.>"), false),
        (format!("hub.v1.receipt.{subscriber}.>"), false),
        (format!("hub.v1.request.{subscriber}.>"), false),
    ]
}

fn edge(out: &mut String, registry: &Registry) -> std::fmt::Result {
    writeln!(out, "  EDGE {{\n    users: [")?;
    for Facility { ori, jurisdiction: st, connect_key, .. } in registry.facilities.values() {
        user(
            out,
            connect_key.as_str(),
            &[
                subject::notify_release(st, ori),
                format!("notify.v1.heartbeat.{st}.{ori}"),
                subject::notify_catchup(st, ori),
            ],
            &[format!("{}.>", subject::inbox_of_agent(st, ori)), subject::notify_answers(st, ori)],
            false,
        )?;
    }
    writeln!(out, "    ]\n    imports: [")?;
    for (hub, edge) in [
        ("ingest.v1.release.>", "notify.v1.release.>"),
        ("ingest.v1.heartbeat.>", "notify.v1.heartbeat.>"),
        ("hub.v1.catchup.>", "notify.v1.catchup.>"),
    ] {
        writeln!(out, "      {{ service: {{ account: HUB, subject: {hub:?} }}, to: {edge:?} }}")?;
    }
    writeln!(
        out,
        "      {{ stream: {{ account: HUB, subject: \"hub.v1.answer.>\" }}, to: \"notify.v1.answer.>\" }}"
    )?;
    writeln!(out, "    ]\n  }}")
}

fn agency(out: &mut String, subscriber: &Subscriber) -> std::fmt::Result {
    let id = &subscriber.id;
    writeln!(out, "  {} {{\n    users: [", account(id))?;
    let own = |subject: &str| {
        let api = format!("{}.", subject::SUBSCRIBER_JS_API);
        subject.replacen("hub.v1.", "notify.v1.", 1).replacen("$JS.API.", &api, 1)
    };
    let publish: Vec<_> = hub_services(id).iter().map(|(subject, _)| own(subject)).collect();
    let hears = [format!("{}.>", subject::inbox_of_subscriber(id)), subject::notify_head(id)];
    user(out, subscriber.connect_key.as_str(), &publish, &hears, false)?;
    writeln!(out, "    ]\n    imports: [")?;
    let (head, local) = (subject::hub_head(id), subject::notify_head(id));
    writeln!(out, "      {{ stream: {{ account: HUB, subject: {head:?} }}, to: {local:?} }}")?;
    writeln!(
        out,
        "      {{ service: {{ account: HUB, subject: {NO_SERVICE:?} }}, to: {ACCOUNT_INFO_API:?} }}"
    )?;
    for (subject, _) in hub_services(id) {
        let local = own(&subject);
        if local == subject {
            writeln!(out, "      {{ service: {{ account: HUB, subject: {subject:?} }} }}")?;
        } else {
            writeln!(out, "      {{ service: {{ account: HUB, subject: {subject:?} }}, to: {local:?} }}")?;
        }
    }
    writeln!(out, "    ]\n  }}")
}

/// Account of a subscriber. `_` and `-` stay apart: two ids must never share an account.
fn account(subscriber: &SubscriberId) -> String {
    let mut name = String::from("SUB_");
    for c in subscriber.as_str().chars() {
        match c {
            '-' => name.push('-'),
            c => name.push(c.to_ascii_uppercase()),
        }
    }
    name
}
