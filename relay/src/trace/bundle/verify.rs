//! Checks a bundle with nothing but the registrar's public key: no server, no clock, no other file.

use std::{collections::BTreeSet, fmt};

use data_encoding::{BASE64, HEXLOWER};
use prost::Message;
use sallyport_proto::{
    answer::{Answer, Body},
    envelope::{self, Digest, PayloadType},
    event::ReleaseHead,
    ids::SubscriberId,
    key::RegistrarKey,
    notice::Notice,
    receipt::Receipt,
    registry::{self, Registry},
    routed::Routed,
    wire,
};
use serde::Serialize;

use super::{ABOUT, Bundle, FORMAT};
use crate::trace::opened::{carries_its_event, relay_of};

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// It holds.
    pub holds: bool,
    /// Who signed, or why it does not hold.
    pub detail: String,
}

/// Everything that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In order; the first that fails may make later ones impossible.
    pub checks: Vec<Check>,
}

impl Report {
    /// Every check was made and holds.
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.holds)
    }

    fn note(&mut self, name: impl Into<String>, result: Result<String, String>) -> bool {
        let (holds, detail) = match result {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        self.checks.push(Check { name: name.into(), holds, detail });
        holds
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let word = if check.holds { "ok    " } else { "FAILED" };
            writeln!(f, "{word} {}: {}", check.name, check.detail)?;
        }
        let word = if self.holds() { "the evidence holds" } else { "THE EVIDENCE DOES NOT HOLD" };
        write!(f, "{word}")
    }
}

/// Checks the bytes of a bundle. Everything that is said in it must be signed by a key of the registry inside, and that
/// registry by `registrar`; everything must be about the one event, and agree.
pub fn verify(bytes: &[u8], registrar: &RegistrarKey) -> Report {
    let mut report = Report { checks: Vec::new() };
    let bundle: Bundle = match serde_json::from_slice(bytes) {
        Ok(bundle) => bundle,
        Err(error) => {
            report.note("file", Err(format!("not a bundle: {error}")));
            return report;
        }
    };
    report.note("file", is_canonical(&bundle, bytes));
    let registry = match signed_registry(&bundle, registrar) {
        Ok(registry) => registry,
        Err(problem) => {
            report.note("registry", Err(problem));
            return report;
        }
    };
    let (version, keyid) = (registry.version, registrar.as_str());
    report.note("registry", Ok(format!("version {version}, signed by {keyid}")));
    let evidence = match Evidence::of(&bundle, &registry) {
        Ok(evidence) => evidence,
        Err(problem) => {
            report.note("head", Err(problem));
            return report;
        }
    };
    report.note("head", Ok(format!("signed by facility {}", bundle.ori)));
    report.note("disclosure digests", evidence.disclosures());
    let mut told = BTreeSet::new();
    for bytes in &bundle.routed {
        report.note("routed record", evidence.routed(bytes, &mut told));
    }
    let mut notices = Vec::new();
    for (n, bytes) in bundle.notices.iter().enumerate() {
        report.note(format!("notice {}", n + 1), evidence.notice(bytes, &told, &mut notices));
    }
    report.note("person data", evidence.person_data());
    let mut receipts = Vec::new();
    for (n, bytes) in bundle.receipts.iter().enumerate() {
        report.note(format!("receipt {}", n + 1), evidence.receipt(bytes, &notices, &mut receipts));
    }
    for (n, bytes) in bundle.answers.iter().enumerate() {
        report.note(format!("answer {}", n + 1), evidence.answer(bytes, &receipts));
    }
    report
}

/// Only one spelling of a bundle is accepted: so a changed byte is seen even where no signature covers it.
fn is_canonical(bundle: &Bundle, bytes: &[u8]) -> Result<String, String> {
    if bundle.format != FORMAT || bundle.about != ABOUT {
        return Err(format!("not of the form {FORMAT}"));
    }
    if bundle.to_bytes() != bytes {
        return Err("not as it was written: something was changed".into());
    }
    Ok(FORMAT.into())
}

fn signed_registry(bundle: &Bundle, registrar: &RegistrarKey) -> Result<Registry, String> {
    let files = &bundle.registry;
    registry::verify(registrar, files.file.as_bytes(), &files.signature).map_err(|e| e.to_string())?;
    let registry = Registry::parse(&files.file)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    if registry.instance != bundle.instance {
        return Err(format!("of instance {}, and the file of {}", registry.instance, bundle.instance));
    }
    Ok(registry)
}

/// The bundle with what its head proves.
struct Evidence<'b> {
    bundle: &'b Bundle,
    registry: &'b Registry,
    head_bytes: Vec<u8>,
    head: ReleaseHead,
    digest: Digest,
}

type Told = BTreeSet<SubscriberId>;

impl<'b> Evidence<'b> {
    fn of(bundle: &'b Bundle, registry: &'b Registry) -> Result<Self, String> {
        let facility = registry.facilities.get(&bundle.ori).ok_or("the facility is not in the registry")?;
        let head_bytes = decode(&bundle.head)?;
        let payload = envelope::open(&head_bytes, PayloadType::ReleaseHead, &facility.signing_key)
            .map_err(|error| error.to_string())?;
        let head: ReleaseHead = wire::ReleaseHead::decode(&*payload)
            .ok()
            .and_then(|head| head.try_into().ok())
            .ok_or("its fields are not what they should be")?;
        if (&head.event_id, &head.ori) != (&bundle.event, &bundle.ori) {
            return Err("the head is of another event than the file".into());
        }
        let hex = HEXLOWER.decode(bundle.ingest_sha256.as_bytes()).map_err(|_| "ingest_sha256 is none")?;
        let digest = Digest::try_from(&hex[..]).map_err(|_| "ingest_sha256 is none")?;
        let evidence = Self { bundle, registry, head_bytes, head, digest };
        evidence.of_instance(&evidence.head.provenance.instance)?;
        Ok(evidence)
    }

