//! Looks at the registry's file again and again: believes only what the registrar signed, keeps the one in force
//! otherwise, and says so loudly, once for each state of the file.

use std::{
    convert::Infallible,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sallyport_proto::{envelope::Digest, ids::InstanceId, key::RegistrarKey, registry::Registry};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Floor, FloorError, too_old};
use crate::{
    config::{self, ConfigProblems, signature_path},
    publish::chain,
};

/// Where the registry comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file; its signature lies beside it.
    pub file: PathBuf,
    /// Whose signature counts; none: an unsigned registry, for demonstrations, which may be anything at each start.
    pub registrar: Option<RegistrarKey>,
    /// How often the file is looked at.
    pub look_every: Duration,
    /// Who looks, as every message states it: a registry may ask for a newer program.
    pub build: &'static str,
}

/// Keeps a registry in force.
#[derive(Debug)]
pub struct Keeper {
    source: Source,
    floor: Option<Floor>,
    instance: InstanceId,
    in_force: (u64, Digest),
    /// The state of the file that has been dealt with.
    done_with: Option<Stamp>,
    /// What was said last of a state that is refused. It is looked at again: a disk may be well later.
    refused: Option<(Stamp, String)>,
}

/// File and signature are replaced one after the other: time, length and inode of both tell one state from the next.
type Stamp = [Option<(SystemTime, u64, u64)>; 2];

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Form(#[from] ConfigProblems),
    #[error("it is of another instance, {0}")]
    Instance(InstanceId),
    #[error("it has version {found}, an older one than {in_force}")]
    Older { found: u64, in_force: u64 },
    #[error(transparent)]
    Floor(#[from] FloorError),
    #[error("{0}")]
    Unfit(&'static str),
    #[error("reading it was cut short")]
    CutShort(#[from] tokio::task::JoinError),
}

impl Keeper {
    /// Starts from the registry that the configuration was checked with, unless a newer one was in force before (kept in
    /// `store_dir`).
    pub fn new(source: Source, store_dir: &Path, first: &Registry) -> Result<Self, FloorError> {
        let mut floor = source.registrar.is_some().then(|| Floor::open(store_dir)).transpose()?;
        if let Some(floor) = &mut floor {
            floor.admit(first)?;
        }
        let (instance, in_force) = (first.instance.clone(), (first.version, first.digest));
        // Nothing is done with yet: the file may have changed since the configuration was checked.
        Ok(Self { source, floor, instance, in_force, done_with: None, refused: None })
    }

    /// Gives every registry that comes into force to `put`, until shutdown. `fits` may refuse one, and says why.
    pub async fn run(
        mut self,
        fits: impl Fn(&Registry) -> Result<(), &'static str>,
        mut put: impl FnMut(Registry),
        shutdown: CancellationToken,
    ) -> Result<(), Infallible> {
        let mut ticks = tokio::time::interval(self.source.look_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: a tick that is not taken is kept.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            if let Some(registry) = self.look(&fits).await {
                tracing::info!(version = registry.version, "a new registry is in force");
                // In force all the same: who may be told, and by whose keys, waits for no upgrade.
                if let Some(why) = too_old(&registry, self.source.build) {
                    tracing::error!(%why, "this program is below the version floor; it goes on, and will not start again");
                }
                put(registry);
            }
        }
    }

    /// Looks once; gives a registry that comes into force.
    pub async fn look(&mut self, fits: impl Fn(&Registry) -> Result<(), &'static str>) -> Option<Registry> {
        let stamp = stamp(&self.source.file);
        if self.done_with.as_ref() == Some(&stamp) {
            return None;
        }
        match self.judge(fits).await {
            Ok(registry) => {
                self.done_with = Some(stamp);
                self.refused = None;
                registry
            }
            Err(refused) => {
                let said = (stamp, chain(&refused));
                if self.refused.as_ref() != Some(&said) {
                    let (why, in_force) = (&said.1, self.in_force.0);
                    tracing::error!(why, in_force, "the changed registry is refused; the one in force stays");
                    self.refused = Some(said);
                }
                None
            }
        }
    }

    async fn judge(
        &mut self,
        fits: impl Fn(&Registry) -> Result<(), &'static str>,
    ) -> Result<Option<Registry>, Refused> {
        let (file, registrar) = (self.source.file.clone(), self.source.registrar.clone());
        let new = tokio::task::spawn_blocking(move || read(&file, registrar.as_ref())).await??;
        if (new.version, new.digest) == self.in_force {
            return Ok(None);
        }
        if new.instance != self.instance {
            return Err(Refused::Instance(new.instance));
        }
        fits(&new).map_err(Refused::Unfit)?;
        match &mut self.floor {
            Some(floor) => floor.admit(&new)?,
            None if new.version < self.in_force.0 => {
                return Err(Refused::Older { found: new.version, in_force: self.in_force.0 });
            }
            None => {}
        }
        self.in_force = (new.version, new.digest);
        Ok(Some(new))
    }
}

fn read(file: &Path, registrar: Option<&RegistrarKey>) -> Result<Registry, ConfigProblems> {
    let mut problems = ConfigProblems::default();
    let registry = config::registry(&mut problems, file, registrar);
    problems.finish(registry)
}

fn stamp(file: &Path) -> Stamp {
    [file.to_owned(), signature_path(file)].map(|path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len(), meta.ino()))
    })
}
