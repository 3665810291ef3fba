//! Everything of one run that its programs share: the broker, the weather, chance, what was seen and what was found.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use sallyport_proto::ids::{Ori, SubscriberId};
use sallyport_relay_core::route::Routing;
use tokio::sync::mpsc;

use crate::{
    broker::{Broker, Delivered},
    chance::Chance,
    coverage::Coverage,
    exec::{Exec, Us},
    ground,
    law::Law,
    mutant::Mutant,
    weather::Weather,
};

/// The beginning of every run.
const BEGAN: &str = "2026-11-21T12:00:00Z";

/// A time of the run as a broker states when it made a stream.
pub(crate) fn in_words(at: Us) -> String {
    moved(at as i64).to_string()
}

/// So many microseconds after the beginning.
fn moved(by: i64) -> Timestamp {
    BEGAN.parse::<Timestamp>().expect("a time") + SignedDuration::from_micros(by)
}

/// One pull that waits at the broker.
pub(crate) struct Pull {
    pub(crate) to: tokio::sync::oneshot::Sender<Vec<Delivered>>,
    pub(crate) batch: usize,
}

/// What happened that excuses a refusal.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    /// Events of which other bytes were sent as well.
    pub(crate) twins: BTreeSet<String>,
    /// A node's clock was over the age at which events are refused.
    pub(crate) a_node_leapt_weeks: bool,
    /// INGEST or DELIVER came back without its end.
    pub(crate) a_stream_was_lost: bool,
}

/// A notice that DELIVER held and does not hold any more.
#[derive(Debug, Clone)]
pub(crate) struct LostNotice {
    pub(crate) subscriber: SubscriberId,
    pub(crate) notice: String,
    pub(crate) sequence: u64,
    /// Which DELIVER.
    pub(crate) created: Us,
}

/// One run's world.
pub(crate) struct World {
    pub(crate) exec: Exec,
    pub(crate) chance: RefCell<Chance>,
    pub(crate) broker: RefCell<Broker>,
    pub(crate) weather: RefCell<Weather>,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) law: RefCell<Law>,
    pub(crate) coverage: RefCell<Coverage>,
    pub(crate) faults: RefCell<BTreeMap<&'static str, u64>>,
    pub(crate) findings: RefCell<Vec<String>>,
    pub(crate) oddities: RefCell<Oddities>,
    pub(crate) trace: Option<RefCell<Vec<String>>>,
    pub(crate) routings: BTreeMap<u64, Arc<Routing>>,
    pub(crate) pulls: RefCell<BTreeMap<String, VecDeque<Pull>>>,
    pub(crate) pump_due: RefCell<BTreeMap<String, Us>>,
    /// Core subscriptions of the jails, while they are connected.
    pub(crate) live: RefCell<BTreeMap<Ori, mpsc::Sender<Bytes>>>,
    /// Core subscriptions of the agencies, while they run.
    pub(crate) live_heads: RefCell<BTreeMap<SubscriberId, mpsc::Sender<Bytes>>>,
    /// Notices that the broker lost before anybody had them.
    pub(crate) lost: RefCell<Vec<LostNotice>>,
    /// Relay nodes that are alive: somebody must serve catch-up.
    pub(crate) serving: RefCell<BTreeSet<String>>,
    owners: Cell<u64>,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, mutant: Option<Mutant>, trace: bool) -> Rc<Self> {
        let routings = ground::VERSIONS
            .map(|version| (version, Arc::new(Routing::new(Arc::new(ground::registry(version)), moved(0)))));
        Rc::new(Self {
            exec: Exec::new(),
            chance: RefCell::new(Chance::new(seed)),
            broker: RefCell::new(Broker::provisioned(ground::SUBSCRIBERS.into_iter())),
            weather: RefCell::new(weather),
            mutant,
            law: RefCell::default(),
            coverage: RefCell::default(),
            faults: RefCell::default(),
            findings: RefCell::default(),
            oddities: RefCell::default(),
            trace: trace.then(RefCell::default),
            routings: routings.into(),
            pulls: RefCell::default(),
            pump_due: RefCell::default(),
            live: RefCell::default(),
            live_heads: RefCell::default(),
            lost: RefCell::default(),
            serving: RefCell::default(),
            owners: Cell::new(1),
        })
    }

    pub(crate) fn now(&self) -> Us {
        self.exec.now()
    }

    /// The true time, which is the broker's.
    pub(crate) fn time(&self, at: Us) -> Timestamp {
        self.shifted(at, 0)
    }

    /// A time as a clock shows it that is wrong by so many microseconds.
    pub(crate) fn shifted(&self, at: Us, by: i64) -> Timestamp {
        moved(at as i64 + by)
    }

    pub(crate) fn new_owner(&self) -> crate::exec::Owner {
        let owner = self.owners.get();
        self.owners.set(owner + 1);
        owner
    }

    /// True so many times in a thousand, by what the weather says.
    pub(crate) fn strikes(&self, kind: &'static str, often: impl Fn(&Weather) -> u64) -> bool {
        let times = often(&self.weather.borrow());
        let struck = times > 0 && self.chance.borrow_mut().permille(times);
        if struck {
            self.fault(kind);
        }
        struck
    }

    /// Counts a fault.
    pub(crate) fn fault(&self, kind: &'static str) {
        *self.faults.borrow_mut().entry(kind).or_default() += 1;
        self.note(|| format!("FAULT {kind}"));
    }

    /// One line of the trace.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let now = self.now();
            trace.borrow_mut().push(format!("{:>5}.{:06} {}", now / 1_000_000, now % 1_000_000, line()));
        }
    }

    /// Something that must never be.
    pub(crate) fn found(&self, what: String) {
        self.note(|| format!("FOUND {what}"));
        self.findings.borrow_mut().push(what);
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
