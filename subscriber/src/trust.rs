//! The registry as this program believes it: signed by the pinned registrar, read at start and again when the file
//! changes. A change that is wrong is refused and the former registry stays in force.
//!
//! How a registry is read and checked: `sallyport_link::config` and `sallyport_proto::registry`.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use sallyport_link::{
    config::{self, ConfigProblems, signature_path},
    publish::chain,
    registry_floor::Floor,
};
use sallyport_proto::{
    ids::{InstanceId, SubscriberId},
    key::RegistrarKey,
    registry::Registry,
};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// The registry in force; readers see a change at once.
pub type Current = watch::Receiver<Arc<Registry>>;

/// What the program needs to read the registry again.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it lies; its signature beside it.
    pub file: PathBuf,
    /// Whose signature counts.
    pub registrar: RegistrarKey,
    /// How often to look.
    pub reload: Duration,
}

/// Looks at the registry file and takes over what changed.
pub struct Watcher {
    source: Source,
    floor: Floor,
    instance: InstanceId,
    me: SubscriberId,
    current: watch::Sender<Arc<Registry>>,
    judged: Option<Stamp>,
}

/// File and signature are replaced one after the other: time, length and inode of both tell one state from the next.
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

impl Watcher {
    /// Starts from the registry that the configuration was checked with and `floor` let in.
    pub fn new(source: Source, floor: Floor, me: SubscriberId, registry: Registry) -> (Self, Current) {
        let instance = registry.instance.clone();
        let (current, reader) = watch::channel(Arc::new(registry));
        // Not judged yet: the file may have changed since the configuration was checked.
        (Self { source, floor, instance, me, current, judged: None }, reader)
    }

    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), std::convert::Infallible> {
        let mut ticks = tokio::time::interval(self.source.reload);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that is not taken is kept.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            self.look().await;
        }
    }

    /// Looks once, and takes over what changed since the last look.
    pub async fn look(&mut self) {
        let stamp = stamp(&self.source.file);
        if self.judged.as_ref() == Some(&stamp) {
            return;
        }
        self.judged = Some(stamp);
        let source = self.source.clone();
        match tokio::task::spawn_blocking(move || read(&source)).await {
            Ok(Ok(registry)) => self.take_over(registry),
            Ok(Err(problems)) => {
                tracing::error!(%problems, "the changed registry is not believed; the former one stays in force");
            }
            Err(panic) => tracing::error!(%panic, "reading the registry"),
        }
    }

    fn take_over(&mut self, registry: Registry) {
        let in_force = self.current.borrow().version;
        if registry.instance != self.instance {
            tracing::error!(instance = %registry.instance, "the changed registry is of another instance; refused");
        } else if !registry.subscribers.contains_key(&self.me) {
            tracing::error!(
                version = registry.version,
                "the changed registry does not list this subscriber; refused"
            );
        } else if let Err(error) = self.floor.admit(&registry) {
            tracing::error!(error = %chain(&error), in_force, "the changed registry is refused; the former one stays in force");
        } else {
            tracing::info!(version = registry.version, "registry read again");
            self.current.send_replace(Arc::new(registry));
        }
    }
}

fn read(source: &Source) -> Result<Registry, ConfigProblems> {
    let mut problems = ConfigProblems::default();
    let registry = config::registry(&mut problems, &source.file, Some(&source.registrar));
    problems.finish(registry)
}

fn stamp(file: &Path) -> Stamp {
    [file.to_owned(), signature_path(file)].map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len(), meta.ino()))
    })
}
