//! The machine that gives every event of a batch its verdict: merges copies, commits what is not known to be committed,
//! and after any refusal or timeout has the leader asked which of it is there.
//!
//! `next` says what to do; `handle_read` and `handle_commit` take what came of it. Neither a refusal nor a timeout of a
//! batch proves anything, and what was known before proves nothing about the DELIVER of now: only a record that the leader
//! was asked for here, or a batch that was confirmed here, makes an event accepted.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sallyport_proto::ids::Jurisdiction;

use super::{
    ENTRIES_MAX,
    ahead::Ahead,
    draft::{self, Arrival, Author, Draft, Entry},
    known::{Accepted, Key, Known},
    predecessor::{self, LOOK_AGAIN, Predecessor},
    step::{Found, NotConfirmed, Step, Transition, Verdict},
};
use crate::route::Routing;

/// After this many batches in a row that were not confirmed the rest is left to redelivery.
const UNCONFIRMED_MAX: u32 = 6;
/// Before the next try, times how many were not confirmed: another batch may be in flight with the same events.
const TRY_AGAIN_PAUSE: Duration = Duration::from_millis(100);
/// What the broker cannot take now comes again after this.
pub(super) const TRY_LATER: Duration = Duration::from_secs(2);

/// Where the machine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The leader is to be asked for the events themselves.
    Look,
    /// Asked for them.
    Looking,
    /// A pause is due.
    Pause,
    /// To be drafted.
    Draft,
    /// Asked for predecessors.
    AskingPredecessors,
    /// A batch is out.
    Sent,
    /// Nothing more to do.
    Done,
}

/// One batch of messages being committed.
#[derive(Debug)]
pub struct Committing<'c, 'p> {
    known: &'c mut Known,
    /// What may be answered: the leader has shown it, or a batch was confirmed, since these messages came.
    confirmed: HashMap<Key, Arc<Accepted>>,
    jobs: Vec<(Key, Arrival<'p>)>,
    /// May be committed already: delivered before, or remembered.
    suspects: HashSet<Key>,
    ahead: Ahead,
    /// Predecessors that the leader does not have, or could not say.
    without: HashMap<Key, Found>,
    put_off: HashMap<Key, Duration>,
    too_large: HashSet<Key>,
    /// Remembered as committed, and not on DELIVER any more.
    lost: usize,
    /// What the batch that is out would commit.
    sent: Vec<(Key, Arc<Accepted>)>,
    /// Events of one batch at most: halved when a batch is refused, until the one at fault is alone.
    share: usize,
    unconfirmed: u32,
    phase: Phase,
    trail: Vec<Transition>,
}

impl<'c, 'p> Committing<'c, 'p> {
    /// Of several copies of one event the first is committed.
    pub fn new(known: &'c mut Known, arrivals: impl IntoIterator<Item = Arrival<'p>>, ahead: Ahead) -> Self {
        let mut seen = HashSet::new();
        let jobs: Vec<_> = arrivals
            .into_iter()
            .map(|arrival| (arrival.key(), arrival))
            .filter(|(key, _)| seen.insert(key.clone()))
            .collect();
        // Look before writing: a batch with one of them in it would be refused whole.
        let suspects: HashSet<Key> = jobs
            .iter()
            .filter(|(key, arrival)| arrival.redelivered || known.remembered(key).is_some())
            .map(|(key, _)| key.clone())
            .collect();
        let look = !suspects.is_empty();
        Self {
            known,
            confirmed: HashMap::new(),
            jobs,
            suspects,
            ahead,
            without: HashMap::new(),
            put_off: HashMap::new(),
            too_large: HashSet::new(),
            lost: 0,
            sent: Vec::new(),
            share: usize::MAX,
            unconfirmed: 0,
            phase: if look { Phase::Look } else { Phase::Draft },
            trail: if look { vec![Transition::LookedFirst] } else { Vec::new() },
        }
    }

