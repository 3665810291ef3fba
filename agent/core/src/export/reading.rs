//! From the text of an export to its custodies: rows are grouped by booking number as they are read, so that beside the
//! text only what leaves this module is held in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    ExportError, Reading, RefusedCustody, RowProblem,
    group::Group,
    header::{self, Columns},
    row,
    rows::{Cell, Rows},
};
use crate::{custody::normalised, mapping::Mapping};

pub(super) fn of(
    mapping: &Mapping,
    text: &str,
    as_of: Timestamp,
    observed: Timestamp,
) -> Result<Reading, ExportError> {
    let mut rows = Rows::of(text, mapping.input.delimiter);
    let mut cells = Vec::new();
    if !rows.next(&mut cells)? {
        return Err(ExportError::Empty);
    }
    let (columns, warnings) = header::columns(&cells, mapping)?;
    let mut reader = Reader {
        mapping,
        columns,
        groups: Vec::new(),
        by_number: BTreeMap::new(),
        torn: Vec::new(),
        reading: Reading { warnings, ..Reading::default() },
    };
    while rows.next(&mut cells)? {
        reader.row(&cells);
    }
    Ok(reader.finish(as_of, observed))
}

struct Reader<'m> {
    mapping: &'m Mapping,
    columns: Columns,
    /// In the order of their first rows.
    groups: Vec<Group>,
    /// Normalised booking number to its group.
    by_number: BTreeMap<String, usize>,
    torn: Vec<Torn>,
    reading: Reading,
}

/// A row with cells too many or too few before its booking number may have ended up in another column: these are the
/// numbers it can mean.
struct Torn {
    candidates: Vec<String>,
    problem: RowProblem,
}

impl Reader<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) {
        self.reading.rows += 1;
        if let Some(problem) = self.shape_problem(cells) {
            self.torn_row(cells, problem);
            return;
        }
        let mut problems = Vec::new();
        let row = row::read(cells, &self.columns, self.mapping, &mut problems, &mut self.reading.warnings);
        let number = normalised(row.booking_number);
        if number.is_empty() {
            let column = Some(self.columns.booking_number.name.clone());
            problems.push(RowProblem { line: row.line, column, text: "no booking number".to_owned() });
            self.reading.refused.push(RefusedCustody { booking_number: None, problems });
            return;
        }
        if !row.disposition.is_empty() && !self.mapping.dispositions.contains_key(row.disposition) {
            *self.reading.unmapped_texts.entry(row.disposition.to_owned()).or_default() += 1;
        }
        let mapping = self.mapping;
        let group = self.group(number);
        if problems.is_empty() {
            group.add(&row, mapping);
        } else {
            group.named(row.booking_number);
            group.mark(row.floor);
            group.refuse(problems);
        }
    }

    fn group(&mut self, number: String) -> &mut Group {
        let next = self.groups.len();
        let index = *self.by_number.entry(number).or_insert(next);
        if index == next {
            self.groups.push(Group::default());
        }
        &mut self.groups[index]
    }

    /// What is wrong with the row as a whole.
    fn shape_problem(&self, cells: &[Cell<'_>]) -> Option<RowProblem> {
        let line = cells.first().map_or(0, |cell| cell.line);
        let (found, expected) = (cells.len(), self.columns.count);
        if found != expected {
            let text = format!("{found} fields where the header has {expected}");
            return Some(RowProblem { line, column: None, text });
        }
        let garbled = cells.iter().find(|cell| cell.garbled)?;
        let text = "text after a closing quote: a quote inside a quoted field must be doubled".to_owned();
        Some(RowProblem { line: garbled.line, column: None, text })
    }

    fn torn_row(&mut self, cells: &[Cell<'_>], problem: RowProblem) {
        let place = self.columns.booking_number.index;
        let at = |index: usize| cells.get(index).map_or("", |cell| cell.text.trim());
        if place == 0 && !at(0).is_empty() && !cells.first().is_some_and(|cell| cell.garbled) {
            // Nothing stands before it that could have moved it.
            let group = self.group(normalised(at(0)));
            group.named(at(0));
            group.refuse([problem]);
            return;
        }
        let moved = cells.len().abs_diff(self.columns.count);
        let places = if cells.len() > self.columns.count {
            place..=place + moved
        } else {
            place.saturating_sub(moved)..=place
        };
        let mut candidates: Vec<String> = places.map(|index| normalised(at(index))).collect();
        candidates.retain(|number| !number.is_empty());
        self.torn.push(Torn { candidates, problem });
    }

    fn finish(mut self, as_of: Timestamp, observed: Timestamp) -> Reading {
        for torn in std::mem::take(&mut self.torn) {
            // Every custody that the row may belong to is kept aside: it may lack the row that withholds it.
            let mut belongs = false;
            for number in &torn.candidates {
                if let Some(&index) = self.by_number.get(number) {
                    self.groups[index].refuse([torn.problem.clone()]);
                    belongs = true;
                }
            }
            if !belongs {
                let refused = RefusedCustody { booking_number: None, problems: vec![torn.problem] };
                self.reading.refused.push(refused);
            }
        }
        for group in std::mem::take(&mut self.groups) {
            match group.finish(self.mapping, &self.columns, as_of, observed) {
                Ok(custody) => {
                    self.reading.disagreeing += u64::from(custody.disagreeing);
                    self.reading.custodies.push(custody);
                }
                Err(refused) => self.reading.refused.push(refused),
            }
        }
        self.reading
    }
}
