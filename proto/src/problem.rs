//! A problem of a configuration file, with its key and line: a wrong file names all of them at once.

mod read;

use std::{fmt, ops::Range, str::FromStr};

/// One thing that is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path, `subscriber[1].subscription[0].expires`.
    pub key: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// What is wrong, and what would be right. Never a secret.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}: {}", self.key, self.text),
            None => write!(f, "{}: {}", self.key, self.text),
        }
    }
}

/// Collects the problems of one file while its parts are being checked.
pub struct Problems<'t> {
    text: &'t str,
    found: Vec<Problem>,
}

impl<'t> Problems<'t> {
    /// For the file with this content.
    pub fn of(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a problem; `at` is the byte range of the value in the file.
    pub fn add(&mut self, key: impl Into<String>, at: Option<Range<usize>>, text: impl Into<String>) {
        let line = at.map(|range| line_of(self.text, range.start));
        self.found.push(Problem { key: key.into(), line, text: text.into() });
    }

    /// Parses a value, or notes why it is none.
    pub fn parse<T>(&mut self, key: impl Into<String>, value: &toml::Spanned<String>) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match value.get_ref().parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.add(key, Some(value.span()), error.to_string());
                None
            }
        }
    }

    /// Reads the raw form of this file. Mistakes of form are noted and left out, so that what stands beside them can be
    /// checked as well; none: not enough is left.
    pub fn read<T: serde::de::DeserializeOwned>(&mut self) -> Option<T> {
        read::read(self.text, self)
    }

    /// Nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `value`, if nothing was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found),
        }
    }
}

/// Reads the raw form of a file; every mistake of form (syntax, unknown key, wrong type) is a problem with its line.
pub fn read_toml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Vec<Problem>> {
    let mut problems = Problems::of(text);
    let read = problems.read();
    problems.finish(read)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[allow(dead_code)]
        a: toml::Spanned<String>,
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let problems = read_toml::<File>("a = 'x'\n\nb = 1\n").err().unwrap();
        assert_eq!(problems[0].line, Some(3));
        assert!(problems[0].text.contains("unknown field `b`"), "{}", problems[0].text);
    }

    #[test]
    fn a_value_that_does_not_parse_is_named_with_its_line() {
        let text = "\na = 'x y'\n";
        let file: File = read_toml(text).unwrap();
        let mut problems = Problems::of(text);
        assert_eq!(problems.parse::<crate::ids::Ori>("a", &file.a), None);
        assert_eq!(problems.finish(Some(())).unwrap_err()[0].line, Some(2));
    }
}
