//! The commands that keep and bring back: `archive`, `restore`.

use std::{path::Path, time::Duration};

use sallyport_link::{connect, exit, shutdown};
use sallyport_relay::{
    archive::{self, Archived},
    config::Config,
    restore::{self, Options, Restored},
    sweep::SweepError,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{look::log_in, refuse, say, shout};

/// Archives once, or until it is ended.
pub(super) async fn archive(file: &Path, to: &Path, once: bool, every_s: u64, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    let (client, js) = match log_in(&config, "archive").await {
        Ok(connected) => connected,
        Err(error) => return shout(exit::UNAVAILABLE, &error),
    };
    let outcome = if once {
        archive::once(&js, &config.store_dir, &config.instance, &config.node, to).await
    } else {
        let stop = CancellationToken::new();
        let every = Duration::from_secs(every_s.max(1));
        let (store, instance, node) = (&config.store_dir, &config.instance, &config.node);
        let running = archive::run(&js, store, instance, node, to, every, &stop);
        let asked = async {
            shutdown::requested().await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = running => outcome.map(|()| Vec::new()),
            () = asked => Ok(Vec::new()),
        }
    };
    connect::close(&client).await;
    match outcome {
        Ok(archived) => {
            show(&archived, json, archived_line);
            if archived.iter().all(|done| done.gaps.is_empty()) { exit::OK } else { exit::FAILED }
        }
        Err(error @ archive::Error::Sweep(SweepError::Busy { .. })) => shout(exit::BUSY, &error),
        Err(error) if error.is_data() => shout(exit::DATA, &error),
        Err(error) => shout(exit::UNAVAILABLE, &error),
    }
}

/// Fills an empty cluster.
pub(super) async fn restore(file: &Path, from: &Path, options: Options, json: bool) -> u8 {
    let config = match Config::read(file) {
        Ok(config) => config,
        Err(problems) => return refuse(&problems),
    };
    match restore::run(&config, from, options).await {
        Ok(restored) => {
            show(&restored, json, restored_line);
            exit::OK
        }
        Err(error) => match error.config() {
            Some(problems) => refuse(problems),
            None if error.is_data() => shout(exit::DATA, &error),
            None => shout(exit::UNAVAILABLE, &error),
        },
    }
}

fn archived_line(done: &Archived) -> String {
    let gaps = if done.gaps.is_empty() { String::new() } else { format!("; MISSING {:?}", done.gaps) };
    format!(
        "{:<10} {:>8} messages in {} segments, through sequence {}{gaps}",
        done.stream, done.messages, done.segments, done.through
    )
}

fn restored_line(done: &Restored) -> String {
    let unrouted: Vec<_> = done.unrouted.iter().map(ToString::to_string).collect();
    let unrouted = match unrouted.as_slice() {
        [] => String::new(),
        some => format!("; neither routed nor refused before, and will be routed: {}", some.join(", ")),
    };
    format!(
        "{:<10} {:>8} messages from {} segments, sequences {} to {}{unrouted}",
        done.stream, done.messages, done.segments, done.first, done.last
    )
}

fn show<T: Serialize>(all: &[T], json: bool, line: impl Fn(&T) -> String) {
    if json {
        say(&serde_json::to_string(all).unwrap_or_default());
    } else {
        all.iter().for_each(|done| say(&line(done)));
    }
}
