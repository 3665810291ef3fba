//! Reads configuration files whole, before any socket opens, and collects every problem: file, line, key. Secrets are
//! read here and have no Debug.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sallyport_proto::{
    key::{RegistrarKey, Signer},
    problem::Problem,
    registry::{self, Registry},
};

use crate::private;

/// Every problem of the files a program was started with.
#[derive(Debug, Default)]
pub struct ConfigProblems {
    found: Vec<(PathBuf, Problem)>,
}

impl ConfigProblems {
    /// Notes a problem of `file`.
    pub fn add(&mut self, file: &Path, key: impl Into<String>, text: impl Into<String>) {
        let problem = Problem { key: key.into(), line: None, text: text.into() };
        self.found.push((file.to_owned(), problem));
    }

    /// Takes over a list, or gives the value.
    pub fn take<T>(&mut self, file: &Path, result: Result<T, Vec<Problem>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problems) => {
                self.found.extend(problems.into_iter().map(|p| (file.to_owned(), p)));
                None
            }
        }
    }

    /// Gives every problem of `file` that has no line yet the line of its key, where the file has that key.
    pub fn locate(&mut self, file: &Path, text: &str) {
        let Ok(table) = toml::de::DeTable::parse(text) else { return };
        let of_file = self.found.iter_mut().filter(|(path, problem)| path == file && problem.line.is_none());
        for (_, problem) in of_file {
            let at = start_of(table.get_ref(), &problem.key);
            problem.line = at.map(|at| 1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count());
        }
    }

    /// Nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `value`, if nothing was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, ConfigProblems> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

/// Where the value of a dotted key (`facility.ori`, `allow[2].fields`) begins, or the deepest part of it that is there.
fn start_of(table: &toml::de::DeTable<'_>, key: &str) -> Option<usize> {
    let (mut table, mut found) = (table, None);
    for part in key.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Some(mut value) = table.get(name) else { break };
        if let (Some(index), toml::de::DeValue::Array(items)) = (index, value.get_ref()) {
            let Some(item) = items.get(index) else { break };
            value = item;
        }
        found = Some(value.span().start);
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (file, problem)) in self.found.iter().enumerate() {
            let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
            let end = if n + 1 < self.found.len() { "\n" } else { "" };
            write!(f, "{}{line}: {}: {}{end}", file.display(), problem.key, problem.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

/// A path as a configuration file means it: relative to that file.
pub fn beside(config: &Path, path: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(path)
}

/// Reads a text file, or notes why not.
pub fn read_text(problems: &mut ConfigProblems, owner: &Path, key: &str, path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            problems.add(owner, key, format!("cannot read {}: {error}", path.display()));
            None
        }
    }
}

/// An nkey seed that logs in to NATS.
#[derive(Clone)]
pub struct ConnectSeed {
    seed: String,
    public: String,
}

impl ConnectSeed {
    pub(crate) fn expose(&self) -> &str {
        &self.seed
    }

    /// The user's public key.
    pub fn public_key(&self) -> &str {
        &self.public
    }
}

/// Reads the seed of a NATS user (`SU...`).
pub fn connect_seed(
    problems: &mut ConfigProblems,
    owner: &Path,
    key: &str,
    path: &Path,
) -> Option<ConnectSeed> {
    let seed = read_text(problems, owner, key, path)?.trim().to_owned();
    warn_if_open(owner, key, path);
    match nkeys_user(&seed) {
        Some(public) => Some(ConnectSeed { seed, public }),
        None => {
            problems.add(owner, key, format!("{}: not the seed of a NATS user (SU...)", path.display()));
            None
        }
    }
}

/// Whoever reads a seed can speak for its owner. No problem that keeps a program from running: a warning, at every start.
fn warn_if_open(owner: &Path, key: &str, path: &Path) {
    if private::is_open_to_others(path) {
        let (config, seed) = (owner.display(), path.display());
        tracing::warn!(%config, key, %seed, "others than its owner can read this seed: chmod 600");
    }
}

fn nkeys_user(seed: &str) -> Option<String> {
    let pair = nkeys::KeyPair::from_seed(seed).ok()?;
    let public = pair.public_key();
    public.starts_with('U').then_some(public)
}

/// Reads the seed of a signing key (`SV...`).
pub fn signer(problems: &mut ConfigProblems, owner: &Path, key: &str, path: &Path) -> Option<Signer> {
    let seed = read_text(problems, owner, key, path)?;
    warn_if_open(owner, key, path);
    match Signer::from_seed(&seed) {
        Ok(signer) => Some(signer),
        Err(error) => {
            problems.add(owner, key, format!("{}: {error}", path.display()));
            None
        }
    }
}

/// Reads a registry and checks the registrar's signature beside it (`<file>.sig`). `pinned` is `None` only where the
/// caller permits an unsigned one (demonstrations), which is said loudly.
pub fn registry(
    problems: &mut ConfigProblems,
    path: &Path,
    pinned: Option<&RegistrarKey>,
) -> Option<Registry> {
    let text = read_text(problems, path, "registry.file", path)?;
    if let Some(pinned) = pinned {
        let sig_path = signature_path(path);
        let signature = read_text(problems, path, "registry.file", &sig_path)?;
        if let Err(error) = registry::verify(pinned, text.as_bytes(), &signature) {
            problems.add(&sig_path, "signature", error.to_string());
            return None;
        }
    } else {
        tracing::warn!(file = %path.display(), "the registry is UNSIGNED: permitted for demonstrations only");
    }
    problems.take(path, Registry::parse(&text))
}

/// Where the signature of a registry file lies.
pub fn signature_path(registry: &Path) -> PathBuf {
    let mut name = registry.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_that_knows_only_its_key_gets_the_line_of_that_key() {
        let text = "[facility]\nori = 'x'\n\n[[allow]]\nrule = 'a'\n[[allow]]\nrule = 'b'\n";
        let file = Path::new("agent.toml");
        let mut problems = ConfigProblems::default();
        for key in ["facility.ori", "allow[1].rule", "facility.nothing", "nowhere"] {
            problems.add(file, key, "wrong");
        }
        problems.locate(file, text);
        let lines: Vec<Option<usize>> = problems.found.iter().map(|(_, problem)| problem.line).collect();
        assert_eq!(lines, [Some(2), Some(7), Some(1), None]);
    }
}
