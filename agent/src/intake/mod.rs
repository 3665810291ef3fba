//! From a record of the jail to stored events: an export, a caller's event or a ping is read, decided and compared with
//! what was told, and what leaves is signed and stored in one transaction. Nothing here sends anything.
//!
//! What a record says is `sallyport_agent_core`; where records come from is `http`, `drop_folder` and the commands.

mod brake;
mod event;
mod export;
mod ping;
mod summary;
mod take;

use std::sync::{Arc, atomic::AtomicUsize};

use jiff::Timestamp;
use sallyport_agent_core::{custody, disclose::AllowList, mapping::Mapping, revise::Context};
use sallyport_proto::{envelope::Digest, provenance::TrafficClass, registry::Registry};
use tokio::sync::watch;

use crate::{
    config::{Config, Facility},
    metrics::Metrics,
    store::{Store, StoreError},
};

pub use event::{EVENTS_PER_REQUEST_MAX, EventAnswer, EventProblem, EventStatus};
pub use export::ExportOptions;
pub use ping::{PingError, Pinged};
pub use summary::{Place, Summary};

/// Program and version, in every signed message.
pub const BUILD: &str = concat!("sallyport-agent/", env!("CARGO_PKG_VERSION"));
/// A larger export would take much of a small machine's memory. Read it with `ingest` while the agent does not run, or
/// split it by custody.
pub(crate) const EXPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Takes records of one jail. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    desk: Arc<Desk>,
    store: Store,
    registry: watch::Receiver<Arc<Registry>>,
}

/// What does not change while the agent runs.
struct Desk {
    facility: Facility,
    allow: AllowList,
    traffic: TrafficClass,
    mapping: Option<Mapping>,
    metrics: Arc<Metrics>,
    /// Custodies taken from exports so far; only a mutant looks at it.
    taken: AtomicUsize,
}

/// Why a whole intake failed. Nothing of it counts as stored that was not said to be.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The configuration names no mapping.
    #[error("no mapping: intake.mapping of the configuration says how exports are read")]
    NoMapping,
    /// The file is no export that the mapping can read.
    #[error("the export cannot be read")]
    Unreadable(#[from] sallyport_agent_core::export::ExportError),
    /// The reading panicked: a bug of ours.
    #[error("the export could not be read to its end")]
    Reading,
    /// More than a running agent takes at once.
    #[error(
        "{bytes} bytes, at most {} are taken by a running agent: split it by custody, or `ingest` it while no agent runs",
        EXPORT_BYTES_MAX
    )]
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// The store.
    #[error("not stored")]
    Store(#[from] StoreError),
    /// Too many at once.
    #[error("{given} events in one request, at most {EVENTS_PER_REQUEST_MAX}")]
    TooMany {
        /// How many.
        given: usize,
    },
}

impl Intake {
    /// For the jail of this configuration.
    pub fn new(
        config: &Config,
        store: Store,
        registry: watch::Receiver<Arc<Registry>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let desk = Desk {
            facility: config.facility.clone(),
            allow: config.allow.clone(),
            traffic: config.traffic.clone(),
            mapping: config.intake.mapping.clone(),
            metrics,
            taken: AtomicUsize::new(0),
        };
        Self { desk: Arc::new(desk), store, registry }
    }

    /// The store it writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn registry_now(&self) -> Arc<Registry> {
        self.registry.borrow().clone()
    }
}

impl Desk {
    fn context(&self, registry: &Registry, mapping_version: String, backfill: bool) -> Context {
        Context {
            instance: self.facility.instance.clone(),
            build: BUILD.to_owned(),
            ori: self.facility.ori.clone(),
            jurisdiction: self.facility.jurisdiction.clone(),
            traffic: self.traffic.clone(),
            registry_version: registry.version,
            mapping_version,
            backfill,
        }
    }

    /// An HMAC of some text, for keeping it comparable and unreadable. The text is hashed first, so that nothing a
    /// booking number can be is ever taken for it.
    fn keyed(&self, purpose: &str, text: &[u8]) -> String {
        let number = format!("{purpose} {}", Digest::of(text));
        custody::custody_key(&self.facility.secret, &self.facility.ori, &number).into()
    }
}

fn now() -> Timestamp {
    sallyport_link::clock::now()
}

#[cfg(test)]
mod tests;
