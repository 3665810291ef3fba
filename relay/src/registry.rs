//! Keeps the registry in force: looks at the file again, believes only what the registrar signed, keeps the old one
//! otherwise and says so loudly.

use std::{convert::Infallible, sync::Arc, time::Duration};

use sallyport_link::{
    clock,
    config::ConfigProblems,
    publish::chain,
    registry_floor::{Floor, FloorError},
};
use sallyport_relay_core::route::Routing;
use tokio::time::MissedTickBehavior;

use crate::{config::Config, node::Node};

/// Whether the registry of the configuration may count: not when a newer one did before. An unsigned one is for
/// demonstrations and may be anything.
pub(crate) fn first(config: &Config) -> Result<Option<Floor>, FloorError> {
    if config.registrar.is_none() {
        return Ok(None);
    }
    let mut floor = Floor::open(&config.store_dir)?;
    floor.admit(&config.registry)?;
    Ok(Some(floor))
}

/// Reads the registry again whenever file or signature changed, until shutdown.
pub(crate) async fn keep_current(
    node: Arc<Node>,
    config: Arc<Config>,
    mut floor: Option<Floor>,
) -> Result<(), Infallible> {
    let mut seen = fingerprint(&config);
    let mut every = tokio::time::interval(config.registry_reload.max(Duration::from_secs(1)));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return Ok(()),
            _ = every.tick() => {}
        }
        let current = fingerprint(&config);
        if current == seen {
            continue;
        }
        if reload(&node, &config, floor.as_mut()) {
            seen = current;
        }
    }
}

type Fingerprint = [Option<(std::time::SystemTime, u64)>; 2];

fn fingerprint(config: &Config) -> Fingerprint {
    let of = |path: &std::path::Path| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    [of(&config.registry_file), of(&sallyport_link::config::signature_path(&config.registry_file))]
}

/// Whether a new registry is in force. A refused one is looked at again: its signature may arrive a moment later.
fn reload(node: &Node, config: &Config, floor: Option<&mut Floor>) -> bool {
    let mut problems = ConfigProblems::default();
    let read =
        sallyport_link::config::registry(&mut problems, &config.registry_file, config.registrar.as_ref());
    let current = node.registry.load();
    match problems.finish(read) {
        Err(problems) => {
            tracing::error!(%problems, kept = current.version, "new registry refused; the old one stays in force");
            false
        }
        Ok(new) if new.instance != node.instance => {
            tracing::error!(instance = %new.instance, "new registry is of another instance; the old one stays in force");
            false
        }
        Ok(new) if new.version < current.version => {
            tracing::error!(
                new = new.version,
                kept = current.version,
                "new registry is older; the one in force stays"
            );
            false
        }
        Ok(new) => {
            if let Some(Err(error)) = floor.map(|floor| floor.admit(&new)) {
                tracing::error!(error = %chain(&error), kept = current.version, "new registry refused; the one in force stays");
                return false;
            }
            tracing::info!(version = new.version, "registry in force");
            let new = Arc::new(new);
            node.routing.store(Arc::new(Routing::new(new.clone(), clock::now())));
            node.registry.store(new);
            true
        }
    }
}
