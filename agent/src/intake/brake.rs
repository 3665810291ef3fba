//! The brake on retractions. A custody whose record no longer shows a release is retracted: right for one that was typed
//! wrongly, ruinous for an export that lost a column. Beyond a few, an export's retractions wait for a person.
//!
//! Anomalies fail toward a person; what was told stays told meanwhile.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Connection;
use sallyport_agent_core::{
    custody::{Custody, custody_key, is_outdated},
    export::{Reading, RefusedCustody, RowProblem},
    revise::Standing,
};
use sallyport_proto::ids::CustodyKey;

use super::{Intake, IntakeError};
use crate::store::{Kind, StoreError, last_reading, load_memory};

/// As many retractions of one export are believed without a question.
const BELIEVED: usize = 10;
/// And this part of its custodies, where that is more.
const BELIEVED_PART: f64 = 0.02;

impl Intake {
    /// Keeps the custodies aside that an export would retract, when they are too many to be believed.
    pub(super) async fn hold_back_retractions(&self, mut reading: Reading) -> Result<Reading, IntakeError> {
        let facility = &self.desk.facility;
        let key =
            |custody: &Custody| custody_key(&facility.secret, &facility.ori, custody.booking_number.expose());
        let asked: Vec<(CustodyKey, Timestamp)> = reading
            .custodies
            .iter()
            .filter(|custody| custody.shows_no_release())
            .map(|custody| (key(custody), custody.as_of))
            .collect();
        let believed = believed(reading.custodies.len());
        if asked.len() <= believed {
            return Ok(reading);
        }
        let now = super::now();
        let told = self.store.write(Kind::Upkeep, move |connection| {
            let mut told = HashSet::new();
            for (key, as_of) in asked {
                if !is_outdated(as_of, last_reading(connection, &key)?.as_of, now)
                    && is_told(connection, &key)?
                {
                    told.insert(key);
                }
            }
            Ok(told)
        });
        let told = told.await?;
        if told.len() <= believed {
            return Ok(reading);
        }
        tracing::error!(
            retractions = told.len(),
            believed,
            "an export would retract more than is believed; they are kept aside until a person confirms them"
        );
        let (held, kept) =
            reading.custodies.into_iter().partition(|c| c.shows_no_release() && told.contains(&key(c)));
        reading.custodies = kept;
        reading.refused.extend(Vec::into_iter(held).map(|custody| held_back(custody, told.len())));
        Ok(reading)
    }
}

/// Retractions that an export of so many custodies may bring unasked.
fn believed(custodies: usize) -> usize {
    // A count of custodies is far below 2^52.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let part = (custodies as f64 * BELIEVED_PART) as usize;
    BELIEVED.max(part)
}

/// Whether anybody holds a release of it, so that a retraction would leave.
fn is_told(connection: &Connection, key: &CustodyKey) -> Result<bool, StoreError> {
    Ok(load_memory(connection, key)?.told.values().any(|told| told.standing != Standing::Retracted))
}

fn held_back(custody: Custody, all: usize) -> RefusedCustody {
    let text = format!(
        "was told as a release and shows none any more, like {} others of this export; nothing was retracted: \
         look at the export, and if it is right read it with `ingest --retract`",
        all - 1
    );
    let problem = RowProblem { line: 0, column: None, text };
    RefusedCustody { booking_number: Some(custody.booking_number), problems: vec![problem] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_retractions_are_believed_and_of_a_large_export_a_fiftieth() {
        assert_eq!([believed(1), believed(500), believed(501 * 2)], [10, 10, 20]);
    }
}
