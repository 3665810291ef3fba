//! A jail that speaks the protocol by hand: logged in with the facility's own connect key, it publishes any bytes, and
//! hears its answers live or by catch-up.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use sallyport_ground::{Instance, JURISDICTION};
use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, RelayedReceipt},
    catchup::{CatchupItem, CatchupRequest, CatchupResponse},
    envelope::Digest,
    ids::{InstanceId, Jurisdiction, Ori},
    key::{Signer, SigningKey},
    operations::{Heartbeat, RangeDigest},
    provenance::{Provenance, TrafficClass},
    subject,
    time::Moment,
    vocabulary::SourceClock,
};
use tokio::time::Instant;

use crate::{Draft, Sealed, event::EPOCH, login::Login, patience::SOON, world};

/// One response of the catch-up service must follow the other within this time.
const CATCHUP_PATIENCE: Duration = Duration::from_secs(10);

/// A jail without an agent.
pub struct FakeJail {
    /// Its ORI.
    pub ori: Ori,
    /// Its jurisdiction.
    pub st: Jurisdiction,
    /// Signs its events; a test may put another one here.
    pub signer: Signer,
    /// Its connection.
    pub login: Login,
    instance: InstanceId,
    relay_keys: Vec<SigningKey>,
    live: async_nats::Subscriber,
    heard: Vec<Answer>,
    seq: AtomicU64,
    copies: AtomicU64,
}

/// One page of missed answers.
#[derive(Debug)]
pub struct Page {
    /// With their sequences on ANSWERS.
    pub answers: Vec<(u64, Answer)>,
    /// There is more.
    pub more: bool,
    /// To ask after next time.
    pub sequence: u64,
    /// Of which stream.
    pub stream_created: Timestamp,
}

impl FakeJail {
    pub(crate) async fn log_in(instance: &Instance, url: &str, ori: &str) -> Result<Self> {
        let keys = instance.keys();
        let (st, ori): (Jurisdiction, Ori) = (JURISDICTION.parse()?, ori.parse()?);
        let seed = keys.connect(ori.as_str())?.seed().context("connect seed")?;
        let login = Login::with_nkey(url, seed, &subject::inbox_of_agent(&st, &ori), None).await?;
        let live =
            login.client.subscribe(subject::notify_answers(&st, &ori)).await.context("hear answers")?;
        login.client.flush().await.context("flush")?;
        let registry = world::read_registry(instance)?;
        let signer = Signer::from_seed(&keys.signing(ori.as_str())?.seed().context("signing seed")?)?;
        Ok(Self {
            ori,
            st,
            signer,
            login,
            instance: instance.name.parse()?,
            relay_keys: registry.relay_keys().cloned().collect(),
            live,
            heard: Vec::new(),
            seq: AtomicU64::new(0),
            copies: AtomicU64::new(0),
        })
    }

    /// The next event of this jail, told to these agencies.
    pub fn draft(&self, told: &[&str]) -> Result<Draft> {
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        told.iter()
            .try_fold(Draft::new(&self.instance, &self.st, &self.ori, seq)?, |draft, to| draft.tells(to))
    }

    /// The next event, signed.
    pub fn event(&self, told: &[&str]) -> Result<Sealed> {
        self.draft(told)?.seal(&self.signer)
    }

