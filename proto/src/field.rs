//! What can be wrong with one field of a message from the wire.

/// A field that does not hold what the message promises. Names the field, never its content: it may be person data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// Dotted path of the field, as in the `.proto` file.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: FieldProblem,
}

/// The ways in which a field can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// Required and not there.
    #[error("missing")]
    Missing,
    /// An enumeration value this build does not know, or UNSPECIFIED.
    #[error("unknown value {0}")]
    UnknownValue(i32),
    /// Text that is not of the form the field has.
    #[error("not {expected}")]
    Malformed {
        /// The form, in words.
        expected: &'static str,
    },
    /// More or longer than the limit.
    #[error("{actual} is over the limit of {limit}")]
    OverLimit {
        /// What came.
        actual: usize,
        /// What is permitted.
        limit: usize,
    },
    /// A schema version above the one this build reads.
    #[error("schema version {0} is newer than this build reads")]
    NewerSchema(u32),
    /// Sealed to its subscriber: a later build's, never read as if nothing were there.
    #[error("sealed, which this build does not open")]
    Sealed,
    /// Two fields that must agree do not.
    #[error("does not agree with {other}")]
    Disagrees {
        /// The other field.
        other: &'static str,
    },
    /// The bytes are not protobuf of this message.
    #[error("not protobuf of this message")]
    Undecodable,
}

impl FieldError {
    /// `field` is required and absent.
    pub fn missing(field: &'static str) -> Self {
        Self { field, problem: FieldProblem::Missing }
    }

    /// `field` is not `expected`.
    pub fn malformed(field: &'static str, expected: &'static str) -> Self {
        Self { field, problem: FieldProblem::Malformed { expected } }
    }

    /// `field` holds an enumeration value this build does not know.
    pub fn unknown(field: &'static str, value: i32) -> Self {
        Self { field, problem: FieldProblem::UnknownValue(value) }
    }

    /// `field` is longer than its limit.
    pub fn over(field: &'static str, actual: usize, limit: usize) -> Self {
        Self { field, problem: FieldProblem::OverLimit { actual, limit } }
    }

    /// `message` could not be decoded at all.
    pub fn undecodable(message: &'static str) -> Self {
        Self { field: message, problem: FieldProblem::Undecodable }
    }

    /// Whether another build might read the same bytes.
    pub fn is_newer_schema(&self) -> bool {
        matches!(self.problem, FieldProblem::NewerSchema(_) | FieldProblem::Sealed)
    }
}

/// An absent text is `None`: proto3 knows no difference between empty and absent.
pub(crate) fn optional(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

/// A text that must be there.
pub(crate) fn required(field: &'static str, text: String) -> Result<String, FieldError> {
    if text.is_empty() { Err(FieldError::missing(field)) } else { Ok(text) }
}

/// A text of at most `max` bytes.
pub(crate) fn bounded(field: &'static str, text: String, max: usize) -> Result<String, FieldError> {
    if text.len() > max { Err(FieldError::over(field, text.len(), max)) } else { Ok(text) }
}

/// An optional id.
pub(crate) fn optional_id<T>(field: &'static str, text: &str) -> Result<Option<T>, FieldError>
where
    T: std::str::FromStr<Err = crate::ids::IdError>,
{
    if text.is_empty() { Ok(None) } else { parse_id(field, text).map(Some) }
}

/// A required id.
pub(crate) fn parse_id<T>(field: &'static str, text: &str) -> Result<T, FieldError>
where
    T: std::str::FromStr<Err = crate::ids::IdError>,
{
    if text.is_empty() {
        return Err(FieldError::missing(field));
    }
    text.parse().map_err(|error: crate::ids::IdError| FieldError::malformed(field, error.expected))
}

/// A SHA-256, 32 bytes.
pub(crate) fn digest(field: &'static str, bytes: &[u8]) -> Result<crate::envelope::Digest, FieldError> {
    crate::envelope::Digest::try_from(bytes).map_err(|_| FieldError::malformed(field, "32 bytes of SHA-256"))
}
