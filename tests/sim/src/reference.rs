//! Who must have been told what: a model of its own, from the facts alone. It knows the jails' rules and the registry in
//! its own words, and shares nothing with the programs but the types of a fact.
//!
//! What it cannot know by itself it is given: whether a notice was handed over (corrections follow the told), whether
//! an event had to go without its predecessor, and what had been refused for good when a fact was taken.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_proto::vocabulary::{ReleaseReason as Reason, ReleaseState as State};

use crate::{
    ground::{SUBSCRIBERS, subscribed_states},
    story::Fact,
};

/// One notice that a fact calls for, if the subscriber asked for it or was told before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saying {
    /// Which fact, by its place among those of its jail.
    pub(crate) fact: usize,
    pub(crate) to: &'static str,
    pub(crate) state: State,
    pub(crate) follows: Option<Follows>,
    /// It can never be stored on DELIVER.
    pub(crate) too_large: bool,
}

/// The saying that another one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Follows {
    pub(crate) fact: usize,
    pub(crate) state: State,
    /// It is the very event that is superseded; else only one like it.
    pub(crate) surely: bool,
}

/// The relay's word on what a fact came to changed: refused for good, which nobody was told, or accepted after that.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// Whose event it was, by the fact's place,
    pub(crate) fact: usize,
    /// what it said,
    pub(crate) state: State,
    /// and to whom.
    pub(crate) to: BTreeSet<String>,
    pub(crate) refused: bool,
    /// Facts from this place on were taken after it.
    pub(crate) before: usize,
}

/// What one subscriber was last told of a custody, as the jail has it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    fact: usize,
    state: State,
    content: Content,
}

/// What it said.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Said(Reason, bool),
    /// Something, and whatever it was: what came after it was told to nobody.
    OutOfDate,
    /// Nothing more will be said, or disregard it.
    Nothing,
}

impl Told {
    fn followed(self) -> Option<Follows> {
        Some(Follows { fact: self.fact, state: self.state, surely: true })
    }
}

fn allowed(to: &str, fact: &Fact) -> bool {
    match to {
        "office" => true,
        "marshals" => matches!(fact.reason, Reason::BondPosted | Reason::TimeServed),
        _ => matches!(fact.state, State::Expected | State::Released | State::Cancelled),
    }
}

/// What one custody stands at: who holds what, the latest event that was no CLOSED, with those it surely names, and all
/// that was said.
#[derive(Default)]
struct Custody {
    told: BTreeMap<&'static str, Told>,
    latest: Option<(usize, State, Option<BTreeSet<&'static str>>)>,
    said: Vec<Said>,
}

struct Said {
    fact: usize,
    state: State,
    to: &'static str,
    refused: bool,
}

impl Custody {
    fn say(&mut self, saying: &Saying) {
        let Saying { fact, to, state, .. } = *saying;
        self.said.push(Said { fact, state, to, refused: false });
    }

