//! One relay node: the stages of the product's own, over the simulated broker. What is decided is `relay_core`'s; here is
//! only the order of acts: record first, effect second, settle last.

mod answer;
mod commit;
mod forward;
mod heads;
mod intake;
mod mend;
mod track;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use sallyport_proto::{
    ids::{InstanceId, NodeId, SubscriberId},
    key::Signer,
    provenance::Provenance,
};
use sallyport_relay_core::{commit::Author, ledger::Stream, route::Routing};
use tokio::sync::mpsc;

use crate::{
    exec::Us,
    ground,
    process::{Life, Process},
    world::World,
};

pub(crate) use track::{ReadModel, rebuilt};

/// Batches between stages: while one is in work, one more is made. More would only age.
const BATCHES_WAITING_MAX: usize = 1;
const BUILD: &str = "sallyport-sim/0";

/// One node over a whole run.
pub(crate) struct Node {
    pub(crate) name: NodeId,
    pub(crate) process: Rc<Process>,
    instance: InstanceId,
    signer: Signer,
    /// In force now.
    pub(crate) routing: RefCell<Arc<Routing>>,
    /// On its disk.
    pub(crate) read_model: RefCell<ReadModel>,
    /// Its reader of this stream gets nothing until then.
    pub(crate) stuck: Cell<Option<(Stream, Us)>>,
    /// Only of the mutant that counts there: notices that were to be committed.
    begun: RefCell<BTreeMap<SubscriberId, u64>>,
}

impl Node {
    pub(crate) fn new(world: &Rc<World>, n: usize, version: u64) -> Rc<Self> {
        let name = ground::NODES[n];
        Rc::new(Self {
            name: name.parse().expect("a node id"),
            process: Process::new(world, format!("node {name}")),
            instance: ground::INSTANCE.parse().expect("an instance"),
            signer: ground::node_signer(n),
            routing: RefCell::new(world.routings[&version].clone()),
            read_model: RefCell::default(),
            stuck: Cell::new(None),
            begun: RefCell::default(),
        })
    }

    pub(crate) fn run(self: &Rc<Self>) {
        let (node, crashed) = (self.clone(), self.clone());
        self.process.run(
            move |life| node.boot(life),
            move || {
                crashed.process.world.serving.borrow_mut().remove(crashed.name.as_str());
            },
        );
    }

    fn boot(self: &Rc<Self>, life: Life) {
        life.world().serving.borrow_mut().insert(self.name.to_string());
        self.read_model.borrow_mut().opened();
        let (to_commit, pulled) = mpsc::channel(BATCHES_WAITING_MAX);
        let (to_answer, decided) = mpsc::channel(BATCHES_WAITING_MAX);
        life.spawn(intake::run(self.clone(), life.clone(), to_commit));
        life.spawn(commit::run(self.clone(), life.clone(), pulled, to_answer));
        life.spawn(answer::run(self.clone(), life.clone(), decided));
        life.spawn(forward::run(self.clone(), life.clone()));
        life.spawn(track::run(self.clone(), life.clone()));
        life.spawn(heads::run(self.clone(), life.clone()));
        life.spawn(mend::run(self.clone(), life.clone()));
    }

    fn author(&self) -> Author<'_> {
        Author { instance: &self.instance, build: BUILD, node: &self.name, signer: &self.signer }
    }

    fn provenance(&self) -> Provenance {
        Provenance::of(&self.instance, BUILD)
    }

    fn routing(&self) -> Arc<Routing> {
        self.routing.borrow().clone()
    }
}
