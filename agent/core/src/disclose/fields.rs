//! Names of the fields that a disclosure may list. Configuration that names another is refused, so that a misspelt
//! field is noticed before it is missed.

use std::collections::BTreeSet;

/// Fields of the part that are not details. `health` is the reason that the head hides.
pub const PART_FIELDS: [&str; 12] = [
    "booking_number",
    "person_name",
    "birth_date",
    "fbi_ucn",
    "state_id",
    "alien_number",
    "disposition_texts",
    "charges",
    "booked",
    "housing",
    "release_text",
    "health",
];

/// Names that exist beside `PART_FIELDS`, because the mapping makes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownNames {
    /// Names in the part's details.
    pub details: BTreeSet<String>,
    /// Flags.
    pub flags: BTreeSet<String>,
}

impl KnownNames {
    /// Whether a field list may name it.
    pub fn is_field(&self, name: &str) -> bool {
        PART_FIELDS.contains(&name) || self.details.contains(name)
    }
}