    /// Nobody was told what was refused: they hold what they were told before it, and that is out of date.
    fn overturn(&mut self, verdict: &Verdict) {
        let about = |said: &&mut Said| {
            (said.fact, said.state) == (verdict.fact, verdict.state) && verdict.to.contains(said.to)
        };
        self.said.iter_mut().filter(about).for_each(|said| said.refused = verdict.refused);
        let mut holds: BTreeMap<&'static str, Told> = BTreeMap::new();
        let mut latest = None;
        for said in self.said.iter().filter(|said| !said.refused) {
            let withdrawn = matches!(said.state, State::Closed | State::Retracted);
            let content = if withdrawn { Content::Nothing } else { Content::OutOfDate };
            holds.insert(said.to, Told { fact: said.fact, state: said.state, content });
            if said.state != State::Closed {
                latest = Some((said.fact, said.state));
            }
        }
        for (to, told) in &mut holds {
            if let Some(known) =
                self.told.get(to).filter(|known| (known.fact, known.state) == (told.fact, told.state))
            {
                *told = *known;
            }
        }
        self.told = holds;
        // Of several retractions one is the latest: whom it names is not known here.
        let named = |state| (state == State::Retracted).then(BTreeSet::new);
        self.latest = latest.map(|(fact, state)| (fact, state, named(state)));
    }
}

/// What the facts of one jail, in order, call for.
pub(crate) fn sayings(facts: &[&Fact], verdicts: &[Verdict]) -> Vec<Saying> {
    let mut said = Vec::new();
    let mut custodies: BTreeMap<usize, Custody> = BTreeMap::new();
    let mut verdicts = verdicts.iter().peekable();
    for (n, fact) in facts.iter().enumerate() {
        while let Some(verdict) = verdicts.next_if(|verdict| verdict.before <= n) {
            let custody = facts.get(verdict.fact).and_then(|fact| custodies.get_mut(&fact.custody));
            custody.into_iter().for_each(|custody| custody.overturn(verdict));
        }
        if fact.sealed {
            continue;
        }
        let custody = custodies.entry(fact.custody).or_default();
        let from = said.len();
        if fact.state == State::Retracted {
            retracted(n, custody, &mut said);
        } else {
            stated(n, fact, custody, &mut said);
        }
        said[from..].iter().for_each(|saying| custody.say(saying));
    }
    said
}

fn stated(n: usize, fact: &Fact, custody: &mut Custody, said: &mut Vec<Saying>) {
    let to: Vec<&'static str> = SUBSCRIBERS.into_iter().filter(|to| allowed(to, fact)).collect();
    let content = Content::Said(fact.reason, fact.too_large);
    let news = to.iter().any(|to| {
        !custody.told.get(to).is_some_and(|told| told.content == content && told.state == fact.state)
    });
    if news {
        for to in &to {
            let follows = custody.latest.as_ref().map(|(fact, state, named)| {
                let surely = named.as_ref().is_none_or(|named| named.contains(to));
                Follows { fact: *fact, state: *state, surely }
            });
            said.push(Saying { fact: n, to, state: fact.state, follows, too_large: fact.too_large });
        }
        custody.latest = Some((n, fact.state, None));
    }
    // Those who hold it and may no longer be told hear that nothing more will be said.
    for (holder, told) in &mut custody.told {
        if told.content != Content::Nothing && !to.contains(holder) {
            let (state, follows) = (State::Closed, told.followed());
            said.push(Saying { fact: n, to: holder, state, follows, too_large: false });
            *told = Told { fact: n, state, content: Content::Nothing };
        }
    }
    if news {
        custody.told.extend(to.into_iter().map(|to| (to, Told { fact: n, state: fact.state, content })));
    }
}

/// Whoever was told, and not yet told to disregard it, hears that; one event for all that were told by the same one.
fn retracted(n: usize, custody: &mut Custody, said: &mut Vec<Saying>) {
    let state = State::Retracted;
    let mut of_latest = BTreeSet::new();
    let mut any = false;
    for (holder, told) in custody.told.iter_mut().filter(|(_, told)| told.state != state) {
        any = true;
        if custody.latest.as_ref().is_some_and(|(fact, state, _)| (*fact, *state) == (told.fact, told.state))
        {
            of_latest.insert(*holder);
        }
        said.push(Saying { fact: n, to: holder, state, follows: told.followed(), too_large: false });
        *told = Told { fact: n, state, content: Content::Nothing };
    }
    if any {
        custody.latest = Some((n, state, Some(of_latest)));
    }
}

/// Whether the registry has a wish for it: by every version that was in force, and by any.
pub(crate) fn wished(to: &str, state: State, versions: &BTreeSet<u64>) -> (bool, bool) {
    let wants = |version: &u64| {
        let states = subscribed_states(*version, to);
        states.is_empty() || states.contains(&state.as_str())
    };
    (versions.iter().all(wants), versions.iter().any(wants))
}
