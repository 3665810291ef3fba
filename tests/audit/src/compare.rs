//! What should have been handed over beside what was. Out of scope: how either came about (`life`, `log`).

use std::collections::{BTreeMap, BTreeSet};

use crate::facility::Expected;
use crate::life::Event;
use crate::log::HandOver;
use crate::report::{Duplicate, Mismatch, Missing, Named, Report, Unallowed, Unexpected};

/// A CLOSED or RETRACTED says no reason; these are the ways of saying none.
const NO_REASON: &[&str] = &["", "UNSPECIFIED", "UNKNOWN"];

/// One revision of one custody, by what a log line says of it.
type Revision<'a> = (&'a str, &'a str, u32);

/// Fills in the findings.
pub(crate) fn compare(expected: &[Expected], hand_overs: &[HandOver], report: &mut Report) {
    let ledger = Ledger::of(expected, hand_overs);
    let mut lines: BTreeMap<(Revision<'_>, &str), Vec<&HandOver>> = BTreeMap::new();
    for hand_over in hand_overs {
        lines.entry((revision(hand_over), &hand_over.told)).or_default().push(hand_over);
    }
    for facility in expected {
        for event in &facility.events {
            for subscriber in &event.addressed {
                let key = (facility.ori.as_str(), event.custody_key.as_str(), event.revision);
                let found = lines.remove(&(key, subscriber.as_str())).unwrap_or_default();
                ledger.judge_due(key, subscriber, event, &facility.traffic, &found, report);
            }
        }
    }
    for ((key, subscriber), found) in lines {
        for hand_over in found {
            ledger.judge_not_due(key, subscriber, hand_over, report);
        }
    }
}

fn revision(hand_over: &HandOver) -> Revision<'_> {
    (&hand_over.line.ori, &hand_over.line.custody_key, hand_over.line.revision)
}

/// What is known of every revision and custody.
struct Ledger<'a> {
    expected: &'a [Expected],
    events: BTreeMap<Revision<'a>, &'a Event>,
    /// Who was ever allowed to be told of a custody.
    ever_allowed: BTreeSet<(&'a str, &'a str, &'a str)>,
    /// Event ids are random: the logs tell them.
    event_ids: BTreeMap<Revision<'a>, &'a str>,
}

impl<'a> Ledger<'a> {
    fn of(expected: &'a [Expected], hand_overs: &'a [HandOver]) -> Self {
        let mut events = BTreeMap::new();
        let mut ever_allowed = BTreeSet::new();
        for facility in expected {
            for event in &facility.events {
                events.insert((facility.ori.as_str(), event.custody_key.as_str(), event.revision), event);
                let allowed = |subscriber: &'a String| {
                    (facility.ori.as_str(), event.custody_key.as_str(), subscriber.as_str())
                };
                ever_allowed.extend(event.disclosed.iter().map(allowed));
            }
        }
        let event_ids = hand_overs.iter().map(|h| (revision(h), h.line.event_id.as_str())).collect();
        Self { expected, events, ever_allowed, event_ids }
    }

    fn named(&self, key: Revision<'_>, subscriber: &str, notice_id: Option<&str>) -> Named {
        let (ori, custody_key, revision) = key;
        let told_elsewhere = || self.event_ids.get(&key).map(|event| format!("{ori}.{event}.{subscriber}"));
        let of_custody = || {
            let facility = self.expected.iter().find(|facility| facility.ori == ori)?;
            facility.custodies.get(custody_key)
        };
        Named {
            notice_id: notice_id.map(str::to_owned).or_else(told_elsewhere),
            ori: ori.to_owned(),
            custody_key: custody_key.to_owned(),
            revision,
            subscriber: subscriber.to_owned(),
            place: self.events.get(&key).map(|event| &event.place).or_else(of_custody).cloned(),
        }
    }

    fn judge_due(
        &self,
        key: Revision<'_>,
        subscriber: &str,
        event: &Event,
        traffic: &str,
        found: &[&HandOver],
        report: &mut Report,
    ) {
        let Some(first) = found.first() else {
            let notice = self.named(key, subscriber, None);
            report.lost.push(Missing { notice, release_state: event.state.clone() });
            return;
        };
        report.received += 1;
        if found.len() > 1 {
            report.duplicates.push(Duplicate {
                notice: self.named(key, subscriber, Some(&first.line.notice_id)),
                log_lines: found.iter().map(|hand_over| hand_over.log_line).collect(),
                notice_ids: found.iter().map(|hand_over| hand_over.line.notice_id.clone()).collect(),
            });
        }
        for hand_over in found {
            let line = &hand_over.line;
            let id = format!("{}.{}.{subscriber}", line.ori, line.event_id);
            let reason = line.reason.as_deref().unwrap_or_default();
            let silent = event.reason.is_none() && NO_REASON.contains(&reason);
            let should_be = if silent { reason } else { event.reason.as_deref().unwrap_or_default() };
            let said = [
                ("release_state", event.state.as_str(), line.release_state.as_str()),
                ("reason", should_be, reason),
                ("traffic", traffic, line.traffic.as_str()),
                ("subscriber", subscriber, line.subscriber.as_str()),
                ("notice_id", id.as_str(), line.notice_id.as_str()),
            ];
            for (what, should_be, is) in said.into_iter().filter(|(_, should_be, is)| should_be != is) {
                report.mismatched.push(Mismatch {
                    notice: self.named(key, subscriber, Some(&line.notice_id)),
                    log_line: hand_over.log_line,
                    what: what.to_owned(),
                    expected: should_be.to_owned(),
                    found: is.to_owned(),
                });
            }
        }
    }

    /// A line that answers no notice that was due: was this subscriber allowed to be told at all?
    fn judge_not_due(&self, key: Revision<'_>, subscriber: &str, hand_over: &HandOver, report: &mut Report) {
        let (ori, custody_key, _) = key;
        let notice = self.named(key, subscriber, Some(&hand_over.line.notice_id));
        let log_line = hand_over.log_line;
        let why = match self.events.get(&key) {
            Some(event) if event.disclosed.contains(subscriber) => "no subscription asks for it",
            None if self.ever_allowed.contains(&(ori, custody_key, subscriber)) => {
                "no such revision leaves the jail"
            }
            _ => {
                report.unallowed.push(Unallowed { notice, log_line });
                return;
            }
        };
        report.unexpected.push(Unexpected { notice, log_line, why: why.to_owned() });
    }
}