    /// Publishes on its own subject under a Msg-Id never used before, and waits for the PubAck.
    pub async fn publish(&self, bytes: &[u8]) -> Result<()> {
        let copy = self.copies.fetch_add(1, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{}.{copy}", Digest::of(bytes).to_base64url()));
        let subject = subject::notify_release(&self.st, &self.ori);
        let ack = self
            .login
            .js
            .publish_with_headers(subject, headers, Bytes::copy_from_slice(bytes))
            .await
            .context("publish")?;
        ack.await.context("PubAck")?;
        Ok(())
    }

    /// Says that it is alive, that it numbered up to `seq`, and what these numbers stand for.
    pub async fn heartbeat(&self, seq: u64, range: RangeDigest) -> Result<()> {
        let heartbeat = Heartbeat {
            provenance: Provenance::of(&self.instance, "e2e/0"),
            ori: self.ori.clone(),
            jurisdiction: self.st.clone(),
            outbox_depth: 0,
            outbox_oldest: None,
            last_intake: None,
            clock_offset: None,
            epoch: EPOCH.into(),
            seq,
            at: Moment::exact(Timestamp::now(), SourceClock::Agent),
            traffic: TrafficClass::Exercise("e2e".into()),
            kept_from: Some(range.first),
            range: Some(range),
        };
        let subject = subject::notify_heartbeat(&self.st, &self.ori);
        let bytes = Bytes::from(heartbeat.seal(&self.signer));
        self.login.js.publish(subject, bytes).await.context("publish")?.await.context("PubAck")?;
        Ok(())
    }

    /// Waits for a live answer that `wanted` makes something of; what was heard before counts too.
    pub async fn hear<T>(&mut self, what: &str, wanted: impl Fn(&Answer) -> Option<T>) -> Result<T> {
        self.hear_within(what, SOON, wanted).await
    }

    /// The same with another deadline.
    pub async fn hear_within<T>(
        &mut self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&Answer) -> Option<T>,
    ) -> Result<T> {
        if let Some(found) = self.heard.iter().find_map(&wanted) {
            return Ok(found);
        }
        let end = Instant::now() + deadline;
        loop {
            let Ok(message) = tokio::time::timeout_at(end, self.live.next()).await else {
                bail!("{} waited {deadline:?} in vain for {what}; it heard {:?}", self.ori, self.kinds());
            };
            let answer = self.open(&message.context("the connection closed")?.payload)?;
            let found = wanted(&answer);
            self.heard.push(answer);
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// The Acceptance of exactly this event and these bytes.
    pub async fn acceptance(&mut self, of: &Sealed) -> Result<AcceptedEvent> {
        self.acceptance_within(of, SOON).await
    }

    /// The same with another deadline.
    pub async fn acceptance_within(&mut self, of: &Sealed, deadline: Duration) -> Result<AcceptedEvent> {
        let what = format!("the acceptance of {}", of.event_id);
        self.hear_within(&what, deadline, |answer| accepted(answer, of)).await
    }

    /// The Refusal of exactly these bytes.
    pub async fn refusal(&mut self, of: &[u8]) -> Result<Refusal> {
        let digest = Digest::of(of);
        self.hear(&format!("the refusal of {digest}"), |answer| match &answer.body {
            Body::Refusal(refusal) if refusal.digest == digest => Some(refusal.clone()),
            _ => None,
        })
        .await
    }

    /// Everything heard live so far, without waiting.
    pub fn heard(&mut self) -> Result<&[Answer]> {
        use futures_util::FutureExt;
        while let Some(Some(message)) = self.live.next().now_or_never() {
            let answer = self.open(&message.payload)?;
            self.heard.push(answer);
        }
        Ok(&self.heard)
    }

    /// Receipts that came as Progress, so far.
    pub fn progress(&mut self) -> Result<Vec<RelayedReceipt>> {
        let receipts = self.heard()?.iter().flat_map(|answer| match &answer.body {
            Body::Progress(receipts) => receipts.clone(),
            _ => Vec::new(),
        });
        Ok(receipts.collect())
    }

    /// Asks for one page of missed answers.
    pub async fn catch_up(&self, after_sequence: u64, stream_created: Option<Timestamp>) -> Result<Page> {
        let request = CatchupRequest {
            provenance: Provenance::of(&self.instance, "sallyport-e2e/0"),
            after_sequence,
            stream_created,
        };
        self.ask_catch_up(&subject::notify_catchup(&self.st, &self.ori), request.encode()).await
    }

    /// Asks on any subject with any bytes.
    pub async fn ask_catch_up(&self, subject: &str, request: Vec<u8>) -> Result<Page> {
        let client = &self.login.client;
        let inbox = client.new_inbox();
        let mut responses = client.subscribe(inbox.clone()).await.context("subscribe")?;
        client.publish_with_reply(subject.to_owned(), inbox, request.into()).await.context("ask")?;
        let mut answers = Vec::new();
        loop {
            let response = tokio::time::timeout(CATCHUP_PATIENCE, responses.next())
                .await
                .context("the catch-up service does not answer")?
                .context("the connection closed")?;
            if let Some(status) = response.status {
                bail!("status {status}");
            }
            match CatchupResponse::decode(&response.payload)?.item {
                CatchupItem::Answer { sequence, answer } => answers.push((sequence, self.open(&answer)?)),
                CatchupItem::End { more, sequence, stream_created } => {
                    return Ok(Page { answers, more, sequence, stream_created });
                }
                CatchupItem::Error(text) => bail!("catch-up: {text}"),
            }
        }
    }

    /// Opens an answer with the nodes' keys.
    pub fn open(&self, bytes: &[u8]) -> Result<Answer> {
        let answer = Answer::open(bytes, &self.relay_keys).context("an answer that does not verify")?;
        if answer.ori != self.ori {
            bail!("{} heard an answer to {}", self.ori, answer.ori);
        }
        Ok(answer)
    }

    fn kinds(&self) -> Vec<String> {
        self.heard
            .iter()
            .map(|answer| match &answer.body {
                Body::Acceptance(events) => format!("acceptance of {}", events.len()),
                Body::Refusal(refusal) => format!("refusal {}: {}", refusal.code, refusal.text),
                Body::Progress(receipts) => format!("progress of {}", receipts.len()),
                Body::Request(_) => "request".into(),
                Body::Resend(_) => "resend".into(),
            })
            .collect()
    }
}

/// The line of an Acceptance that names this event and these bytes.
pub fn accepted(answer: &Answer, of: &Sealed) -> Option<AcceptedEvent> {
    let Body::Acceptance(events) = &answer.body else { return None };
    events.iter().find(|event| event.event_id == of.event_id && event.digest == of.digest).cloned()
}
