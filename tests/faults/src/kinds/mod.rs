//! The faults, each by its name. A fault is applied while events flow, lasts some seconds, and heals before it returns;
//! whatever ended by itself is started again by whoever applied it.

mod broker;
mod clocks;
mod disks;
mod links;
mod points;
mod power;
mod programs;
mod quota;
mod registry;
mod relays;
mod servers;
mod subscribers;
mod takeover;

pub(crate) use points::die_at;
pub use takeover::{Takeover, takeover};

use std::time::Duration;

use anyhow::Result;
use sallyport_proto::subject;

use crate::{Disks, World};

/// What was done.
#[derive(Debug)]
pub enum Done {
    /// It happened.
    Applied {
        /// To whom, how.
        note: String,
        /// Until what a dead relay node had begun was done by the others.
        takeover: Option<Duration>,
        /// Whose clocks were moved: their times say nothing about stalls.
        blind: Blind,
    },
    /// It cannot happen here.
    Skipped(String),
}

/// Programs whose clocks were moved.
#[derive(Debug, Default)]
pub enum Blind {
    /// None.
    #[default]
    Nobody,
    /// This one.
    One(String),
    /// All.
    Everybody,
}

impl Blind {
    /// Whether what a line says of a way from this jail to this subscriber was told by moved clocks.
    pub fn covers(&self, ori: &str, subscriber: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(name) => name.ends_with(ori) || name.ends_with(subscriber),
            Self::Everybody => true,
        }
    }
}

impl Done {
    fn noted(note: impl Into<String>) -> Self {
        Self::Applied { note: note.into(), takeover: None, blind: Blind::Nobody }
    }
}

/// A kind of fault.
#[derive(Debug)]
pub struct Kind {
    /// As reports name it.
    pub name: &'static str,
    /// The disks it needs.
    pub disks: Disks,
    /// Applies and heals it.
    pub apply: fn(&mut World) -> Result<Done>,
}

impl Kind {
    const fn of(name: &'static str, apply: fn(&mut World) -> Result<Done>) -> Self {
        Self::on(name, Disks::Plain, apply)
    }

    const fn on(name: &'static str, disks: Disks, apply: fn(&mut World) -> Result<Done>) -> Self {
        Self { name, disks, apply }
    }
}

/// All of them.
pub static ALL: &[Kind] = &[
    Kind::of("nats-kill9", servers::kill9),
    Kind::of("nats-freeze", servers::freeze),
    Kind::of("relay-kill9", programs::kill9_relay),
    Kind::of("agent-kill9", |world| programs::kill9(world, "agent-")),
    Kind::of("subscriber-kill9", |world| programs::kill9(world, "subscriber-")),
    Kind::of("relay-freeze", |world| programs::freeze(world, "relay-")),
    Kind::of("agent-freeze", |world| programs::freeze(world, "agent-")),
    Kind::of("subscriber-freeze", |world| programs::freeze(world, "subscriber-")),
    Kind::of("relay-crash-point", points::relay),
    Kind::of("agent-crash-point", points::agent),
    Kind::of("subscriber-crash-point", points::subscriber),
    Kind::of("link-cut", links::cut),
    Kind::of("link-silent", links::silent),
    Kind::of("link-delay", links::delay),
    Kind::of("link-half-open", links::half_open),
    Kind::on("disk-full-server", Disks::Small, disks::server),
    Kind::on("disk-full-outbox", Disks::Small, disks::outbox),
    Kind::on("disk-full-read-model", Disks::Small, disks::read_model),
    Kind::on("disk-full-subscriber", Disks::Small, disks::bridge),
    Kind::on("power-cut", Disks::OneMachine, power::cut),
    Kind::of("clock-jump-relay", |world| clocks::jump(world, "relay-")),
    Kind::of("clock-jump-agent", |world| clocks::jump(world, "agent-")),
    Kind::of("clock-jump-subscriber", |world| clocks::jump(world, "subscriber-")),
    Kind::of("slow-subscriber", subscribers::slow),
    Kind::of("subscriber-gone-a-week", subscribers::gone_for_a_week),
    Kind::of("subscriber-durable-deleted", broker::subscriber_durable_deleted),
    Kind::of("relay-durable-deleted", broker::relay_durable_deleted),
    Kind::of("ingest-at-its-limit", |world| broker::at_its_limit(world, subject::INGEST)),
    Kind::of("deliver-at-its-limit", |world| broker::at_its_limit(world, subject::DELIVER)),
    Kind::of("receipts-at-its-limit", |world| broker::at_its_limit(world, subject::RECEIPTS)),
    Kind::of("answers-at-its-limit", |world| broker::at_its_limit(world, subject::ANSWERS)),
    Kind::of("registry-reload", registry::reload),
    Kind::of("relays-come-and-go", relays::come_and_go),
];

/// The kind of this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}
