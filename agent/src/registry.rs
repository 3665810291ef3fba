//! Keeps the registry in force: looks at the file again, believes only what the registrar signed, keeps the old one
//! otherwise and says so loudly.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use sallyport_link::{
    config::{self, ConfigProblems, signature_path},
    publish::chain,
    registry_floor::Floor,
};
use sallyport_proto::{ids::InstanceId, registry::Registry};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{config::RegistrySource, metrics::Metrics};

/// A key that was registered counts within this time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the registry again whenever file or signature changed, until shutdown.
pub(crate) struct Keeper {
    pub(crate) source: RegistrySource,
    pub(crate) instance: InstanceId,
    pub(crate) in_force: watch::Sender<Arc<Registry>>,
    /// None for an unsigned registry: it may be anything.
    pub(crate) floor: Option<Floor>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: CancellationToken,
}

type Fingerprint = [Option<(SystemTime, u64)>; 2];

impl Keeper {
    pub(crate) async fn run(mut self) -> Result<(), std::convert::Infallible> {
        self.metrics.registry_version(self.in_force.borrow().version);
        let mut seen = fingerprint(&self.source.file);
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(()),
                _ = every.tick() => {}
            }
            let current = fingerprint(&self.source.file);
            // A refused one is looked at again: its signature may arrive a moment later.
            if current != seen && self.reload() {
                seen = current;
            }
        }
    }

    /// Whether a new registry is in force.
    fn reload(&mut self) -> bool {
        let mut problems = ConfigProblems::default();
        let read = config::registry(&mut problems, &self.source.file, self.source.pinned.as_ref());
        let kept = self.in_force.borrow().version;
        match problems.finish(read) {
            Err(problems) => {
                tracing::error!(%problems, kept, "a new registry is refused; the old one stays in force");
                false
            }
            Ok(new) if new.instance != self.instance => {
                let instance = new.instance.as_str();
                tracing::error!(
                    instance,
                    kept,
                    "a new registry is of another instance; the old one stays in force"
                );
                false
            }
            Ok(new) if new.version < kept => {
                tracing::error!(new = new.version, kept, "a new registry is older; the one in force stays");
                false
            }
            Ok(new) => {
                if let Some(Err(error)) = self.floor.as_mut().map(|floor| floor.admit(&new)) {
                    tracing::error!(error = %chain(&error), kept, "a new registry is refused; the one in force stays");
                    return false;
                }
                tracing::info!(version = new.version, "a new registry is in force");
                self.metrics.registry_version(new.version);
                self.in_force.send_replace(Arc::new(new));
                true
            }
        }
    }
}

fn fingerprint(file: &Path) -> Fingerprint {
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    [of(file), of(&signature_path(file))]
}
