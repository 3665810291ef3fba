//! The mapping file as it stands, before any check of what it says.

use serde::Deserialize;
use toml::Spanned;

pub(super) type Text = Spanned<String>;

/// Names of `[[field]]` that have a place of their own in the part; any other lands in its details.
pub(super) const PERSON_FIELDS: [&str; 6] =
    ["person_name", "birth_date", "fbi_ucn", "state_id", "alien_number", "housing"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Text,
    pub(super) version: Text,
    pub(super) input: Input,
    pub(super) custody: Spanned<CustodyColumns>,
    pub(super) release: Spanned<ReleaseColumns>,
    #[serde(default)]
    pub(super) trigger: Vec<Trigger>,
    #[serde(default)]
    pub(super) charge: ChargeColumns,
    #[serde(default)]
    pub(super) precedence: Precedence,
    #[serde(default)]
    pub(super) disposition: Vec<Disposition>,
    #[serde(default)]
    pub(super) floor: Vec<Floor>,
    #[serde(default)]
    pub(super) flag: Vec<Flag>,
    #[serde(default)]
    pub(super) field: Vec<Field>,
    #[serde(default)]
    pub(super) ignore: Ignore,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    pub(super) delimiter: Text,
    pub(super) encoding: Text,
    pub(super) time_zone: Text,
    pub(super) time_formats: Spanned<Vec<Text>>,
    pub(super) as_of: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustodyColumns {
    // Optional here, so that its absence is listed together with everything else that is wrong.
    pub(super) booking_number: Option<Text>,
    pub(super) booked: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseColumns {
    pub(super) door: Option<Text>,
    #[serde(default)]
    pub(super) door_uncertainty_s: u32,
    pub(super) entered: Option<Text>,
    pub(super) scheduled: Option<Text>,
    pub(super) transferred_to: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trigger {
    pub(super) column: Text,
    pub(super) reason: Text,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargeColumns {
    pub(super) description: Option<Text>,
    pub(super) code: Option<Text>,
    pub(super) court: Option<Text>,
    pub(super) offence_level: Option<Text>,
    pub(super) ended: Option<Text>,
    pub(super) disposition: Option<Text>,
}

/// Defaults: no rank decides by itself, and a text that is not in the table is a likely release.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Precedence {
    pub(super) decides_rank_max: Option<u32>,
    pub(super) decides_within_h: Option<u32>,
    pub(super) unmapped_rank: Option<u32>,
    pub(super) unmapped_state: Option<Text>,
    pub(super) unmapped_certainty: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disposition {
    pub(super) rank: u32,
    pub(super) reason: Text,
    pub(super) state: Text,
    pub(super) certainty: Option<Text>,
    #[serde(default)]
    pub(super) health: bool,
    pub(super) texts: Spanned<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Floor {
    pub(super) column: Text,
    pub(super) values: Spanned<Vec<Text>>,
    pub(super) kind: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flag {
    pub(super) name: Text,
    pub(super) column: Text,
    pub(super) values: Spanned<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) name: Text,
    pub(super) column: Text,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Ignore {
    #[serde(default)]
    pub(super) columns: Vec<Text>,
    #[serde(default)]
    pub(super) health: Vec<Text>,
}
