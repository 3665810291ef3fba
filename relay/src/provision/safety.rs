//! Refuses to run on a server that would lose what it acknowledged: every server must sync `always` (docs/nats.md 1, 2).

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use futures_util::StreamExt;
use jiff::Timestamp;
use sallyport_link::{
    clock,
    connect::{self, LinkCounters, Login},
};
use serde_json::Value;

use super::accounts::MONITOR_INBOX;
use crate::config::Config;

/// Servers answer a ping within this time, or are not there.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// After the first answer the others of a cluster follow at once.
const FURTHER_ANSWERS: Duration = Duration::from_millis(500);

/// What makes a server unsafe, or keeps us from knowing.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    /// The monitor user cannot log in.
    #[error("cannot log in as the monitor user to check that the server is safe")]
    Connect(#[source] async_nats::ConnectError),
    /// Nobody answered.
    #[error("no server answered the monitor user within {} s: is the server there, and is this registry's configuration loaded?", FIRST_ANSWER.as_secs())]
    Silent,
    /// The request could not be made.
    #[error("cannot ask the servers: {0}")]
    Ask(String),
    /// A server does not sync.
    #[error(
        "server {server} does not sync `always`: a power cut would lose acknowledged messages. Set `sync_interval: always` in its jetstream block"
    )]
    NotSynced {
        /// Its name.
        server: String,
    },
    /// A server has no JetStream.
    #[error("server {server} has no JetStream")]
    NoJetStream {
        /// Its name.
        server: String,
    },
}

impl Unsafe {
    /// Nothing is known of a server's safety, because none was reached.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Silent | Self::Ask(_))
    }
}

/// One server's answer about its JetStream, between these times of our own clock.
pub(crate) struct Answer {
    /// When it was asked.
    pub(crate) sent: Timestamp,
    /// When it answered.
    pub(crate) received: Timestamp,
    /// What it said.
    pub(crate) stated: Value,
}

/// Asks every server of the cluster as the monitor user.
pub async fn check(config: &Config) -> Result<(), Unsafe> {
    let (client, _) =
        connect::connect(login(config), Arc::new(LinkCounters::default())).await.map_err(Unsafe::Connect)?;
    let answers = ask(&client).await;
    match answers {
        // Nothing was handed over: there is nothing to flush, and nothing to say about it.
        Err(Unsafe::Silent) => connect::abandon(&client).await,
        _ => connect::close(&client).await,
    }
    answers?.iter().try_for_each(|answer| verdict(&answer.stated))
}

/// The monitor user.
pub(crate) fn login(config: &Config) -> Login<'_> {
    Login {
        url: &config.nats_url,
        name: "sallyport-monitor".into(),
        seed: &config.monitor_seed,
        inbox_prefix: MONITOR_INBOX.into(),
        js_api: None,
    }
}

/// What every server that is there says; at least one.
pub(crate) async fn ask(client: &Client) -> Result<Vec<Answer>, Unsafe> {
    let inbox = client.new_inbox();
    let mut answers =
        client.subscribe(inbox.clone()).await.map_err(|error| Unsafe::Ask(error.to_string()))?;
    let sent = clock::now();
    client
        .publish_with_reply("$SYS.REQ.SERVER.PING.JSZ", inbox, "{\"config\":true}".into())
        .await
        .map_err(|error| Unsafe::Ask(error.to_string()))?;
    let mut patience = FIRST_ANSWER;
    let mut all = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(patience, answers.next()).await {
        patience = FURTHER_ANSWERS;
        let stated = serde_json::from_slice(&message.payload).unwrap_or_default();
        all.push(Answer { sent, received: clock::now(), stated });
    }
    if all.is_empty() { Err(Unsafe::Silent) } else { Ok(all) }
}

pub(crate) fn verdict(answer: &Value) -> Result<(), Unsafe> {
    let server = answer["server"]["name"].as_str().unwrap_or("(unnamed)").to_owned();
    let config = &answer["data"]["config"];
    // A server without JetStream states an empty configuration and says that it is off.
    if !config.is_object() || answer["data"]["disabled"].as_bool() == Some(true) {
        return Err(Unsafe::NoJetStream { server });
    }
    if config["sync_always"].as_bool() == Some(true) {
        tracing::debug!(server, "syncs always");
        return Ok(());
    }
    Err(Unsafe::NotSynced { server })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_no_unsafe_server() {
        assert!(Unsafe::Silent.is_unavailable());
        assert!(!Unsafe::NotSynced { server: "n1".into() }.is_unavailable());
    }

    #[test]
    fn only_sync_always_is_safe() {
        let answer = |config: Value| json!({ "server": { "name": "n1" }, "data": { "config": config } });
        assert!(verdict(&answer(json!({ "sync_always": true }))).is_ok());
        let late = verdict(&answer(json!({ "sync_interval": 120_000_000_000_u64 })));
        assert!(matches!(late, Err(Unsafe::NotSynced { .. })));
        assert!(matches!(verdict(&json!({})), Err(Unsafe::NoJetStream { .. })));
        let off = json!({ "data": { "disabled": true, "config": {} } });
        assert!(matches!(verdict(&off), Err(Unsafe::NoJetStream { .. })));
    }
}
