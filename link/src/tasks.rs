//! Supervision: no task without an owner. A task that fails ends the program in order, unless its kind says otherwise.

use std::{future::Future, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::shutdown::Signals;

/// How long tasks get to finish what is in flight.
pub const GRACE: Duration = Duration::from_secs(10);

/// What the end of a task with an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The program cannot do its work without it: shut down, exit code 1.
    ShutDown,
    /// The program goes on; the error is logged.
    GoOn,
}

type TaskResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;
type Ended = Result<(&'static str, OnError, TaskResult), tokio::task::JoinError>;

/// The tasks of one program.
pub struct Tasks {
    set: JoinSet<(&'static str, OnError, TaskResult)>,
    shutdown: CancellationToken,
    signals: Signals,
}

impl Tasks {
    /// Tasks that end when `shutdown` is cancelled, or by a signal from now on.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { set: JoinSet::new(), shutdown, signals: Signals::listen() }
    }

    /// Starts a task. It must end soon after the token is cancelled.
    pub fn spawn<E>(
        &mut self,
        name: &'static str,
        on_error: OnError,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.set.spawn(async move { (name, on_error, task.await.map_err(Into::into)) });
    }

    /// Runs until a signal, the token, or a failing task; then waits for the others, at most `GRACE`. Gives whether all
    /// ended well.
    pub async fn run(mut self) -> bool {
        let mut well = true;
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                () = self.signals.next() => {
                    tracing::info!("asked to end");
                    self.shutdown.cancel();
                }
                ended = self.set.join_next() => match ended {
                    None => break,
                    Some(ended) => well &= self.note(ended),
                },
            }
        }
        let finish = async {
            while let Some(ended) = self.set.join_next().await {
                well &= Self::noted(&self.shutdown, ended);
            }
        };
        if tokio::time::timeout(GRACE, finish).await.is_err() {
            tracing::warn!(left = self.set.len(), "tasks did not end within the grace period");
        }
        well
    }

    fn note(&self, ended: Ended) -> bool {
        Self::noted(&self.shutdown, ended)
    }

    fn noted(shutdown: &CancellationToken, ended: Ended) -> bool {
        match ended {
            Ok((name, _, Ok(()))) => {
                tracing::debug!(task = name, "ended");
                true
            }
            Ok((name, OnError::GoOn, Err(error))) => {
                tracing::warn!(task = name, error = %crate::publish::chain(&*error), "task failed; going on without it");
                true
            }
            Ok((name, OnError::ShutDown, Err(error))) => {
                tracing::error!(task = name, error = %crate::publish::chain(&*error), "task failed; shutting down");
                shutdown.cancel();
                false
            }
            Err(panic) => {
                tracing::error!(%panic, "task panicked; shutting down");
                shutdown.cancel();
                false
            }
        }
    }
}
