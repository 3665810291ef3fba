//! The newest revision of each custody: what makes the others superseded. Which of two is newer: `order`.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Standing, StoreError, What, from_micros, micros};
use crate::verify::Verified;

/// A revision of a custody.
pub(super) struct Custody<'a> {
    key: Key<'a>,
    standing: Standing,
}

/// Exercises have custodies of their own: nothing of an exercise supersedes anything real.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<'a> {
    ori: &'a str,
    custody_key: &'a str,
    traffic: &'static str,
}

impl<'a> Custody<'a> {
    pub(super) fn of(verified: &'a Verified) -> Self {
        let head = &verified.head;
        let key = Key {
            ori: head.ori.as_str(),
            custody_key: head.custody_key.as_str(),
            traffic: head.traffic.kind().as_str(),
        };
        // As precise as the store keeps it: a comparison must not depend on where the time comes from.
        let t2 = from_micros(micros(head.t2_observed.at)).unwrap_or(head.t2_observed.at);
        Self { key, standing: Standing { epoch: head.epoch.clone(), revision: head.revision, t2 } }
    }
}

/// The custodies of one batch.
#[derive(Default)]
pub(super) struct Custodies<'a> {
    newest: HashMap<Key<'a>, (i64, Standing)>,
    moved: HashSet<Key<'a>>,
}

impl<'a> Custodies<'a> {
    /// Takes a new notice into account, after what the store and the batch had before.
    pub(super) fn add(
        &mut self,
        tx: &Transaction<'_>,
        custody: Custody<'a>,
        seq: i64,
    ) -> Result<(), StoreError> {
        let Custody { key, standing } = custody;
        let known = match self.newest.remove(&key) {
            Some(known) => Some(known),
            None => stored(tx, &key)?,
        };
        let newest = match known {
            Some(known) if !standing.is_newer_than(&known.1) => known,
            Some(_) | None => {
                self.moved.insert(key.clone());
                (seq, standing)
            }
        };
        self.newest.insert(key, newest);
        Ok(())
    }

    /// Stores what became the newest, and marks what it supersedes.
    pub(super) fn set(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        for key in &self.moved {
            if let Some((seq, standing)) = self.newest.get(key) {
                set_newest(tx, key, *seq, standing)?;
            }
        }
        Ok(())
    }

    /// Whether a newer revision of the same custody is known.
    pub(super) fn has_newer_than(&self, custody: &Custody<'a>) -> bool {
        self.newest.get(&custody.key).is_some_and(|(_, newest)| newest.is_newer_than(&custody.standing))
    }
}

fn stored(tx: &Transaction<'_>, key: &Key<'_>) -> Result<Option<(i64, Standing)>, StoreError> {
    let sql = "SELECT notice_seq, epoch, revision, t2_us FROM newest \
               WHERE ori = ?1 AND custody_key = ?2 AND traffic = ?3";
    let mut find = tx.prepare_cached(sql).what("find the newest revision")?;
    let row = find
        .query_row([key.ori, key.custody_key, key.traffic], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()
        .what("find the newest revision")?;
    let Some((seq, epoch, revision, t2)) = row else { return Ok(None) };
    Ok(Some((seq, Standing { epoch, revision, t2: from_micros(t2)? })))
}

fn set_newest(tx: &Transaction<'_>, key: &Key<'_>, seq: i64, standing: &Standing) -> Result<(), StoreError> {
    let (what, t2) = ("store the newest revision", micros(standing.t2));
    let sql = "INSERT INTO newest (ori, custody_key, traffic, notice_seq, epoch, revision, t2_us) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (ori, custody_key, traffic) \
               DO UPDATE SET notice_seq = ?4, epoch = ?5, revision = ?6, t2_us = ?7";
    let mut set = tx.prepare_cached(sql).what(what)?;
    let values = params![key.ori, key.custody_key, key.traffic, seq, standing.epoch, standing.revision, t2];
    set.execute(values).what(what)?;
    // The same comparison as `Standing::is_newer_than`.
    let sql = "UPDATE notice SET superseded = 1 WHERE ori = ?1 AND custody_key = ?2 AND traffic = ?3 \
               AND superseded = 0 AND ((epoch = ?4 AND revision < ?5) OR (epoch <> ?4 AND t2_us < ?6))";
    let mut mark = tx.prepare_cached(sql).what("mark superseded notices")?;
    let values = params![key.ori, key.custody_key, key.traffic, standing.epoch, standing.revision, t2];
    mark.execute(values).map(drop).what("mark superseded notices")
}
