//! The files of an instance, as text.

use std::{fmt::Write as _, path::Path};

use anyhow::Context;
use sallyport_proto::{key::Signer, registry};

use crate::{Allow, Facility, Instance, JURISDICTION, Keys, Subscriber};

/// Far enough that no test meets it, near enough to be a date.
const LAST_DAY: &str = "2099-12-31";

fn save(file: &Path, text: &str) -> anyhow::Result<()> {
    // Renamed into place: a running program sees the old file or the new one.
    let aside = file.with_extension("new");
    std::fs::write(&aside, text)
        .and_then(|()| std::fs::rename(&aside, file))
        .with_context(|| format!("write {}", file.display()))
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(", "))
}

/// The registry and its signature, the signature last: a reader that meets the pair half-written refuses it and looks again.
pub(crate) fn registry(instance: &Instance, keys: &Keys, file: &Path) -> anyhow::Result<()> {
    let minimum = instance.minimum_version.as_ref();
    let minimum = minimum.map(|version| format!("minimum_version = {version:?}\n")).unwrap_or_default();
    let mut out = format!(
        "instance = {:?}\nversion = {}\nissued = \"2026-11-01T00:00:00Z\"\n{minimum}\n[operator]\nprovision_key = {:?}\nmonitor_key = {:?}\n",
        instance.name,
        instance.version,
        keys.connect("provision")?.public_key(),
        keys.connect("monitor")?.public_key(),
    );
    for node in &instance.nodes {
        let who = format!("relay-{node}");
        write!(
            out,
            "\n[[relay]]\nnode = {node:?}\nsigning_key = {:?}\nconnect_key = {:?}\n",
            keys.signing(&who)?.public_key(),
            keys.connect(&who)?.public_key()
        )?;
    }
    for f in &instance.facilities {
        write!(
            out,
            "\n[[facility]]\nori = {:?}\njurisdiction = {JURISDICTION:?}\nname = {:?}\nsigning_key = {:?}\nconnect_key = {:?}\nreleases_per_day = 100\n",
            f.ori,
            f.name,
            keys.signing(&f.ori)?.public_key(),
            keys.connect(&f.ori)?.public_key()
        )?;
    }
    for s in &instance.subscribers {
        write!(
            out,
            "\n[[subscriber]]\nid = {:?}\nori = {:?}\nname = {:?}\nclass = {:?}\nsigning_key = {:?}\nconnect_key = {:?}\n",
            s.id,
            s.ori,
            s.name,
            s.purpose,
            keys.signing(&s.id)?.public_key(),
            keys.connect(&s.id)?.public_key()
        )?;
        if s.subscribed {
            subscription(&mut out, s, &format!("{}-1", s.id), "[]")?;
        }
        for (case, f) in instance.facilities.iter().cycle().take(s.cases).enumerate() {
            subscription(&mut out, s, &format!("{}-case-{case}", s.id), &format!("[{:?}]", f.ori))?;
        }
        write!(
            out,
            "\n[[agreement]]\nid = {:?}\nversion = 1\nfacility = \"*\"\nsubscriber = {:?}\nkinds = [\"release\"]\nfields = {}\nfallback = \"none\"\nlegal_basis = \"EXAMPLE\"\nreview = \"2027-06-30\"\nends = {LAST_DAY:?}\n",
            agreement(&s.id),
            s.id,
            list(&fields_of(instance, &s.id))
        )?;
    }
    let registrar = Signer::registrar_from_seed(&keys.registrar()?.seed().context("registrar's seed")?)?;
    save(file, &out)?;
    let mut sig = file.as_os_str().to_owned();
    sig.push(".sig");
    save(Path::new(&sig), &registry::sign(&registrar, out.as_bytes()))
}

fn subscription(out: &mut String, s: &Subscriber, id: &str, facilities: &str) -> anyhow::Result<()> {
    write!(
        out,
        "[[subscriber.subscription]]\nid = {id:?}\npurpose = {:?}\nlegal_basis = \"EXAMPLE\"\ncase_number = \"EX-1\"\nexpires = {LAST_DAY:?}\npriority = {:?}\nreceived_within_s = 30\nseen_within_s = 3600\n[subscriber.subscription.filter]\nfacilities = {facilities}\nrelease_states = {}\nreasons = {}\nrequests_only = {}\n",
        s.purpose,
        s.priority,
        list(&s.release_states),
        list(&s.reasons),
        s.requests_only
    )?;
    Ok(())
}

fn agreement(subscriber: &str) -> String {
    format!("zz-{subscriber}")
}

/// All fields that any facility may disclose to this subscriber.
fn fields_of(instance: &Instance, subscriber: &str) -> Vec<String> {
    let mut fields: Vec<String> = instance
        .facilities
        .iter()
        .flat_map(|f| &f.allow)
        .filter(|allow| allow.subscriber == subscriber)
        .flat_map(|allow| allow.fields.clone())
        .collect();
    fields.sort();
    fields.dedup();
    fields
}

