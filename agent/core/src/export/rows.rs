//! Text to rows and cells (RFC 4180, any delimiter), each with the physical line on which it begins.
//!
//! Cells are borrowed from the text wherever they stand there as they are. A quote that is never closed is an error here
//! and not one enormous cell, and a cell with text after its closing quote is marked: both would otherwise move cells
//! into columns where they do not belong.

use std::borrow::Cow;

use super::ExportError;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell<'t> {
    /// From 1.
    pub(super) line: u64,
    /// Without quotes, untrimmed.
    pub(super) text: Cow<'t, str>,
    /// There is text after its closing quote.
    pub(super) garbled: bool,
}

/// Walks over the rows of a text. Empty lines are no rows.
pub(super) struct Rows<'t> {
    text: &'t str,
    at: usize,
    line: u64,
    delimiter: u8,
}

impl<'t> Rows<'t> {
    pub(super) fn of(text: &'t str, delimiter: u8) -> Self {
        Self { text, at: 0, line: 1, delimiter }
    }

    /// Reads the next row into `cells`; false at the end.
    pub(super) fn next(&mut self, cells: &mut Vec<Cell<'t>>) -> Result<bool, ExportError> {
        cells.clear();
        while self.line_end() {}
        if self.at == self.text.len() {
            return Ok(false);
        }
        loop {
            cells.push(self.cell()?);
            if self.peek() == Some(self.delimiter) {
                self.at += 1;
                continue;
            }
            self.line_end();
            return Ok(true);
        }
    }

    /// One cell, up to its delimiter, its line end or the end of the text.
    fn cell(&mut self) -> Result<Cell<'t>, ExportError> {
        let line = self.line;
        if self.peek() != Some(b'"') {
            return Ok(Cell { line, text: Cow::Borrowed(self.bare()), garbled: false });
        }
        let mut text = Cow::Borrowed(self.quoted(line)?);
        while self.peek() == Some(b'"') {
            // A doubled quote stands for one.
            let more = self.quoted(line)?;
            let text = text.to_mut();
            text.push('"');
            text.push_str(more);
        }
        let garbage = self.bare();
        let garbled = !garbage.trim().is_empty();
        if garbled {
            text.to_mut().push_str(garbage);
        }
        Ok(Cell { line, text, garbled })
    }

    fn bare(&mut self) -> &'t str {
        let rest = &self.text.as_bytes()[self.at..];
        let ends = |&byte: &u8| byte == self.delimiter || byte == b'\n' || byte == b'\r';
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        text
    }

    /// From an opening quote to behind the next one.
    fn quoted(&mut self, opened: u64) -> Result<&'t str, ExportError> {
        let from = self.at + 1;
        let rest = &self.text.as_bytes()[from..];
        let length =
            rest.iter().position(|&byte| byte == b'"').ok_or(ExportError::UnclosedQuote { line: opened })?;
        let text = &self.text[from..from + length];
        self.line += line_ends(text);
        self.at = from + length + 1;
        Ok(text)
    }

    /// Passes over one line end, if one is here.
    fn line_end(&mut self) -> bool {
        let length = match (self.peek(), self.text.as_bytes().get(self.at + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r' | b'\n'), _) => 1,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Physical line ends in a text: LF, CR LF, or CR alone.
fn line_ends(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let ends = |n: usize| match bytes[n] {
        b'\n' => true,
        b'\r' => bytes.get(n + 1) != Some(&b'\n'),
        _ => false,
    };
    (0..bytes.len()).filter(|&n| ends(n)).count() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Line, text, garbled.
    type Read = (u64, String, bool);

    fn rows(text: &str, delimiter: u8) -> Result<Vec<Vec<Read>>, ExportError> {
        let (mut rows, mut cells, mut out) = (Rows::of(text, delimiter), Vec::new(), Vec::new());
        while rows.next(&mut cells)? {
            out.push(cells.drain(..).map(|c| (c.line, c.text.into_owned(), c.garbled)).collect());
        }
        Ok(out)
    }

    fn check(text: &str, expect: &[&[(u64, &str)]]) {
        let expect: Vec<Vec<Read>> = expect
            .iter()
            .map(|row| row.iter().map(|(line, text)| (*line, (*text).to_owned(), false)).collect())
            .collect();
        assert_eq!(rows(text, b',').unwrap(), expect, "{text:?}");
    }

    #[test]
    fn every_kind_of_line_end_ends_a_row_and_counts_as_one_line() {
        for end in ["\n", "\r\n", "\r"] {
            check(
                &format!("a,b{end}c,{end}{end}d"),
                &[&[(1, "a"), (1, "b")], &[(2, "c"), (2, "")], &[(4, "d")]],
            );
        }
    }

    #[test]
    fn a_quoted_cell_may_hold_line_ends_delimiters_and_quotes() {
        check("\"a\r\nb\",c\n\"d,\"\"e\"\"\"\n", &[&[(1, "a\r\nb"), (2, "c")], &[(3, "d,\"e\"")]]);
    }

    #[test]
    fn a_quote_inside_a_bare_cell_is_a_character() {
        check("5\" pipe,x", &[&[(1, "5\" pipe"), (1, "x")]]);
    }

    #[test]
    fn a_quote_that_is_never_closed_names_the_line_where_it_opens() {
        assert_eq!(rows("a,b\nc,\"d\ne\n", b','), Err(ExportError::UnclosedQuote { line: 2 }));
    }

    #[test]
    fn text_after_a_closing_quote_marks_the_cell() {
        let row = rows("\"a \"b\" c\",d", b',').unwrap();
        assert_eq!(row[0].iter().map(|cell| cell.2).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn another_delimiter_leaves_commas_alone() {
        assert_eq!(rows("a,b\tc", b'\t').unwrap()[0].len(), 2);
    }

    proptest! {
        #[test]
        fn reads_what_a_csv_writer_writes(
            written in prop::collection::vec(prop::collection::vec("[a\" ,;\r\n\u{e9}]{0,6}", 2..5), 1..6)
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &written {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read: Vec<Vec<String>> = rows(&text, b',').unwrap().into_iter()
                .map(|row| row.into_iter().map(|cell| cell.1).collect()).collect();
            prop_assert_eq!(read, written);
        }
    }
}
