//! Reads the raw form of a TOML file through serde and goes on after a problem: what is wrong is noted with its path and
//! line, taken out, and the rest is read again, so that a file with several mistakes names them all at once.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, Deserializer},
};

use super::Problems;

/// A file with more mistakes of form is another kind of file.
const FORM_PROBLEMS_MAX: usize = 64;

/// The raw form, as far as it can be read; problems are noted.
pub(super) fn read<T: DeserializeOwned>(text: &str, problems: &mut Problems<'_>) -> Option<T> {
    let (whole, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(FORM_PROBLEMS_MAX) {
        problems.add("file", error.span(), error.message());
    }
    if !errors.is_empty() {
        return None;
    }
    let mut rest = whole.clone();
    let mut taken_out: Vec<String> = Vec::new();
    for _ in 0..FORM_PROBLEMS_MAX {
        let error = match T::deserialize(Deserializer::from(rest.clone())) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let span = error.span();
        let path = span.as_ref().and_then(|span| path(whole.get_ref(), span));
        let key = path.clone().unwrap_or_else(|| "file".to_owned());
        if !is_echo(&key, error.message(), &taken_out) {
            problems.add(key.as_str(), span.clone(), error.message());
        }
        // A problem of the whole file leaves nothing to go on with.
        if !span.is_some_and(|span| take_out(rest.get_mut(), &span)) {
            return None;
        }
        taken_out.extend(path);
    }
    None
}

/// A required value that was wrong and taken out is missing now: said already.
fn is_echo(table: &str, message: &str, taken_out: &[String]) -> bool {
    let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) else {
        return false;
    };
    let missing = if table == "file" { field.to_owned() } else { format!("{table}.{field}") };
    taken_out.contains(&missing)
}

/// The dotted path of the value, or of its key, that stands at `span`.
fn path(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let deeper = match value.get_ref() {
            DeValue::Table(inner) => path(inner, span).map(|rest| format!("{name}.{rest}")),
            DeValue::Array(list) => list.iter().enumerate().find_map(|(n, entry)| {
                let inner = entry.get_ref().as_table().and_then(|inner| path(inner, span));
                let inner = inner.map(|rest| format!("{name}[{n}].{rest}"));
                inner.or_else(|| (entry.span() == *span).then(|| format!("{name}[{n}]")))
            }),
            _ => None,
        };
        deeper.or_else(|| (value.span() == *span || key.span() == *span).then(|| name.to_string()))
    })
}

/// Takes out what stands at `span`; false when nothing does.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let mut here = None;
    for (key, value) in table.iter_mut() {
        if take_out_of(value, span) {
            return true;
        }
        if value.span() == *span || key.span() == *span {
            here = Some(key.clone());
        }
    }
    here.is_some_and(|key| table.remove(&key).is_some())
}

fn take_out_of(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(inner) => take_out(inner, span),
        DeValue::Array(list) => {
            let inner = list.iter_mut().any(|entry| entry.get_ref().is_table() && take_out_of(entry, span));
            if inner || list.iter().all(|entry| entry.span() != *span) {
                return inner;
            }
            let all = std::mem::replace(list, DeArray::new());
            *list = all.into_iter().filter(|entry| entry.span() != *span).collect();
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        name: String,
        section: Section,
        #[serde(default)]
        entry: Vec<Section>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        count: u32,
        #[serde(default)]
        words: Vec<String>,
    }

    /// Problems as `line key`; whether the rest could be read.
    fn check(text: &str, expect: &[&str], is_read: bool) -> Option<File> {
        let mut problems = Problems::of(text);
        let read = read::<File>(text, &mut problems);
        let found: Vec<String> =
            problems.found.iter().map(|p| format!("{} {}", p.line.unwrap_or_default(), p.key)).collect();
        assert_eq!(found, expect, "{:?}", problems.found);
        assert_eq!(read.is_some(), is_read);
        read
    }

    const GOOD: &str =
        "name = 'n'\n[section]\ncount = 1\n[[entry]]\ncount = 2\n[[entry]]\ncount = 3\nwords = ['a']\n";

    #[test]
    fn a_good_file_is_read_whole() {
        let file = check(GOOD, &[], true).unwrap();
        assert_eq!((file.name.as_str(), file.section.count), ("n", 1));
        assert_eq!((file.entry.len(), file.entry[1].words.len()), (2, 1));
    }

    #[test]
    fn unknown_keys_are_all_named_and_the_rest_is_read() {
        let text =
            GOOD.replace("count = 1", "count = 1\ncuont = 1").replace("words", "wrods") + "[more]\nx = 1\n";
        let file = check(&text, &["9 entry[1].wrods", "10 more", "4 section.cuont"], true).unwrap();
        assert_eq!(file.entry.len(), 2);
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_once_and_not_as_missing_too() {
        check(&GOOD.replace("count = 1", "count = 'one'"), &["3 section.count"], false);
        check(&GOOD.replace("name = 'n'", "name = 7"), &["1 name"], false);
        let file = check(&GOOD.replace("count = 2", "count = -2"), &["5 entry[0].count"], true).unwrap();
        assert_eq!(file.entry[0].count, 3);
        check(&GOOD.replace("['a']", "[1]"), &["8 entry[1].words[0]"], true);
    }

    #[test]
    fn what_is_missing_is_named_together_with_what_is_wrong() {
        let text = GOOD.replace("count = 2", "words = 7").replace("count = 3", "extra = 3");
        let text = text.replace("name = 'n'\n", "");
        check(&text, &["4 entry[0].words", "3 entry[0]", "6 entry[1].extra", "5 entry[1]", "1 file"], false);
    }

    #[test]
    fn mistakes_of_syntax_are_named_with_their_lines() {
        let mut problems = Problems::of("a = \nb = 1\nc = = 2\n");
        assert!(read::<File>("a = \nb = 1\nc = = 2\n", &mut problems).is_none());
        assert!(problems.found.iter().any(|problem| problem.line == Some(1)), "{:?}", problems.found);
        assert!(problems.found.iter().any(|problem| problem.line == Some(3)), "{:?}", problems.found);
    }
}
