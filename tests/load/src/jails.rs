//! Jails without a disk: a connection each, events signed by their own keys, kept open until the relay's signed
//! Acceptance names them, and sent again under a new Msg-Id until then.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sallyport_e2e::{Draft, login::Login};
use sallyport_ground::{Instance, JURISDICTION};
use sallyport_link::publish;
use sallyport_proto::{
    answer::{Answer, Body},
    envelope::Digest,
    ids::{InstanceId, Jurisdiction, Ori, SubscriberId},
    key::{Signer, SigningKey},
    provenance::TrafficClass,
    registry::Registry,
    subject,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::tally::Shared;

/// Connections that are made at once.
const CONNECT_AT_ONCE: usize = 64;
/// An event that is not answered goes out again, as an agent's does at first.
const RESEND_AFTER: Duration = Duration::from_secs(10);
/// Between two looks for such events.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// All jails.
pub(crate) struct Jails {
    pub(crate) all: Vec<Arc<Jail>>,
    held: Arc<AtomicBool>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

/// One jail.
pub(crate) struct Jail {
    ori: Ori,
    st: Jurisdiction,
    instance: InstanceId,
    signer: Signer,
    login: Login,
    seq: AtomicU64,
    open: Mutex<HashMap<Digest, Open>>,
    tally: Shared,
    shutdown: CancellationToken,
}

/// An event that is not answered yet.
struct Open {
    bytes: Bytes,
    stated: Instant,
    sent: Instant,
    attempt: u32,
}

impl Jails {
    /// Logs all of them in, and lets them hear their answers.
    pub(crate) async fn connect(
        instance: &Instance,
        url: &str,
        registry: &Arc<Registry>,
        tally: &Shared,
    ) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let relay_keys: Arc<Vec<SigningKey>> = Arc::new(registry.relay_keys().cloned().collect());
        let logging_in = stream::iter(&instance.facilities).map(|facility| {
            let (tally, shutdown) = (tally.clone(), shutdown.clone());
            async move { Jail::connect(instance, url, &facility.ori, tally, shutdown).await }
        });
        let jails: Vec<(Arc<Jail>, async_nats::Subscriber)> =
            logging_in.buffer_unordered(CONNECT_AT_ONCE).try_collect().await?;
        let mut tasks = JoinSet::new();
        let mut all = Vec::with_capacity(jails.len());
        for (jail, answers) in jails {
            tasks.spawn(jail.clone().hear(answers, relay_keys.clone()));
            all.push(jail);
        }
        let held = Arc::new(AtomicBool::new(false));
        tasks.spawn(resend(all.clone(), held.clone(), shutdown.clone()));
        Ok(Self { all, held, tasks, shutdown })
    }

    /// Whether events without an answer are left alone for now.
    pub(crate) fn hold_resends(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    pub(crate) fn end(&mut self) {
        self.shutdown.cancel();
        self.tasks.abort_all();
    }
}

async fn resend(jails: Vec<Arc<Jail>>, held: Arc<AtomicBool>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if held.load(Ordering::Relaxed) {
            continue;
        }
        for jail in &jails {
            jail.send_again().await;
        }
    }
}

impl Jail {
    async fn connect(
        instance: &Instance,
        url: &str,
        ori: &str,
        tally: Shared,
        shutdown: CancellationToken,
    ) -> Result<(Arc<Self>, async_nats::Subscriber)> {
        let keys = instance.keys();
        let (st, ori): (Jurisdiction, Ori) = (JURISDICTION.parse()?, ori.parse()?);
        let seed = keys.connect(ori.as_str())?.seed().context("a connect seed")?;
        let login = Login::with_nkey(url, seed, &subject::inbox_of_agent(&st, &ori), None).await?;
        let answers = login.client.subscribe(subject::notify_answers(&st, &ori)).await?;
        let signer = Signer::from_seed(&keys.signing(ori.as_str())?.seed().context("a signing seed")?)?;
        let jail = Self {
            ori,
            st,
            instance: instance.name.parse()?,
            signer,
            login,
            seq: AtomicU64::new(0),
            open: Mutex::new(HashMap::new()),
            tally,
            shutdown,
        };
        Ok((Arc::new(jail), answers))
    }

    /// States an event for these agencies and publishes it; done when the broker has stored it.
    pub(crate) async fn state(&self, told: &[SubscriberId]) -> Result<()> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let mut draft = Draft::new(&self.instance, &self.st, &self.ori, seq)?;
        draft.head.traffic = TrafficClass::Exercise("load".into());
        let draft = told.iter().try_fold(draft, |draft, to| draft.tells(to.as_str()))?;
        let sealed = draft.seal(&self.signer)?;
        let (bytes, now) = (Bytes::from(sealed.bytes), Instant::now());
        let open = Open { bytes: bytes.clone(), stated: now, sent: now, attempt: 1 };
        self.open().insert(sealed.digest, open);
        let tally = self.tally.load_full();
        tally.due.fetch_add(told.len() as u64, Ordering::Relaxed);
        tally.published.fetch_add(1, Ordering::Relaxed);
        self.publish(&sealed.digest, 1, bytes).await
    }

    async fn publish(&self, digest: &Digest, attempt: u32, bytes: Bytes) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{}.{attempt}", digest.to_base64url()));
        let subject = subject::notify_release(&self.st, &self.ori);
        publish::until_stored(&self.login.js, &subject, headers, bytes, &self.shutdown).await?;
        Ok(())
    }

    async fn send_again(&self) {
        let due: Vec<(Digest, u32, Bytes)> = self
            .open()
            .iter_mut()
            .filter(|(_, open)| open.sent.elapsed() > RESEND_AFTER)
            .map(|(digest, open)| {
                (open.sent, open.attempt) = (Instant::now(), open.attempt + 1);
                (*digest, open.attempt, open.bytes.clone())
            })
            .collect();
        for (digest, attempt, bytes) in due {
            // Not stored now: it is sent again.
            let _ = self.publish(&digest, attempt, bytes).await;
        }
    }

    async fn hear(self: Arc<Self>, mut answers: async_nats::Subscriber, relay_keys: Arc<Vec<SigningKey>>) {
        while let Some(message) = answers.next().await {
            let tally = self.tally.load();
            match Answer::open(&message.payload, relay_keys.iter()).map(|answer| answer.body) {
                Ok(Body::Acceptance(events)) => {
                    for event in events {
                        let open = self.open().remove(&event.digest);
                        open.iter().for_each(|open| tally.accepted_after(open.stated.elapsed()));
                    }
                }
                Ok(Body::Progress(_)) => {}
                Ok(_) | Err(_) => {
                    tally.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Digest, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