    /// What to do next, by the registry in force now.
    pub fn next(&mut self, author: &Author<'_>, routing: &Routing, now: Timestamp) -> Step {
        loop {
            self.jobs.retain(|(key, _)| !self.confirmed.contains_key(key));
            if self.jobs.is_empty() {
                self.phase = Phase::Done;
            }
            match self.phase {
                Phase::Look | Phase::Looking => {
                    self.phase = Phase::Looking;
                    // After a refusal it may be any of them.
                    let asked = |key: &Key| self.unconfirmed > 0 || self.suspects.contains(key);
                    return Step::Read(self.jobs.iter().filter(|(key, _)| asked(key)).map(place).collect());
                }
                Phase::Pause => {
                    self.phase = Phase::Draft;
                    return Step::Pause(TRY_AGAIN_PAUSE * self.unconfirmed);
                }
                Phase::Draft | Phase::AskingPredecessors => {
                    let unasked = self.unasked_predecessors();
                    if !unasked.is_empty() {
                        self.trail.push(Transition::AskedForPredecessor);
                        self.phase = Phase::AskingPredecessors;
                        return Step::Read(unasked);
                    }
                    let entries = self.draft(author, routing, now);
                    // What is not in it was put off, which may have been everything.
                    if entries.is_empty() {
                        continue;
                    }
                    self.phase = Phase::Sent;
                    return Step::Commit(entries);
                }
                // Its outcome was not handed in: unknown.
                Phase::Sent => self.handle_commit(Err(NotConfirmed::Unknown)),
                Phase::Done => return Step::Done,
            }
        }
    }

    /// What the leader has of what was asked.
    pub fn handle_read(&mut self, found: impl IntoIterator<Item = (Key, Found)>) {
        let predecessors = self.phase == Phase::AskingPredecessors;
        let found: Vec<_> = found.into_iter().collect();
        let is_lost = |(key, found): &&(Key, Found)| {
            matches!(found, Found::Absent) && self.known.remembered(key).is_some()
        };
        let lost = found.iter().filter(is_lost).count();
        if lost > 0 {
            self.lost += lost;
            self.known.forget();
        }
        let mut unknown = HashSet::new();
        for (key, found) in found {
            match found {
                Found::There(accepted) => {
                    if !predecessors {
                        self.trail.push(Transition::FoundCommitted);
                        self.confirmed.insert(key.clone(), accepted.clone());
                    }
                    self.known.remember(key, accepted);
                }
                missing if predecessors => {
                    self.without.insert(key, missing);
                }
                Found::Absent => {}
                Found::Unknown => drop(unknown.insert(key)),
            }
        }
        // Those alone: a record that nobody can read must not keep its neighbours from being committed.
        if !unknown.is_empty() {
            self.trail.push(Transition::LeftToRedelivery);
            self.jobs.retain(|(key, _)| !unknown.contains(key));
        }
        let paused = !predecessors && self.unconfirmed > 0;
        self.phase = if paused { Phase::Pause } else { Phase::Draft };
    }

    /// The batch that is out was stored up to this sequence of DELIVER; to be said before `handle_commit`.
    pub fn handle_stored(&mut self, sequence: u64) {
        if !self.known.handle_stored(sequence) {
            // Of another stream than this batch.
            self.confirmed.clear();
        }
    }

    /// What became of the batch that was out.
    pub fn handle_commit(&mut self, outcome: Result<(), NotConfirmed>) {
        let sent = std::mem::take(&mut self.sent);
        let alone = sent.len() == 1;
        // A refusal leaves what is waited for to be looked at anew.
        self.without.clear();
        self.phase = match outcome {
            Ok(()) => {
                for (key, accepted) in sent {
                    self.known.remember(key.clone(), accepted.clone());
                    self.confirmed.insert(key, accepted);
                }
                self.trail.push(Transition::Committed);
                (self.unconfirmed, self.share) = (0, self.share.saturating_mul(2));
                Phase::Draft
            }
            Err(NotConfirmed::Full) => {
                self.trail.push(Transition::Full);
                Phase::Done
            }
            Err(NotConfirmed::TooLarge) if alone => {
                self.trail.push(Transition::TooLarge);
                self.too_large.extend(sent.into_iter().map(|(key, _)| key));
                self.jobs.retain(|(key, _)| !self.too_large.contains(key));
                Phase::Draft
            }
            Err(why) => {
                self.unconfirmed += 1;
                if why == NotConfirmed::Taken {
                    self.trail.push(Transition::LostRace);
                } else {
                    self.trail.push(Transition::Doubtful);
                    self.share = (sent.len() / 2).max(1);
                }
                if self.unconfirmed < UNCONFIRMED_MAX { Phase::Look } else { self.leave_to_redelivery() }
            }
        };
    }

