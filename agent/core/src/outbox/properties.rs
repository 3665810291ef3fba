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
        2 => any::<(bool, bool)>()
            .prop_map(|(this_event, these_bytes)| Step::Acceptance { this_event, these_bytes }),
        2 => (any::<Option<bool>>(), any::<bool>(), code, any::<bool>()).prop_map(
            |(names_event, these_bytes, code, permanent)| Step::Refusal {
                names_event, these_bytes, code, permanent,
            }
        ),
    ]
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
                    accepted |= this_event && these_bytes;
                }
                Step::Refusal { names_event, these_bytes, code, permanent } => {
                    row.handle_refusal(&refusal(names_event.map(event), bytes(these_bytes), code, permanent));
                    let curable = matches!(code, RefusalCode::UnknownKey | RefusalCode::UnsupportedVersion);
                    refused |= names_event != Some(false) && these_bytes && permanent && !curable && !accepted;
                }
            }
            prop_assert_eq!(row.status == Status::Accepted, accepted);
            prop_assert_eq!(row.poll_deadline().is_none(), accepted || refused);
        }
    }
}
