//! A whole instance on a cluster of three: relay nodes, agents and bridges as real processes, each with a link of its own
//! to the servers, and whatever ended by itself started again, as a service manager does.

mod clocks;
mod programs;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use rand::{SeedableRng, rngs::StdRng};
use sallyport_e2e::{
    Hub, day,
    world::{AGENT, ANY_PORT, OBSERVER, RELAY, open_any_port, read_registry, with_user},
};
use sallyport_ground::{Instance, demo};
use sallyport_harness::{Cluster, Program, Recipe, Server};
use tempfile::TempDir;

use self::{clocks::CLOCK_OFFSET, programs::config_of};
use crate::{
    flow::Jails,
    ground::{self, Machine, Volume},
    link::Link,
};

/// Relay nodes in the registry; the first two run from the start, the third joins.
pub const NODES: [&str; 3] = ["a", "b", "c"];
/// Which of them run from the start.
const NODES_AT_START: usize = 2;
/// The folder's name begins so, with our process id behind it: what a killed run left mounted is found by it.
const PREFIX: &str = "sallyport-faults-";
/// `provision` makes eight replicated streams and as many durables, each synced by three.
const PROVISION_DEADLINE: Duration = Duration::from_secs(120);
/// A machine that is busy with others may miss an election's pace, and a server then calls a peer offline. What was made
/// stays, and the next try goes on from there.
const PROVISION_TRIES: usize = 3;
/// Names the file that takes the room from a program's store, to a program with crash points.
const STORE_FULL: &str = "SALLYPORT_STORE_FULL";
/// Everybody is at work.
const UP_DEADLINE: Duration = Duration::from_secs(60);

/// What a world's disks can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disks {
    /// Nothing but hold.
    Plain,
    /// Those named by [`Volumes`] can be full: small file systems of their own.
    Small,
    /// The same without a right to mount: stores that refuse to grow, and a server with a quota.
    Refusing,
    /// All forget what was not synced.
    OneMachine,
}

impl Disks {
    /// Whether a fault that needs `others` can be applied on these.
    pub fn serve(self, others: Self) -> bool {
        others == Self::Plain || others == self || (others, self) == (Self::Small, Self::Refusing)
    }
}

/// The small file systems.
#[derive(Debug)]
pub struct Volumes {
    /// Of the last server.
    pub server: Volume,
    /// Of [`OfLittleRoom::outbox`].
    pub outbox: Volume,
    /// Of [`OfLittleRoom::read_model`].
    pub read_model: Volume,
    /// Of [`OfLittleRoom::bridge`].
    pub bridge: Volume,
}

/// The programs whose disks can be full, by name.
#[derive(Debug)]
pub struct OfLittleRoom {
    /// The last jail's agent.
    pub outbox: String,
    /// The second relay node.
    pub read_model: String,
    /// The first agency's bridge.
    pub bridge: String,
}

/// One instance. Dropped: every process killed, everything mounted and written taken away.
pub struct World {
    /// Keys, registry, configurations.
    pub instance: Instance,
    /// What the jails exported.
    pub jails: Jails,
    /// Chooses whom a fault hits.
    pub rng: StdRng,
    programs: BTreeMap<String, Program>,
    /// Programs that a service manager would keep running.
    kept: BTreeSet<String>,
    /// Ended without having been asked or killed.
    ended: Vec<String>,
    programs_dir: BTreeMap<String, PathBuf>,
    links: BTreeMap<String, Link>,
    /// The servers.
    pub cluster: Cluster,
    /// By how much the programs' clocks are ahead of the machine's.
    passed: SignedDuration,
    /// What the disks can do.
    pub disks: Disks,
    /// File systems that can be full.
    pub volumes: Option<Volumes>,
    /// The disk that can lose what was not synced.
    pub machine: Option<Machine>,
    runtime: tokio::runtime::Runtime,
    _dir: TempDir,
}

impl World {
    /// A provisioned world in which everybody runs.
    pub fn start(seed: u64, disks: Disks) -> Result<Self> {
        let mut world = Self::prepared(seed, disks)?;
        world.start_all()?;
        Ok(world)
    }

