//! The hub's streams, seen by a user that only tests have: what is stored, where, and how often.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, consumer::PullConsumer, message::StreamMessage};
use sallyport_proto::{
    answer::{Answer, Body},
    ids::{EventId, Ori},
    notice::Notice,
    operations::Parked,
    receipt::Receipt,
    registry::Registry,
    routed::Routed,
    subject,
};

use crate::{login::Login, world::OBSERVER};

/// The observing user's connection, and the registry whose keys open what is stored.
#[derive(Clone)]
pub struct Hub {
    /// It may do everything in the hub's account.
    pub login: Login,
    registry: Registry,
}

impl Hub {
    /// Logs in as the observing user that [`crate::world::with_user`] put into the server's configuration.
    pub async fn open(url: &str, registry: Registry) -> Result<Self> {
        Ok(Self { login: Login::with_password(url, OBSERVER, OBSERVER).await?, registry })
    }

    /// A stream.
    pub async fn stream(&self, name: &str) -> Result<jetstream::stream::Stream> {
        self.login.js.get_stream(name).await.with_context(|| format!("stream {name}"))
    }

    /// A stream is gone with everything on it.
    pub async fn delete_stream(&self, name: &str) -> Result<()> {
        self.login.js.delete_stream(name).await.with_context(|| format!("delete {name}"))?;
        Ok(())
    }

    /// How many messages a stream holds.
    pub async fn count(&self, stream: &str) -> Result<u64> {
        Ok(self.stream(stream).await?.cached_info().state.messages)
    }

    /// Every message of a stream on subjects that match, in order.
    pub async fn all(&self, stream: &str, filter: &str) -> Result<Vec<StreamMessage>> {
        use jetstream::stream::RawMessageErrorKind as Kind;
        let stream = self.stream(stream).await?;
        let (mut all, mut from) = (Vec::new(), 1);
        loop {
            match stream.raw_message_builder().sequence(from).next_by_subject(filter).send().await {
                Ok(message) => {
                    from = message.sequence + 1;
                    all.push(message);
                }
                Err(error) if error.kind() == Kind::NoMessageFound => return Ok(all),
                Err(error) => return Err(error).context("read a message"),
            }
        }
    }

    /// Every `routed` record, verified.
    pub async fn routed(&self) -> Result<Vec<Routed>> {
        let messages = self.all(subject::DELIVER, "hub.v1.routed.>").await?;
        messages.iter().map(|m| Ok(Routed::open(&m.payload, self.registry.relay_keys())?)).collect()
    }

    /// The `routed` records of one event; there must never be two.
    pub async fn routed_of(&self, ori: &Ori, event: &EventId) -> Result<Vec<Routed>> {
        let subject = format!("hub.v1.routed.*.{ori}.{event}");
        let messages = self.all(subject::DELIVER, &subject).await?;
        messages.iter().map(|m| Ok(Routed::open(&m.payload, self.registry.relay_keys())?)).collect()
    }

    /// Every notice to one subscriber (`*`: to all), verified.
    pub async fn notices(&self, subscriber: &str) -> Result<Vec<Notice>> {
        let messages = self.all(subject::DELIVER, &format!("hub.v1.deliver.{subscriber}.*.*.*.*")).await?;
        messages.iter().map(|m| Ok(Notice::open(&m.payload, self.registry.relay_keys())?)).collect()
    }

    /// Notices of one event.
    pub async fn notices_of(&self, event: &EventId) -> Result<Vec<Notice>> {
        let messages = self.all(subject::DELIVER, &format!("hub.v1.deliver.*.*.*.{event}.*")).await?;
        messages.iter().map(|m| Ok(Notice::open(&m.payload, self.registry.relay_keys())?)).collect()
    }

    /// What was parked of one facility, verified, with the subject it is parked under.
    pub async fn parked(&self, ori: &Ori) -> Result<Vec<(String, Parked)>> {
        let messages = self.all(subject::PARKED, &format!("hub.v1.parked.*.*.{ori}")).await?;
        messages
            .iter()
            .map(|m| Ok((m.subject.to_string(), Parked::open(&m.payload, self.registry.relay_keys())?)))
            .collect()
    }

    /// Every answer to one facility, verified.
    pub async fn answers(&self, ori: &Ori) -> Result<Vec<Answer>> {
        let messages = self.all(subject::ANSWERS, &format!("hub.v1.answer.*.{ori}.>")).await?;
        messages.iter().map(|m| Ok(Answer::open(&m.payload, self.registry.relay_keys())?)).collect()
    }

    /// The numbers that one facility was asked to send again, by all requests so far.
    pub async fn asked_again(&self, ori: &Ori) -> Result<BTreeSet<u64>> {
        let asked = self.answers(ori).await?.into_iter().filter_map(|answer| match answer.body {
            Body::Resend(request) => Some(request.seqs),
            _ => None,
        });
        Ok(asked.flatten().collect())
    }

    /// Every receipt, opened with the key of the subscriber on whose subject it stands.
    pub async fn receipts(&self) -> Result<Vec<Receipt>> {
        let messages = self.all(subject::RECEIPTS, "hub.v1.receipt.>").await?;
        messages
            .iter()
            .map(|m| {
                let (from, _) = subject::subscriber_of_receipt(&m.subject).context("a receipt's subject")?;
                let subscriber = self.registry.subscribers.get(&from).context("a subscriber")?;
                Ok(Receipt::open(&m.payload, &subscriber.signing_key)?)
            })
            .collect()
    }

    /// A durable as it stands.
    pub async fn durable(&self, stream: &str, name: &str) -> Result<jetstream::consumer::Info> {
        let consumer: PullConsumer = self
            .login
            .js
            .get_consumer_from_stream(name, stream)
            .await
            .with_context(|| format!("durable {name} on {stream}"))?;
        Ok(consumer.cached_info().clone())
    }

    /// How many pulls wait at a durable.
    pub async fn pulls_waiting(&self, stream: &str, durable: &str) -> Result<usize> {
        Ok(self.durable(stream, durable).await?.num_waiting)
    }

    /// Whether a durable has nothing left: all delivered, all settled. What is stored reaches a durable's count of
    /// pending messages a moment later: "nothing pending" means nothing before the last one was delivered.
    pub async fn is_settled(&self, stream: &str, durable: &str) -> Result<bool> {
        let before = self.durable(stream, durable).await?;
        let filter =
            if before.config.filter_subject.is_empty() { ">" } else { &before.config.filter_subject };
        let last = self.last(stream, filter).await?;
        let info = self.durable(stream, durable).await?;
        let delivered = last.is_none_or(|last| info.delivered.stream_sequence >= last);
        Ok(delivered && info.num_pending == 0 && info.num_ack_pending == 0)
    }

    /// Sequence of the last message that a stream holds on subjects that match.
    async fn last(&self, stream: &str, filter: &str) -> Result<Option<u64>> {
        use jetstream::stream::LastRawMessageErrorKind as Kind;
        match self.stream(stream).await?.get_last_raw_message_by_subject(filter).await {
            Ok(message) => Ok(Some(message.sequence)),
            Err(error) if error.kind() == Kind::NoMessageFound => Ok(None),
            Err(error) => Err(error).context("read the last message"),
        }
    }

    /// Waits until a durable has nothing left.
    pub async fn settled(&self, stream: &str, durable: &str, deadline: std::time::Duration) -> Result<()> {
        let what = format!("everything on {stream} is settled for {durable}");
        crate::patience::until(&what, deadline, || async {
            Ok(self.is_settled(stream, durable).await?.then_some(()))
        })
        .await
    }
}
