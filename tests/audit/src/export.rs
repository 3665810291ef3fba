//! One export file to custodies: rows by booking number, every cell that the mapping names, and the custodies that a bad
//! row keeps aside whole. Out of scope: what the rows say about a release (`reading`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use csv::ByteRecord;

use crate::key;
use crate::mapping::{Encoding, Mapping};
use crate::moment::{self, Moment};

/// One charge of a custody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) booked: Option<Moment>,
    pub(crate) door: Option<Moment>,
    pub(crate) entered: Option<Moment>,
    pub(crate) scheduled: Option<Moment>,
    /// When the row says that it was exported.
    pub(crate) as_of: Option<Moment>,
    pub(crate) transferred_to: String,
    /// One per trigger of the mapping, in its order.
    pub(crate) triggers: Vec<Option<Moment>>,
    pub(crate) description: String,
    pub(crate) code: String,
    pub(crate) court: String,
    pub(crate) offence_level: String,
    pub(crate) ended: Option<Moment>,
    pub(crate) disposition: String,
    pub(crate) floor: bool,
    pub(crate) flags: BTreeSet<String>,
    /// Mapped further fields, by name.
    pub(crate) fields: BTreeMap<String, String>,
}

/// The rows of one export that share a booking number.
#[derive(Debug, Clone)]
pub(crate) struct Custody {
    /// Line of its first row.
    pub(crate) line: u64,
    pub(crate) rows: Vec<Row>,
    /// A row of it is bad: the custody is kept aside whole.
    pub(crate) refused: bool,
    /// A bad row of it carries a mark of the floor.
    pub(crate) floor: bool,
}

/// Why a row is bad.
#[derive(Debug, Clone)]
pub(crate) struct BadRow {
    pub(crate) line: u64,
    /// The custody it belongs to, as far as the row says so.
    pub(crate) booking_number: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) why: &'static str,
}

/// What one file holds.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// By booking number in its normal form.
    pub(crate) custodies: BTreeMap<String, Custody>,
    pub(crate) bad_rows: Vec<BadRow>,
    /// Times that lay in a repeated hour and were read as the earlier.
    pub(crate) repeated_hours: u64,
}

const UTF8_BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a whole file.
///
/// # Errors
/// When the file as a whole says nothing that can be trusted: unreadable, in another encoding than the mapping says, a
/// quote never closed, without a header, a mapped column missing.
pub(crate) fn read(path: &Path, mapping: &Mapping) -> anyhow::Result<Read> {
    let bytes = std::fs::read(path)?;
    let bytes = bytes.strip_prefix(UTF8_BYTE_ORDER_MARK).unwrap_or(&bytes);
    if mapping.encoding == Encoding::Utf8 {
        std::str::from_utf8(bytes).context("not UTF-8")?;
    }
    ensure!(!ends_inside_quotes(bytes, mapping.delimiter), "a quote is opened and never closed");
    let mut reader = csv::ReaderBuilder::new().delimiter(mapping.delimiter).flexible(true).from_reader(bytes);
    let columns = Columns::of(reader.byte_headers().context("the header")?, mapping)?;
    let mut read = Read::default();
    let mut record = ByteRecord::new();
    let mut lines = Lines { bytes, counted_to: 0, line: 1 };
    while reader.read_byte_record(&mut record)? {
        let line = lines.at(record.position().map_or(0, csv::Position::byte));
        read.take(&record, line, &columns, mapping);
    }
    Ok(read)
}

/// Whether a quoted cell is still open where the file ends: everything after its quote would be one cell.
fn ends_inside_quotes(bytes: &[u8], delimiter: u8) -> bool {
    enum At {
        CellBegin,
        Plain,
        Quoted,
        /// After a quote inside a quoted cell: doubled, or the end.
        Closing,
    }
    let mut at = At::CellBegin;
    for byte in bytes {
        at = match (at, *byte) {
            (At::Quoted, b'"') => At::Closing,
            (At::Quoted, _) | (At::CellBegin | At::Closing, b'"') => At::Quoted,
            (_, byte) if byte == delimiter || byte == b'\r' || byte == b'\n' => At::CellBegin,
            _ => At::Plain,
        };
    }
    matches!(at, At::Quoted)
}

/// Counts lines up to where a record begins. The reader's own count lags by one where lines end in CR LF: it takes the
/// LF, and empty lines, for the front of the next record.
struct Lines<'a> {
    bytes: &'a [u8],
    counted_to: usize,
    line: u64,
}

impl Lines<'_> {
    fn at(&mut self, record: u64) -> u64 {
        let record = usize::try_from(record).unwrap_or(usize::MAX).min(self.bytes.len());
        let blank = self.bytes[record..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let begin = record + blank;
        let passed = self.bytes.get(self.counted_to..begin).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.counted_to = begin;
        self.line
    }
}

impl Read {
    fn take(&mut self, record: &ByteRecord, line: u64, columns: &Columns, mapping: &Mapping) {
        let number =
            columns.cell(record, &mapping.custody.booking_number, mapping).ok().map(|n| key::normal(&n));
        let number = number.filter(|number| !number.is_empty());
        let mut cells = Cells { record, columns, mapping, repeated_hours: 0 };
        let outcome = cells.row().and_then(|row| match number {
            Some(_) => Ok(row),
            None => Err((Some(mapping.custody.booking_number.clone()), "no booking number")),
        });
        self.repeated_hours += cells.repeated_hours;
        if let Some(number) = &number {
            let fresh = || Custody { line, rows: Vec::new(), refused: false, floor: false };
            let custody = self.custodies.entry(number.clone()).or_insert_with(fresh);
            match &outcome {
                Ok(row) => custody.rows.push(row.clone()),
                Err(_) => {
                    custody.refused = true;
                    custody.floor |= Cells { record, columns, mapping, repeated_hours: 0 }.is_marked();
                }
            }
        }
        if let Err((column, why)) = outcome {
            self.bad_rows.push(BadRow { line, booking_number: number, column, why });
        }
    }
}

