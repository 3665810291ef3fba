//! One run: casts the parties, lets the storm pass, waits until all is quiet, judges.

use std::{collections::BTreeMap, collections::BTreeSet, path::Path, rc::Rc};

use sallyport_proto::envelope::Digest;

use crate::{
    agency::Agency,
    chance::Chance,
    coverage::Coverage,
    exec::{S, Us},
    ground,
    jail::Jail,
    mutant::Mutant,
    node::Node,
    storm::{self, Cast},
    story,
    verdict::{self, Parties},
    weather::{STORM_ENDS, Weather},
    world::World,
};

/// Everything must have come through so long after the storm: the longest backoff of a durable and of an outbox, and
/// what they may wait for each other.
const QUIET_BY: Us = STORM_ENDS + 2_700 * S;
/// Between looks whether all is quiet.
const LOOK_EVERY: Us = 10 * S;
/// When nothing is left to do, one round of catch-up and of folding may still be.
const LAST_ROUND: Us = 130 * S;
/// Where files cost no disk.
const IN_MEMORY: &str = "/dev/shm";

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A deliberate defect.
    pub mutant: Option<Mutant>,
    /// Nothing fails.
    pub calm: bool,
    /// Keep what happened, line by line.
    pub trace: bool,
}

/// What one run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What must never be, and was; empty in a good run.
    pub findings: Vec<String>,
    /// Events that the jails stored.
    pub events: u64,
    /// Notices that were handed over.
    pub notices: u64,
    /// Programs that died.
    pub crashes: u64,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The longest time from "stored" to a hand-over log, in seconds.
    pub longest_stall_s: f64,
    /// Notices that should have been handed over and were not.
    pub lost: u64,
    /// Notices that were handed over twice.
    pub duplicates: u64,
    /// Events that were refused for good, for a reason that was there, and shown to a person.
    pub refused: u64,
    /// Of everything the broker stored, with its time: two runs of one seed agree in it.
    pub fingerprint: String,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
    pub(crate) coverage: Coverage,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut chance = Chance::new(seed ^ 0x5a11_1903_0317_2026);
    let weather = if options.calm { Weather::calm() } else { Weather::draw(&mut chance) };
    let facts = story::tell(&mut chance);
    let fine = weather.is_fine();
    let world = World::new(seed, weather, options.mutant, options.trace);
    let memory = Path::new(IN_MEMORY);
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder for the agencies' stores");

    let mut versions = BTreeSet::from([ground::NEW]);
    let nodes: Vec<Rc<Node>> = (0..ground::NODES.len())
        .map(|n| {
            let old = world.weather.borrow().mixed_registries && chance.permille(600);
            let version = if old { ground::OLD } else { ground::NEW };
            versions.insert(version);
            Node::new(&world, n, version)
        })
        .collect();
    let jails = (0..ground::JAILS.len()).map(|n| Jail::new(&world, n, &facts)).collect();
    let agencies = (0..ground::SUBSCRIBERS.len())
        .map(|n| Agency::new(&world, n, folder.path().join(ground::SUBSCRIBERS[n])))
        .collect();
    let parties = Parties { jails, nodes, agencies };
    parties.jails.iter().for_each(Jail::run);
    parties.nodes.iter().for_each(Node::run);
    parties.agencies.iter().for_each(Agency::run);
    let cast = Rc::new(Cast {
        processes: parties.processes(),
        nodes: parties.nodes.clone(),
        agencies: parties.agencies.clone(),
    });
    storm::brew(&world, &cast);

    world.exec.run_until(STORM_ENDS);
    while world.now() < QUIET_BY && !verdict::unfinished(&world, &parties).is_empty() {
        world.exec.run_until(world.now() + LOOK_EVERY);
    }
    world.exec.run_until(world.now() + LAST_ROUND);
    let figures = verdict::judge(&world, &parties, &versions, fine);
    let coverage = world.coverage.take();
    let outcome = Outcome {
        seed,
        findings: world.findings.take(),
        events: figures.events,
        notices: figures.notices,
        crashes: coverage.crashes,
        faults: world.faults.take(),
        longest_stall_s: figures.longest_stall as f64 / S as f64,
        lost: figures.lost,
        duplicates: figures.duplicates,
        refused: figures.refused,
        fingerprint: fingerprint(&world),
        trace: world.trace.as_ref().map(std::cell::RefCell::take).unwrap_or_default(),
        coverage,
    };
    tear_down(&world, &parties);
    outcome
}

impl Parties {
    fn processes(&self) -> Vec<Rc<crate::process::Process>> {
        let jails = self.jails.iter().map(|jail| jail.process.clone());
        let nodes = self.nodes.iter().map(|node| node.process.clone());
        jails.chain(nodes).chain(self.agencies.iter().map(|agency| agency.process.clone())).collect()
    }
}

fn fingerprint(world: &World) -> String {
    let mut all = Vec::new();
    for (name, stream) in &world.broker.borrow().streams {
        for message in stream.messages() {
            all.extend(name.bytes());
            all.extend(message.stored.to_be_bytes());
            all.extend(Digest::of(&message.payload).as_bytes());
        }
    }
    Digest::of(&all).to_string()
}

/// Programs, tasks and world hold each other.
fn tear_down(world: &World, parties: &Parties) {
    parties.processes().iter().for_each(|process| process.tear_down());
    world.exec.clear();
    world.pulls.take();
    world.live.take();
    world.live_heads.take();
    parties.agencies.iter().for_each(|agency| agency.close());
}
