//! An agency that speaks the protocol by hand: logged in with its own connect key, it pulls its durable, verifies both
//! signatures, and sends receipts.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, consumer::PullConsumer};
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use sallyport_ground::Instance;
use sallyport_proto::{
    disclosure::Disclosure,
    event::{ReleaseHead, open_disclosed},
    ids::{InstanceId, SubscriberId},
    key::Signer,
    notice::Notice,
    provenance::Provenance,
    receipt::{Receipt, ReceiptFor, Statement},
    registry::Registry,
    subject::{self, ReceiptKind},
    time::Moment,
    vocabulary::{ReceiptLevel, SourceClock},
};

use crate::{login::Login, patience::SOON, world};

/// One pull lives so long at the server; a test that waits longer pulls again.
const PULL_EXPIRES: Duration = Duration::from_secs(5);

/// An agency without a bridge.
pub struct FakeAgency {
    /// Its id.
    pub id: SubscriberId,
    /// Its connection.
    pub login: Login,
    /// Signs its receipts; a test may put another one here.
    pub signer: Signer,
    instance: InstanceId,
    registry: Registry,
}

/// A notice that both signatures cover.
#[derive(Debug)]
pub struct Taken {
    /// The relay's.
    pub notice: Notice,
    /// The jail's.
    pub head: ReleaseHead,
    /// What this agency may know.
    pub disclosure: Disclosure,
    /// Not settled yet.
    pub message: jetstream::Message,
}

impl FakeAgency {
    pub(crate) async fn log_in(instance: &Instance, url: &str, id: &str) -> Result<Self> {
        let keys = instance.keys();
        let id: SubscriberId = id.parse()?;
        let seed = keys.connect(id.as_str())?.seed().context("connect seed")?;
        let js_api = Some(subject::SUBSCRIBER_JS_API);
        let login = Login::with_nkey(url, seed, &subject::inbox_of_subscriber(&id), js_api).await?;
        let signer = Signer::from_seed(&keys.signing(id.as_str())?.seed().context("signing seed")?)?;
        let registry = world::read_registry(instance)?;
        Ok(Self { id, login, signer, instance: instance.name.parse()?, registry })
    }

    /// Binds to its durable.
    pub async fn durable(&self) -> Result<PullConsumer> {
        self.login
            .js
            .get_consumer_from_stream(self.id.as_str(), subject::DELIVER)
            .await
            .context("bind to the durable")
    }

    /// Pulls until there are `count` notices, and settles none of them.
    pub async fn take(&self, count: usize) -> Result<Vec<Taken>> {
        let durable = self.durable().await?;
        let mut taken = Vec::with_capacity(count);
        let end = tokio::time::Instant::now() + SOON;
        while taken.len() < count && tokio::time::Instant::now() < end {
            let wanted = count - taken.len();
            let mut batch = durable
                .batch()
                .max_messages(wanted)
                .expires(PULL_EXPIRES)
                .messages()
                .await
                .context("pull")?;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| anyhow::anyhow!("pull: {error}"))?;
                taken.push(self.open(message)?);
            }
        }
        anyhow::ensure!(taken.len() == count, "{} pulled {} notices of {count}", self.id, taken.len());
        Ok(taken)
    }

    /// Pulls one notice and settles it as our programs do.
    pub async fn take_and_settle(&self) -> Result<Taken> {
        let taken = self.take(1).await?.pop().context("one was taken")?;
        sallyport_link::settle::settle(&self.login.client, &taken.message).await.context("settle")?;
        Ok(taken)
    }

    /// Verifies what was pulled: the relay's signature over the notice, the jail's over head and disclosure.
    pub fn open(&self, message: jetstream::Message) -> Result<Taken> {
        let notice = Notice::open(&message.payload, self.registry.relay_keys()).context("the notice")?;
        let key = world::facility_key(&self.registry, &notice.notice_id.ori())?;
        let (head, disclosure) =
            open_disclosed(&notice.head, &notice.disclosure, &key).context("head and disclosure")?;
        anyhow::ensure!(disclosure.subscriber_id == self.id, "a disclosure of somebody else");
        anyhow::ensure!(notice.subscriber() == self.id, "a notice to somebody else");
        Ok(Taken { notice, head, disclosure, message })
    }

    /// A RECEIVED for this notice, not signed yet.
    pub fn received(&self, taken: &Taken) -> Receipt {
        let now = Moment::exact(Timestamp::now(), SourceClock::Subscriber);
        Receipt {
            provenance: Provenance::of(&self.instance, "sallyport-e2e/0"),
            subscriber: self.id.clone(),
            ori: taken.notice.notice_id.ori(),
            notices: vec![ReceiptFor {
                notice_id: taken.notice.notice_id.clone(),
                event_digest: taken.notice.event_digest,
                attempt: taken.notice.attempt,
                superseded: false,
                t6_received: None,
            }],
            statement: Statement::Level(ReceiptLevel::Received),
            by_whom: "machine".into(),
            text: None,
            traffic: taken.notice.traffic.clone(),
            t6_received: Some(now),
            staged: None,
            t7_seen: None,
            t8_answered: None,
            published: now,
            agreement: None,
        }
    }

    /// Publishes receipt bytes on its own subject and waits for the PubAck.
    pub async fn publish(&self, kind: ReceiptKind, bytes: Vec<u8>) -> Result<()> {
        self.publish_on(subject::notify_receipt(&self.id, kind), bytes).await
    }

    /// Publishes on any subject and waits for a PubAck.
    pub async fn publish_on(&self, subject: String, bytes: Vec<u8>) -> Result<()> {
        let ack = self.login.js.publish(subject, Bytes::from(bytes)).await.context("publish")?;
        ack.await.context("PubAck")?;
        Ok(())
    }
}
