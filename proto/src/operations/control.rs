//! A decision of the relay: taken once, whichever node takes it, because each has a subject of its own. An outside effect
//! has two records, decided and done, and carries the same id whoever performs it.

use std::str::FromStr;

use prost::Message;

use crate::{
    envelope::{self, PayloadType},
    field::{self, FieldError, FieldProblem},
    ids::{DecisionId, NodeId, NoticeId, Ori, SubscriberId},
    key::{Signer, SigningKey},
    limits,
    provenance::{Provenance, TrafficClass},
    signed::{self, SignedError},
    time::{self, Moment},
    vocabulary::{ControlKind, ControlPhase},
    wire,
};

/// Signed by the node that took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Who wrote it.
    pub provenance: Provenance,
    /// The same for every node that comes to the same decision.
    pub decision_id: DecisionId,
    /// What was decided.
    pub kind: ControlKind,
    /// Decided, or its outside effect done.
    pub phase: ControlPhase,
    /// About which notice.
    pub notice_id: Option<NoticeId>,
    /// About which subscriber.
    pub subscriber: Option<SubscriberId>,
    /// About which facility.
    pub ori: Option<Ori>,
    /// Required for DEADLINE_MISSED, together with the notice.
    pub due: Option<ReceiptDue>,
    /// When.
    pub decided_at: Moment,
    /// By which node.
    pub relay_node: NodeId,
    /// An operator's id; none for the machine.
    pub author: Option<String>,
    /// For what reason.
    pub why: Option<String>,
    /// What an outside effect carries (webhook-id, Message-ID); required once it is done.
    pub effect_id: Option<String>,
    /// When it stops to hold.
    pub ends: Option<Moment>,
    /// Real or not.
    pub traffic: TrafficClass,
}

/// Which receipt was due, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptDue {
    /// Of which level.
    pub level: DueLevel,
    /// When.
    pub due_at: Moment,
}

/// The levels that have a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DueLevel {
    /// By the machine.
    Received,
    /// By a person.
    Seen,
    /// A response.
    Answered,
}

impl DueLevel {
    /// All of them, in the order in which they are due.
    pub const ALL: &'static [Self] = &[Self::Received, Self::Seen, Self::Answered];

    /// The word, fit for a subject.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Seen => "seen",
            Self::Answered => "answered",
        }
    }
}

impl FromStr for DueLevel {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        let expected = FieldError::malformed("control.due.level", "received, seen or answered");
        Self::ALL.iter().copied().find(|level| level.as_str() == text).ok_or(expected)
    }
}

impl Control {
    /// Signs it: the bytes that go to CONTROL.
    pub fn seal(self, signer: &Signer) -> Vec<u8> {
        envelope::seal(signer, PayloadType::Control, wire::Control::from(self).encode_to_vec())
    }

    /// Opens what a node signed.
    pub fn open<'k>(
        bytes: &[u8],
        relay_keys: impl IntoIterator<Item = &'k SigningKey>,
    ) -> Result<Self, SignedError> {
        signed::open_by_relay::<wire::Control, _>(bytes, PayloadType::Control, relay_keys, "control")
    }

    fn agrees_with_itself(&self) -> Result<(), FieldError> {
        if self.kind == ControlKind::DeadlineMissed && self.notice_id.is_none() {
            return Err(FieldError::missing("control.notice_id"));
        }
        if self.kind == ControlKind::DeadlineMissed && self.due.is_none() {
            return Err(FieldError::missing("control.due"));
        }
        if self.phase == ControlPhase::Done && self.effect_id.is_none() {
            return Err(FieldError::missing("control.effect_id"));
        }
        let Some(notice_id) = &self.notice_id else { return Ok(()) };
        let disagrees =
            |field| FieldError { field, problem: FieldProblem::Disagrees { other: "control.notice_id" } };
        if self.subscriber.as_ref().is_some_and(|subscriber| *subscriber != notice_id.subscriber()) {
            return Err(disagrees("control.subscriber_id"));
        }
        if self.ori.as_ref().is_some_and(|ori| *ori != notice_id.ori()) {
            return Err(disagrees("control.ori"));
        }
        Ok(())
    }
}

impl TryFrom<wire::Control> for Control {
    type Error = FieldError;
    fn try_from(w: wire::Control) -> Result<Self, FieldError> {
        if w.why.len() > limits::TEXT_BYTES_MAX {
            return Err(FieldError::over("control.why", w.why.len(), limits::TEXT_BYTES_MAX));
        }
        let control = Self {
            provenance: Provenance::checked(w.provenance)?,
            decision_id: field::parse_id("control.decision_id", &w.decision_id)?,
            kind: ControlKind::from_wire("control.kind", w.kind)?,
            phase: ControlPhase::from_wire("control.phase", w.phase)?,
            notice_id: field::optional_id("control.notice_id", &w.notice_id)?,
            subscriber: field::optional_id("control.subscriber_id", &w.subscriber_id)?,
            ori: field::optional_id("control.ori", &w.ori)?,
            due: w.due.map(ReceiptDue::try_from).transpose()?,
            decided_at: time::required("control.decided_at", w.decided_at)?,
            relay_node: field::parse_id("control.relay_node", &w.relay_node)?,
            author: field::optional(w.author),
            why: field::optional(w.why),
            effect_id: field::optional(w.effect_id),
            ends: time::optional("control.ends", w.ends)?,
            traffic: TrafficClass::checked(w.traffic)?,
        };
        control.agrees_with_itself()?;
        Ok(control)
    }
}

impl From<Control> for wire::Control {
    fn from(c: Control) -> Self {
        Self {
            provenance: Some(c.provenance.into()),
            decision_id: c.decision_id.into(),
            kind: c.kind.into(),
            phase: c.phase.into(),
            notice_id: c.notice_id.map(Into::into).unwrap_or_default(),
            subscriber_id: c.subscriber.map(Into::into).unwrap_or_default(),
            ori: c.ori.map(Into::into).unwrap_or_default(),
            due: c.due.map(Into::into),
            decided_at: Some(c.decided_at.into()),
            relay_node: c.relay_node.into(),
            author: c.author.unwrap_or_default(),
            why: c.why.unwrap_or_default(),
            effect_id: c.effect_id.unwrap_or_default(),
            ends: c.ends.map(Into::into),
            traffic: Some(c.traffic.into()),
        }
    }
}

impl TryFrom<wire::ReceiptDue> for ReceiptDue {
    type Error = FieldError;
    fn try_from(w: wire::ReceiptDue) -> Result<Self, FieldError> {
        Ok(Self { level: w.level.parse()?, due_at: time::required("control.due.due_at", w.due_at)? })
    }
}

impl From<ReceiptDue> for wire::ReceiptDue {
    fn from(d: ReceiptDue) -> Self {
        Self { level: d.level.as_str().to_owned(), due_at: Some(d.due_at.into()) }
    }
}
