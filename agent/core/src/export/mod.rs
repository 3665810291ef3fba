//! Reads a jail's export through its mapping: bytes to rows, rows of one booking to one custody. A custody with a bad row
//! is kept aside whole, with a precise report; the others go through.
//!
//! Who may be told is `disclose`; whether anything is new is `revise`. Reports name lines, columns and what is wrong with
//! them, and repeat no cell: any cell may be person data.

mod agreed;
mod decode;
mod group;
mod header;
mod reading;
mod reason;
mod release;
mod row;
mod rows;
mod when;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_proto::redact::Redacted;

use crate::{custody::Custody, mapping::Mapping};

/// What an export says.
#[derive(Debug, Default)]
pub struct Reading {
    /// Every custody that could be read whole, in the order of their first rows.
    pub custodies: Vec<Custody>,
    /// Custodies that are kept aside, and rows that belong to no custody that could be named.
    pub refused: Vec<RefusedCustody>,
    /// Disposition texts that the mapping does not know, with their rows.
    pub unmapped_texts: BTreeMap<String, u64>,
    /// Custodies whose rows map to more than one reason.
    pub disagreeing: u64,
    /// What was read, but should be looked at.
    pub warnings: Vec<RowProblem>,
    /// Data rows in the file.
    pub rows: u64,
}

/// A custody that is kept aside whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCustody {
    /// None where the row does not say.
    pub booking_number: Option<Redacted<String>>,
    /// Every problem of its rows.
    pub problems: Vec<RowProblem>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Physical line of the file on which the cell (or the row) begins, from 1.
    pub line: u64,
    /// Name of the column, where one is to blame.
    pub column: Option<String>,
    /// What is wrong. Repeats no cell.
    pub text: String,
}

/// Why an export cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Not one line.
    #[error("the file is empty")]
    Empty,
    /// The mapping says UTF-8.
    #[error(
        "line {line}: byte {column} of the line is not UTF-8; if the export is windows-1252, the mapping must say so"
    )]
    NotUtf8 {
        /// From 1.
        line: u64,
        /// Byte in that line, from 1.
        column: u64,
    },
    /// A byte order mark of another encoding than the mapping's.
    #[error("the file begins with a byte order mark of {found}, the mapping says {mapped}")]
    OtherEncoding {
        /// What the mark says.
        found: &'static str,
        /// What the mapping says.
        mapped: &'static str,
    },
    /// Not one column that the mapping reads is there: perhaps the first line is no header.
    #[error("the first line names none of the mapping's columns: {}", .missing.join(", "))]
    NoHeader {
        /// Named by the mapping.
        missing: Vec<String>,
    },
    /// Columns that the mapping reads are not there.
    #[error("no column {}; the file has {}", .missing.join(", "), .present.join(", "))]
    MissingColumns {
        /// Named by the mapping.
        missing: Vec<String>,
        /// In the header.
        present: Vec<String>,
    },
    /// A column that the mapping reads stands twice in the header.
    #[error("column {column} stands twice in the header")]
    ColumnTwice {
        /// Its name.
        column: String,
    },
    /// The rest of the file is one cell: nothing after that line can be trusted.
    #[error("line {line}: a quote is opened and never closed")]
    UnclosedQuote {
        /// Where it is opened.
        line: u64,
    },
}

/// Reads a whole export. `as_of` is the time the export speaks of (a door after it is only planned), `observed` when it
/// was read (t2).
pub fn read_export(
    mapping: &Mapping,
    bytes: &[u8],
    as_of: Timestamp,
    observed: Timestamp,
) -> Result<Reading, ExportError> {
    let text = decode::text(bytes, mapping.input.encoding)?;
    reading::of(mapping, &text, as_of, observed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod county;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod day;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
