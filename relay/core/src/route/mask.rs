//! What an event shows to a subscription filter, as bits: one AND decides state, reason, certainty, purpose and request.
//! Facilities and jurisdictions are not here: they choose the list that is looked through (`index`).

use sallyport_proto::{
    registry::Subscription,
    vocabulary::{Certainty, Purpose, ReleaseReason, ReleaseState},
};

const STATES_AT: u32 = 0;
const REASONS_AT: u32 = STATES_AT + ReleaseState::ALL.len() as u32;
const PURPOSES_AT: u32 = REASONS_AT + ReleaseReason::ALL.len() as u32;
const CERTAINTIES_AT: u32 = PURPOSES_AT + Purpose::ALL.len() as u32;
const REQUEST_AT: u32 = CERTAINTIES_AT + Certainty::ALL.len() as u32;
/// Answers a request, or does not: the two last bits.
const WIDTH: u32 = REQUEST_AT + 2;

const _: () = assert!(WIDTH <= u64::BITS, "the vocabularies no longer fit: widen the mask to u128");

/// Of a subscription: all that it admits. Of an event: the one bit of each kind that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask(u64);

impl Mask {
    /// What the filter of `subscription` admits; an empty list admits any.
    pub(super) fn of_subscription(subscription: &Subscription) -> Self {
        let filter = &subscription.filter;
        let certainties =
            Certainty::ALL.iter().copied().filter(|certainty| *certainty >= filter.minimum_certainty);
        let requests: &[bool] = if filter.requests_only { &[true] } else { &[true, false] };
        Self(
            any_or(STATES_AT, ReleaseState::ALL, filter.release_states.iter().copied())
                | any_or(REASONS_AT, ReleaseReason::ALL, filter.reasons.iter().copied())
                | Self::purpose(subscription.purpose).0
                | bits(CERTAINTIES_AT, certainties)
                | requests.iter().fold(0, |mask, answers| mask | request(*answers)),
        )
    }

    /// What one disclosure of an event shows.
    pub(super) fn of_event(
        state: ReleaseState,
        reason: ReleaseReason,
        certainty: Certainty,
        purpose: Purpose,
        answers_request: bool,
    ) -> Self {
        Self(
            bits(STATES_AT, [state])
                | bits(REASONS_AT, [reason])
                | bits(CERTAINTIES_AT, [certainty])
                | Self::purpose(purpose).0
                | request(answers_request),
        )
    }

    /// The bit of a purpose alone.
    pub(super) fn purpose(purpose: Purpose) -> Self {
        Self(bits(PURPOSES_AT, [purpose]))
    }

    /// Whether this subscription admits all that `event` shows.
    pub(super) fn admits(self, event: Mask) -> bool {
        self.0 & event.0 == event.0
    }
}

/// A word of a vocabulary by its place in it.
trait Word: Copy {
    fn place(self) -> u32;
}
macro_rules! word {
    ($($name:ident),+) => { $(impl Word for $name { fn place(self) -> u32 { self as u32 } })+ };
}
word!(ReleaseState, ReleaseReason, Purpose, Certainty);

fn bits<W: Word>(at: u32, words: impl IntoIterator<Item = W>) -> u64 {
    words.into_iter().fold(0, |mask, word| mask | 1 << (at + word.place()))
}

fn any_or<W: Word>(at: u32, all: &[W], named: impl ExactSizeIterator<Item = W>) -> u64 {
    if named.len() == 0 { bits(at, all.iter().copied()) } else { bits(at, named) }
}

fn request(answers: bool) -> u64 {
    1 << (REQUEST_AT + u32::from(answers))
}
