//! Takes events that a caller states as JSON: idempotent by the caller's key, each answered once it is stored. A bad one
//! leaves nothing; the good ones of the same request are stored and said so.

use std::cell::Cell;

use rusqlite::Connection;
use sallyport_agent_core::intake_json::{self, CallerEvent};
use sallyport_proto::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Intake, IntakeError,
    take::{Taken, Taking},
};
use crate::store::{Kind, Known, StoreError, known_caller_key, remember_caller_key};

/// Events of one request: one commit, and an answer within milliseconds.
pub const EVENTS_PER_REQUEST_MAX: usize = 500;

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventAnswer {
    /// The caller's key, when it could be read.
    pub key: Option<String>,
    /// In one word.
    pub status: EventStatus,
    /// Events that were stored; with a retraction or a rule that changed there may be more than one.
    pub event_ids: Vec<String>,
    /// The key was used before for the same event: this is what it came to then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// Everything that is wrong with it. Repeats no value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<EventProblem>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventProblem {
    /// Dotted path.
    pub field: String,
    /// What.
    pub text: String,
}

/// What became of one event, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventStatus {
    /// On disk, to be sent.
    Stored,
    /// Everybody who may be told holds it already, or there is nothing to tell.
    Unchanged,
    /// Nobody may be told; nothing leaves.
    Withheld,
    /// Wrong: nothing of it was stored.
    Refused,
}

impl EventStatus {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Unchanged => "unchanged",
            Self::Withheld => "withheld",
            Self::Refused => "refused",
        }
    }
}

impl EventAnswer {
    fn refused(key: Option<String>, problems: Vec<EventProblem>) -> Self {
        Self { key, status: EventStatus::Refused, event_ids: Vec::new(), repeated: false, problems }
    }
}

/// Whether an answer is counted: what is under the floor leaves no count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Yes,
    No,
}

/// A checked event with its key and content as they are kept.
struct Checked {
    event: CallerEvent,
    kept_key: String,
    kept_content: String,
}

impl Intake {
    /// Takes events; answers in their order, once all are on disk.
    pub async fn events(&self, values: Vec<Value>) -> Result<Vec<EventAnswer>, IntakeError> {
        if values.len() > EVENTS_PER_REQUEST_MAX {
            return Err(IntakeError::TooMany { given: values.len() });
        }
        let checked: Vec<Result<Checked, EventAnswer>> =
            values.into_iter().map(|value| self.checked(value)).collect();
        let intake = self.clone();
        let registry = self.registry_now();
        let answers = self.store.write(Kind::Intake, move |connection| {
            let desk = &*intake.desk;
            let context = desk.context(&registry, intake_json::FORM_VERSION.to_owned(), false);
            let events = Cell::new(0);
            let taking = Taking { desk, registry: &registry, context: &context, lift_floor: false, events };
            let mut answers = Vec::with_capacity(checked.len());
            for one in checked {
                answers.push(match one {
                    Ok(checked) => take_one(connection, &taking, checked)?,
                    Err(refused) => (refused, Counted::Yes),
                });
            }
            Ok(answers)
        });
        let answers = answers.await?;
        for (answer, _) in answers.iter().filter(|(_, counted)| *counted == Counted::Yes) {
            self.desk.metrics.answered(answer.status.as_str());
        }
        Ok(answers.into_iter().map(|(answer, _)| answer).collect())
    }

    fn checked(&self, mut value: Value) -> Result<Checked, EventAnswer> {
        let event = intake_json::parse_value(&value).map_err(|problems| {
            let key = value.get("key").and_then(Value::as_str).map(str::to_owned);
            EventAnswer::refused(key, problems.into_iter().map(EventProblem::from).collect())
        })?;
        // The order of a caller's fields says nothing.
        value.sort_all_objects();
        Ok(Checked {
            kept_key: self.desk.keyed("caller key", event.key.as_bytes()),
            kept_content: self.desk.keyed("caller event", value.to_string().as_bytes()),
            event,
        })
    }
}

fn take_one(
    connection: &Connection,
    taking: &Taking<'_>,
    one: Checked,
) -> Result<(EventAnswer, Counted), StoreError> {
    let key = Some(one.event.key.clone());
    match known_caller_key(connection, &one.kept_key, &one.kept_content)? {
        Known::No => {}
        Known::Same(result) => {
            let kept: EventAnswer = serde_json::from_str(&result)
                .map_err(|_| StoreError::Damaged { what: "the result of a caller's key" })?;
            return Ok((EventAnswer { key, repeated: true, ..kept }, Counted::No));
        }
        Known::Other => {
            let text = "was used before for another event; a correction needs a key of its own".to_owned();
            let refused = EventAnswer::refused(key, vec![EventProblem { field: "key".into(), text }]);
            return Ok((refused, Counted::Yes));
        }
    }
    let custody = one.event.into_custody(super::now());
    let taken = taking.take(connection, &custody)?;
    let counted = if taken == Taken::WithheldByFloor { Counted::No } else { Counted::Yes };
    let (status, event_ids) = match taken {
        Taken::Stored(ids) => (EventStatus::Stored, ids.into_iter().map(String::from).collect()),
        // A caller speaks of now: nothing it says is outdated.
        Taken::Unchanged | Taken::NoRelease | Taken::Outdated => (EventStatus::Unchanged, Vec::new()),
        Taken::Withheld | Taken::WithheldByFloor => (EventStatus::Withheld, Vec::new()),
        Taken::TooLarge { bytes } => {
            let text = format!("an event of {bytes} bytes is too large");
            let refused = EventAnswer::refused(key, vec![EventProblem { field: "event".into(), text }]);
            return Ok((refused, Counted::Yes));
        }
    };
    // Without the key itself, which may be a booking number.
    let answer = EventAnswer { key: None, status, event_ids, repeated: false, problems: Vec::new() };
    let result = serde_json::to_string(&answer)
        .map_err(|_| StoreError::Damaged { what: "the result of a caller's key" })?;
    remember_caller_key(connection, &one.kept_key, &one.kept_content, &result)?;
    Ok((EventAnswer { key, ..answer }, counted))
}

impl From<Problem> for EventProblem {
    fn from(problem: Problem) -> Self {
        Self { field: problem.key, text: problem.text }
    }
}
