//! The watched folder: a file that was dropped is taken when it is whole, then moved to `done/` or `refused/` with a
//! report beside it. A crash between storing and moving takes it again, which changes nothing.
//!
//! Notifications are a hint; a timed look through the folder is what finds every file, on a network share too.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use sallyport_link::{clock, fault, publish::chain};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    faults,
    intake::{ExportOptions, Intake, IntakeError, Summary},
};

/// Between two looks at a file whose size may still grow.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// Hints that wait; more say nothing new, and the timed look finds every file.
const HINTS_MAX: usize = 16;
/// Where good files go.
const DONE: &str = "done";
/// Where files go that a person has to look at.
const REFUSED: &str = "refused";
/// Endings of files that are still being written, by the habit of those who write them.
const UNFINISHED: [&str; 4] = ["tmp", "part", "partial", "filepart"];

/// Watches until shutdown.
pub(crate) struct DropFolder {
    pub(crate) dir: PathBuf,
    pub(crate) rescan: Duration,
    pub(crate) intake: Intake,
    pub(crate) shutdown: CancellationToken,
}

/// Why the folder is not watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DropError {
    #[error("cannot make or read {}", .dir.display())]
    Folder {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Size and time of a file at a look: whole when two looks agree.
type Look = (u64, Option<SystemTime>);

impl DropFolder {
    pub(crate) async fn run(self) -> Result<(), DropError> {
        for dir in [self.dir.clone(), self.dir.join(DONE), self.dir.join(REFUSED)] {
            fs::create_dir_all(&dir).map_err(|source| DropError::Folder { dir, source })?;
        }
        let (hint, mut hints) = mpsc::channel(HINTS_MAX);
        // Kept: dropped, it would stop watching.
        let _watcher = self.watch(hint);
        let mut looked: HashMap<PathBuf, Look> = HashMap::new();
        let mut wait = Duration::ZERO;
        loop {
            let renamed_in = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(()),
                hint = hints.recv() => hint.flatten(),
                () = tokio::time::sleep(wait) => None,
            };
            let found = match self.look() {
                Ok(found) => found,
                Err(source) => {
                    // A share that is away comes back.
                    tracing::error!(%source, dir = %self.dir.display(), "the drop folder cannot be read");
                    wait = self.rescan;
                    continue;
                }
            };
            let mut growing = HashMap::new();
            for (path, look) in found {
                let whole = looked.get(&path) == Some(&look) || renamed_in.as_ref() == Some(&path);
                if !whole {
                    growing.insert(path, look);
                } else if !self.take(&path).await {
                    // It stays and is tried again at the next look.
                    growing.insert(path, look);
                }
                if self.shutdown.is_cancelled() {
                    return Ok(());
                }
            }
            wait = if growing.is_empty() { self.rescan } else { SECOND_LOOK.min(self.rescan) };
            looked = growing;
        }
    }

    fn watch(&self, hint: mpsc::Sender<Option<PathBuf>>) -> Option<RecommendedWatcher> {
        let on_event = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let renamed = matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
            let path = if renamed { event.paths.last().cloned() } else { None };
            // A full queue holds hints enough.
            let _ = hint.try_send(path);
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(&self.dir, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        watcher
            .map_err(|error| tracing::warn!(%error, "no notifications of dropped files; looking every few seconds"))
            .ok()
    }

    /// Every file in the folder, in the order of their names.
    fn look(&self) -> io::Result<Vec<(PathBuf, Look)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            if is_unfinished(&path) {
                continue;
            }
            // Gone since the folder was listed: not a file of ours.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_file() {
                found.push((path, (meta.len(), meta.modified().ok())));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Takes one file; gives whether it is done with.
    async fn take(&self, path: &Path) -> bool {
        let taken = match self.read(path).await {
            Err(IntakeError::Store(error)) => {
                tracing::error!(error = %chain(&error), "a dropped file was not stored; trying again");
                return false;
            }
            other => other,
        };
        let (folder, report) = match &taken {
            Ok(summary) if summary.refused == 0 => (DONE, report(summary)),
            Ok(summary) => (REFUSED, report(summary)),
            Err(error) => (REFUSED, json!({ "error": chain(error) }).to_string()),
        };
        fault::point(faults::DROP_BEFORE_MOVE);
        match self.move_to(path, folder, &report) {
            Ok(to) => {
                tracing::info!(file = %to.display(), folder, "a dropped file was taken");
                true
            }
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "a taken file cannot be moved away; it is read again");
                false
            }
        }
    }

    async fn read(&self, path: &Path) -> Result<Summary, IntakeError> {
        let unreadable = |error: io::Error| {
            tracing::warn!(%error, file = %path.display(), "a dropped file cannot be read yet");
            IntakeError::Store(crate::store::StoreError::Folder { path: path.to_owned(), source: error })
        };
        let modified = fs::metadata(path).and_then(|meta| meta.modified()).map_err(unreadable)?;
        let bytes = fs::read(path).map_err(unreadable)?;
        let as_of = Timestamp::try_from(modified).unwrap_or_else(|_| clock::now());
        self.intake.export(bytes, ExportOptions { as_of, backfill: false }).await
    }

    /// Moves a file under a name that is free, with its report beside it.
    fn move_to(&self, path: &Path, folder: &str, report: &str) -> io::Result<PathBuf> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stamp = clock::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
        let to = self.dir.join(folder).join(format!("{stamp}-{name}"));
        let beside = self.dir.join(folder).join(format!("{stamp}-{name}.report.json"));
        fs::write(&beside, format!("{report}\n"))?;
        fs::rename(path, &to)?;
        Ok(to)
    }
}

fn report(summary: &Summary) -> String {
    serde_json::to_string_pretty(summary).unwrap_or_default()
}

fn is_unfinished(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    hidden || ending.is_some_and(|ending| UNFINISHED.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests;
