//! One jail: its system, which states facts and asks again until each is stored, and its agent.

mod answers;
mod beat;
mod publish;
mod store;
mod take;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use bytes::Bytes;
use sallyport_agent_core::{custody::FacilitySecret, disclose::AllowList, revise::Context};
use sallyport_proto::{
    ids::{Jurisdiction, Ori},
    key::Signer,
    provenance::TrafficClass,
    registry::Registry,
};
use tokio::sync::{Notify, mpsc};

use crate::{
    disk::Disk,
    exec::{MS, S, Us},
    ground,
    process::{Life, Process},
    story::Fact,
    world::World,
};

pub(crate) use store::{Kept, Record, Store, Verdict};

/// The one numbering of every store here.
const EPOCH: &str = "e1";
/// Answers that wait for the agent on its core subscription.
const LIVE_WAITING_MAX: usize = 64;
/// The jail system asks again after so long.
const ASK_AGAIN: Us = S;

/// A fact that the jail was told is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stated {
    pub(crate) fact: Fact,
    /// When the caller was told.
    pub(crate) at: Us,
    /// The events it came to.
    pub(crate) events: Vec<String>,
}

/// One jail over a whole run.
pub(crate) struct Jail {
    pub(crate) ori: Ori,
    pub(crate) jurisdiction: Jurisdiction,
    pub(crate) process: Rc<Process>,
    pub(crate) registry: Rc<Registry>,
    signer: Signer,
    secret: FacilitySecret,
    allow: AllowList,
    context: Context,
    disk: RefCell<Disk<Record>>,
    /// What the running agent knows of its disk.
    pub(crate) store: RefCell<Store>,
    stored: Notify,
    facts: RefCell<VecDeque<(usize, Fact)>>,
    /// What the jail system itself has on record.
    pub(crate) stated: RefCell<Vec<Stated>>,
    asking: Cell<bool>,
}

impl Jail {
    pub(crate) fn new(world: &Rc<World>, n: usize, facts: &[Fact]) -> Rc<Self> {
        let registry = Rc::new(ground::registry(ground::NEW));
        let (ori, jurisdiction): (Ori, Jurisdiction) = (
            ground::JAILS[n].parse().expect("an ORI"),
            ground::JURISDICTION.parse().expect("a jurisdiction"),
        );
        let context = Context {
            instance: registry.instance.clone(),
            build: "sallyport-sim/0".into(),
            ori: ori.clone(),
            jurisdiction: jurisdiction.clone(),
            traffic: TrafficClass::Test,
            registry_version: registry.version,
            mapping_version: "sim/1".into(),
            backfill: false,
        };
        Rc::new(Self {
            process: Process::new(world, format!("jail {ori}")),
            ori,
            jurisdiction,
            registry,
            signer: ground::jail_signer(n),
            secret: ground::secret(n),
            allow: ground::allow_list(),
            context,
            disk: RefCell::new(Disk::new()),
            store: RefCell::default(),
            stored: Notify::new(),
            facts: RefCell::new(facts.iter().filter(|f| f.jail == n).cloned().enumerate().collect()),
            stated: RefCell::default(),
            asking: Cell::new(false),
        })
    }

    /// Starts the agent, and the jail system, which never dies.
    pub(crate) fn run(self: &Rc<Self>) {
        let (jail, crashed) = (self.clone(), self.clone());
        self.process.run(
            move |life| jail.boot(life),
            move || {
                let world = &crashed.process.world;
                world.live.borrow_mut().remove(&crashed.ori);
                crashed.asking.set(false);
                if crashed.disk.borrow_mut().crash(&mut world.chance.borrow_mut()) {
                    world.coverage.borrow_mut().crashed_at("agent.disk.torn");
                }
            },
        );
        self.ask_later(0);
    }

    fn boot(self: &Rc<Self>, life: Life) {
        *self.store.borrow_mut() = Store::recover(&mut self.disk.borrow_mut());
        let (live, answers) = mpsc::channel::<Bytes>(LIVE_WAITING_MAX);
        life.world().live.borrow_mut().insert(self.ori.clone(), live);
        life.spawn(publish::run(self.clone(), life.clone()));
        life.spawn(answers::live(self.clone(), life.clone(), answers));
        life.spawn(answers::catch_up(self.clone(), life.clone()));
        life.spawn(beat::run(self.clone(), life.clone()));
    }

    /// The jail system states its next fact when its time has come, to an agent that is there, and goes on to the next
    /// only when it was told that this one is stored.
    fn ask_later(self: &Rc<Self>, wait: Us) {
        let jail = self.clone();
        self.process.world.exec.after(wait, move || jail.ask());
    }

    fn ask(self: &Rc<Self>) {
        let world = &self.process.world;
        let Some((number, fact)) = self.facts.borrow().front().cloned() else { return };
        if fact.at > world.now() {
            return self.ask_later(fact.at - world.now());
        }
        if self.process.alive.get() && !self.asking.replace(true) {
            let jail = self.clone();
            self.process.spawn_in_life(move |life| async move {
                let events = take::take(&jail, &life, number, &fact).await;
                life.sleep(MS).await;
                let at = life.world().now();
                jail.stated.borrow_mut().push(Stated { fact, at, events });
                jail.facts.borrow_mut().pop_front();
                jail.asking.set(false);
            });
        }
        self.ask_later(ASK_AGAIN / 20);
    }

    /// Writes a record as one transaction: it is there once it is synced.
    async fn write(&self, life: &Life, record: Record, before: Option<&'static str>) {
        self.disk.borrow_mut().write(record.clone());
        if let Some(point) = before {
            life.point(point).await;
        }
        self.disk.borrow_mut().sync();
        self.store.borrow_mut().apply(&record);
    }

    /// Everything that was stated is stored, and every row is closed.
    pub(crate) fn is_done(&self) -> bool {
        self.facts.borrow().is_empty() && self.store.borrow().open() == 0
    }
}
