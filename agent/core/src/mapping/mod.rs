//! How a jail's export is read, as its configuration says: columns, times, texts. A `Mapping` is valid by construction;
//! reading an export with it is `export`.

mod check;
mod form;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
pub use sallyport_proto::problem::Problem;
use sallyport_proto::vocabulary::{Certainty, ReleaseReason, ReleaseState};

use crate::{custody::FloorKind, disclose::KnownNames};

/// A checked mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Name of the mapping.
    pub name: String,
    /// Its version, raised by whoever edits it.
    pub version: String,
    /// Bytes and times.
    pub input: Input,
    /// Columns that tell a custody.
    pub custody: CustodyColumns,
    /// Columns that tell its release.
    pub release: ReleaseColumns,
    /// In the order of the file.
    pub triggers: Vec<Trigger>,
    /// Columns that tell a charge.
    pub charge: ChargeColumns,
    /// How one reason is found.
    pub precedence: Precedence,
    /// By text, trimmed.
    pub dispositions: BTreeMap<String, Disposition>,
    /// Values that let nothing leave.
    pub floors: Vec<FloorMark>,
    /// Values that set a flag.
    pub flags: Vec<FlagMark>,
    /// Further person fields.
    pub fields: Vec<Field>,
    /// Columns that are known and not read.
    pub ignored: BTreeSet<String>,
    /// Health columns: never read at all.
    pub ignored_health: BTreeSet<String>,
}

/// How bytes become text and text becomes times.
#[derive(Debug, Clone)]
pub struct Input {
    /// One byte.
    pub delimiter: u8,
    /// Of the whole file.
    pub encoding: Encoding,
    /// In which local times are written.
    pub time_zone: TimeZone,
    /// strftime, tried in order.
    pub time_formats: Vec<String>,
    /// Column with the time that a row was exported; without it the caller says.
    pub as_of: Option<String>,
}

/// Encodings that exports come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A byte order mark is passed over.
    Utf8,
    /// Every byte is a character.
    Windows1252,
}

/// Columns that tell a custody.
#[derive(Debug, Clone)]
pub struct CustodyColumns {
    /// Groups rows.
    pub booking_number: String,
    /// When booked.
    pub booked: Option<String>,
}

/// Columns that tell its release.
#[derive(Debug, Clone)]
pub struct ReleaseColumns {
    /// When the person left; empty: still in custody.
    pub door: String,
    /// What a door time can mean, seconds.
    pub door_uncertainty_s: u32,
    /// t1.
    pub entered: Option<String>,
    /// A planned time.
    pub scheduled: Option<String>,
    /// ORI of the next custodian.
    pub transferred_to: Option<String>,
}

/// A column that says since when a release is known.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// With a time.
    pub column: String,
    /// What it triggers.
    pub reason: ReleaseReason,
}

/// Columns that tell a charge.
#[derive(Debug, Clone, Default)]
pub struct ChargeColumns {
    /// In the jail's words.
    pub description: Option<String>,
    /// Statute code.
    pub code: Option<String>,
    /// Court or jurisdiction code.
    pub court: Option<String>,
    /// In the jail's words.
    pub offence_level: Option<String>,
    /// When the charge ended; never t0, never the door.
    pub ended: Option<String>,
    /// How it ended, in the jail's words.
    pub disposition: Option<String>,
}

/// How one reason is found among several rows.
#[derive(Debug, Clone, Copy)]
pub struct Precedence {
    /// Rows of at most this rank decide ...
    pub decides_rank_max: u32,
    /// ... when they ended at most so long before the door, hours.
    pub decides_within_h: u32,
    /// Of a text that is not in the table.
    pub unmapped_rank: u32,
    /// Of a text that is not in the table.
    pub unmapped_state: ReleaseState,
    /// Of a text that is not in the table.
    pub unmapped_certainty: Certainty,
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    /// Lower ranks come first.
    pub rank: u32,
    /// Place of its entry in the file: decides between equal ranks that ended together.
    pub place: usize,
    /// Canonical.
    pub reason: ReleaseReason,
    /// Where the release stands with it.
    pub state: ReleaseState,
    /// How sure.
    pub certainty: Certainty,
    /// The text never leaves the jail.
    pub health: bool,
}

/// Values of a column that let nothing of a custody leave.
#[derive(Debug, Clone)]
pub struct FloorMark {
    /// The column.
    pub column: String,
    /// Compared trimmed and without case: a floor must not be missed for a spelling. Stored in lower case.
    pub values: BTreeSet<String>,
    /// Why.
    pub kind: FloorKind,
}

/// Values of a column that set a flag.
#[derive(Debug, Clone)]
pub struct FlagMark {
    /// Name of the flag.
    pub name: String,
    /// The column.
    pub column: String,
    /// Compared trimmed.
    pub values: BTreeSet<String>,
}

/// A further field of the part.
#[derive(Debug, Clone)]
pub struct Field {
    /// `person_name`, ..., or a name in the details.
    pub name: String,
    /// The column.
    pub column: String,
}

impl Mapping {
    /// Parses and checks a mapping; every problem is listed with its key and line.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        check::mapping(text)
    }

    /// Name and version, as heads carry it.
    pub fn version_text(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }

    /// The detail fields and flags that this mapping makes, for checking an allow-list.
    pub fn known_names(&self) -> KnownNames {
        let details = self.fields.iter().map(|field| field.name.clone());
        KnownNames {
            details: details.filter(|name| !form::PERSON_FIELDS.contains(&name.as_str())).collect(),
            flags: self.flags.iter().map(|flag| flag.name.clone()).collect(),
        }
    }

    /// What a text means.
    pub fn disposition(&self, text: &str) -> Disposition {
        self.dispositions.get(text).copied().unwrap_or_else(|| self.unmapped())
    }

    /// What a text means that is not in the table: UNKNOWN, after all others.
    pub fn unmapped(&self) -> Disposition {
        Disposition {
            rank: self.precedence.unmapped_rank,
            place: usize::MAX,
            reason: ReleaseReason::Unknown,
            state: self.precedence.unmapped_state,
            certainty: self.precedence.unmapped_certainty,
            health: false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
