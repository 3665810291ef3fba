//! Where seeds that failed are noted as they are found, so that none is lost with the terminal it was printed to.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use crate::many::Failure;

/// Adds one line: the seed, and the first thing that it found. A line that stands there already is not added again.
pub fn keep(failure: &Failure, file: &Path) -> io::Result<()> {
    let first = failure.findings.first().map(String::as_str).unwrap_or_default();
    let line = format!("{}\t{}", failure.seed, first.replace('\n', " "));
    let known = match fs::read_to_string(file) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if known.lines().any(|other| other == line) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::options().create(true).append(true).open(file)?;
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failing_seed_is_kept_once_in_one_line_with_its_first_finding() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("not there yet/failures.txt");
        let failed =
            |seed, finding: &str| Failure { seed, findings: vec![finding.into(), "and more".into()] };
        for failure in [failed(7, "lost\none"), failed(7, "lost\none"), failed(12, "told twice")] {
            keep(&failure, &file).expect("it is kept");
        }
        let kept = fs::read_to_string(&file).expect("a file");
        assert_eq!(kept, "7\tlost one\n12\ttold twice\n");
    }
}
