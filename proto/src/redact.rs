//! Keeps person data out of logs, errors and debug prints: a newtype for single values, and hand-written `Debug` for the
//! wire messages that may hold person data, in fields or inside bytes.

use std::fmt;

use crate::wire;

/// A value that may identify a person. Printed only by taking it out with `expose`, which a reader can search for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps it.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Only for the part itself, and for hand-over to who may have it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, owned.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

macro_rules! redacted_debug {
    ($($message:ident),+) => {
        $(impl fmt::Debug for wire::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}([redacted], {} bytes)", stringify!($message), prost::Message::encoded_len(self))
            }
        })+
    };
}

redacted_debug!(
    Part,
    Charge,
    RequestDetails,
    Envelope,
    ReleaseEvent,
    Notice,
    Parked,
    RelayedRequest,
    CatchupItem
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_print_shows_no_person_data() {
        let part = wire::Part { person_name: "Invented Name".into(), ..Default::default() };
        let disclosure = wire::Disclosure { part: Some(part), ..Default::default() };
        let bytes = prost::Message::encode_to_vec(&disclosure);
        let event = wire::ReleaseEvent { head: vec![], disclosures: vec![bytes.clone()] };
        let ingest = wire::Ingest { item: Some(wire::ingest::Item::ReleaseEvent(event)) };
        let notice = wire::Notice { disclosure: bytes, ..Default::default() };
        let all = format!("{disclosure:?} {ingest:?} {notice:?} {:?}", Redacted::new("Invented Name"));
        assert!(!all.contains("Invented") && !all.contains("73, 110, 118"), "{all}");
    }
}
