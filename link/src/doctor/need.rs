//! What a program must be permitted at the server, asked for in ways that change nothing there, and what the answers mean.
//! Pure; `line` does the asking.

use super::{Code, Finding};

/// How a subject is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try {
    /// As a message for a stream of another name: the stream refuses it, and stores nothing.
    Store,
    /// As a request whose content makes the server refuse it, or that only reads. It always answers.
    Api(&'static str),
    /// As an ack of nothing, with a word that the server does not know.
    Ack,
    /// The same as `Api` where nobody need be there yet: only a refusal is waited for.
    Quiet(&'static str),
    /// By subscribing, for a moment.
    Hear,
}

/// One thing that a program must be permitted.
#[derive(Debug, Clone)]
pub struct Need {
    /// Where.
    pub subject: String,
    /// How it is tried.
    pub by: Try,
    /// What stops without it, for people: "events".
    pub what: &'static str,
}

impl Need {
    /// A need.
    pub fn new(subject: impl Into<String>, by: Try, what: &'static str) -> Self {
        Self { subject: subject.into(), by, what }
    }
}

/// Makes JetStream refuse a request for messages: it is asked for a number and gets a word.
pub const NO_NUMBER: &str = "{\"batch\":\"none\"}";
/// Makes JetStream refuse what takes no content, or another one.
pub const NO_REQUEST: &str = "sallyport-check";

/// No word that settles anything.
pub const NO_ACK: &str = "+CHECK";

/// Both spellings of the ack subjects of a durable (docs/nats.md 12), as a message that never was.
pub fn acks(stream: &str, durable: &str) -> [Need; 2] {
    ["$JS.ACK.", "$JS.ACK._.check."]
        .map(|start| Need::new(format!("{start}{stream}.{durable}.1.0.0.0.0"), Try::Ack, "settling"))
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server let it pass, and somebody answered where an answer was due.
    Passed,
    /// The server let it pass, and nobody is there.
    NobodyThere,
    /// The server refuses it to this user.
    Refused,
    /// No answer in time.
    Silent,
}

/// What to tell a person.
pub fn judge(need: &Need, outcome: Outcome) -> Option<Finding> {
    let Need { subject, by, what } = need;
    let render = "`sallyport-relay provision`, then reload the server (nats-server --signal reload)";
    match (outcome, by) {
        (Outcome::Passed, _) | (Outcome::NobodyThere | Outcome::Silent, Try::Ack | Try::Quiet(_)) => None,
        (Outcome::Refused, Try::Ack) => Some(Finding::unsafe_(
            Code::AckFormMissing,
            format!(
                "the server refuses acks on {subject}: under one of the two spellings everything is redelivered for ever"
            ),
            render,
        )),
        (Outcome::Refused, _) => Some(Finding::unsafe_(
            Code::PermissionMissing,
            format!("the server refuses this user {subject}: no {what}"),
            render,
        )),
        (Outcome::NobodyThere, _) => Some(Finding::unsafe_(
            Code::NotProvisioned,
            format!("nothing is there to take {subject}: no {what}"),
            render,
        )),
        (Outcome::Silent, _) => Some(Finding::not_seen(
            Code::NoAnswer,
            format!("the server did not answer on {subject}: nobody knows whether there are {what}"),
            "look at the server and its log, then check again",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_unsafe_and_silence_is_not_known() {
        let check = |by: Try, outcome, code: Option<Code>| {
            let found = judge(&Need::new("a.b", by, "events"), outcome);
            assert_eq!(found.map(|finding| finding.code), code);
        };
        check(Try::Store, Outcome::Passed, None);
        check(Try::Store, Outcome::Refused, Some(Code::PermissionMissing));
        check(Try::Store, Outcome::NobodyThere, Some(Code::NotProvisioned));
        check(Try::Api(NO_REQUEST), Outcome::Silent, Some(Code::NoAnswer));
        check(Try::Ack, Outcome::Refused, Some(Code::AckFormMissing));
        // The server listens for the spelling that it uses, and only for durables that are there.
        check(Try::Ack, Outcome::NobodyThere, None);
        check(Try::Hear, Outcome::Refused, Some(Code::PermissionMissing));
    }

    #[test]
    fn acks_are_tried_in_both_spellings() {
        let subjects = acks("INGEST", "relay").map(|need| need.subject);
        assert_eq!(subjects, ["$JS.ACK.INGEST.relay.1.0.0.0.0", "$JS.ACK._.check.INGEST.relay.1.0.0.0.0"]);
    }
}
