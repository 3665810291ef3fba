//! One node per store: an exclusive lock on a file in its folder, held until the process ends, however it ends. Commands
//! that only read the model (`lag`, `trace`) do not take it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The file that is locked. It stays when nobody holds it.
const FILE: &str = "relay.lock";

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "its life is the lock")] File);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another node runs on this store.
    #[error("another relay node runs on the store {}: each node needs a folder of its own", .dir.display())]
    Taken {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The file system does not let us try.
    #[error("cannot lock {}", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Lock {
    /// Takes it or says that it is taken; never waits.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_node_on_a_store_is_refused_until_the_first_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let first = Lock::take(&store).unwrap();
        assert!(matches!(Lock::take(&store), Err(LockError::Taken { .. })));
        drop(first);
        Lock::take(&store).unwrap();
    }
}
