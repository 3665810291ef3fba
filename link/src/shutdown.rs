//! One token that says "stop": SIGINT and SIGTERM cancel it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Completes when the process is asked to end.
pub async fn requested() {
    Signals::listen().next().await;
}

/// SIGINT and SIGTERM from the moment it is made: one that comes while nobody waits is not lost.
#[derive(Debug)]
pub struct Signals([Option<Signal>; 2]);

impl Signals {
    /// From now on the signals end the process in order, and no more by themselves.
    pub fn listen() -> Self {
        Self([SignalKind::interrupt(), SignalKind::terminate()].map(|kind| {
            let listening = signal(kind);
            listening.inspect_err(|error| tracing::error!(%error, "cannot listen to signals")).ok()
        }))
    }

    /// The next one. Cancel-safe.
    pub async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        let one = async |signal: &mut Option<Signal>| match signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = one(interrupt) => {}
            () = one(terminate) => {}
        }
    }
}

/// A token that is cancelled when the process is asked to end, or by whoever holds a clone.
pub fn token() -> CancellationToken {
    CancellationToken::new()
}
