//! What an agent asks at every connect and every minute: the answers after the last one it saw. Messages of a service,
//! not signed themselves: each item is the signed answer as it is stored, and is believed for its own signature.
//!
//! A service's bytes are untrusted all the same: a wrong end can only make the agent ask again.

use std::fmt;

use jiff::Timestamp;
use prost::Message;

use crate::{field::FieldError, limits, provenance::Provenance, time, wire};

/// Asks for what was answered after a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatchupRequest {
    /// Who asks.
    pub provenance: Provenance,
    /// The last sequence seen; 0 asks from the beginning.
    pub after_sequence: u64,
    /// When the stream was created that this sequence is of; none before the first answer. Another one means: from the
    /// beginning.
    pub stream_created: Option<Timestamp>,
}

/// One of the responses to a request: at most `limits::CATCHUP_PAGE_MAX` answers, then one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatchupResponse {
    /// Who responds.
    pub provenance: Provenance,
    /// What.
    pub item: CatchupItem,
}

/// What one response says.
#[derive(Clone, PartialEq, Eq)]
pub enum CatchupItem {
    /// One answer.
    Answer {
        /// Its sequence on ANSWERS.
        sequence: u64,
        /// Its envelope, as stored.
        answer: Vec<u8>,
    },
    /// No more in this page.
    End {
        /// Ask again at once.
        more: bool,
        /// The sequence to ask after next time.
        sequence: u64,
        /// When the stream was created.
        stream_created: Timestamp,
    },
    /// Not now; in words, without person data.
    Error(String),
}

impl fmt::Debug for CatchupItem {
    /// An answer may carry a request, and so person data: its bytes are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { sequence, answer } => write!(f, "Answer({sequence}, {} bytes)", answer.len()),
            Self::End { more, sequence, stream_created } => {
                write!(f, "End({sequence}, more: {more}, stream of {stream_created})")
            }
            Self::Error(text) => write!(f, "Error({text})"),
        }
    }
}

impl CatchupRequest {
    /// The bytes that travel.
    pub fn encode(self) -> Vec<u8> {
        wire::CatchupRequest::from(self).encode_to_vec()
    }

    /// Reads one from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        wire::CatchupRequest::decode(bytes)
            .map_err(|_| FieldError::undecodable("catchup_request"))?
            .try_into()
    }
}

impl CatchupResponse {
    /// The bytes that travel.
    pub fn encode(self) -> Vec<u8> {
        wire::CatchupResponse::from(self).encode_to_vec()
    }

    /// Reads one from its bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FieldError> {
        wire::CatchupResponse::decode(bytes)
            .map_err(|_| FieldError::undecodable("catchup_response"))?
            .try_into()
    }
}

impl TryFrom<wire::CatchupRequest> for CatchupRequest {
    type Error = FieldError;
    fn try_from(w: wire::CatchupRequest) -> Result<Self, FieldError> {
        Ok(Self {
            provenance: Provenance::checked(w.provenance)?,
            after_sequence: w.after_sequence,
            stream_created: w
                .stream_created
                .map(|created| time::timestamp("catchup_request.stream_created", created))
                .transpose()?,
        })
    }
}

impl From<CatchupRequest> for wire::CatchupRequest {
    fn from(r: CatchupRequest) -> Self {
        Self {
            after_sequence: r.after_sequence,
            stream_created: r.stream_created.map(time::timestamp_to_wire),
            provenance: Some(r.provenance.into()),
        }
    }
}

impl TryFrom<wire::CatchupResponse> for CatchupResponse {
    type Error = FieldError;
    fn try_from(w: wire::CatchupResponse) -> Result<Self, FieldError> {
        use wire::catchup_response::Item as W;
        let item = match w.item.ok_or(FieldError::missing("catchup_response.item"))? {
            W::Answer(a) if a.answer.is_empty() => {
                return Err(FieldError::missing("catchup_response.answer.answer"));
            }
            W::Answer(a) => CatchupItem::Answer { sequence: a.sequence, answer: a.answer },
            W::End(e) => CatchupItem::End {
                more: e.more,
                sequence: e.sequence,
                stream_created: time::timestamp(
                    "catchup_response.end.stream_created",
                    e.stream_created.ok_or(FieldError::missing("catchup_response.end.stream_created"))?,
                )?,
            },
            W::Error(e) if e.text.len() > limits::TEXT_BYTES_MAX => {
                let (actual, max) = (e.text.len(), limits::TEXT_BYTES_MAX);
                return Err(FieldError::over("catchup_response.error.text", actual, max));
            }
            W::Error(e) => CatchupItem::Error(e.text),
        };
        Ok(Self { provenance: Provenance::checked(w.provenance)?, item })
    }
}

impl From<CatchupResponse> for wire::CatchupResponse {
    fn from(r: CatchupResponse) -> Self {
        use wire::catchup_response::Item as W;
        Self {
            item: Some(match r.item {
                CatchupItem::Answer { sequence, answer } => W::Answer(wire::CatchupItem { sequence, answer }),
                CatchupItem::End { more, sequence, stream_created } => W::End(wire::CatchupEnd {
                    more,
                    sequence,
                    stream_created: Some(time::timestamp_to_wire(stream_created)),
                }),
                CatchupItem::Error(text) => W::Error(wire::CatchupError { text }),
            }),
            provenance: Some(r.provenance.into()),
        }
    }
}
