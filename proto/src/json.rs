//! Canonical proto3 JSON of any message of `sallyport/v1`, for people and for other languages. Never signed.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(&include_bytes!("gen/sallyport.v1.binpb")[..]).ok());

/// Why there is no JSON for some bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// No message of that name in `sallyport.v1`.
    #[error("no message sallyport.v1.{0}")]
    UnknownMessage(String),
    /// The bytes are not that message.
    #[error("not a sallyport.v1.{0}")]
    Undecodable(String),
}

/// The JSON of `bytes`, an encoded `sallyport.v1.<message>`. May hold person data when the message does.
pub fn canonical(message: &str, bytes: &[u8]) -> Result<serde_json::Value, JsonError> {
    let descriptor = POOL
        .as_ref()
        .and_then(|pool| pool.get_message_by_name(&format!("sallyport.v1.{message}")))
        .ok_or_else(|| JsonError::UnknownMessage(message.to_owned()))?;
    let dynamic =
        DynamicMessage::decode(descriptor, bytes).map_err(|_| JsonError::Undecodable(message.to_owned()))?;
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .map_err(|_| JsonError::Undecodable(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{time::Moment, vocabulary::SourceClock, wire};

    #[test]
    fn times_are_rfc_3339_and_enumerations_are_names() {
        let moment = Moment::exact("2026-11-21T22:11:59.5Z".parse().unwrap(), SourceClock::JailRecord);
        let json = canonical("Moment", &prost::Message::encode_to_vec(&wire::Moment::from(moment))).unwrap();
        assert_eq!(json["value"], "2026-11-21T22:11:59.500Z");
        assert_eq!(json["sourceClock"], "SOURCE_CLOCK_JAIL_RECORD");
    }

    #[test]
    fn an_unknown_message_is_an_error() {
        assert!(matches!(canonical("Nothing", b""), Err(JsonError::UnknownMessage(_))));
    }
}
