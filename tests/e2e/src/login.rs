//! Logs in to the server as somebody of the instance, or as whoever a test wants to be. Not by `link`: what is logged
//! in here may ask for things that our own programs never ask for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions, Event, jetstream};

/// A request that the server refuses by its permissions is never answered: short, because tests wait for it in full.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection, and what the server complained about on it.
#[derive(Clone)]
pub struct Login {
    /// The connection.
    pub client: Client,
    /// JetStream on it.
    pub js: jetstream::Context,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Login {
    /// With an nkey; `js_api` where the account reaches JetStream elsewhere than at `$JS.API`.
    pub async fn with_nkey(
        url: &str,
        seed: String,
        inbox_prefix: &str,
        js_api: Option<&str>,
    ) -> Result<Self> {
        Self::with(ConnectOptions::with_nkey(seed), url, inbox_prefix, js_api).await
    }

    /// With a password: only users that a test added have one.
    pub async fn with_password(url: &str, user: &str, password: &str) -> Result<Self> {
        let options = ConnectOptions::with_user_and_password(user.into(), password.into());
        Self::with(options, url, &format!("_INBOX_{user}"), None).await
    }

    /// What the server said against this connection so far.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server refused something by permission.
    pub fn was_refused(&self) -> bool {
        self.complaints().iter().any(|text| text.to_ascii_lowercase().contains("permissions violation"))
    }

    async fn with(
        options: ConnectOptions,
        url: &str,
        inbox_prefix: &str,
        js_api: Option<&str>,
    ) -> Result<Self> {
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = complaints.clone();
        let client = options
            .custom_inbox_prefix(inbox_prefix)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .event_callback(move |event| {
                let heard = heard.clone();
                async move {
                    if let Event::ServerError(error) = event {
                        heard.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
                    }
                }
            })
            .connect(url.split(',').collect::<Vec<_>>())
            .await
            .with_context(|| format!("log in to {url}"))?;
        let mut js = match js_api {
            Some(prefix) => jetstream::with_prefix(client.clone(), prefix),
            None => jetstream::new(client.clone()),
        };
        js.set_timeout(REQUEST_TIMEOUT);
        Ok(Self { client, js, complaints })
    }
}
