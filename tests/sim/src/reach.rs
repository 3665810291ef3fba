//! What a bridge must make of the heads it hears: the reference model, by the very notices that each head claims and the
//! very ones that came. The product counts; here nothing is counted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sallyport_proto::ids::SubscriberId;
use sallyport_subscriber::store::Reach;

/// Of one agency.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Sequences of what its store holds, with the latest time at which the broker stored something there.
    pub(crate) came: BTreeMap<u64, Timestamp>,
    /// The DELIVER that the last head spoke of.
    pub(crate) created: Option<String>,
    /// What came up to here is not asked for: it was before the first head, or all of it came.
    pub(crate) base: u64,
    /// The furthest head.
    furthest: u64,
    claimed: BTreeSet<u64>,
}

impl Expected {
    /// Something came, and is stored.
    pub(crate) fn came(&mut self, sequence: u64, stored: Timestamp) {
        let at = self.came.entry(sequence).or_insert(stored);
        *at = stored.max(*at);
    }

    /// Whether what stands at this sequence of the DELIVER of now came: not what stood there on one before.
    pub(crate) fn has(&self, sequence: u64) -> bool {
        let created = self.created.as_deref().and_then(made);
        self.came.get(&sequence).is_some_and(|stored| created.is_none_or(|created| *stored >= created))
    }

    /// A head of that stream came, which claims these notices up to there.
    pub(crate) fn heard(&mut self, created: &str, up_to: u64, claims: BTreeSet<u64>) {
        if self.created.as_deref() != Some(created) {
            // Of a node that has not noticed yet that DELIVER is another one.
            if self.created.as_deref().and_then(made) > made(created) {
                return;
            }
            self.created = Some(created.to_owned());
            self.base = up_to;
        } else if up_to < self.furthest {
            return;
        }
        (self.furthest, self.claimed) = (up_to, claims);
        if self.missing().is_empty() {
            self.base = up_to;
        }
    }

    /// What was sent, is claimed, and did not come.
    pub(crate) fn missing(&self) -> BTreeSet<u64> {
        let asked_for = self.claimed.iter().filter(|n| **n > self.base);
        asked_for.filter(|n| !self.has(**n)).copied().collect()
    }

    /// What is wrong with what the bridge says.
    pub(crate) fn judge(&self, me: &SubscriberId, says: &Reach) -> Option<String> {
        let missing = self.missing();
        let named = missing.iter().all(|n| *n > says.since && *n <= says.through);
        (says.missing != missing.len() as u64 || !named).then(|| {
            format!(
                "{me}: {} are missing by the bridge, behind {} up to {}, and {missing:?} are",
                says.missing, says.since, says.through
            )
        })
    }
}

/// When a stream was created.
fn made(created: &str) -> Option<Timestamp> {
    created.parse().ok()
}
