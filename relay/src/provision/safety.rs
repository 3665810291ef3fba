//! Refuses to run on a server that would lose what it acknowledged: every server must sync `always` (docs/nats.md 1, 2).

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use futures_util::StreamExt;
use sallyport_link::connect::{self, LinkCounters, Login};
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

/// Asks every server of the cluster as the monitor user.
pub async fn check(config: &Config) -> Result<(), Unsafe> {
    let login = Login {
        url: &config.nats_url,
        name: "sallyport-monitor".into(),
        seed: &config.monitor_seed,
        inbox_prefix: MONITOR_INBOX.into(),
        js_api: None,
    };
    let (client, _) =
        connect::connect(login, Arc::new(LinkCounters::default())).await.map_err(Unsafe::Connect)?;
    let verdict = ask(&client).await;
    match verdict {
        // Nothing was handed over: there is nothing to flush, and nothing to say about it.
        Err(Unsafe::Silent) => connect::abandon(&client).await,
        _ => connect::close(&client).await,
    }
    verdict
}

async fn ask(client: &Client) -> Result<(), Unsafe> {
    let inbox = client.new_inbox();
    let mut answers =
        client.subscribe(inbox.clone()).await.map_err(|error| Unsafe::Ask(error.to_string()))?;
    client
        .publish_with_reply("$SYS.REQ.SERVER.PING.JSZ", inbox, "{\"config\":true}".into())
        .await
        .map_err(|error| Unsafe::Ask(error.to_string()))?;
    let mut patience = FIRST_ANSWER;
    let mut asked = 0_usize;
    while let Ok(Some(message)) = tokio::time::timeout(patience, answers.next()).await {
        patience = FURTHER_ANSWERS;
        asked += 1;
        verdict(&message.payload)?;
    }
    if asked == 0 { Err(Unsafe::Silent) } else { Ok(()) }
}

fn verdict(payload: &[u8]) -> Result<(), Unsafe> {
    let answer: Value = serde_json::from_slice(payload).unwrap_or_default();
    let server = answer["server"]["name"].as_str().unwrap_or("(unnamed)").to_owned();
    let config = &answer["data"]["config"];
    if !config.is_object() {
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
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_no_unsafe_server() {
        assert!(Unsafe::Silent.is_unavailable());
        assert!(!Unsafe::NotSynced { server: "n1".into() }.is_unavailable());
    }

    #[test]
    fn only_sync_always_is_safe() {
        let answer = |config: &str| format!(r#"{{"server":{{"name":"n1"}},"data":{{"config":{config}}}}}"#);
        assert!(verdict(answer(r#"{"sync_always":true}"#).as_bytes()).is_ok());
        assert!(matches!(
            verdict(answer(r#"{"sync_interval":120000000000}"#).as_bytes()),
            Err(Unsafe::NotSynced { .. })
        ));
        assert!(matches!(verdict(b"{}"), Err(Unsafe::NoJetStream { .. })));
    }
}
