//! One custody through all exports of its jail: which revisions leave, and to whom each is addressed. The agent's and the
//! relay's rules side by side, since corrections follow the told.
//! Out of scope: what really happened (`log`, `compare`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::allow::{AllowList, Entry};
use crate::export::Custody;
use crate::key::CustodyKeys;
use crate::mapping::{Certainty, Mapping};
use crate::part::Part;
use crate::reading::{self, HeadFacts, Reading};
use crate::registry::{Registry, Seen};
use crate::report::Place;

/// One revision that leaves the jail.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) custody_key: String,
    pub(crate) revision: u32,
    pub(crate) state: String,
    /// The head's reason; absent for CLOSED and RETRACTED, which have no content.
    pub(crate) reason: Option<String>,
    pub(crate) place: Place,
    /// Subscribers that hold a disclosure.
    pub(crate) disclosed: BTreeSet<String>,
    /// Those of them that get a notice.
    pub(crate) addressed: BTreeSet<String>,
}

/// The rules of one jail and of the registry.
pub(crate) struct Rules<'a> {
    pub(crate) ori: &'a str,
    pub(crate) jurisdiction: &'a str,
    pub(crate) registry: &'a Registry,
    pub(crate) mapping: Mapping,
    pub(crate) allow: AllowList,
    pub(crate) keys: CustodyKeys,
}

/// How the last look at a custody ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Read,
    Floor,
    Refused,
}

/// What is known of one custody after some exports.
pub(crate) struct Life {
    /// Where it stands last.
    pub(crate) place: Place,
    pub(crate) look: Look,
    /// The newest moment that a record of it spoke of: an older one changes nothing.
    newest: Option<Timestamp>,
    /// A record of it, good or bad, carried a mark of the floor: that stays.
    floored: bool,
    /// Revisions that left, of whatever kind.
    pub(crate) revision: u32,
    /// The reason it states last.
    pub(crate) reason: Option<String>,
    /// Its rows map to more than one reason.
    pub(crate) disagrees: bool,
    /// Texts that the mapping does not know, with their rows.
    pub(crate) unmapped: BTreeMap<String, u64>,
    /// Who holds what, as last disclosed, and was not told since that nothing more will be said.
    told: BTreeMap<String, (HeadFacts, Part)>,
    /// Everyone who was told anything and not yet to disregard it, with the last revision that each was told.
    ever_told: BTreeMap<String, u32>,
    /// Everyone who ever got a notice of it.
    ever_addressed: BTreeSet<String>,
    /// Who got the latest event that was no CLOSED: the next one supersedes it, and a CLOSED does.
    latest_addressed: BTreeSet<String>,
    /// Its revision.
    latest_main: u32,
}