    /// The verdict on each message, in their order. Refused ones are none of its business.
    pub fn verdicts<'a>(self, arrivals: impl IntoIterator<Item = Arrival<'a>>) -> Vec<Verdict> {
        arrivals
            .into_iter()
            .map(|arrival| {
                let key = arrival.key();
                match self.confirmed.get(&key).cloned() {
                    Some(accepted) if accepted.event.digest == arrival.digest => Verdict::Accepted(accepted),
                    Some(accepted) => Verdict::Conflict(accepted),
                    None if self.too_large.contains(&key) => Verdict::TooLarge,
                    None => Verdict::Again(self.put_off.get(&key).copied().unwrap_or(TRY_LATER)),
                }
            })
            .collect()
    }

    /// What was gone through so far.
    pub fn trail(&self) -> &[Transition] {
        &self.trail
    }

    /// How many events were committed once, and are not on DELIVER any more.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Whom the batch that is out tells, for counting.
    pub fn told(&self) -> impl Iterator<Item = &sallyport_proto::ids::SubscriberId> {
        self.sent.iter().flat_map(|(_, accepted)| accepted.told.iter())
    }

    fn leave_to_redelivery(&mut self) -> Phase {
        self.trail.push(Transition::LeftToRedelivery);
        Phase::Done
    }

    /// Predecessors of which nothing is known, and which are not of this batch themselves.
    fn unasked_predecessors(&self) -> Vec<(Key, Jurisdiction)> {
        let mut asked = HashSet::new();
        self.jobs
            .iter()
            .filter_map(|job| Some((before(job)?, job.1.from.0.clone())))
            .filter(|(key, _)| {
                self.known.remembered(key).is_none()
                    && !self.without.contains_key(key)
                    && !self.jobs.iter().any(|(job, _)| job == key)
            })
            .filter(|(key, _)| asked.insert(key.clone()))
            .collect()
    }

    /// The messages of as many events as fit one batch. Those whose predecessor is not routed are put off.
    fn draft(&mut self, author: &Author<'_>, routing: &Routing, now: Timestamp) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut drafted: HashMap<Key, Arc<Accepted>> = HashMap::new();
        let mut waiting = HashSet::new();
        let jobs = std::mem::take(&mut self.jobs);
        for job in &jobs {
            let (key, arrival) = job;
            let draft = match self.ahead.take(arrival, routing) {
                Some(draft) => {
                    self.trail.push(Transition::UsedAhead);
                    draft
                }
                None => match self.predecessor(job, &drafted, now) {
                    Some(before) => draft::make(author, routing, arrival, &before, now),
                    None => {
                        waiting.insert(key.clone());
                        continue;
                    }
                },
            };
            let full = entries.len() + draft.entries.len() > ENTRIES_MAX || self.sent.len() >= self.share;
            if full && !self.sent.is_empty() {
                break;
            }
            let Draft { entries: more, accepted } = draft;
            entries.extend(more);
            drafted.insert(key.clone(), accepted.clone());
            self.sent.push((key.clone(), accepted));
        }
        self.jobs = jobs;
        self.jobs.retain(|(key, _)| !waiting.contains(key));
        if !waiting.is_empty() {
            self.trail.push(Transition::PutOff);
        }
        self.put_off.extend(waiting.into_iter().map(|key| (key, LOOK_AGAIN)));
        entries
    }

    /// What the event follows; `None` while it should wait.
    fn predecessor(
        &mut self,
        job: &(Key, Arrival<'p>),
        drafted: &HashMap<Key, Arc<Accepted>>,
        now: Timestamp,
    ) -> Option<Predecessor> {
        let Some(before) = before(job) else { return Some(Predecessor::None) };
        // In the same batch: both are stored or neither is.
        if let Some(accepted) = drafted.get(&before) {
            return Some(Predecessor::Routed(accepted.clone()));
        }
        // Remembered is enough: who was told stays told, and nothing is answered by it.
        if let Some(accepted) = self.known.remembered(&before) {
            return Some(Predecessor::Routed(accepted));
        }
        let absent = matches!(self.without.get(&before), Some(Found::Absent));
        if absent && predecessor::waited_enough(&job.1.t4_stored, now) {
            self.trail.push(Transition::WithoutPredecessor);
            return Some(Predecessor::Missing);
        }
        None
    }
}

fn before((key, arrival): &(Key, Arrival<'_>)) -> Option<Key> {
    Some((key.0.clone(), arrival.event.head.supersedes.clone()?))
}

fn place((key, arrival): &(Key, Arrival<'_>)) -> (Key, Jurisdiction) {
    (key.clone(), arrival.from.0.clone())
}
