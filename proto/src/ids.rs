//! Identifiers as newtypes, so that two sides cannot be swapped. Tokens go into subjects: lower-case `[a-z0-9_-]`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that is not an identifier of the kind asked for. Does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct IdError {
    /// The form, in words.
    pub expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.into())) } else { Err(IdError { expected: $expected }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// A token that may stand in a NATS subject.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= crate::limits::TOKEN_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

fn is_ori(text: &str) -> bool {
    text.len() == 9 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Subscriber ids that would collide with names the relay uses on the same subjects and streams.
fn is_subscriber(text: &str) -> bool {
    is_token(text) && !matches!(text, "relay" | "provision" | "all") && !text.starts_with("track-")
}

fn is_uuid_v7(text: &str) -> bool {
    text.len() == 36
        && text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && uuid::Uuid::parse_str(text).is_ok_and(|id| id.get_version_num() == 7)
}

fn is_custody_key(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
}

fn is_decision(text: &str) -> bool {
    text.len() <= crate::limits::DECISION_ID_BYTES_MAX && text.split('.').all(is_token)
}

fn is_notice(text: &str) -> bool {
    let mut parts = text.splitn(3, '.');
    parts.next().is_some_and(is_ori)
        && parts.next().is_some_and(is_uuid_v7)
        && parts.next().is_some_and(is_subscriber)
}

id!(/// A relay network: identifiers count within one.
    InstanceId, "an instance id ([a-z0-9_-])", is_token);
id!(/// A jurisdiction, as the second subject token: `co`.
    Jurisdiction, "a jurisdiction ([a-z0-9_-])", is_token);
id!(/// An FBI originating agency identifier, nine characters, lower-case here.
    Ori, "an ORI (nine characters, [a-z0-9])", is_ori);
id!(/// A receiving agency. Never `relay`, `provision`, `all` or `track-*`.
    SubscriberId, "a subscriber id ([a-z0-9_-], not relay, provision, all, track-*)", is_subscriber);
id!(/// One subscription of one subscriber.
    SubscriptionId, "a subscription id ([a-z0-9_-])", is_token);
id!(/// One running relay.
    NodeId, "a node name ([a-z0-9_-])", is_token);
id!(/// UUIDv7 of one revision; counts only together with the facility that signed it.
    EventId, "a lower-case UUIDv7", is_uuid_v7);
id!(/// UUIDv7 of an instrument lodged at a jail.
    RequestId, "a lower-case UUIDv7", is_uuid_v7);
id!(/// UUIDv7 of an outcome that one side states.
    OutcomeId, "a lower-case UUIDv7", is_uuid_v7);
id!(/// UUIDv7 of a subscriber's statement about its desk.
    AvailabilityId, "a lower-case UUIDv7", is_uuid_v7);
id!(/// One decision of the relay: made of what it is about, so that every node that takes it names it the same.
    DecisionId, "a decision id (tokens [a-z0-9_-] joined by dots)", is_decision);
id!(/// 26 characters of base32 that stand for a booking at a facility, and say nothing about it.
    CustodyKey, "26 characters of base32", is_custody_key);
id!(/// `<ori>.<event>.<subscriber>`
    NoticeId, "a notice id (<ori>.<event>.<subscriber>)", is_notice);
id!(/// Id of an `[[agreement]]` of the registry.
    AgreementName, "an agreement id ([a-z0-9_-])", is_token);

impl NoticeId {
    /// The notice that addresses `event` of facility `ori` to `subscriber`.
    pub fn new(ori: &Ori, event: &EventId, subscriber: &SubscriberId) -> Self {
        Self(format!("{ori}.{event}.{subscriber}").into())
    }

    /// The facility whose event it is.
    pub fn ori(&self) -> Ori {
        Ori(self.part(0).into())
    }

    /// The event it carries.
    pub fn event(&self) -> EventId {
        EventId(self.part(1).into())
    }

    /// The subscriber it is addressed to.
    pub fn subscriber(&self) -> SubscriberId {
        SubscriberId(self.part(2).into())
    }

    fn part(&self, n: usize) -> &str {
        // Construction checked that there are three parts.
        self.0.splitn(3, '.').nth(n).unwrap_or_default()
    }
}

impl From<uuid::Uuid> for EventId {
    /// The caller makes it with `Uuid::now_v7`; the text form is the hyphenated lower-case one.
    fn from(id: uuid::Uuid) -> Self {
        Self(id.hyphenated().to_string().into())
    }
}

impl From<uuid::Uuid> for RequestId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.hyphenated().to_string().into())
    }
}

impl From<uuid::Uuid> for OutcomeId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.hyphenated().to_string().into())
    }
}

impl From<uuid::Uuid> for AvailabilityId {
    fn from(id: uuid::Uuid) -> Self {
        Self(id.hyphenated().to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = IdError>>(text: &str, accepted: bool) {
        assert_eq!(text.parse::<T>().is_ok(), accepted, "{text}");
    }

    #[test]
    fn tokens_that_would_break_a_subject_are_refused() {
        for bad in ["", "a.b", "A", "a b", "*", ">", "a\n"] {
            check::<Jurisdiction>(bad, false);
            check::<SubscriberId>(bad, false);
        }
        check::<SubscriberId>("fed-a_1", true);
    }

    #[test]
    fn subscriber_ids_do_not_collide_with_the_relays_own_names() {
        for bad in ["relay", "provision", "all", "track-a"] {
            check::<SubscriberId>(bad, false);
        }
    }

    #[test]
    fn an_ori_has_nine_characters() {
        check::<Ori>("co0160000", true);
        check::<Ori>("co016000", false);
        check::<Ori>("CO0160000", false);
    }

    #[test]
    fn an_event_id_is_a_uuid_of_version_7() {
        check::<EventId>("0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b", true);
        check::<EventId>("0192a3b4-c5d6-4e7f-8a9b-0c1d2e3f4a5b", false);
        check::<EventId>("0192A3B4-c5d6-7e7f-8a9b-0c1d2e3f4a5b", false);
    }

    #[test]
    fn a_notice_id_names_facility_event_and_subscriber() {
        let id: NoticeId = "co0160000.0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b.fed-a".parse().unwrap();
        assert_eq!(id.ori().as_str(), "co0160000");
        assert_eq!(id.event().as_str(), "0192a3b4-c5d6-7e7f-8a9b-0c1d2e3f4a5b");
        assert_eq!(id.subscriber().as_str(), "fed-a");
        assert_eq!(NoticeId::new(&id.ori(), &id.event(), &id.subscriber()), id);
        check::<NoticeId>("co0160000.x.fed-a", false);
    }
}
