//! What can go wrong with the store, and what it means for whoever called.

use std::{io, path::PathBuf, sync::Arc};

use sallyport_link::lock::LockError;

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made.
    #[error("cannot make the folder {}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process writes.
    #[error("another process writes to the store {}", .dir.display())]
    Taken {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The lock cannot be tried.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file is not a store of this program.
    #[error("cannot open {}", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer program made it.
    #[error("the store has version {found}, this program reads up to {known}")]
    Newer {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// It belongs to another facility or relay network.
    #[error("the store belongs to {found}, the configuration says {configured}")]
    OtherFacility {
        /// `<instance>/<ori>` in the file.
        found: String,
        /// `<instance>/<ori>` in the configuration.
        configured: String,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the writer")]
    Thread(#[source] io::Error),
    /// A statement failed; nothing of the job was stored.
    #[error("{what}")]
    Statement {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// A kept value is not what this program wrote.
    #[error("{what} in the store is damaged")]
    Damaged {
        /// Which value.
        what: &'static str,
    },
    /// An event cannot be made of this.
    #[error("cannot assemble an event")]
    Assemble(#[from] sallyport_agent_core::revise::AssembleError),
    /// The transaction was not committed: nothing was stored, the same may be tried again.
    #[error("not committed")]
    NotCommitted(#[source] Arc<rusqlite::Error>),
    /// The program is ending.
    #[error("the store is closed")]
    WriterGone,
}

/// Names what was being done when a statement failed.
pub(super) trait Doing<T> {
    /// `what`, in the words "cannot ...".
    fn doing(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Statement { what, source })
    }
}
