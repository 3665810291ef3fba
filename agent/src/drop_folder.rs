//! The watched folder: a file that was dropped is taken when it is whole, then moved to `done/` or `refused/` with a
//! report beside it. A crash between storing and moving takes it again, which changes nothing.
//!
//! A file that is renamed into the folder is whole at once. Any other is when it has not changed for some seconds; and
//! because a slow writer may go on after that, a file that still changes once it was taken comes back and is taken again,
//! which tells only what is new.
//!
//! Notifications are a hint; a timed look through the folder is what finds every file, on a network share too.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use sallyport_link::{clock, fault, publish::chain};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    faults,
    intake::{EXPORT_BYTES_MAX, ExportOptions, Intake, IntakeError, Summary},
};

/// Between two looks at a file that may still grow.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// A file that was taken is looked at for so long: whoever still writes it writes into the moved one.
const WATCHED_FOR: Duration = Duration::from_secs(3600);
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
    /// Unchanged for so long, a file is whole.
    pub(crate) quiet: Duration,
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

/// Size and time of a file at a look.
type Look = (u64, Option<SystemTime>);

/// A file that was taken and moved.
struct Moved {
    /// Where it was.
    from: PathBuf,
    /// Where it is.
    to: PathBuf,
    /// As it was read.
    read: Look,
    /// As it was last seen, and since when.
    seen: Seen,
    at: Instant,
}

/// Since when a file looks the same: long enough, and it is whole. Hints may come within microseconds of a write.
struct Seen {
    look: Look,
    since: Instant,
}

impl DropFolder {
    pub(crate) async fn run(self) -> Result<(), DropError> {
        for dir in [self.dir.clone(), self.dir.join(DONE), self.dir.join(REFUSED)] {
            fs::create_dir_all(&dir).map_err(|source| DropError::Folder { dir, source })?;
        }
        let (hint, mut hints) = mpsc::channel(HINTS_MAX);
        // Both are kept: without a watcher the queue stays open and empty, and the timed look finds every file.
        let _watcher = self.watch(hint.clone());
        let _open = hint;
        let mut seen: HashMap<PathBuf, Seen> = HashMap::new();
        let mut moved: Vec<Moved> = Vec::new();
        let mut wait = Duration::ZERO;
        loop {
            let renamed_in = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(()),
                hint = hints.recv() => hint.flatten(),
                () = tokio::time::sleep(wait) => None,
            };
            wait = self.rescan;
            self.bring_back(&mut moved);
            let found = match self.look() {
                Ok(found) => found,
                Err(source) => {
                    // A share that is away comes back.
                    tracing::error!(%source, dir = %self.dir.display(), "the drop folder cannot be read");
                    continue;
                }
            };
            let mut left = HashMap::new();
            for (path, look) in found {
                let before = seen.remove(&path).filter(|seen| seen.look == look);
                let since = before.map_or_else(Instant::now, |seen| seen.since);
                let whole = since.elapsed() >= self.quiet || renamed_in.as_ref() == Some(&path);
                if whole && let Some(taken) = self.take(&path).await {
                    moved.push(taken);
                    continue;
                }
                // One that could not be taken is tried again at the next timed look.
                if !whole {
                    wait = SECOND_LOOK.min(self.rescan);
                }
                left.insert(path, Seen { look, since });
                if self.shutdown.is_cancelled() {
                    return Ok(());
                }
            }
            seen = left;
        }
    }

    fn watch(&self, hint: mpsc::Sender<Option<PathBuf>>) -> Option<RecommendedWatcher> {
        let on_event = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if !is_hint(event.kind) {
                return;
            }
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

    /// Takes one file; gives where it is then, when it is done with.
    async fn take(&self, path: &Path) -> Option<Moved> {
        let read = look_at(path)?;
        let taken = match self.read(path).await {
            Err(IntakeError::Store(error)) => {
                tracing::error!(error = %chain(&error), "a dropped file was not stored; trying again");
                return None;
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
                if folder == DONE {
                    tracing::info!(file = %to.display(), "a dropped file was taken");
                } else {
                    tracing::error!(file = %to.display(), "a dropped file needs a person: its report says why");
                }
                let now = Instant::now();
                Some(Moved {
                    from: path.to_owned(),
                    to,
                    read,
                    seen: Seen { look: read, since: now },
                    at: now,
                })
            }
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "a taken file cannot be moved away; it is read again");
                None
            }
        }
    }

    /// Puts files back that somebody still wrote to after they were taken, once they are quiet.
    fn bring_back(&self, moved: &mut Vec<Moved>) {
        moved.retain_mut(|one| {
            // Gone: a person tidied up.
            let Some(look) = look_at(&one.to) else { return false };
            if look != one.seen.look {
                one.seen = Seen { look, since: Instant::now() };
            }
            if look == one.read {
                return one.at.elapsed() < WATCHED_FOR;
            }
            if one.seen.since.elapsed() < self.quiet || one.from.exists() {
                return true;
            }
            let back = fs::rename(&one.to, &one.from);
            let file = one.from.display();
            match &back {
                Ok(()) => tracing::warn!(%file, "a dropped file was still written to after it was taken; it is taken again"),
                Err(error) => tracing::error!(%error, %file, "a file that changed after it was taken cannot be put back"),
            }
            back.is_err()
        });
    }

    async fn read(&self, path: &Path) -> Result<Summary, IntakeError> {
        let unreadable = |error: io::Error| {
            tracing::warn!(%error, file = %path.display(), "a dropped file cannot be read yet");
            IntakeError::Store(crate::store::StoreError::Folder { path: path.to_owned(), source: error })
        };
        let meta = fs::metadata(path).map_err(unreadable)?;
        if meta.len() > EXPORT_BYTES_MAX {
            return Err(IntakeError::TooLarge { bytes: meta.len() });
        }
        let modified = meta.modified().map_err(unreadable)?;
        let bytes = fs::read(path).map_err(unreadable)?;
        let as_of = Timestamp::try_from(modified).unwrap_or_else(|_| clock::now());
        self.intake
            .export(bytes.into(), ExportOptions { as_of, backfill: false, retract: false, lift_floor: false })
            .await
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

/// Our own looks open the folder and its files, and are seen as well: only what changes a file is a hint.
fn is_hint(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) => true,
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Remove(_) | EventKind::Other => false,
    }
}

/// Size and time of a file; none when it is not there.
fn look_at(path: &Path) -> Option<Look> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()))
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
