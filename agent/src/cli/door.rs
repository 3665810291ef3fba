//! Where a command brings its records: to the running agent, or into the store itself when none runs. The lock decides,
//! so that there is one writer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use sallyport_link::connect::LinkCounters;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    config::Config,
    intake::{EventAnswer, ExportOptions, Intake, IntakeError, Summary},
    metrics::Metrics,
    store::{self, StoreError, WriterThread},
};

/// A large file is stored in seconds; a disk that takes longer than this is broken.
const ANSWER_DEADLINE: Duration = Duration::from_secs(600);

/// An agent takes the lock first and listens a moment later; another command holds it for as long as its file takes.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The way in.
pub(super) enum Door {
    /// The agent that runs.
    Running(Client),
    /// Nobody runs: the store is ours until the command ends.
    Own(Box<Own>),
}

pub(super) struct Own {
    intake: Intake,
    writer: WriterThread,
    // Kept, so that the registry stays in force.
    _registry: watch::Sender<Arc<sallyport_proto::registry::Registry>>,
}

/// Why a command cannot bring its records in.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    /// An agent holds the store and cannot be reached.
    #[error("an agent runs on this store and does not listen: give it an [http] section, or stop it")]
    NotListening,
    /// The store.
    #[error("cannot open the store")]
    Store(#[source] StoreError),
    /// The running agent did not answer.
    #[error("the running agent at {address} does not answer")]
    Unreachable {
        address: SocketAddr,
        #[source]
        source: Box<ureq::Error>,
    },
    /// It answered that it cannot.
    #[error("the running agent says: {text}")]
    Refused { status: u16, text: String },
    /// Our own intake failed.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl DoorError {
    /// The input is at fault, not the agent or the machine.
    pub(super) fn is_data(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == 422,
            Self::Intake(error) => matches!(error, IntakeError::Unreadable(_)),
            Self::NotListening | Self::Store(_) | Self::Unreachable { .. } => false,
        }
    }
}

impl Door {
    /// Finds the agent that runs, or takes the store. One that is just starting is waited for.
    pub(super) async fn open(config: &Config) -> Result<Self, DoorError> {
        let deadline = tokio::time::Instant::now() + STARTS_WITHIN;
        loop {
            match Self::try_open(config) {
                Err(DoorError::NotListening) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                other => return other,
            }
        }
    }

    fn try_open(config: &Config) -> Result<Self, DoorError> {
        let facility = &config.facility;
        match store::open(&config.store_dir, &facility.instance, &facility.ori) {
            Ok((store, writer)) => {
                let (sender, registry) = watch::channel(Arc::new(config.registry_at_start.clone()));
                let metrics = Arc::new(Metrics::new(Arc::new(LinkCounters::default())));
                let intake = Intake::new(config, store, registry, metrics);
                Ok(Self::Own(Box::new(Own { intake, writer, _registry: sender })))
            }
            Err(StoreError::Taken { .. }) => store::holder(&config.store_dir)
                .map(|a| Self::Running(Client::new(a)))
                .ok_or(DoorError::NotListening),
            Err(error) => Err(DoorError::Store(error)),
        }
    }

    pub(super) async fn export(&self, bytes: Vec<u8>, options: ExportOptions) -> Result<Summary, DoorError> {
        match self {
            Self::Own(own) => Ok(own.intake.export(bytes.into(), options).await?),
            Self::Running(client) => {
                let ExportOptions { as_of, backfill, retract, lift_floor } = options;
                let path = format!(
                    "/v1/exports?as_of={}&backfill={backfill}&retract={retract}&lift_floor={lift_floor}",
                    plus(as_of)
                );
                client.post(&path, "application/octet-stream", &bytes, &[])
            }
        }
    }

    pub(super) async fn events(&self, values: Vec<Value>) -> Result<Vec<EventAnswer>, DoorError> {
        match self {
            Self::Own(own) => Ok(own.intake.events(values).await?),
            Self::Running(client) => {
                let body = Value::Array(values).to_string();
                // 400: some were wrong, and the answers say which.
                client.post("/v1/events", "application/json", body.as_bytes(), &[400])
            }
        }
    }

    /// Waits for the last commit.
    pub(super) fn close(self) {
        if let Self::Own(own) = self {
            own.writer.close();
        }
    }
}

/// UTC with a Z: nothing in it needs escaping.
fn plus(at: Timestamp) -> String {
    at.to_string()
}

/// The running agent's loopback interface.
pub(super) struct Client {
    address: SocketAddr,
    agent: ureq::Agent,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let settings = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(ANSWER_DEADLINE));
        Self { address, agent: settings.build().into() }
    }

    /// Posts, and reads the answer; statuses other than 200 and `also` are failures.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        kind: &str,
        body: &[u8],
        also: &[u16],
    ) -> Result<T, DoorError> {
        let url = format!("http://{}{path}", self.address);
        let unreachable = |source| DoorError::Unreachable { address: self.address, source: Box::new(source) };
        let mut response =
            self.agent.post(&url).header("content-type", kind).send(body).map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let good = status == 200 || also.contains(&status);
        if good && let Ok(answer) = serde_json::from_str(&text) {
            return Ok(answer);
        }
        let told = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| Some(value.get("error")?.as_str()?.to_owned()));
        Err(DoorError::Refused { status, text: told.unwrap_or_else(|| format!("status {status}: {text}")) })
    }
}
