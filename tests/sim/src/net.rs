//! The way between a program and the broker: takes time, loses requests, replies and acks, and is cut now and then. What
//! was sent before a crash arrives all the same.

mod heads;

use std::rc::Rc;

use bytes::Bytes;
use sallyport_proto::subject;
use sallyport_relay_core::commit::{Entry, NotConfirmed};
use tokio::sync::oneshot;

use crate::{
    broker::{BATCH_ABANDONED_AFTER, BatchEntry, Broker, Delivered, Message, Refused, Settled, Stored},
    coverage::Settling,
    exec::{MS, S, Us},
    process::{Life, Process},
    world::{Pull, World},
};

/// A request without an answer fails after this.
const TIMEOUT: Us = 5 * S;
/// Silence for twice the heartbeat: the pull is lost.
const PULL_LOST_AFTER: Us = 20 * S;
const RETRY_DELAY: Us = 250 * MS;
const RETRY_DELAY_MAX: Us = 5 * S;

/// Why a message was not stored, as its publisher sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// No answer: nobody knows.
    NoAnswer,
    /// The broker says no, for now or for ever.
    Refused(Refused),
}

impl Process {
    pub(crate) fn is_cut(&self) -> bool {
        self.cut_until.get() > self.world.now()
    }
}

impl World {
    /// How long a message is on its way.
    fn delay(&self) -> Us {
        if self.strikes("slow message", |weather| weather.slow) {
            return self.chance.borrow_mut().within(100 * MS, 4 * S);
        }
        self.chance.borrow_mut().within(100, 3 * MS)
    }

    /// Something was stored on `stream`: whoever waits for it is served.
    fn wake(self: &Rc<Self>, stream: &str) {
        let broker = self.broker.borrow();
        let waiting: Vec<String> = broker
            .durables
            .iter()
            .filter(|(_, d)| d.stream == stream)
            .map(|(name, _)| name.clone())
            .collect();
        drop(broker);
        waiting.iter().for_each(|durable| self.pump(durable));
    }

    /// Serves the pulls that wait for a durable.
    pub(crate) fn pump(self: &Rc<Self>, durable: &str) {
        loop {
            let Some(pull) =
                self.pulls.borrow_mut().get_mut(durable).and_then(std::collections::VecDeque::pop_front)
            else {
                return;
            };
            // The server may not know yet that who pulled is gone.
            if pull.to.is_closed() && !self.chance.borrow_mut().permille(300) {
                continue;
            }
            let batch = self.broker.borrow_mut().serve(durable, pull.batch, self.now());
            if batch.is_empty() {
                if !pull.to.is_closed() {
                    self.pulls.borrow_mut().entry(durable.to_owned()).or_default().push_front(pull);
                    self.pump_later(durable);
                    return;
                }
                continue;
            }
            self.deliver(durable, pull, batch);
        }
    }

    fn deliver(self: &Rc<Self>, durable: &str, pull: Pull, batch: Vec<Delivered>) {
        self.note(|| {
            let batch: Vec<_> = batch.iter().map(|m| (m.sequence, m.deliveries)).collect();
            format!("{durable} is given {batch:?}{}", if pull.to.is_closed() { ", and is gone" } else { "" })
        });
        for message in &batch {
            self.coverage.borrow_mut().came(message.came);
            if self.strikes("duplicated delivery", |weather| weather.duplicated) {
                let due = self.now() + self.chance.borrow_mut().below(2 * S);
                self.broker.borrow_mut().durable_mut(durable).hurry(message.sequence, due);
            }
        }
        if self.strikes("lost delivery", |weather| weather.delivery_lost) {
            return;
        }
        self.exec.after(self.delay(), move || drop(pull.to.send(batch)));
    }

    /// A redelivery may be due without anything new.
    fn pump_later(self: &Rc<Self>, durable: &str) {
        let Some(due) = self.broker.borrow().look_again(durable, self.now()) else { return };
        let mut asked = self.pump_due.borrow_mut();
        if asked.get(durable).is_some_and(|known| *known <= due && *known > self.now()) {
            return;
        }
        asked.insert(durable.to_owned(), due);
        let (world, durable) = (self.clone(), durable.to_owned());
        self.exec.at(due, move || world.pump(&durable));
    }

    /// Looks at every durable: after a reset or a new leader.
    pub(crate) fn pump_all(self: &Rc<Self>) {
        let all: Vec<String> = self.broker.borrow().durables.keys().cloned().collect();
        all.iter().for_each(|durable| self.pump(durable));
    }

    fn store(
        self: &Rc<Self>,
        stream: &'static str,
        subject: &str,
        payload: &Bytes,
        msg_id: Option<&str>,
    ) -> Result<Stored, Refused> {
        let stored = self.broker.borrow_mut().publish(stream, subject, payload.clone(), msg_id, self.now());
        if let Ok(Stored { duplicate: false, sequence }) = stored {
            self.was_stored(stream, sequence);
        }
        stored
    }

