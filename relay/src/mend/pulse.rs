//! How each facility is, by its heartbeats: what `lag` shows, and which of them fell silent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{ids::Ori, registry::Registry};
use sallyport_relay_core::dense::Gap;
use serde::Serialize;

use super::look::{Compared, Numbers};
use crate::track::store::{Loaded, StoreError};

/// A heartbeat comes once a minute: after three that did not come the jail is silent, whatever it says about events.
pub(super) const SILENT_AFTER: SignedDuration = SignedDuration::from_secs(180);
/// Silent facilities that `/healthz` names: a country has thousands, and a cut line silences a state.
pub(crate) const SILENT_NAMED_MAX: usize = 200;

/// By the age of its last heartbeat; one that never spoke is silent, too.
fn is_silent(age: Option<SignedDuration>) -> bool {
    age.is_none_or(|age| age >= SILENT_AFTER)
}

/// How one facility is, by its last heartbeat, for `lag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulse {
    /// Which facility.
    pub ori: Ori,
    /// Its numbering in force; none: it never spoke.
    pub epoch: Option<String>,
    /// Up to this number everything was sent.
    pub seq: u64,
    /// Age of that heartbeat; none: there never was one.
    pub heartbeat_age_s: Option<i64>,
    /// Three heartbeats did not come, or none ever did: nobody knows what happens there. A quiet jail is not silent.
    pub silent: bool,
    /// Events that the relay has not answered, as the jail counts them.
    pub outbox_depth: u64,
    /// Since when the oldest of them waits, by the jail's clock.
    pub outbox_oldest: Option<Timestamp>,
    /// Numbers of any epoch that are not held, newest epoch last.
    pub missing: Vec<Gap>,
}

/// Every facility of the registry or that ever spoke, from the model alone.
pub(crate) fn pulses(loaded: &Loaded, registry: &Registry, now: Timestamp) -> Result<Vec<Pulse>, StoreError> {
    let never = |ori: &Ori| Pulse {
        ori: ori.clone(),
        epoch: None,
        seq: 0,
        heartbeat_age_s: None,
        silent: true,
        outbox_depth: 0,
        outbox_oldest: None,
        missing: Vec::new(),
    };
    let mut pulses: BTreeMap<Ori, Pulse> =
        registry.facilities.keys().map(|ori| (ori.clone(), never(ori))).collect();
    // By facility, the newest epoch last: it is the one in force.
    for beat in loaded.heartbeats()? {
        let age = now.duration_since(beat.stored);
        let pulse = Pulse {
            ori: beat.ori.clone(),
            epoch: Some(beat.epoch),
            seq: beat.seq,
            heartbeat_age_s: Some(age.as_secs()),
            silent: is_silent(Some(age)),
            outbox_depth: beat.outbox_depth,
            outbox_oldest: beat.outbox_oldest,
            missing: Vec::new(),
        };
        pulses.insert(beat.ori, pulse);
    }
    let compared = Numbers::default().compare_all(loaded, now, SignedDuration::ZERO)?;
    let (heard, unheard): (Vec<_>, Vec<_>) = compared.epochs.into_iter().partition(|one| one.heard.is_some());
    for one in unheard.into_iter().chain(heard) {
        let ori = &one.key.0;
        pulses.entry(ori.clone()).or_insert_with(|| never(ori)).missing.extend(one.missing);
    }
    Ok(pulses.into_values().collect())
}

/// A facility without a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silent {
    /// Which.
    pub ori: Ori,
    /// Since its last one; none: there never was one.
    pub heartbeat_age_s: Option<i64>,
}

/// Who is silent, told once when it begins and once when it ends.
#[derive(Default)]
pub(super) struct Silence {
    silent: BTreeSet<Ori>,
    never: Option<usize>,
}

impl Silence {
    #[cfg(test)]
    pub(super) fn is_silent(&self, ori: &Ori) -> bool {
        self.silent.contains(ori)
    }

    /// All facilities of the registry that are silent now.
    pub(super) fn judge(
        &mut self,
        registry: &Registry,
        compared: &[Compared],
        now: Timestamp,
    ) -> Vec<Silent> {
        let mut heard: BTreeMap<&Ori, Timestamp> = BTreeMap::new();
        for one in compared {
            if let Some(at) = one.heard {
                let last = heard.entry(&one.key.0).or_insert(at);
                *last = at.max(*last);
            }
        }
        let age = |ori: &Ori| heard.get(ori).map(|at| now.duration_since(*at));
        let silent: Vec<Silent> = registry
            .facilities
            .keys()
            .filter(|ori| is_silent(age(ori)))
            .map(|ori| Silent { ori: ori.clone(), heartbeat_age_s: age(ori).map(|age| age.as_secs()) })
            .collect();
        let fell: BTreeSet<Ori> =
            silent.iter().filter(|one| one.heartbeat_age_s.is_some()).map(|one| one.ori.clone()).collect();
        for ori in fell.difference(&self.silent) {
            let age_s = age(ori).map(|age| age.as_secs());
            tracing::error!(%ori, age_s, "the jail is silent: three heartbeats did not come");
        }
        for ori in self.silent.difference(&fell) {
            tracing::info!(%ori, "the jail is silent no more");
        }
        self.silent = fell;
        // Facilities that are only being set up are no alarm: they are counted, when the count changes.
        let never = silent.len() - self.silent.len();
        if self.never.replace(never) != Some(never) && never > 0 {
            tracing::warn!(facilities = never, "facilities of the registry that never sent a heartbeat");
        }
        silent
    }
}