impl Life {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            look: Look::Read,
            newest: None,
            floored: false,
            revision: 0,
            reason: None,
            disagrees: false,
            unmapped: BTreeMap::new(),
            told: BTreeMap::new(),
            ever_told: BTreeMap::new(),
            latest_main: 0,
            ever_addressed: BTreeSet::new(),
            latest_addressed: BTreeSet::new(),
        }
    }

    /// The custody as one export states it leads to nothing, a revision, a CLOSED, both, or a retraction.
    pub(crate) fn look(
        &mut self,
        rules: &Rules<'_>,
        number: &str,
        custody: &Custody,
        place: Place,
        as_of: Timestamp,
        events: &mut Vec<Event>,
    ) {
        if self.newest.is_some_and(|newest| as_of < newest) {
            return;
        }
        self.place = place;
        self.floored |= custody.floor || custody.rows.iter().any(|row| row.floor);
        if custody.refused && !self.floored {
            self.look = Look::Refused;
            return;
        }
        self.newest = Some(as_of);
        let reading = reading::read(custody, &rules.mapping, as_of);
        self.reason = reading.as_ref().map(|reading| reading.reason.clone());
        self.disagrees = reading::reasons_of_rows(custody, &rules.mapping).len() > 1;
        self.unmapped = reading::unmapped_texts(custody, &rules.mapping);
        // Under the floor not even a CLOSED leaves: it would say that the custody has come under it.
        if self.floored {
            self.look = Look::Floor;
            return;
        }
        self.look = Look::Read;
        let custody_key = rules.keys.of(number);
        match reading {
            Some(reading) => self.tell(rules, number, custody, &reading, &custody_key, events),
            None => self.retract(rules, custody_key, events),
        }
    }

    /// There is a release: the news to whoever may be told, and a CLOSED to whoever no longer may.
    fn tell(
        &mut self,
        rules: &Rules<'_>,
        number: &str,
        custody: &Custody,
        reading: &Reading,
        custody_key: &str,
        events: &mut Vec<Event>,
    ) {
        let flags = custody.rows.iter().flat_map(|row| row.flags.iter().cloned()).collect();
        let allowed = rules.allow.decide(reading, &flags);
        let head = reading.head();
        let see = |(subscriber, entry): (&&str, &&Entry)| {
            let part = Part::of(&entry.fields, number, custody, reading, &rules.mapping);
            ((*subscriber).to_owned(), (head.clone(), part))
        };
        let sees: BTreeMap<String, (HeadFacts, Part)> = allowed.iter().map(see).collect();
        let dropped: BTreeSet<String> =
            self.told.keys().filter(|subscriber| !sees.contains_key(*subscriber)).cloned().collect();
        let news = sees.iter().any(|(subscriber, seen)| self.told.get(subscriber) != Some(seen));
        // Whoever is dropped held the event before this look: that one says who of them was really told.
        let told_before = self.latest_addressed.clone();

        if news {
            let disclosed: BTreeSet<String> = sees.keys().cloned().collect();
            let wants = |subscriber: &String| {
                let as_request = allowed.get(subscriber.as_str()).is_some_and(|entry| entry.as_request);
                let seen = rules.seen(&head.state, Some(&head.reason), head.certainty, as_request);
                rules.registry.wants(subscriber, seen)
            };
            let addressed = addressed(&disclosed, &told_before, wants);
            self.latest_addressed.clone_from(&addressed);
            let revision = self.revision + 1;
            self.latest_main = revision;
            self.ever_told.extend(disclosed.iter().map(|subscriber| (subscriber.clone(), revision)));
            self.told = sees;
            let reason = Some(head.reason.clone());
            self.leave(custody_key.to_owned(), &head.state, reason, disclosed, addressed, events);
        }
        if !dropped.is_empty() {
            let revision = self.revision + 1;
            self.told.retain(|subscriber, _| !dropped.contains(subscriber));
            self.ever_told.extend(dropped.iter().map(|subscriber| (subscriber.clone(), revision)));
            let addressed =
                addressed(&dropped, &told_before, |subscriber| rules.wants_bare(subscriber, "CLOSED"));
            self.leave(custody_key.to_owned(), "CLOSED", None, dropped, addressed, events);
        }
    }

    /// What was told is no longer so: a correction of fact goes to whoever was told it, whatever the rules say now.
    fn retract(&mut self, rules: &Rules<'_>, custody_key: String, events: &mut Vec<Event>) {
        if self.ever_told.is_empty() {
            return;
        }
        // One event for all who were last told by the same one; those of the latest main event last.
        let mut groups: BTreeMap<(bool, u32), BTreeSet<String>> = BTreeMap::new();
        for (subscriber, revision) in std::mem::take(&mut self.ever_told) {
            groups.entry((revision == self.latest_main, revision)).or_default().insert(subscriber);
        }
        self.told.clear();
        for disclosed in groups.into_values() {
            let addressed = addressed(&disclosed, &self.ever_addressed, |subscriber| {
                rules.wants_bare(subscriber, "RETRACTED")
            });
            self.latest_main = self.revision + 1;
            self.latest_addressed.clone_from(&addressed);
            self.leave(custody_key.clone(), "RETRACTED", None, disclosed, addressed, events);
        }
    }

    fn leave(
        &mut self,
        custody_key: String,
        state: &str,
        reason: Option<String>,
        disclosed: BTreeSet<String>,
        addressed: BTreeSet<String>,
        events: &mut Vec<Event>,
    ) {
        self.revision += 1;
        self.ever_addressed.extend(addressed.iter().cloned());
        let (revision, place, state) = (self.revision, self.place.clone(), state.to_owned());
        events.push(Event { custody_key, revision, state, reason, place, disclosed, addressed });
    }
}

impl Rules<'_> {
    fn seen<'s>(
        &'s self,
        state: &'s str,
        reason: Option<&'s str>,
        certainty: Certainty,
        as_request: bool,
    ) -> Seen<'s> {
        Seen { ori: self.ori, jurisdiction: self.jurisdiction, state, reason, certainty, as_request }
    }

    /// Whether a subscriber asks for an event that has no content.
    fn wants_bare(&self, subscriber: &str, state: &str) -> bool {
        self.registry.wants(subscriber, self.seen(state, None, Certainty::Confirmed, false))
    }
}

/// Who of those with a disclosure gets a notice: who asks for it, and who was told before.
fn addressed(
    disclosed: &BTreeSet<String>,
    told_before: &BTreeSet<String>,
    wants: impl Fn(&String) -> bool,
) -> BTreeSet<String> {
    let due = |subscriber: &&String| told_before.contains(*subscriber) || wants(subscriber);
    disclosed.iter().filter(due).cloned().collect()
}