    fn of_instance(&self, instance: &sallyport_proto::ids::InstanceId) -> Result<(), String> {
        if *instance == self.bundle.instance { Ok(()) } else { Err("of another instance".into()) }
    }

    fn disclosures(&self) -> Result<String, String> {
        let of_head: Vec<String> = self.head.disclosure_sha256.iter().map(ToString::to_string).collect();
        if of_head != self.bundle.disclosures_sha256 {
            return Err("not those of the head".into());
        }
        Ok(format!("{} of the head", of_head.len()))
    }

    fn routed(&self, text: &str, told: &mut Told) -> Result<String, String> {
        let bytes = decode(text)?;
        let routed = Routed::open(&bytes, self.registry.relay_keys()).map_err(|error| error.to_string())?;
        self.of_instance(&routed.provenance.instance)?;
        if (&routed.event_id, &routed.ori) != (&self.head.event_id, &self.head.ori) {
            return Err("of another event".into());
        }
        if routed.event_digest != self.digest {
            return Err("of another message of the jail".into());
        }
        told.extend(routed.recipients.into_iter().map(|recipient| recipient.subscriber));
        let node = relay_of(&bytes, self.registry);
        Ok(format!("signed by {node}, {} told, ingest sequence {}", told.len(), routed.ingest_sequence))
    }

    fn notice(&self, text: &str, told: &Told, notices: &mut Vec<Notice>) -> Result<String, String> {
        let bytes = decode(text)?;
        let notice = Notice::open(&bytes, self.registry.relay_keys()).map_err(|error| error.to_string())?;
        self.of_instance(&notice.provenance.instance)?;
        carries_its_event(&notice, &self.bundle.ori, self.registry)?;
        if notice.head != self.head_bytes {
            return Err("the head inside is not the jail's".into());
        }
        if notice.event_digest != self.digest {
            return Err("of another message of the jail".into());
        }
        let subscriber = notice.subscriber();
        if !told.contains(&subscriber) {
            return Err(format!("{subscriber} is no recipient of the routed record"));
        }
        let node = relay_of(&bytes, self.registry);
        let detail =
            format!("to {subscriber}, attempt {}, signed by {node} and the facility", notice.attempt);
        notices.push(notice);
        Ok(detail)
    }

    fn person_data(&self) -> Result<String, String> {
        match (self.bundle.contains_person_data, self.bundle.notices.is_empty()) {
            (true, false) => Ok("the file HOLDS PERSON DATA, and says so".into()),
            (false, true) => Ok("the file holds no notice".into()),
            _ => Err("the file does not say truly whether it holds person data".into()),
        }
    }

    fn receipt(&self, text: &str, notices: &[Notice], receipts: &mut Vec<Vec<u8>>) -> Result<String, String> {
        let bytes = decode(text)?;
        let claimed = Receipt::claimed(&bytes).map_err(|error| error.to_string())?;
        let subscriber = self
            .registry
            .subscribers
            .get(&claimed.subscriber)
            .ok_or("the subscriber is not in the registry")?;
        let receipt = Receipt::open(&bytes, &subscriber.signing_key).map_err(|error| error.to_string())?;
        self.of_instance(&receipt.provenance.instance)?;
        let about = receipt.notices.iter().any(|named| {
            named.event_digest == self.digest
                && notices
                    .iter()
                    .any(|notice| notice.notice_id == named.notice_id && notice.attempt == named.attempt)
        });
        if !about {
            return Err("names no notice of this file: id, attempt and digest must agree".into());
        }
        receipts.push(bytes);
        Ok(format!("{} of {}, signed by it", said(&receipt), subscriber.id))
    }

    fn answer(&self, text: &str, receipts: &[Vec<u8>]) -> Result<String, String> {
        let bytes = decode(text)?;
        let answer = Answer::open(&bytes, self.registry.relay_keys()).map_err(|error| error.to_string())?;
        self.of_instance(&answer.provenance.instance)?;
        if answer.ori != self.bundle.ori {
            return Err("to another facility".into());
        }
        let node = relay_of(&bytes, self.registry);
        match &answer.body {
            Body::Acceptance(events) => events
                .iter()
                .any(|event| event.event_id == self.head.event_id && event.digest == self.digest)
                .then(|| format!("acceptance, signed by {node}"))
                .ok_or_else(|| "accepts other events or other bytes".into()),
            // A refusal may be of other bytes under the same id (CONFLICT): then it names another digest.
            Body::Refusal(refusal) => (refusal.event_id.as_ref() == Some(&self.head.event_id)
                || refusal.digest == self.digest)
                .then(|| format!("refusal {}, signed by {node}", refusal.code))
                .ok_or_else(|| "refuses another event".into()),
            Body::Progress(relayed) => relayed
                .iter()
                .any(|relayed| receipts.contains(&relayed.receipt))
                .then(|| format!("progress with a receipt of this file, signed by {node}"))
                .ok_or_else(|| "carries no receipt of this file".into()),
            Body::Request(_) | Body::Resend(_) => Err("a request is no evidence of an event".into()),
        }
    }
}

fn said(receipt: &Receipt) -> &'static str {
    use sallyport_proto::receipt::Statement;
    match &receipt.statement {
        Statement::Level(level) => level.as_str(),
        Statement::Response(response) => response.kind.as_str(),
        Statement::Refusal(refusal) => refusal.code.as_str(),
    }
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text.as_bytes()).map_err(|_| "not base64".into())
}
