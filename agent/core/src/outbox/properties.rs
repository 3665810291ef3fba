//! The rule that holds whatever happens: no row retires without its acceptance.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::{
    tests::{EVENT, OTHER_EVENT, acceptance, at, refusal, row},
    *,
};

/// Anything that can happen to a row, in any order.
#[derive(Debug, Clone)]
enum Step {
    Deadline { after_s: i64, jitter: f64 },
    Unsent,
    Acceptance { this_event: bool, these_bytes: bool },
    Refusal { names_event: Option<bool>, these_bytes: bool, code: RefusalCode, permanent: bool },
    Resend,
}

fn event(this: bool) -> &'static str {
    if this { EVENT } else { OTHER_EVENT }
}

fn bytes(these: bool) -> &'static [u8] {
    if these { b"bytes" } else { b"other bytes" }
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop::sample::select(RefusalCode::ALL);
    prop_oneof![
        4 => (0..2_000i64, 0.0..1.0f64).prop_map(|(after_s, jitter)| Step::Deadline { after_s, jitter }),
        1 => Just(Step::Unsent),
        1 => Just(Step::Resend),
        2 => any::<(bool, bool)>()
            .prop_map(|(this_event, these_bytes)| Step::Acceptance { this_event, these_bytes }),
        2 => (any::<Option<bool>>(), any::<bool>(), code, any::<bool>()).prop_map(
            |(names_event, these_bytes, code, permanent)| Step::Refusal {
                names_event, these_bytes, code, permanent,
            }
        ),
    ]
}

/// Standings and inputs of every kind: each leads to one step of the table, and every step is led to.
#[test]
fn every_step_of_the_table_is_reached_and_does_what_its_words_say() {
    let (accepted, other) = (acceptance(EVENT, b"bytes"), acceptance(EVENT, b"other bytes"));
    let refused = |code, bytes: &[u8]| refusal(Some(EVENT), bytes, code, true);
    let refusals = [
        refused(RefusalCode::TooLarge, b"bytes"),
        refused(RefusalCode::UnknownKey, b"bytes"),
        refused(RefusalCode::Conflict, b"other bytes"),
    ];
    let mut inputs = vec![Input::Deadline(at(0)), Input::Deadline(at(-1)), Input::Unsent, Input::Resend];
    inputs.extend([Input::Acceptance(&accepted), Input::Acceptance(&other)]);
    inputs.extend(refusals.iter().map(Input::Refusal));
    let mut reached = std::collections::BTreeSet::new();
    for status in [Status::Open { next_due: at(0) }, Status::Accepted, Status::Refused(RefusalCode::Expired)]
    {
        for input in &inputs {
            let row = Row { status, ..row() };
            let step = row.transition(*input);
            reached.insert(step);
            let (word, after) = (step.as_str(), went(row.clone(), *input));
            assert!(word.starts_with("any") || word.starts_with(name(status)), "{word} from {status:?}");
            let closes = word.ends_with("-> closed");
            let opens = word.ends_with("-> open");
            let changes = closes || opens || word.ends_with("-> sent");
            assert_eq!(after.status != row.status, changes, "{word}");
            assert!(!closes || after.poll_deadline().is_none(), "{word}");
            assert!(!opens || after.is_due(at(0)), "{word}");
        }
    }
    let all: std::collections::BTreeSet<_> = Transition::ALL.iter().copied().collect();
    assert_eq!(reached, all);
}

fn name(status: Status) -> &'static str {
    match status {
        Status::Open { .. } => "open",
        Status::Accepted => "accepted",
        Status::Refused(_) => "refused",
    }
}

fn went(mut row: Row, input: Input<'_>) -> Row {
    match input {
        Input::Deadline(now) => {
            row.handle_deadline(now, 0.0);
        }
        Input::Unsent => row.handle_unsent(at(0)),
        Input::Acceptance(accepted) => {
            row.handle_acceptance(accepted);
        }
        Input::Refusal(refusal) => {
            row.handle_refusal(refusal);
        }
        Input::Resend => {
            row.handle_resend(at(0));
        }
    }
    row
}

proptest! {
    #[test]
    fn a_row_never_retires_without_an_acceptance_of_its_event_and_bytes(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let (mut row, mut now, mut attempts) = (row(), 0, 0);
        let (mut accepted, mut refused) = (false, false);
        for step in steps {
            match step {
                Step::Deadline { after_s, jitter } => {
                    now += after_s;
                    let due = row.poll_deadline();
                    let sent = row.handle_deadline(at(now), jitter);
                    prop_assert_eq!(sent.is_some(), due.is_some_and(|due| due <= at(now)));
                    if let Some(id) = sent {
                        attempts += 1;
                        prop_assert_eq!(id, msg_id(&row.digest, attempts));
                        let wait = row.poll_deadline().unwrap().duration_since(at(now)).as_secs();
                        prop_assert!((10..=600).contains(&wait), "{}", wait);
                    }
                }
                Step::Unsent => row.handle_unsent(at(now)),
                Step::Acceptance { this_event, these_bytes } => {
                    row.handle_acceptance(&acceptance(event(this_event), bytes(these_bytes)));
                    if this_event && these_bytes {
                        (accepted, refused) = (true, false);
                    }
                }
                Step::Refusal { names_event, these_bytes, code, permanent } => {
                    row.handle_refusal(&refusal(names_event.map(event), bytes(these_bytes), code, permanent));
                    let curable = matches!(code, RefusalCode::UnknownKey | RefusalCode::UnsupportedVersion);
                    refused |= names_event != Some(false) && these_bytes && permanent && !curable && !accepted;
                }
                // What was accepted is open again, until a new acceptance.
                Step::Resend => {
                    let reopens = if accepted { Resend::Reopened } else if refused { Resend::Refused } else { Resend::DueNow };
                    prop_assert_eq!(row.handle_resend(at(now)), reopens);
                    accepted = false;
                }
            }
            prop_assert_eq!(row.status == Status::Accepted, accepted);
            prop_assert_eq!(row.poll_deadline().is_none(), accepted || refused);
        }
    }
}
