//! Bytes of an export to text. UTF-8 is borrowed as it lies; only windows-1252 makes a second copy.

use std::borrow::Cow;

use encoding_rs::WINDOWS_1252;

use super::ExportError;
use crate::mapping::Encoding;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

pub(super) fn text(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, ExportError> {
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(ExportError::OtherEncoding { found: "utf-16", mapped: name(encoding) });
    }
    let (unmarked, marked) = match bytes.strip_prefix(UTF8_MARK) {
        Some(rest) => (rest, true),
        None => (bytes, false),
    };
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(unmarked)
            .map(Cow::Borrowed)
            .map_err(|error| not_utf8(&unmarked[..error.valid_up_to()])),
        Encoding::Windows1252 if marked => {
            Err(ExportError::OtherEncoding { found: "utf-8", mapped: name(encoding) })
        }
        Encoding::Windows1252 => Ok(WINDOWS_1252.decode_without_bom_handling(bytes).0),
    }
}

fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Windows1252 => "windows-1252",
    }
}

fn not_utf8(good: &[u8]) -> ExportError {
    let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + good.iter().rev().take_while(|&&byte| byte != b'\n').count();
    ExportError::NotUtf8 { line: line as u64, column: column as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_of_utf_8_is_passed_over() {
        assert_eq!(text(b"\xef\xbb\xbfa", Encoding::Utf8), Ok(Cow::Borrowed("a")));
    }

    #[test]
    fn windows_1252_gives_its_own_characters() {
        assert_eq!(text(b"Pe\xf1a \x80", Encoding::Windows1252), Ok("Pe\u{f1}a \u{20ac}".into()));
    }

    #[test]
    fn a_byte_that_is_not_utf_8_is_named_by_line_and_byte() {
        assert_eq!(text(b"ab\nc\xf1a", Encoding::Utf8), Err(ExportError::NotUtf8 { line: 2, column: 2 }));
    }

    #[test]
    fn a_byte_order_mark_of_another_encoding_is_an_error_and_not_a_first_column() {
        let other = |found, mapped| Err(ExportError::OtherEncoding { found, mapped });
        assert_eq!(text(b"\xef\xbb\xbfa", Encoding::Windows1252), other("utf-8", "windows-1252"));
        assert_eq!(text(b"\xff\xfea\0", Encoding::Utf8), other("utf-16", "utf-8"));
    }
}
