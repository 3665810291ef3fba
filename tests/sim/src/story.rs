//! What happens in the jails during one run: facts about custodies, in the order in which each jail system states them.
//! Drawn from the seed; what follows from a fact is `reference`'s to say.

use sallyport_proto::vocabulary::{ReleaseReason, ReleaseState};

use crate::{
    chance::Chance,
    exec::{MS, S, Us},
    ground::JAILS,
};

/// One statement of a jail system.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// When it is stated, in true time.
    pub(crate) at: Us,
    /// Which jail.
    pub(crate) jail: usize,
    /// Which custody of that jail.
    pub(crate) custody: usize,
    pub(crate) state: ReleaseState,
    pub(crate) reason: ReleaseReason,
    /// The custody is under the floor: nothing may leave.
    pub(crate) sealed: bool,
    /// A part of it is larger than DELIVER takes.
    pub(crate) too_large: bool,
}

impl Fact {
    pub(crate) fn booking(&self) -> String {
        format!("B-{}-{}", self.jail, self.custody)
    }
}

/// Custodies of one jail, at most.
const CUSTODIES_MAX: u64 = 4;
/// Custodies in a thousand that are read again when nothing is new.
const READ_AGAIN: u64 = 400;
/// The last fact begins no later: the storm goes on for a while after it.
const LAST_BEGINS: Us = 240 * S;

/// The facts of one run, by time.
pub(crate) fn tell(chance: &mut Chance) -> Vec<Fact> {
    let mut facts = Vec::new();
    // One run in ten is a burst: everything within a second.
    let burst = chance.permille(100);
    for jail in 0..JAILS.len() {
        for custody in 0..chance.within(1, CUSTODIES_MAX) as usize {
            let mut at = chance.below(if burst { S } else { LAST_BEGINS });
            let sealed = chance.permille(60);
            let life = life(chance);
            let last = life.last().copied();
            for (state, reason) in life {
                let too_large = state == ReleaseState::InProcess && chance.permille(120);
                facts.push(Fact { at, jail, custody, state, reason, sealed, too_large });
                // The same fact again changes nothing; a next one may follow at once or much later.
                if chance.permille(100) {
                    facts.push(Fact { at: at + MS, jail, custody, state, reason, sealed, too_large });
                }
                at += chance.within(1, if burst { 100 * MS } else { 90 * S });
            }
            // The jail's next export has the custody as it was: news only to whoever was not told.
            if let Some((state, reason)) = last.filter(|_| chance.permille(READ_AGAIN)) {
                for _ in 0..chance.within(1, 3) {
                    let too_large = state == ReleaseState::InProcess && chance.permille(120);
                    at += chance.within(S, 120 * S);
                    facts.push(Fact { at, jail, custody, state, reason, sealed, too_large });
                }
            }
        }
    }
    facts.sort_by_key(|fact| fact.at);
    facts
}

fn life(chance: &mut Chance) -> Vec<(ReleaseState, ReleaseReason)> {
    use ReleaseReason as Reason;
    use ReleaseState as State;
    let mut reason = *chance.pick(&[Reason::BondPosted, Reason::TimeServed, Reason::CourtOrder]);
    let mut life = Vec::new();
    for state in [State::Expected, State::Scheduled, State::InProcess, State::Released] {
        if chance.permille(650) {
            life.push((state, reason));
        }
        // The jail corrects itself: another reason, and so perhaps other recipients.
        if chance.permille(150) {
            reason = *chance.pick(&[Reason::BondPosted, Reason::CourtOrder]);
            life.push((state, reason));
        }
    }
    if chance.permille(150) {
        life.push((State::Cancelled, reason));
    }
    if chance.permille(200) {
        life.push((State::Retracted, Reason::Unknown));
        if chance.permille(300) {
            life.push((State::Expected, reason));
        }
    }
    if life.is_empty() {
        life.push((State::Released, reason));
    }
    life
}
