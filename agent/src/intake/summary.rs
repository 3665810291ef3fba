//! What an intake of a file came to: for people and as one JSON object. Holds no person data.

use std::{collections::BTreeMap, fmt};

use sallyport_agent_core::export::RowProblem;
use serde::{Deserialize, Serialize};

/// Counts and problems of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Distinct in the file.
    pub custodies: u64,
    /// A release that nobody may be told, those under the floor included.
    pub withheld: u64,
    /// Of these, under the floor.
    pub withheld_by_floor: u64,
    /// Kept aside whole.
    pub refused: u64,
    /// Stored now, to be published.
    pub events: u64,
    /// Everybody who may be told holds this already.
    pub unchanged: u64,
    /// Still in custody.
    pub no_release: u64,
    /// Left as they are: a newer record of them, which says otherwise, was read before.
    #[serde(default)]
    pub outdated: u64,
    /// Texts that the mapping does not know, with their rows.
    pub unmapped_texts: BTreeMap<String, u64>,
    /// Rows that map to more than one reason.
    pub disagreeing: u64,
    /// Accepted, but to be looked at.
    pub warnings: Vec<Place>,
    /// Why custodies were refused.
    pub problems: Vec<Place>,
    /// A replay of past records.
    pub backfill: bool,
}

/// A place in the file and what is to be said of it. Repeats no cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Physical line, from 1; 0 where the whole custody is meant.
    pub line: u64,
    /// Name of the column.
    pub column: Option<String>,
    /// What.
    pub text: String,
}

impl From<RowProblem> for Place {
    fn from(problem: RowProblem) -> Self {
        Self { line: problem.line, column: problem.column, text: problem.text }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, column {column}: {}", self.line, self.text),
            None => write!(f, "line {}: {}", self.line, self.text),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} custodies", self.custodies)?;
        writeln!(f, "  {} events stored{}", self.events, if self.backfill { " (backfill)" } else { "" })?;
        writeln!(f, "  {} unchanged, {} without a release", self.unchanged, self.no_release)?;
        writeln!(
            f,
            "  {} withheld: nobody may be told ({} by the floor)",
            self.withheld, self.withheld_by_floor
        )?;
        writeln!(f, "  {} kept aside because of problems", self.refused)?;
        if self.outdated > 0 {
            writeln!(
                f,
                "  {} left as they are: a newer record of them was read before, which says otherwise",
                self.outdated
            )?;
        }
        if self.disagreeing > 0 {
            writeln!(f, "  {} with rows that map to different reasons", self.disagreeing)?;
        }
        if !self.unmapped_texts.is_empty() {
            writeln!(f, "texts that the mapping does not know (published as UNKNOWN):")?;
            for (text, rows) in &self.unmapped_texts {
                writeln!(f, "  {text} ({rows} rows)")?;
            }
        }
        for (name, places) in [("problems", &self.problems), ("warnings", &self.warnings)] {
            if !places.is_empty() {
                writeln!(f, "{name}:")?;
                places.iter().try_for_each(|place| writeln!(f, "  {place}"))?;
            }
        }
        Ok(())
    }
}