    /// A provisioned world in which no program runs yet.
    pub fn prepared(seed: u64, disks: Disks) -> Result<Self> {
        ground::sweep(PREFIX);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let scratch = tempfile::Builder::new().prefix(&prefix).tempdir().context("make a folder")?;
        let dir = scratch.path().join("machine");
        std::fs::create_dir_all(&dir).context("make the machine's folder")?;
        let machine = match disks {
            Disks::OneMachine => Some(Machine::mount(&dir)?),
            Disks::Plain | Disks::Small | Disks::Refusing => None,
        };
        // What the jails' own systems exported is no part of what a power cut hits here.
        let exports = scratch.path().join("exports");
        std::fs::create_dir_all(&exports).context("make the folder of exports")?;
        std::os::unix::fs::symlink(&exports, dir.join("exports")).context("name the folder of exports")?;
        let mut instance = instance(&dir)?;
        let volumes = match disks {
            Disks::Small => Some(volumes(&instance)?),
            Disks::Plain | Disks::Refusing | Disks::OneMachine => None,
        };
        let text = rendered(&instance)?;
        let mut cluster = Cluster::start_in(&dir, &["--no_advertise=true"], |_| text.clone())?;
        let ports: Vec<u16> = cluster.nodes().iter().map(Server::port).collect();
        instance.nats_port = *ports.first().context("a cluster has nodes")?;
        instance.write()?;
        open_any_port(&instance)?;
        clocks::set_up(&instance)?;
        let mut links = BTreeMap::new();
        for name in everybody(&instance) {
            let link = Link::to(&ports)?;
            reach_through(&config_of(&instance, &name)?, &instance, &link)?;
            links.insert(name, link);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("start a runtime")?;
        let world = Self {
            // Without an agent that runs, its command stores by itself: by the same clock, and in the same room.
            jails: Jails::of(&instance, |ori| {
                let name = agent(ori);
                Ok(Recipe::with_faults(AGENT)?
                    .env(CLOCK_OFFSET, clocks::file(&instance, &name))
                    .env(STORE_FULL, full_file(&instance, &name)))
            })?,
            rng: StdRng::seed_from_u64(seed),
            programs: BTreeMap::new(),
            kept: BTreeSet::new(),
            ended: Vec::new(),
            programs_dir: BTreeMap::new(),
            links,
            cluster,
            passed: SignedDuration::ZERO,
            disks,
            volumes,
            machine,
            runtime,
            instance,
            _dir: scratch,
        };
        world.provision()?;
        Ok(world)
    }

    /// Starts two relay nodes, every agent and every bridge, and waits until they work.
    pub fn start_all(&mut self) -> Result<()> {
        for name in self.from_the_start() {
            self.begin(&name, None)?;
        }
        self.wait_until_up()?;
        if let Some(machine) = &self.machine {
            machine.sync()?;
        }
        Ok(())
    }

    /// Names of the programs that run from the start.
    pub fn from_the_start(&self) -> Vec<String> {
        let late: Vec<String> = NODES.iter().skip(NODES_AT_START).map(|node| relay(node)).collect();
        everybody(&self.instance).into_iter().filter(|name| !late.contains(name)).collect()
    }

    /// Runs `provision` and expects that nothing is left to say.
    pub fn provision(&self) -> Result<()> {
        let config = self.instance.relay_config(NODES[0]);
        let recipe = Recipe::with_faults(RELAY)?.args(["provision", "--json", "--config"]).arg(config);
        let mut ended = recipe.run(PROVISION_DEADLINE)?;
        for _ in 1..PROVISION_TRIES {
            if ended.code()? == 0 {
                break;
            }
            self.cluster.wait_until_whole()?;
            ended = recipe.run(PROVISION_DEADLINE)?;
        }
        ensure!(ended.code()? == 0, "provision: {ended:?}");
        Ok(())
    }

    /// Stops every program and every server at one moment, sets aside what has reached the disk, and kills them all.
    pub fn power_off(&mut self) -> Result<()> {
        for program in self.programs.values_mut() {
            // It may have ended by itself.
            let _ = program.freeze();
        }
        for node in self.cluster.nodes() {
            node.freeze()?;
        }
        if let Some(machine) = &mut self.machine {
            machine.keep_what_reached_the_disk()?;
        }
        self.programs.clear();
        for node in self.cluster.nodes() {
            node.kill9()?;
        }
        Ok(())
    }

    /// A program's way to the servers.
    pub fn link(&self, name: &str) -> Result<&Link> {
        self.links.get(name).with_context(|| format!("{name} has no link"))
    }

    /// While this file is there, a program's store refuses to grow.
    pub fn full_file(&self, name: &str) -> PathBuf {
        full_file(&self.instance, name)
    }

    /// Whose disks can be full.
    pub fn of_little_room(&self) -> Result<OfLittleRoom> {
        let jail = self.instance.facilities.last().context("an instance has jails")?;
        let agency = self.instance.subscribers.first().context("an instance has agencies")?;
        Ok(OfLittleRoom { outbox: agent(&jail.ori), read_model: relay(NODES[1]), bridge: bridge(&agency.id) })
    }

    /// Does something with the hub's streams, as a user that only tests have.
    pub fn at_hub<T>(&self, work: impl AsyncFn(&Hub) -> Result<T>) -> Result<T> {
        self.runtime.block_on(async {
            let hub = Hub::open(&self.cluster.url(), read_registry(&self.instance)?).await?;
            let done = work(&hub).await;
            let _ = hub.login.client.drain().await;
            done
        })
    }

    /// Waits until every running relay node and bridge pulls.
    pub fn wait_until_up(&mut self) -> Result<()> {
        let nodes = self.running("relay-").len();
        let bridges: Vec<String> = self.instance.subscribers.iter().map(|s| s.id.clone()).collect();
        let waited = crate::calm::until("everybody pulls", UP_DEADLINE, || {
            self.revive()?;
            let up = self.at_hub(async |hub| {
                let mut up = hub.pulls_waiting("INGEST", "relay").await? >= nodes;
                for bridge in &bridges {
                    up &= hub.pulls_waiting("DELIVER", bridge).await? > 0;
                }
                Ok(up)
            });
            Ok(up.unwrap_or(false).then_some(()))
        });
        waited.with_context(|| self.logs())
    }
}

fn full_file(instance: &Instance, name: &str) -> PathBuf {
    instance.dir.join(format!("{name}.full"))
}

/// A relay node's name as a program.
pub fn relay(node: &str) -> String {
    format!("relay-{node}")
}

fn bridge(subscriber: &str) -> String {
    format!("subscriber-{subscriber}")
}

fn agent(ori: &str) -> String {
    format!("agent-{ori}")
}

fn everybody(instance: &Instance) -> Vec<String> {
    let nodes = instance.nodes.iter().map(|node| relay(node));
    let bridges = instance.subscribers.iter().map(|s| bridge(&s.id));
    let agents = instance.facilities.iter().map(|f| agent(&f.ori));
    nodes.chain(bridges).chain(agents).collect()
}

fn instance(dir: &Path) -> Result<Instance> {
    let mut instance = demo(dir, ANY_PORT);
    instance.replicas = 3;
    instance.nodes = NODES.map(str::to_owned).to_vec();
    for facility in &mut instance.facilities {
        facility.http_port = ANY_PORT;
        facility.mapping = Some(day::mapping(dir)?);
    }
    instance.write()?;
    Ok(instance)
}

fn volumes(instance: &Instance) -> Result<Volumes> {
    let jail = instance.facilities.last().context("an instance has jails")?;
    let agency = instance.subscribers.first().context("an instance has agencies")?;
    Ok(Volumes {
        server: Volume::mount(&instance.dir.join("node-3/store"))?,
        outbox: Volume::mount(&instance.agent_store(&jail.ori))?,
        read_model: Volume::mount(&instance.dir.join(relay(NODES[1])))?,
        bridge: Volume::mount(&instance.subscriber_store(&agency.id))?,
    })
}

/// The servers' accounts as `provision` renders them, with the observing user.
fn rendered(instance: &Instance) -> Result<String> {
    let config = instance.relay_config(NODES[0]);
    let recipe =
        Recipe::with_faults(RELAY)?.args(["provision", "--server-config-only", "--config"]).arg(config);
    let ended = recipe.run(PROVISION_DEADLINE)?;
    ensure!(ended.code()? == 0, "provision --server-config-only: {ended:?}");
    with_user(&std::fs::read_to_string(instance.server_config()).context("read nats.conf")?, "HUB", OBSERVER)
}

fn reach_through(config: &Path, instance: &Instance, link: &Link) -> Result<()> {
    let text = std::fs::read_to_string(config).with_context(|| format!("read {}", config.display()))?;
    let direct = format!("nats://127.0.0.1:{}", instance.nats_port);
    let changed = text.replace(&direct, &link.url());
    ensure!(changed != text, "{} does not name {direct}", config.display());
    std::fs::write(config, changed).with_context(|| format!("write {}", config.display()))
}
