//! Crash points and mutants, compiled in only with the feature `faults`: for the tests of the tests. A build that ships
//! has none of it; with the feature, the environment variable `SALLYPORT_FAULT` chooses one.
//!
//! `SALLYPORT_FAULT=crash:relay.after-commit` aborts the process the first time it passes that point;
//! `crash:relay.after-commit:3` the third time. `mutant:hand-over-twice` switches a deliberate defect on.
//! `SALLYPORT_CLOCK_OFFSET` names a file with seconds by which the wall clock is wrong; it may change at any moment. What was
//! read last stands beside it (extension `clock-seen`), so that a test knows that somebody looked.
//! `SALLYPORT_STORE_FULL` names a file; while it is there, the program's store takes nothing, as on a full disk.

use jiff::SignedDuration;

/// A named point at which a test may kill the process, between any two steps of an arrow.
#[inline]
pub fn point(_name: &str) {
    #[cfg(feature = "faults")]
    chosen::point(_name);
}

/// Whether a deliberate defect is switched on.
#[inline]
pub fn mutant(_name: &str) -> bool {
    #[cfg(feature = "faults")]
    return chosen::mutant(_name);
    #[cfg(not(feature = "faults"))]
    false
}

/// By how much a test has set the wall clock wrong; zero in a build that ships.
#[inline]
pub fn clock_offset() -> SignedDuration {
    #[cfg(feature = "faults")]
    return offset::now();
    #[cfg(not(feature = "faults"))]
    SignedDuration::ZERO
}

/// What is done first in a transaction that writes, or last before its commit, so that the store has as much room as a test
/// leaves it; none in a build that ships. Without room it is SQLite itself that refuses, with `SQLITE_FULL`.
#[inline]
pub fn room() -> Option<&'static str> {
    #[cfg(feature = "faults")]
    return room::now();
    #[cfg(not(feature = "faults"))]
    None
}

#[cfg(feature = "faults")]
mod room {
    use std::{path::PathBuf, sync::LazyLock};

    /// No page can be added, and more is asked for than any free ones inside hold: a disk that is full takes not even what
    /// needs no new page, as every commit is appended to the log.
    const NONE_LEFT: &str = "PRAGMA max_page_count = 1; CREATE TABLE no_room (filler); \
                             INSERT INTO no_room VALUES (zeroblob(900000000))";
    /// As many as SQLite can have.
    const ALL: &str = "PRAGMA max_page_count = 4294967294";

    static FULL: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("SALLYPORT_STORE_FULL").map(PathBuf::from));

    pub(super) fn now() -> Option<&'static str> {
        FULL.as_ref().map(|file| if file.exists() { NONE_LEFT } else { ALL })
    }
}

#[cfg(feature = "faults")]
mod offset {
    use std::{
        fs::File,
        io::{self, Write},
        path::{Path, PathBuf},
        sync::{
            LazyLock,
            atomic::{AtomicI64, Ordering},
        },
    };

    use jiff::SignedDuration;

    static SEEN: AtomicI64 = AtomicI64::new(0);

    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("SALLYPORT_CLOCK_OFFSET").map(PathBuf::from));

    pub(super) fn now() -> SignedDuration {
        let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        // No file yet: the clock is right.
        let seconds = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if let Some(file) = FILE.as_ref()
            && SEEN.swap(seconds, Ordering::Relaxed) != seconds
        {
            // A disk that is full is another fault's matter.
            let _ = note(&file.with_extension("clock-seen"), seconds);
        }
        SignedDuration::from_secs(seconds)
    }

    /// In place and always as long: a file that is cut and written anew is flushed by some file systems, and whoever asks
    /// for the time would wait for the disk.
    fn note(file: &Path, seconds: i64) -> io::Result<()> {
        let mut file = File::options().create(true).write(true).truncate(false).open(file)?;
        file.write_all(format!("{seconds:>20}").as_bytes())
    }
}

#[cfg(feature = "faults")]
mod chosen {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    };

    enum Fault {
        None,
        Crash { point: String, pass: u64 },
        Mutant(String),
    }

    static CHOSEN: LazyLock<Fault> = LazyLock::new(|| {
        let Ok(text) = std::env::var("SALLYPORT_FAULT") else { return Fault::None };
        match text.split_once(':') {
            Some(("crash", rest)) => {
                let (point, pass) = match rest.split_once(':') {
                    Some((point, pass)) => (point, pass.parse().unwrap_or(1)),
                    None => (rest, 1),
                };
                Fault::Crash { point: point.to_owned(), pass }
            }
            Some(("mutant", name)) => Fault::Mutant(name.to_owned()),
            _ => Fault::None,
        }
    });
    static PASSES: AtomicU64 = AtomicU64::new(0);

    pub(super) fn point(name: &str) {
        if let Fault::Crash { point, pass } = &*CHOSEN
            && point == name
            && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *pass
        {
            tracing::error!(point = name, "crashing here, as SALLYPORT_FAULT asks");
            // As kill -9 would: no destructors, no flushes.
            std::process::abort();
        }
    }

    pub(super) fn mutant(name: &str) -> bool {
        matches!(&*CHOSEN, Fault::Mutant(chosen) if chosen == name)
    }
}
