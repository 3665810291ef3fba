//! One file per notice, named by its id, in one folder. Exactly once: each file is written beside its place in the same
//! folder and synced; the store notes that; then it is renamed into its place. After a crash the aside file tells: still
//! there, it is renamed now; gone, it is in its place, or a reader has taken it from there already.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use sallyport_link::fault;
use sallyport_proto::registry::Registry;

use super::{HandOverError, Shape};
use crate::{
    crash_points::{self, times_handed_over},
    metrics::Metrics,
    store::{Due, Shared, StoreError},
};

/// A file could not be put into its place.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct AsideError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

pub(super) async fn hand_over(
    store: &Shared,
    dir: &Path,
    due: Vec<Due>,
    registry: Arc<Registry>,
    metrics: &Metrics,
) -> Result<(), HandOverError> {
    let count = due.len();
    let (store, dir) = (store.clone(), dir.to_owned());
    let work = tokio::task::spawn_blocking(move || place_all(&store, &dir, &due, &registry));
    work.await.map_err(StoreError::CutShort)??;
    metrics.handed_over("done", count);
    Ok(())
}

fn place_all(store: &Shared, dir: &Path, due: &[Due], registry: &Registry) -> Result<(), HandOverError> {
    let failed = |what| move |source| AsideError { what, path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(failed("make the folder"))?;
    let fresh: Vec<&Due> = due.iter().filter(|notice| !notice.aside).collect();
    for notice in &fresh {
        write_aside(dir, notice, registry)?;
    }
    if !fresh.is_empty() {
        sync(dir).map_err(failed("sync the folder"))?;
        let seqs: Vec<i64> = fresh.iter().map(|notice| notice.seq).collect();
        store.now(|store| store.laid_aside(&seqs))?;
    }
    fault::point(crash_points::BEFORE_RENAME);
    for notice in due {
        rename(&aside(dir, &notice.notice_id), &place(dir, &notice.notice_id), notice.aside)?;
        if times_handed_over(notice.seq) > 1 {
            let again = dir.join(format!("{}.again.json", notice.notice_id));
            fs::copy(place(dir, &notice.notice_id), again).map_err(failed("write a second time into"))?;
        }
    }
    sync(dir).map_err(failed("sync the folder"))?;
    fault::point(crash_points::AFTER_RENAME);
    let seqs: Vec<i64> = due.iter().map(|notice| notice.seq).collect();
    Ok(store.now(|store| store.handed_over(&seqs))?)
}

fn write_aside(dir: &Path, notice: &Due, registry: &Registry) -> Result<(), HandOverError> {
    // Begun before and not known to lie aside: the file may be torn, and nobody has seen it.
    let text = Shape::of(&notice.bytes, notice.superseded, false, registry)?.line()? + "\n";
    let path = aside(dir, &notice.notice_id);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    Ok(written.map_err(|source| AsideError { what: "write", path, source })?)
}

/// `resumed`: an earlier run may have renamed it already, and a reader may have taken it.
fn rename(from: &Path, to: &Path, resumed: bool) -> Result<(), AsideError> {
    match fs::rename(from, to) {
        Err(error) if resumed && error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(AsideError { what: "move into its place", path: from.to_owned(), source }),
        Ok(()) => Ok(()),
    }
}

fn sync(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Hidden, so that whoever watches the folder for notices does not take it.
fn aside(dir: &Path, notice_id: &str) -> PathBuf {
    dir.join(format!(".{notice_id}.aside"))
}

fn place(dir: &Path, notice_id: &str) -> PathBuf {
    dir.join(format!("{notice_id}.json"))
}
