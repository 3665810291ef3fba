//! The faults, each by its name. A fault is applied while events flow, lasts some seconds, and heals before it returns;
//! whatever ended by itself is started again by whoever applied it.

mod servers;

use std::time::Duration;

use anyhow::Result;

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
        /// A program whose clock was wrong: its times say nothing about stalls.
        blind: Option<String>,
    },
    /// It cannot happen here.
    Skipped(String),
}

impl Done {
    fn noted(note: impl Into<String>) -> Self {
        Self::Applied { note: note.into(), takeover: None, blind: None }
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
        Self { name, disks: Disks::Plain, apply }
    }
}

/// All of them.
pub static ALL: &[Kind] = &[Kind::of("nats-kill9", servers::kill9), Kind::of("nats-freeze", servers::freeze)];

/// The kind of this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}
