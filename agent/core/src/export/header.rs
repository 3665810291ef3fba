//! Finds the mapping's columns in the header: any order, blanks around names passed over, and another case accepted
//! where only one column can be meant.

use std::collections::BTreeSet;

use super::{ExportError, RowProblem, rows::Cell};
use crate::mapping::Mapping;

/// Where each mapped column stands.
pub(super) struct Columns {
    /// Cells that every row must have.
    pub(super) count: usize,
    pub(super) as_of: Option<Column>,
    pub(super) booking_number: Column,
    pub(super) booked: Option<Column>,
    pub(super) door: Column,
    pub(super) entered: Option<Column>,
    pub(super) scheduled: Option<Column>,
    pub(super) transferred_to: Option<Column>,
    pub(super) triggers: Vec<Column>,
    pub(super) description: Option<Column>,
    pub(super) code: Option<Column>,
    pub(super) court: Option<Column>,
    pub(super) offence_level: Option<Column>,
    pub(super) ended: Option<Column>,
    pub(super) disposition: Option<Column>,
    pub(super) floors: Vec<Column>,
    pub(super) flags: Vec<Column>,
    pub(super) fields: Vec<Column>,
}

/// One column, under the name the mapping has for it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) index: usize,
}

/// Finds every column, and warns of those that the mapping neither reads nor ignores.
pub(super) fn columns(
    header: &[Cell<'_>],
    mapping: &Mapping,
) -> Result<(Columns, Vec<RowProblem>), ExportError> {
    let mut finder = Finder {
        names: header.iter().map(|cell| cell.text.trim()).collect(),
        missing: BTreeSet::new(),
        twice: None,
        read: BTreeSet::new(),
    };
    let columns = finder.all(mapping);
    if let Some(column) = finder.twice {
        return Err(ExportError::ColumnTwice { column });
    }
    let Some(columns) = columns else {
        let missing = finder.missing.into_iter().collect();
        if finder.read.is_empty() {
            // Perhaps a file without a header: its first line may be person data, so it is not repeated.
            return Err(ExportError::NoHeader { missing });
        }
        let present = finder.names.iter().map(|name| (*name).to_owned()).collect();
        return Err(ExportError::MissingColumns { missing, present });
    };
    let known =
        |name: &str| mapping.ignored.iter().chain(&mapping.ignored_health).any(|ignored| same(ignored, name));
    let unknown = header.iter().enumerate().filter(|(index, cell)| {
        !finder.read.contains(index) && !cell.text.trim().is_empty() && !known(cell.text.trim())
    });
    let warnings = unknown.map(|(_, cell)| RowProblem {
        line: cell.line,
        column: Some(cell.text.trim().to_owned()),
        text: "neither mapped nor ignored: not read".to_owned(),
    });
    Ok((columns, warnings.collect()))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

struct Finder<'h> {
    names: Vec<&'h str>,
    missing: BTreeSet<String>,
    twice: Option<String>,
    read: BTreeSet<usize>,
}

impl Finder<'_> {
    /// Every column, or none when one is missing; goes on after a missing one, to name them all.
    fn all(&mut self, mapping: &Mapping) -> Option<Columns> {
        let (custody, release, charge) = (&mapping.custody, &mapping.release, &mapping.charge);
        let booking_number = self.find(&custody.booking_number);
        let door = self.find(&release.door);
        let triggers = self.list(mapping.triggers.iter().map(|trigger| &trigger.column));
        let floors = self.list(mapping.floors.iter().map(|floor| &floor.column));
        let flags = self.list(mapping.flags.iter().map(|flag| &flag.column));
        let fields = self.list(mapping.fields.iter().map(|field| &field.column));
        let columns = Columns {
            count: self.names.len(),
            as_of: self.optional(&mapping.input.as_of),
            booked: self.optional(&custody.booked),
            entered: self.optional(&release.entered),
            scheduled: self.optional(&release.scheduled),
            transferred_to: self.optional(&release.transferred_to),
            triggers,
            description: self.optional(&charge.description),
            code: self.optional(&charge.code),
            court: self.optional(&charge.court),
            offence_level: self.optional(&charge.offence_level),
            ended: self.optional(&charge.ended),
            disposition: self.optional(&charge.disposition),
            floors,
            flags,
            fields,
            // Last, so that every missing column has been noted before.
            booking_number: booking_number?,
            door: door?,
        };
        self.missing.is_empty().then_some(columns)
    }

    fn list<'m>(&mut self, names: impl Iterator<Item = &'m String>) -> Vec<Column> {
        names.filter_map(|name| self.find(name)).collect()
    }

    fn optional(&mut self, name: &Option<String>) -> Option<Column> {
        name.as_ref().and_then(|name| self.find(name))
    }

    fn find(&mut self, name: &str) -> Option<Column> {
        let exact = self.places(|present| present == name);
        let places = if exact.is_empty() { self.places(|present| same(present, name)) } else { exact };
        match places[..] {
            [index] => {
                self.read.insert(index);
                Some(Column { name: name.to_owned(), index })
            }
            [] => {
                self.missing.insert(name.to_owned());
                None
            }
            _ => {
                self.twice = Some(name.to_owned());
                None
            }
        }
    }

    fn places(&self, is: impl Fn(&str) -> bool) -> Vec<usize> {
        (0..self.names.len()).filter(|&index| is(self.names[index])).collect()
    }
}