pub(crate) fn relay(instance: &Instance, node: &str) -> anyhow::Result<()> {
    relay_with(instance, node, &instance.registry_file())
}

pub(crate) fn relay_with(instance: &Instance, node: &str, registry: &Path) -> anyhow::Result<()> {
    let text = format!(
        r#"[node]
instance = {:?}
name = {node:?}
signing_seed_file = "keys/relay-{node}.sign.nk"
connect_seed_file = "keys/relay-{node}.connect.nk"
[registry]
file = {:?}
registrar_key = {:?}
reload_s = 1
[nats]
url = "nats://127.0.0.1:{}"
monitor_seed_file = "keys/monitor.connect.nk"
provision_seed_file = "keys/provision.connect.nk"
[provision]
replicas = {}
max_file_store_bytes = {}
server_config = "nats.conf"
server_listen = "127.0.0.1:{}"
server_store_dir = "nats-store"
[store]
dir = "relay-{node}"
"#,
        instance.name,
        registry.display().to_string(),
        instance.keys().registrar()?.public_key(),
        instance.nats_port,
        instance.replicas,
        instance.max_file_store_bytes,
        instance.nats_port,
    );
    save(&instance.relay_config(node), &text)
}

pub(crate) fn agent(instance: &Instance, keys: &Keys, facility: &Facility) -> anyhow::Result<()> {
    let Facility { ori, allow, .. } = facility;
    let mut text = format!(
        r#"[facility]
instance = {:?}
jurisdiction = {JURISDICTION:?}
ori = {ori:?}
signing_seed_file = "keys/{ori}.sign.nk"
connect_seed_file = "keys/{ori}.connect.nk"
secret_file = "keys/{ori}.secret"
[registry]
file = "registry.toml"
registrar_key = {:?}
[nats]
url = "nats://127.0.0.1:{}"
[store]
dir = "agent-{ori}"
[traffic]
kind = "EXERCISE"
exercise_id = {:?}
"#,
        instance.name,
        keys.registrar()?.public_key(),
        instance.nats_port,
        instance.exercise_id,
    );
    if facility.http_port != 0 {
        write!(text, "[http]\nlisten = \"127.0.0.1:{}\"\n", facility.http_port)?;
    }
    if facility.mapping.is_some() || facility.drop {
        writeln!(text, "[intake]")?;
    }
    if let Some(mapping) = &facility.mapping {
        let name = format!("mapping-{ori}.toml");
        let content =
            std::fs::read_to_string(mapping).with_context(|| format!("read {}", mapping.display()))?;
        save(&instance.dir.join(&name), &content)?;
        writeln!(text, "mapping = {name:?}")?;
    }
    if facility.drop {
        std::fs::create_dir_all(instance.drop_dir(ori)).context("make the drop folder")?;
        writeln!(text, "drop_dir = \"drop-{ori}\"")?;
    }
    for (n, entry) in allow.iter().enumerate() {
        allow_entry(&mut text, n, entry)?;
    }
    save(&instance.agent_config(ori), &text)
}

fn allow_entry(text: &mut String, n: usize, allow: &Allow) -> anyhow::Result<()> {
    write!(
        text,
        "[[allow]]\nsubscriber = {:?}\nrule_id = \"demo-allow-{}\"\nagreement = {:?}\npurpose = {:?}\nrelease_states = {}\nreasons = {}\nfields = {}\n",
        allow.subscriber,
        n + 1,
        agreement(&allow.subscriber),
        allow.purpose,
        list(&allow.release_states),
        list(&allow.reasons),
        list(&allow.fields)
    )?;
    if let Some(flag) = &allow.request_flag {
        write!(text, "flag = {flag:?}\nas_request = true\n")?;
    }
    Ok(())
}

pub(crate) fn subscriber(instance: &Instance, keys: &Keys, subscriber: &Subscriber) -> anyhow::Result<()> {
    let id = &subscriber.id;
    keys.signing(id)?;
    let mut text = format!(
        r#"[subscriber]
instance = {:?}
id = {id:?}
signing_seed_file = "keys/{id}.sign.nk"
connect_seed_file = "keys/{id}.connect.nk"
[registry]
file = "registry.toml"
registrar_key = {:?}
[nats]
url = "nats://127.0.0.1:{}"
[store]
dir = "subscriber-{id}"
[hand_over]
to = {:?}
"#,
        instance.name,
        keys.registrar()?.public_key(),
        instance.nats_port,
        subscriber.hand_over,
    );
    match subscriber.hand_over.as_str() {
        "files" => writeln!(text, "dir = \"notices-{id}\"")?,
        "command" => writeln!(text, "command = {}", list(&subscriber.command))?,
        _ => {}
    }
    if subscriber.http_port != 0 {
        write!(text, "[http]\nlisten = \"127.0.0.1:{}\"\n", subscriber.http_port)?;
    }
    save(&instance.subscriber_config(id), &text)
}
