//! A command per notice, the JSON on its standard input. Exit status 0 means that the agency's application has it:
//! STAGED. Anything else is tried again with growing pauses, then the sender is told STAGING_FAILED.

use std::{process::Stdio, time::Duration};

use sallyport_link::{clock, fault, publish};
use sallyport_proto::registry::Registry;
use tokio::{io::AsyncWriteExt, process};

use super::{HandOverError, Shape};
use crate::{
    crash_points::{self, times_handed_over},
    metrics::Metrics,
    receipt::{MACHINE, Maker},
    store::{Due, Saying, Shared},
};

/// Before the second try; doubled for every further one.
const PAUSE: Duration = Duration::from_secs(1);
/// An application that is down for a while is not left alone for longer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What to run and how patiently.
#[derive(Debug, Clone)]
pub struct Command {
    /// Program and arguments.
    pub words: Vec<String>,
    /// It is killed after so long.
    pub timeout: Duration,
    /// Runs before the sender is told STAGING_FAILED.
    pub tries_max: u32,
}

/// Why a run did not count. Says nothing of what the command printed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("the command cannot be started")]
    Start(#[source] std::io::Error),
    #[error("the command's standard input")]
    Input(#[source] std::io::Error),
    #[error("the command's end")]
    Wait(#[source] std::io::Error),
    #[error("the command ended with {0}")]
    Status(std::process::ExitStatus),
    #[error("the command did not end within {0:?}")]
    Timeout(Duration),
}

impl Command {
    /// Gives whether the command took it; if not, it was put off or given up.
    pub(super) async fn hand_over(
        &self,
        store: &Shared,
        maker: &Maker,
        due: Due,
        registry: &Registry,
        metrics: &Metrics,
    ) -> Result<bool, HandOverError> {
        let seq = due.seq;
        // Before the run: once it may have happened, the next one is a repetition.
        store.with(move |store| store.begun(&[seq])).await?;
        fault::point(crash_points::BEFORE_HAND_OVER);
        let mut run = Ok(());
        for _ in 0..times_handed_over(seq) {
            let shape = Shape::of(&due.bytes, due.superseded, due.tries > 0, registry)?;
            let limited = tokio::time::timeout(self.timeout, self.run(&shape)).await;
            run = limited.unwrap_or(Err(RunError::Timeout(self.timeout)));
        }
        fault::point(crash_points::AFTER_HAND_OVER);
        let said = store.with(move |store| store.about(seq)).await?;
        let now = clock::now();
        let saying = |made, word: &str| Saying {
            notice: seq,
            made,
            word: word.to_owned(),
            by: MACHINE.to_owned(),
            eta: None,
        };
        match run {
            Ok(()) => {
                metrics.handed_over("done", 1);
                let saying = saying(maker.staged(said.about, now), "STAGED");
                store.with(move |store| store.staged(&saying, now)).await?;
            }
            Err(error) if due.tries + 1 >= self.tries_max => {
                metrics.handed_over("given-up", 1);
                let why = publish::chain(&error);
                tracing::error!(notice = due.notice_id, why, "given up: the application does not take it");
                let made = maker.staging_failed(said.about, why, now);
                let saying = saying(made, "STAGING_FAILED");
                store.with(move |store| store.given_up(&saying, now)).await?;
                return Ok(false);
            }
            Err(error) => {
                metrics.handed_over("failed", 1);
                let pause = PAUSE.saturating_mul(1 << due.tries.min(6)).min(PAUSE_MAX);
                let why = publish::chain(&error);
                tracing::warn!(
                    notice = due.notice_id,
                    why,
                    pause_s = pause.as_secs(),
                    "the application did not take it"
                );
                store.with(move |store| store.put_off(seq, now + pause)).await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn run(&self, shape: &Shape) -> Result<(), RunError> {
        let Some((program, args)) = self.words.split_first() else {
            return Err(RunError::Start(std::io::ErrorKind::NotFound.into()));
        };
        let mut child = process::Command::new(program)
            .args(args)
            .env("SALLYPORT_NOTICE_ID", &shape.notice_id)
            .env("SALLYPORT_REDELIVERED", if shape.redelivered { "true" } else { "false" })
            .env("SALLYPORT_TRAFFIC", shape.traffic.as_str())
            .stdin(Stdio::piped())
            // Our own standard output is a result; what a command prints is not.
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(RunError::Start)?;
        if let Some(mut stdin) = child.stdin.take() {
            let text = shape.line().map_err(|error| RunError::Input(std::io::Error::other(error)))? + "\n";
            match stdin.write_all(text.as_bytes()).await {
                // A command need not read what it does not want.
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    return Err(RunError::Input(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let status = child.wait().await.map_err(RunError::Wait)?;
        if status.success() { Ok(()) } else { Err(RunError::Status(status)) }
    }
}
