//! Which answers count: signed by a relay node of the registry, to this facility; and which receipts in them: signed by
//! the subscriber that the registry lists. Pure but for the registry it is given.

use sallyport_proto::{
    answer::{Answer, Body, RelayedReceipt},
    envelope::{Digest, OpenError},
    ids::Ori,
    notice::NoticeError,
    receipt::{Receipt, ReceiptError},
    registry::Registry,
};

/// An answer that counts.
pub(super) struct Verified {
    /// Of the bytes as they came.
    pub(super) digest: Digest,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// What it says.
    pub(super) answer: Answer,
    /// Its receipts, each verified or not; empty unless it is a Progress.
    pub(super) receipts: Vec<(RelayedReceipt, Result<Receipt, &'static str>)>,
}

/// Why bytes do not count. A closed list: it labels a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// Not an answer.
    Unreadable,
    /// Signed by nobody the registry lists as a relay node.
    UnknownSigner,
    /// The signature is wrong.
    Signature,
    /// To another facility.
    OtherFacility,
    /// Of another relay network.
    OtherInstance,
    /// The signer is another node than the answer says.
    OtherNode,
}

impl Bad {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownSigner => "unknown_signer",
            Self::Signature => "signature",
            Self::OtherFacility => "other_facility",
            Self::OtherInstance => "other_instance",
            Self::OtherNode => "other_node",
        }
    }

    /// A newer registry may list the signer.
    pub(super) fn may_pass_later(self) -> bool {
        self == Self::UnknownSigner
    }
}

/// Why a receipt's signer is not known: a newer registry may list it.
pub(super) const UNKNOWN_SIGNER: &str = "signed by nobody the registry lists";

pub(super) fn answer(bytes: Vec<u8>, registry: &Registry, ori: &Ori) -> Result<Verified, Bad> {
    let answer = Answer::open(&bytes, registry.relay_keys()).map_err(|error| match error {
        NoticeError::Open(OpenError::UnknownKey) => Bad::UnknownSigner,
        NoticeError::Open(OpenError::BadSignature) => Bad::Signature,
        NoticeError::Open(_) | NoticeError::Field(_) => Bad::Unreadable,
    })?;
    if answer.ori != *ori {
        return Err(Bad::OtherFacility);
    }
    if answer.provenance.instance != registry.instance {
        return Err(Bad::OtherInstance);
    }
    if !registry.relays.iter().any(|relay| relay.node == answer.relay_node) {
        return Err(Bad::OtherNode);
    }
    let receipts = match &answer.body {
        Body::Progress(relayed) => relayed
            .iter()
            .map(|relayed| (relayed.clone(), receipt(&relayed.receipt, registry, ori)))
            .collect(),
        Body::Acceptance(_) | Body::Refusal(_) | Body::Request(_) | Body::Resend(_) => Vec::new(),
    };
    Ok(Verified { digest: Digest::of(&bytes), bytes, answer, receipts })
}

fn receipt(bytes: &[u8], registry: &Registry, ori: &Ori) -> Result<Receipt, &'static str> {
    let claimed = Receipt::claimed(bytes).map_err(|_| "unreadable")?;
    let subscriber = registry.subscribers.get(&claimed.subscriber).ok_or(UNKNOWN_SIGNER)?;
    let receipt = Receipt::open(bytes, &subscriber.signing_key).map_err(|error| match error {
        ReceiptError::Open(OpenError::UnknownKey) => UNKNOWN_SIGNER,
        ReceiptError::Open(_) => "the signature is wrong",
        ReceiptError::Field(_) => "unreadable",
    })?;
    if receipt.ori != *ori {
        return Err("about another facility");
    }
    if receipt.provenance.instance != registry.instance {
        return Err("of another relay network");
    }
    Ok(receipt)
}
