//! One row to checked cells. What is wrong with a row is listed whole, cell by cell.

use sallyport_proto::{ids::Ori, time::Moment};

use super::{
    RowProblem,
    header::{Column, Columns},
    rows::Cell,
    when,
};
use crate::{custody::FloorKind, mapping::Mapping};

/// Longer mapped cells are mistakes of the export, and would crowd a notice out of its message.
const CELL_BYTES_MAX: usize = 2_000;

/// The mapped cells of one row.
pub(super) struct Row<'c> {
    pub(super) line: u64,
    pub(super) as_of: Option<Moment>,
    pub(super) booking_number: &'c str,
    pub(super) booked: Option<Moment>,
    pub(super) door: Option<Moment>,
    pub(super) entered: Option<Moment>,
    pub(super) scheduled: Option<Moment>,
    pub(super) transferred_to: Option<Ori>,
    /// In the order of the mapping.
    pub(super) triggers: Vec<Option<Moment>>,
    pub(super) description: &'c str,
    pub(super) code: &'c str,
    pub(super) court: &'c str,
    pub(super) offence_level: &'c str,
    pub(super) ended: Option<Moment>,
    pub(super) disposition: &'c str,
    pub(super) floor: Option<FloorKind>,
    /// Names of the flags that this row sets.
    pub(super) flags: Vec<&'c str>,
    /// In the order of the mapping.
    pub(super) fields: Vec<&'c str>,
}

/// Reads the cells of a row whose number of cells is right. Problems are added to `problems`, times in a repeated hour
/// to `warnings`.
pub(super) fn read<'c>(
    cells: &'c [Cell<'_>],
    columns: &Columns,
    mapping: &'c Mapping,
    problems: &mut Vec<RowProblem>,
    warnings: &mut Vec<RowProblem>,
) -> Row<'c> {
    let mut reader = Reader { cells, mapping, problems, warnings };
    let r = &mut reader;
    let floors = columns.floors.iter().zip(&mapping.floors);
    let floors: Vec<Option<FloorKind>> = floors
        .map(|(column, mark)| mark.values.contains(&r.text(column).to_lowercase()).then_some(mark.kind))
        .collect();
    let flags = columns.flags.iter().zip(&mapping.flags);
    let flags = flags.filter(|(column, mark)| mark.values.contains(r.text(column)));
    let flags = flags.map(|(_, mark)| mark.name.as_str()).collect();
    Row {
        line: cells.first().map_or(0, |cell| cell.line),
        as_of: r.time(columns.as_of.as_ref()),
        booking_number: r.text(&columns.booking_number),
        booked: r.time(columns.booked.as_ref()),
        door: r.time(Some(&columns.door)),
        entered: r.time(columns.entered.as_ref()),
        scheduled: r.time(columns.scheduled.as_ref()),
        transferred_to: r.ori(columns.transferred_to.as_ref()),
        triggers: columns.triggers.iter().map(|column| r.time(Some(column))).collect(),
        description: r.optional(columns.description.as_ref()),
        code: r.optional(columns.code.as_ref()),
        court: r.optional(columns.court.as_ref()),
        offence_level: r.optional(columns.offence_level.as_ref()),
        ended: r.time(columns.ended.as_ref()),
        disposition: r.optional(columns.disposition.as_ref()),
        floor: floors.into_iter().flatten().min(),
        flags,
        fields: columns.fields.iter().map(|column| r.text(column)).collect(),
    }
}

struct Reader<'c, 't, 'p> {
    cells: &'c [Cell<'t>],
    mapping: &'c Mapping,
    problems: &'p mut Vec<RowProblem>,
    warnings: &'p mut Vec<RowProblem>,
}

impl<'c> Reader<'c, '_, '_> {
    fn text(&mut self, column: &Column) -> &'c str {
        let Some(cell) = self.cells.get(column.index) else { return "" };
        let text = cell.text.trim();
        if text.len() > CELL_BYTES_MAX {
            let problem = format!("{} bytes are over the limit of {CELL_BYTES_MAX}", text.len());
            self.problems.push(problem_at(cell.line, column, problem));
            return "";
        }
        text
    }

    fn optional(&mut self, column: Option<&Column>) -> &'c str {
        column.map_or("", |column| self.text(column))
    }

    /// The next custodian. One that is not named by its ORI is passed over with a warning: the release counts more.
    fn ori(&mut self, column: Option<&Column>) -> Option<Ori> {
        let column = column?;
        let text = self.text(column);
        let ori = text.to_lowercase().parse().ok();
        if ori.is_none() && !text.is_empty() {
            let line = self.cells.get(column.index).map_or(0, |cell| cell.line);
            self.warnings.push(problem_at(line, column, "not an ORI: passed over".to_owned()));
        }
        ori
    }

    fn time(&mut self, column: Option<&Column>) -> Option<Moment> {
        let column = column?;
        let text = self.text(column);
        if text.is_empty() {
            return None;
        }
        let line = self.cells.get(column.index).map_or(0, |cell| cell.line);
        match when::read(text, &self.mapping.input) {
            Ok(read) => {
                if read.repeated {
                    let warning = "a local time in the hour that the clocks repeated: taken as the earlier";
                    self.warnings.push(problem_at(line, column, warning.to_owned()));
                }
                Some(read.moment)
            }
            Err(error) => {
                self.problems.push(problem_at(line, column, error.to_string()));
                None
            }
        }
    }
}

fn problem_at(line: u64, column: &Column, text: String) -> RowProblem {
    RowProblem { line, column: Some(column.name.clone()), text }
}