/// Where each column stands in one file.
struct Columns {
    at: BTreeMap<String, usize>,
    count: usize,
}

impl Columns {
    fn of(header: &ByteRecord, mapping: &Mapping) -> anyhow::Result<Self> {
        let mut at = BTreeMap::new();
        for (index, name) in header.iter().enumerate() {
            let name = decode(name, mapping.encoding).map_err(|why| anyhow::anyhow!("header: {why}"))?;
            if at.insert(name.clone(), index).is_some() {
                bail!("column {name:?} stands twice");
            }
        }
        let missing: Vec<_> = named(mapping).filter(|name| !at.contains_key(*name)).collect();
        if !missing.is_empty() {
            bail!("missing columns: {}", missing.join(", "));
        }
        Ok(Self { at, count: header.len() })
    }

    fn cell(&self, record: &ByteRecord, column: &str, mapping: &Mapping) -> Result<String, &'static str> {
        let index = self.at.get(column).ok_or("no such column")?;
        decode(record.get(*index).unwrap_or_default(), mapping.encoding)
    }
}

/// Every column that the mapping reads.
fn named(mapping: &Mapping) -> impl Iterator<Item = &str> {
    let (custody, release, charge) = (&mapping.custody, &mapping.release, &mapping.charge);
    let optional = [&custody.booked, &release.entered, &release.scheduled, &charge.description, &charge.code]
        .into_iter()
        .chain([&charge.court, &charge.offence_level, &charge.ended, &charge.disposition])
        .chain([&release.transferred_to, &mapping.as_of])
        .filter_map(|column| column.as_deref());
    [custody.booking_number.as_str(), release.door.as_str()]
        .into_iter()
        .chain(optional)
        .chain(mapping.triggers.iter().map(|trigger| trigger.column.as_str()))
        .chain(mapping.floors.iter().map(|floor| floor.column.as_str()))
        .chain(mapping.flags.iter().map(|flag| flag.column.as_str()))
        .chain(mapping.fields.iter().map(|field| field.column.as_str()))
}

fn decode(bytes: &[u8], encoding: Encoding) -> Result<String, &'static str> {
    let text = match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?.to_owned(),
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    };
    Ok(text.trim().to_owned())
}

/// Which column of a row is bad, if one can be named, and why.
type Fault = (Option<String>, &'static str);

/// One record on its way to a row.
struct Cells<'a> {
    record: &'a ByteRecord,
    columns: &'a Columns,
    mapping: &'a Mapping,
    repeated_hours: u64,
}

impl Cells<'_> {
    fn row(&mut self) -> Result<Row, Fault> {
        if self.record.len() != self.columns.count {
            return Err((None, "the number of fields is not that of the header"));
        }
        let mapping = self.mapping;
        let charge = &mapping.charge;
        let mut row = Row {
            booked: self.time(mapping.custody.booked.as_deref())?,
            door: self.time(Some(&mapping.release.door))?,
            entered: self.time(mapping.release.entered.as_deref())?,
            scheduled: self.time(mapping.release.scheduled.as_deref())?,
            as_of: self.time(mapping.as_of.as_deref())?,
            transferred_to: self.optional(mapping.release.transferred_to.as_deref())?,
            description: self.optional(charge.description.as_deref())?,
            code: self.optional(charge.code.as_deref())?,
            court: self.optional(charge.court.as_deref())?,
            offence_level: self.optional(charge.offence_level.as_deref())?,
            ended: self.time(charge.ended.as_deref())?,
            disposition: self.optional(charge.disposition.as_deref())?,
            ..Row::default()
        };
        for trigger in &mapping.triggers {
            row.triggers.push(self.time(Some(&trigger.column))?);
        }
        for floor in &mapping.floors {
            row.floor |= floor.values.contains(&self.text(&floor.column)?);
        }
        for flag in &mapping.flags {
            if flag.values.contains(&self.text(&flag.column)?) {
                row.flags.insert(flag.name.clone());
            }
        }
        for field in &mapping.fields {
            row.fields.insert(field.name.clone(), self.text(&field.column)?);
        }
        Ok(row)
    }

    /// Whether a row that cannot be read whole carries a mark of the floor all the same.
    fn is_marked(&self) -> bool {
        self.record.len() == self.columns.count
            && self
                .mapping
                .floors
                .iter()
                .any(|floor| self.text(&floor.column).is_ok_and(|text| floor.values.contains(&text)))
    }

    fn text(&self, column: &str) -> Result<String, Fault> {
        let cell = self.columns.cell(self.record, column, self.mapping);
        cell.map_err(|why| (Some(column.to_owned()), why))
    }

    fn optional(&self, column: Option<&str>) -> Result<String, Fault> {
        column.map_or_else(|| Ok(String::new()), |column| self.text(column))
    }

    fn time(&mut self, column: Option<&str>) -> Result<Option<Moment>, Fault> {
        let Some(column) = column else { return Ok(None) };
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        let moment = moment::read(&text, &self.mapping.time_formats, &self.mapping.zone)
            .map_err(|why| (Some(column.to_owned()), why))?;
        self.repeated_hours += u64::from(moment.uncertainty_s > 0);
        Ok(Some(moment))
    }
}
