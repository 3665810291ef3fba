//! One writer: an exclusive lock on a file in the store's folder. Its holder writes into it where it listens, so that a
//! command which finds the store taken can hand its work over instead.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    net::SocketAddr,
    path::Path,
};

use sallyport_link::lock::LockError;

use super::StoreError;

/// The file that is locked. It stays when nobody holds it.
const FILE: &str = "agent.lock";
/// An address and a line end; anything longer is not ours.
const CONTENT_BYTES_MAX: u64 = 128;

/// Held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    held: sallyport_link::lock::Lock,
}

impl Lock {
    /// Takes the lock or says that it is taken; never waits.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let mut held = sallyport_link::lock::Lock::take(&path).map_err(|error| match error {
            LockError::Taken { .. } => StoreError::Taken { dir: dir.to_owned() },
            error @ LockError::Io { .. } => error.into(),
        })?;
        // What an earlier holder left there is not where anybody listens now.
        held.file().set_len(0).map_err(|source| LockError::Io { path, source })?;
        Ok(Self { held })
    }

    /// Says where the holder listens.
    pub(super) fn publish_address(&mut self, address: SocketAddr) -> Result<(), LockError> {
        let file = self.held.file();
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{address}"))
            .and_then(|()| file.flush());
        written.map_err(|source| LockError::Io { path: FILE.into(), source })
    }
}

/// Where the holder of the lock listens, if it has said so.
pub fn holder(dir: &Path) -> Option<SocketAddr> {
    let mut text = String::new();
    File::open(dir.join(FILE)).ok()?.take(CONTENT_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_writer_is_refused_and_learns_where_the_first_listens() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Lock::take(dir.path()).unwrap();
        assert_eq!(holder(dir.path()), None);
        first.publish_address("127.0.0.1:7411".parse().unwrap()).unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(StoreError::Taken { .. })));
        assert_eq!(holder(dir.path()), Some("127.0.0.1:7411".parse().unwrap()));
    }

    #[test]
    fn a_lock_of_a_holder_that_ended_is_free_and_its_address_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Lock::take(dir.path()).unwrap();
        first.publish_address("127.0.0.1:7411".parse().unwrap()).unwrap();
        drop(first);
        let _second = Lock::take(dir.path()).unwrap();
        assert_eq!(holder(dir.path()), None);
    }
}
