//! One JSON file that proves what was said about one event, to anyone who has the registrar's public key.
//!
//! **The file holds person data**: a notice is signed with the disclosure inside it, and neither side can prove what was
//! said without the signed bytes. `contains_person_data` says so in the file, and `trace --bundle` says so aloud. What
//! each side needs is all here:
//! - the jail: the signed Acceptance and the `routed` record (the relay took it, and addressed these), the receipts with
//!   the subscribers' own signatures (they had it, they answered), the notices (nothing was added on the way);
//! - the subscriber: the head with the jail's signature and the notice (what it was told, by whom, when), its receipts,
//!   and the Progress that carries them (the jail was told of its answer);
//! - anyone: the registry with the registrar's signature, from which every other key comes.
//!
//! Of subscribers' disclosures only the SHA-256 stands outside their own notice: salted, so that it says nothing.
//! Nothing in the file is unsigned but what `verify` recomputes: sequences and broker's times are in the `routed` record
//! and the Progress, under the relay's signature. An Acceptance or a Progress may name other events of the same facility
//! and batch: ids and digests only. What was *left out* of a file cannot be seen from it.

#[cfg(test)]
mod tests;
mod verify;

use data_encoding::BASE64;
use sallyport_proto::{
    event::{ReleaseHead, UnverifiedEvent},
    ids::{EventId, InstanceId, Ori},
    wire,
};
use sallyport_relay_core::ledger::Stream;
use serde::{Deserialize, Serialize};

use super::{Opened, Original, Trace, opened};
pub use verify::{Check, Report, verify};

/// Names this form; another one has another name.
pub const FORMAT: &str = "sallyport-evidence/1";
/// Stands in every file, for whoever finds one.
const ABOUT: &str = "Evidence about one release event. HOLDS PERSON DATA where notices are included. Check it with: \
     sallyport-relay verify FILE --registrar-key O...";

/// Why there is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The jail's message is not in INGEST any more.
    #[error("the head of event {0} is not in the streams any more: there is nothing to prove")]
    NoHead(EventId),
    /// Without a signed registry nobody can find the keys.
    #[error("the registry is not signed: nobody could check the file")]
    UnsignedRegistry,
}

/// The registry file and the registrar's signature beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryFiles {
    /// Content of the registry file.
    pub file: String,
    /// Content of its `.sig` file.
    pub signature: String,
}

/// The file. Byte strings are base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    format: String,
    about: String,
    contains_person_data: bool,
    instance: InstanceId,
    ori: Ori,
    event: EventId,
    /// Where every key comes from.
    registry: RegistryFiles,
    /// SHA-256 of the jail's message, hexadecimal.
    ingest_sha256: String,
    /// The head's envelope, as the jail signed it.
    head: String,
    /// SHA-256 of each disclosure, as the head has them, hexadecimal.
    disclosures_sha256: Vec<String>,
    /// Envelopes of the relay's `routed` record; none when the event was not routed.
    routed: Vec<String>,
    /// Envelopes of the notices, every attempt.
    notices: Vec<String>,
    /// Envelopes of the receipts.
    receipts: Vec<String>,
    /// Envelopes of the answers to the jail.
    answers: Vec<String>,
}

impl Bundle {
    /// Takes the signed records out of a trace.
    pub fn of(trace: &Trace, registry: RegistryFiles) -> Result<Self, BundleError> {
        if registry.signature.trim().is_empty() {
            return Err(BundleError::UnsignedRegistry);
        }
        let routed = trace.routed_digest();
        let event = trace
            .opened
            .iter()
            .filter(|(_, opened)| matches!(opened, Opened::Event(_)))
            .map(|(original, _)| original)
            .max_by_key(|original| Some(opened::digest(original)) == routed)
            .ok_or_else(|| BundleError::NoHead(trace.event.clone()))?;
        let (head_bytes, head) = head_of(event).ok_or_else(|| BundleError::NoHead(trace.event.clone()))?;
        let notices = trace.envelopes(|opened| matches!(opened, Opened::Notice(_)));
        Ok(Self {
            format: FORMAT.into(),
            about: ABOUT.into(),
            contains_person_data: !notices.is_empty(),
            instance: head.provenance.instance,
            ori: trace.ori.clone(),
            event: trace.event.clone(),
            registry,
            ingest_sha256: opened::digest(event).to_string(),
            head: BASE64.encode(&head_bytes),
            disclosures_sha256: head.disclosure_sha256.iter().map(ToString::to_string).collect(),
            routed: trace.envelopes(|opened| matches!(opened, Opened::Routed(_))),
            notices,
            receipts: trace.envelopes(|opened| matches!(opened, Opened::Receipt(_))),
            answers: trace.envelopes(|opened| matches!(opened, Opened::Answer(_))),
        })
    }

    /// Whether whoever gets the file gets person data.
    pub fn contains_person_data(&self) -> bool {
        self.contains_person_data
    }

    /// The bytes of the file: the only form that `verify` accepts, so that no byte of it can be changed unseen.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, lists and a flag: serialising them cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl Trace {
    /// What a bundle of this trace leaves out, one line each: records that do not verify.
    pub fn left_out(&self) -> Vec<String> {
        let records = self.opened.iter().zip(&self.records);
        records
            .filter(|((_, opened), checked)| !checked.verified && !matches!(opened, Opened::Event(_)))
            .map(|(_, checked)| {
                let why = checked.problem.as_deref().unwrap_or("does not verify");
                format!("{} at {} {}: {why}", checked.what, checked.stream.name(), checked.sequence)
            })
            .collect()
    }

    /// Envelopes of records that verify. What does not is evidence of nothing, and stays in the trace.
    fn envelopes(&self, wanted: impl Fn(&Opened) -> bool) -> Vec<String> {
        self.opened
            .iter()
            .zip(&self.records)
            .filter(|((_, opened), checked)| wanted(opened) && checked.verified)
            .map(|((original, _), _)| BASE64.encode(&original.payload))
            .collect()
    }
}

/// The head's envelope inside a jail's message, and what it claims.
fn head_of(original: &Original) -> Option<(Vec<u8>, ReleaseHead)> {
    if original.stream != Stream::Ingest {
        return None;
    }
    let head = UnverifiedEvent::read(&original.payload).ok()?.claimed_head().ok()?.clone();
    let ingest: wire::Ingest = prost::Message::decode(&original.payload[..]).ok()?;
    match ingest.item? {
        wire::ingest::Item::ReleaseEvent(event) => Some((event.head, head)),
        _ => None,
    }
}
