//! The mapping file, read a second time: which column says what, and what a disposition text means.
//! Out of scope: rows (`export`) and the choice of one reason (`reading`).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use jiff::tz::TimeZone;
use serde::Deserialize;

/// How sure a release is; the order is that of a subscription's minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Certainty {
    Inferred,
    Likely,
    #[default]
    Confirmed,
}

/// The file as it stands. An unknown key is refused: a rule that the audit does not know would make it wrong silently.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "version")]
    _version: String,
    input: Input,
    custody: CustodyColumns,
    release: ReleaseColumns,
    #[serde(default)]
    trigger: Vec<Trigger>,
    #[serde(default)]
    charge: ChargeColumns,
    precedence: Precedence,
    #[serde(default)]
    disposition: Vec<DispositionEntry>,
    #[serde(default)]
    floor: Vec<Floor>,
    #[serde(default)]
    flag: Vec<Flag>,
    #[serde(default, rename = "ignore")]
    _ignore: Ignore,
    #[serde(default)]
    field: Vec<Field>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    delimiter: String,
    encoding: String,
    time_zone: String,
    time_formats: Vec<String>,
    as_of: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustodyColumns {
    pub(crate) booking_number: String,
    pub(crate) booked: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseColumns {
    pub(crate) door: String,
    #[serde(default, rename = "door_uncertainty_s")]
    _door_uncertainty_s: u32,
    pub(crate) entered: Option<String>,
    pub(crate) scheduled: Option<String>,
    pub(crate) transferred_to: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trigger {
    pub(crate) column: String,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChargeColumns {
    pub(crate) description: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) court: Option<String>,
    pub(crate) offence_level: Option<String>,
    pub(crate) ended: Option<String>,
    pub(crate) disposition: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Precedence {
    pub(crate) decides_rank_max: u32,
    pub(crate) decides_within_h: i64,
    pub(crate) unmapped_rank: u32,
    pub(crate) unmapped_state: String,
    pub(crate) unmapped_certainty: Certainty,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DispositionEntry {
    rank: u32,
    reason: String,
    state: String,
    #[serde(default)]
    certainty: Certainty,
    #[serde(default)]
    health: bool,
    texts: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    pub(crate) column: String,
    pub(crate) values: Vec<String>,
    kind: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) column: String,
    pub(crate) values: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ignore {
    #[serde(default, rename = "columns")]
    _columns: Vec<String>,
    #[serde(default, rename = "health")]
    _health: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) column: String,
}

/// What one disposition text means.
#[derive(Debug, Clone)]
pub(crate) struct Disposition {
    /// Place of its entry in the file: the last resort on a tie, so that the order of rows never decides.
    pub(crate) entry: usize,
    pub(crate) rank: u32,
    pub(crate) reason: String,
    pub(crate) state: String,
    pub(crate) certainty: Certainty,
    pub(crate) health: bool,
    pub(crate) mapped: bool,
}

/// How the bytes of a cell become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Windows1252,
}

/// One jail's mapping, checked.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) delimiter: u8,
    pub(crate) encoding: Encoding,
    pub(crate) zone: TimeZone,
    pub(crate) time_formats: Vec<String>,
    /// Column with the time that a row speaks of.
    pub(crate) as_of: Option<String>,
    pub(crate) custody: CustodyColumns,
    pub(crate) release: ReleaseColumns,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) charge: ChargeColumns,
    pub(crate) precedence: Precedence,
    pub(crate) floors: Vec<Floor>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) fields: Vec<Field>,
    texts: HashMap<String, Disposition>,
}

impl Mapping {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("mapping {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("mapping {}", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        let delimiter = match file.input.delimiter.as_bytes() {
            b"\\t" => b'\t',
            [one] => *one,
            _ => bail!("the delimiter is not one character"),
        };
        let encoding = match file.input.encoding.as_str() {
            "utf-8" => Encoding::Utf8,
            "windows-1252" => Encoding::Windows1252,
            other => bail!("unknown encoding {other}"),
        };
        let zone = TimeZone::get(&file.input.time_zone)?;
        ensure!(!file.input.time_formats.is_empty(), "no time format");
        for floor in &file.floor {
            let known = ["sealed", "expunged", "juvenile", "protected_victim"];
            ensure!(known.contains(&floor.kind.as_str()), "unknown floor kind {}", floor.kind);
        }
        let mut texts = HashMap::new();
        for (place, entry) in file.disposition.iter().enumerate() {
            for text in &entry.texts {
                let disposition = Disposition {
                    entry: place,
                    rank: entry.rank,
                    reason: entry.reason.clone(),
                    state: entry.state.clone(),
                    certainty: entry.certainty,
                    health: entry.health,
                    mapped: true,
                };
                ensure!(texts.insert(text.clone(), disposition).is_none(), "text {text:?} stands twice");
            }
        }
        Ok(Self {
            delimiter,
            encoding,
            zone,
            time_formats: file.input.time_formats,
            as_of: file.input.as_of,
            custody: file.custody,
            release: file.release,
            triggers: file.trigger,
            charge: file.charge,
            precedence: file.precedence,
            floors: file.floor,
            flags: file.flag,
            fields: file.field,
            texts,
        })
    }

    /// What a text means; one that is not in the table is UNKNOWN.
    pub(crate) fn disposition(&self, text: &str) -> Disposition {
        self.texts.get(text).cloned().unwrap_or_else(|| Disposition {
            entry: usize::MAX,
            rank: self.precedence.unmapped_rank,
            reason: "UNKNOWN".to_owned(),
            state: self.precedence.unmapped_state.clone(),
            certainty: self.precedence.unmapped_certainty,
            health: false,
            mapped: false,
        })
    }
}