    /// Somebody who is none of the programs stores a message.
    pub(crate) fn store_by_another(self: &Rc<Self>, stream: &'static str, subject: &str, payload: &Bytes) {
        if self.store(stream, subject, payload, None).is_err() {
            self.note(|| format!("{stream} did not take {subject}"));
        }
    }

    fn was_stored(self: &Rc<Self>, stream: &'static str, sequence: u64) {
        let message = self.broker.borrow().stream(stream).at(sequence).cloned();
        let Some(message) = message else { return };
        self.note(|| format!("{stream} {sequence} {}", message.subject));
        let broken = self.law.borrow_mut().stored(stream, &message, &self.broker.borrow());
        broken.into_iter().for_each(|what| self.found(what));
        if stream == subject::ANSWERS {
            self.to_live(&message);
        }
        self.wake(stream);
    }

    /// A core subscription: at most once.
    fn to_live(self: &Rc<Self>, message: &Message) {
        let ori = message.subject.split('.').nth(4).and_then(|ori| ori.parse().ok());
        let Some(to) = ori.and_then(|ori| self.live.borrow().get(&ori).cloned()) else { return };
        if self.strikes("lost live answer", |weather| weather.answer_lost) {
            return;
        }
        let payload = message.payload.clone();
        // A slow subscriber's buffer overflows: dropped, as the server does.
        self.exec.after(self.delay(), move || drop(to.try_send(payload)));
    }
}

