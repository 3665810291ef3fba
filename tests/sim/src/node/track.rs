//! Folds the streams into the node's read model: facts and positions in one transaction. A fold has no effects (the one
//! that has is a mutant).

use std::{collections::BTreeMap, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use sallyport_proto::{answer::Body, subject};
use sallyport_relay_core::{
    ledger::{self, Model, Record, Stream},
    way_back,
};

use super::{Node, answer, forward};
use crate::{
    broker::{Broker, Came, Delivered, Message},
    exec::{MS, Us},
    mutant::Mutant,
    process::Life,
    world::World,
};

/// Between looks at a stream that has nothing new.
const LOOK_EVERY: Us = 2_000 * MS;
/// Records of one transaction.
const RECORDS_MAX: usize = 50;

/// What lies on the node's disk.
#[derive(Debug, Default)]
pub(crate) struct ReadModel {
    pub(crate) model: Model,
    positions: BTreeMap<Stream, Position>,
}

/// How far one stream is folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) created: Us,
    pub(crate) sequence: u64,
    /// When nothing was left to fold, by the node's clock.
    pub(crate) whole_at: Option<Timestamp>,
}

/// A model that was not known to be whole for so long says nothing.
const STALE_AFTER: SignedDuration = SignedDuration::from_secs(30);

impl ReadModel {
    /// Whether everything of these streams is known to be in it. Not by what a clock says that was ahead.
    pub(super) fn is_whole(&self, streams: &[Stream], now: Timestamp) -> bool {
        let is_whole = |at: Timestamp| now.duration_since(at).abs() <= STALE_AFTER;
        let whole_at = |stream: &Stream| self.position(*stream)?.whole_at;
        streams.iter().all(|stream| whole_at(stream).is_some_and(is_whole))
    }

    /// What an ended process found whole is not known to be whole.
    pub(super) fn opened(&mut self) {
        self.positions.values_mut().for_each(|position| position.whole_at = None);
    }

    pub(crate) fn position(&self, stream: Stream) -> Option<Position> {
        self.positions.get(&stream).copied()
    }
}

pub(super) async fn run(node: Rc<Node>, life: Life) {
    loop {
        let mut more = false;
        for &stream in Stream::ALL {
            more |= one_batch(&node, &life, stream).await;
        }
        if !more {
            life.sleep(LOOK_EVERY).await;
        }
    }
}

/// Folds what is new; gives whether there may be more.
async fn one_batch(node: &Node, life: &Life, stream: Stream) -> bool {
    if node.stuck.get().is_some_and(|(of, until)| of == stream && until > life.world().now()) {
        return false;
    }
    let position = node.read_model.borrow().position(stream);
    let (created, sequence) = position.map_or((None, 0), |at| (Some(at.created), at.sequence));
    let look = move |broker: &Broker| {
        let of = broker.stream(stream.name());
        let rewound = created.is_some_and(|created| created != of.created) || of.last_sequence() < sequence;
        let new: Vec<Message> = of.from(sequence + 1).take(RECORDS_MAX).cloned().collect();
        (of.created, rewound, new)
    };
    let Some((created, rewound, new)) = life.ask(stream.name(), look).await else { return false };
    if rewound {
        life.world().fault("read model rebuilt");
        *node.read_model.borrow_mut() = ReadModel::default();
        return true;
    }
    if life.world().is(Mutant::EffectInFold) && stream == Stream::Receipts {
        effect(node, life, &new).await;
    }
    life.point("relay.track.before-commit").await;
    let last = new.last().map_or(sequence, |last| last.sequence);
    let more = new.len() == RECORDS_MAX;
    {
        let mut on_disk = node.read_model.borrow_mut();
        fold(life.world(), &mut on_disk.model, stream, &new);
        let whole_before = position.and_then(|position| position.whole_at);
        let whole_at = if more { whole_before } else { Some(life.now()) };
        on_disk.positions.insert(stream, Position { created, sequence: last, whole_at });
    }
    life.point("relay.track.after-commit").await;
    more
}

fn fold<'m>(
    world: &World,
    model: &mut Model,
    stream: Stream,
    messages: impl IntoIterator<Item = &'m Message>,
) {
    for message in messages {
        let record = Record {
            stream,
            sequence: message.sequence,
            subject: &message.subject,
            stored: world.time(message.stored),
            payload: &message.payload,
        };
        ledger::changes(&record).into_iter().for_each(|change| model.apply(change));
    }
}

/// The model that the streams add up to: what they hold, and with what they lost.
pub(crate) fn rebuilt(world: &World) -> [Model; 2] {
    let broker = world.broker.borrow();
    let [mut held, mut ever] = [(); 2].map(|()| Model::default());
    for &stream in Stream::ALL {
        let of = broker.stream(stream.name());
        fold(world, &mut held, stream, of.held());
        fold(world, &mut ever, stream, of.messages());
    }
    [held, ever]
}

/// The defect: what must happen once is done where things are read again and again.
async fn effect(node: &Node, life: &Life, new: &[Message]) {
    for message in new {
        let delivered = Delivered {
            sequence: message.sequence,
            subject: message.subject.clone(),
            payload: message.payload.clone(),
            stored: message.stored,
            deliveries: 1,
            came: Came::New,
        };
        let registry = node.routing().registry.clone();
        let Some((from, _)) = subject::subscriber_of_receipt(&delivered.subject) else { continue };
        if let Ok(to) = way_back::place(&delivered.payload, &from, &registry) {
            answer::send(node, life, &to, Body::Progress(vec![forward::relayed(life, &delivered)])).await;
        }
    }
}