impl Life {
    /// Asks the broker for something; `None` when no answer came in time.
    async fn request<T: 'static>(&self, act: impl FnOnce(&Rc<World>) -> T + 'static) -> Option<T> {
        let world = self.of.world.clone();
        let (to, answer) = oneshot::channel();
        let until = world.now() + TIMEOUT;
        if !self.of.is_cut() && !world.strikes("lost request", |weather| weather.request_lost) {
            let (there, of) = (world.delay(), self.of.clone());
            world.exec.clone().after(there, move || {
                let world = of.world.clone();
                let value = act(&world);
                if of.is_cut() || world.strikes("lost reply", |weather| weather.reply_lost) {
                    return;
                }
                let back = world.delay();
                world.exec.clone().after(back, move || drop(to.send(value)));
            });
        } else {
            drop(to);
        }
        if let Ok(value) = answer.await {
            return Some(value);
        }
        self.sleep(until.saturating_sub(self.world().now())).await;
        None
    }

    pub(crate) async fn publish(
        &self,
        stream: &'static str,
        subject: String,
        payload: Bytes,
        msg_id: Option<String>,
    ) -> Result<u64, NotStored> {
        let act = move |world: &Rc<World>| world.store(stream, &subject, &payload, msg_id.as_deref());
        match self.request(act).await {
            Some(Ok(stored)) => Ok(stored.sequence),
            Some(Err(why)) => Err(NotStored::Refused(why)),
            None => Err(NotStored::NoAnswer),
        }
    }

    /// Publishes for as long as it takes. An error only for what can never be stored.
    pub(crate) async fn until_stored(
        &self,
        stream: &'static str,
        subject: String,
        payload: Bytes,
    ) -> Result<u64, Refused> {
        let mut delay = RETRY_DELAY;
        loop {
            match self.publish(stream, subject.clone(), payload.clone(), None).await {
                Ok(sequence) => return Ok(sequence),
                Err(NotStored::Refused(Refused::TooLarge)) => return Err(Refused::TooLarge),
                Err(_) => self.sleep(delay).await,
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    /// Publishes an atomic batch.
    /// Gives where its last message stands.
    pub(crate) async fn batch(&self, entries: Vec<Entry>) -> Result<u64, NotConfirmed> {
        let expects = !self.world().is(crate::mutant::Mutant::NoExpectedSequence);
        let entries: Rc<Vec<BatchEntry>> = Rc::new(
            entries
                .into_iter()
                .map(|entry| BatchEntry {
                    subject: entry.subject,
                    payload: entry.payload.into(),
                    first_of_subject: entry.first_of_subject && expects,
                })
                .collect(),
        );
        let staged = entries.clone();
        let begun = self.request(move |world| {
            let batch = world.broker.borrow_mut().batch_begins(&staged);
            let gone = world.now() + BATCH_ABANDONED_AFTER;
            world.later(gone, move |world| world.broker.borrow_mut().batch_ends(batch));
            batch
        });
        let begun = begun.await;
        // Only the last message of a batch is answered: one whose beginning got lost is refused or times out.
        let Some(batch) = begun else { return Err(NotConfirmed::Unknown) };
        self.point("relay.commit.before-last-message").await;
        let act = move |world: &Rc<World>| {
            if world.strikes("refused batch", |weather| weather.batch_refused) {
                world.broker.borrow_mut().batch_ends(batch);
                return Err(Refused::Other);
            }
            let stored = world.broker.borrow_mut().batch_commits(batch, &entries, world.now());
            for sequence in stored.as_deref().unwrap_or_default() {
                world.was_stored(subject::DELIVER, *sequence);
            }
            stored.map(|stored| stored.last().copied().unwrap_or_default())
        };
        let outcome = self.request(act).await;
        self.point("relay.commit.after-batch-ack").await;
        match outcome {
            Some(Ok(last)) => Ok(last),
            Some(Err(Refused::Taken)) => Err(NotConfirmed::Taken),
            Some(Err(Refused::Full)) => Err(NotConfirmed::Full),
            Some(Err(Refused::TooLarge)) => Err(NotConfirmed::TooLarge),
            Some(Err(Refused::Other)) => Err(NotConfirmed::Refused),
            Some(Err(Refused::NoLeader)) | None => Err(NotConfirmed::Unknown),
        }
    }

    /// Asks a stream's leader; `None` when it cannot be asked.
    pub(crate) async fn ask<T: 'static>(
        &self,
        stream: &'static str,
        look: impl FnOnce(&Broker) -> T + 'static,
    ) -> Option<T> {
        let act = move |world: &Rc<World>| {
            let broker = world.broker.borrow();
            (broker.stream(stream).leaderless_until <= world.now()).then(|| look(&broker))
        };
        self.request(act).await.flatten()
    }

    /// What is there, at most `batch` messages, at least one. A pull does not expire here: the product's client renews
    /// its own without a gap.
    pub(crate) async fn pull(&self, durable: &str, batch: usize) -> Vec<Delivered> {
        loop {
            let (to, delivered) = oneshot::channel();
            let name = durable.to_owned();
            let asked = self.request(move |world| {
                world.pulls.borrow_mut().entry(name.clone()).or_default().push_back(Pull { to, batch });
                world.pump(&name);
            });
            if asked.await.is_none() {
                continue;
            }
            match delivered.await {
                Ok(batch) if !self.of.is_cut() => return batch,
                // It was lost on the way, which only its heartbeats tell.
                Ok(_) | Err(_) => self.sleep(PULL_LOST_AFTER).await,
            }
        }
    }

    /// A plain ack: nobody knows whether it arrives.
    pub(crate) async fn ack(&self, durable: &str, message: &Delivered) {
        let world = self.of.world.clone();
        if self.of.is_cut() || world.strikes("lost ack", |weather| weather.ack_lost) {
            return;
        }
        let (durable, message, delay) = (durable.to_owned(), message.clone(), world.delay());
        world.exec.clone().after(delay, move || {
            world.settled(&durable, &message, Settling::Ack);
        });
    }

    /// Settles and waits for the broker's word.
    pub(crate) async fn settle(&self, durable: &str, message: &Delivered) -> bool {
        let (durable, message) = (durable.to_owned(), message.clone());
        let answered = self.request(move |world| world.settled(&durable, &message, Settling::Confirmed));
        let confirmed = answered.await.is_some();
        if !confirmed {
            self.world().coverage.borrow_mut().settled(Settling::NotConfirmed);
        }
        confirmed
    }

    /// Asks for redelivery after a while.
    pub(crate) async fn nak(&self, durable: &str, message: &Delivered, wait: Us) {
        let world = self.of.world.clone();
        if self.of.is_cut() || world.strikes("lost ack", |weather| weather.ack_lost) {
            return;
        }
        world.coverage.borrow_mut().settled(Settling::Nak);
        let (durable, sequence, delay) = (durable.to_owned(), message.sequence, world.delay());
        world.exec.clone().after(delay, move || {
            let due = world.now() + wait;
            world.broker.borrow_mut().durable_mut(&durable).nak(sequence, due);
            world.pump(&durable);
        });
    }
}

impl World {
    fn settled(self: &Rc<Self>, durable: &str, message: &Delivered, how: Settling) {
        let sequence = message.sequence;
        let settled = self.broker.borrow_mut().durable_mut(durable).ack(sequence, message.deliveries);
        self.note(|| format!("{durable} settles {sequence}: {settled:?}"));
        let mut coverage = self.coverage.borrow_mut();
        coverage.settled(match settled {
            Settled::Late => Settling::Late,
            Settled::NotPending => Settling::Again,
            Settled::InTime => how,
        });
        drop(coverage);
        // An ack names a sequence and no stream: one that was on its way when the stream was made again settles another
        // message, which nobody had. No program can help that; what is lost by it, the outboxes send again, and the end of
        // the run tells.
        let at_that_place = self.broker.borrow().payload_at(durable, sequence);
        if settled != Settled::NotPending && at_that_place.as_ref() == Some(&message.payload) {
            let broken = self.law.borrow().settled(durable, sequence, &self.broker.borrow());
            broken.into_iter().for_each(|what| self.found(what));
        }
        // There may be room for more.
        self.pump(durable);
    }

    /// Something that the network does by itself.
    pub(crate) fn later(self: &Rc<Self>, at: Us, act: impl FnOnce(&Rc<World>) + 'static) {
        let world = self.clone();
        self.exec.at(at, move || act(&world));
    }
}
