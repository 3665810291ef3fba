//! What the bench runs on: one nats-server, or a cluster of three, that carries the product's accounts and beside them an
//! account of the floor's own; and the product's programs as child processes. Everything ends with its owner.
//!
//! What is measured with it: the other files.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use sallyport_ground::{Allow, Facility, Instance, Subscriber, example};
use sallyport_harness::{Cluster, Program, Recipe, Server};

/// The only relay node.
pub const NODE: &str = "a";
/// The floor's login, on loopback, on a server that lives for minutes.
pub const FLOOR_LOGIN: (&str, &str) = ("floor", "floor");
/// Before the server says its port; never listened on.
const ANY_PORT: u16 = 4222;
/// A command that reads or writes files and makes a few requests; a replicated durable costs 70 ms, and there are 100.
const COMMAND_DEADLINE: Duration = Duration::from_secs(120);
/// An export of some thousand custodies is read in far less.
const INGEST_DEADLINE: Duration = Duration::from_secs(300);
/// JetStream's share of the disk: the product's streams reserve 90 %, the floor's fit in the rest.
const FILE_STORE_BYTES: u64 = 4_000_000_000;

/// Fields of a typical disclosure.
const FIELDS: [&str; 4] = ["booking_number", "disposition_texts", "charges", "booked"];
const PURPOSE: &str = "SUPERVISION";

/// Servers and programs of one run.
pub struct Stage {
    /// Its keys, names and files.
    pub instance: Instance,
    servers: Servers,
    relays: Vec<Program>,
    subscribers: Vec<Program>,
}

enum Servers {
    One(Box<Server>),
    Three(Cluster),
}

/// A jail of the bench, allowed to tell the first so many subscribers.
pub fn facility(ori: &str, may_tell: usize, http_port: u16) -> Facility {
    let allow = (1..=may_tell).map(|number| Allow {
        subscriber: subscriber_id(number),
        purpose: PURPOSE.into(),
        release_states: Vec::new(),
        reasons: Vec::new(),
        request_flag: None,
        fields: FIELDS.map(str::to_owned).to_vec(),
    });
    Facility {
        ori: ori.into(),
        name: "Bench Jail".into(),
        mapping: Some(example("county-mapping.toml")),
        allow: allow.collect(),
        http_port,
        drop: false,
    }
}

/// The `number`th subscriber, from 1.
pub fn subscriber_id(number: usize) -> String {
    format!("bench-{number:03}")
}

fn subscriber(number: usize) -> Subscriber {
    Subscriber::of_everything(&subscriber_id(number), number, &format!("Bench Office {number}"))
}

/// A loopback port that is free now; the program that gets it binds at once.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?;
    Ok(listener.local_addr().context("read the port")?.port())
}

impl Stage {
    /// Starts servers, relay and one subscriber, with everything in `dir`.
    pub fn set(dir: &Path, replicas: usize, facilities: Vec<Facility>) -> Result<Self> {
        Self::set_with(dir, replicas, facilities, FILE_STORE_BYTES)
    }

    /// The same with another share of the disk for JetStream.
    pub fn set_with(
        dir: &Path,
        replicas: usize,
        facilities: Vec<Facility>,
        max_file_store_bytes: u64,
    ) -> Result<Self> {
        let mut instance = Instance {
            dir: dir.to_owned(),
            name: "zz-bench".into(),
            version: 1,
            minimum_version: None,
            nats_port: ANY_PORT,
            replicas,
            nodes: vec![NODE.into()],
            facilities,
            subscribers: vec![subscriber(1)],
            exercise_id: "bench".into(),
            max_file_store_bytes,
        };
        let servers = Servers::start(&mut instance)?;
        let mut stage = Self { instance, servers, relays: Vec::new(), subscribers: Vec::new() };
        provision(&stage.instance, &[])?;
        stage.start_relays()?;
        stage.start_subscribers()?;
        Ok(stage)
    }

    /// Servers with streams and durables for this instance; no program of ours runs yet.
    pub fn bare(mut instance: Instance) -> Result<Self> {
        let servers = Servers::start(&mut instance)?;
        provision(&instance, &[])?;
        Ok(Self { instance, servers, relays: Vec::new(), subscribers: Vec::new() })
    }

    /// Starts every node of the instance.
    pub fn start_relays(&mut self) -> Result<()> {
        for node in &self.instance.nodes {
            let (config, log) = (self.instance.relay_config(node), format!("relay-{node}"));
            self.relays.push(run("sallyport-relay", &config, &self.instance.dir, &log)?);
        }
        Ok(())
    }

    /// Ends every node in order.
    pub fn end_relays(&mut self) -> Result<()> {
        self.relays.drain(..).try_for_each(|mut relay| end(&mut relay))
    }

    /// The nodes of the cluster, or the one server.
    pub fn servers(&mut self) -> &mut [Server] {
        self.servers.nodes()
    }

    /// Adds subscribers up to this number, and these facilities, on the same servers.
    pub fn widen(&mut self, subscribers: usize, facilities: Vec<Facility>) -> Result<()> {
        self.instance.subscribers = (1..=subscribers).map(subscriber).collect();
        self.instance.facilities.extend(facilities);
        self.instance.version += 1;
        self.instance.write()?;
        let text = server_config(&self.instance)?;
        self.servers.restart_with(&text)?;
        provision(&self.instance, &[])?;
        // A relay that starts with the registry routes by it from the first event on.
        self.end_relays()?;
        self.start_relays()?;
        self.start_subscribers()
    }

    fn start_subscribers(&mut self) -> Result<()> {
        for subscriber in &self.instance.subscribers[self.subscribers.len()..] {
            let config = self.instance.subscriber_config(&subscriber.id);
            let program = run("sallyport-subscriber", &config, &self.instance.dir, &subscriber.id)?;
            self.subscribers.push(program);
        }
        Ok(())
    }

    /// Starts the agent of a facility.
    pub fn start_agent(&self, ori: &str) -> Result<Program> {
        run("sallyport-agent", &self.instance.agent_config(ori), &self.instance.dir, ori)
    }

    /// Fills the store of an agent that does not run; every custody of the export must become an event.
    pub fn ingest(&self, ori: &str, export: &Path, events: u64) -> Result<()> {
        let config = self.instance.agent_config(ori);
        let recipe = Recipe::new("sallyport-agent")?.arg("ingest").arg(export).arg("--config").arg(config);
        let ended = recipe.arg("--json").run(INGEST_DEADLINE)?;
        if ended.code()? != 0 {
            bail!("ingest failed: {}", ended.stderr.join("\n"));
        }
        let summary = ended.stdout.last().context("ingest printed no summary")?;
        let summary: serde_json::Value = serde_json::from_str(summary).context("read ingest's summary")?;
        if summary["events"] != events {
            bail!("the export came to {} events instead of {events}", summary["events"]);
        }
        Ok(())
    }

    /// The server that every program connects to; the floor too.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.instance.nats_port)
    }

    /// Process ids of what runs all the time, by name; of several, under one name.
    pub fn pids(&mut self) -> Vec<(&'static str, Vec<u32>)> {
        vec![
            ("nats-server", self.servers.pids()),
            ("relay", self.relays.iter().map(Program::pid).collect()),
            ("subscribers", self.subscribers.iter().map(Program::pid).collect()),
        ]
    }

    /// The servers' processes.
    pub fn server_pids(&mut self) -> Vec<u32> {
        self.servers.pids()
    }

    /// Fails when a program has ended, and says which.
    pub fn all_run(&mut self) -> Result<()> {
        for program in self.subscribers.iter_mut().chain(&mut self.relays) {
            if !program.is_running()? {
                bail!("{program:?} has ended; its log lies in {}", self.instance.dir.display());
            }
        }
        Ok(())
    }
}

impl Servers {
    /// Renders the accounts as an operator does, adds the floor's, and starts.
    fn start(instance: &mut Instance) -> Result<Self> {
        if instance.replicas == 1 {
            let mut server = Server::prepare_in(&instance.dir.join("server"), |_| String::new())?;
            instance.nats_port = server.port();
            instance.write()?;
            let text = server_config(instance)?;
            server.rewrite(|_| text.clone())?;
            server.restart()?;
            return Ok(Self::One(Box::new(server)));
        }
        instance.write()?;
        let text = server_config(instance)?;
        let mut cluster = Cluster::start(|_| text.clone())?;
        instance.nats_port = cluster.nodes().first().context("a cluster has nodes")?.port();
        instance.write()?;
        Ok(Self::Three(cluster))
    }

    fn nodes(&mut self) -> &mut [Server] {
        match self {
            Self::One(server) => std::slice::from_mut(server),
            Self::Three(cluster) => cluster.nodes(),
        }
    }

    /// Restarts with other accounts, node by node. Not by a reload: after one, nats-server 2.15.1 knows a new account and
    /// answers 503 to its service imports of the hub's JetStream until the next (measured).
    fn restart_with(&mut self, text: &str) -> Result<()> {
        for node in self.nodes() {
            node.rewrite(|_| text.to_owned())?;
            node.restart()?;
        }
        if let Self::Three(cluster) = self {
            cluster.wait_until_whole()?;
        }
        Ok(())
    }

    fn pids(&mut self) -> Vec<u32> {
        self.nodes().iter().filter_map(Server::pid).collect()
    }
}

/// The accounts that `provision` renders, and the floor's beside them: for the bench only.
fn server_config(instance: &Instance) -> Result<String> {
    provision(instance, &["--server-config-only"])?;
    let text =
        std::fs::read_to_string(instance.server_config()).context("read the rendered configuration")?;
    let accounts = text.trim_end().strip_suffix('}').context("the rendered text ends with its accounts")?;
    let (user, password) = FLOOR_LOGIN;
    Ok(format!(
        "{accounts}  FLOOR {{\n    jetstream: enabled\n    users: [ {{ user: {user}, password: {password} }} ]\n  }}\n}}\n"
    ))
}

/// What an operator types after every change of the registry's parties.
fn provision(instance: &Instance, more: &[&str]) -> Result<()> {
    let node = instance.nodes.first().map_or(NODE, String::as_str);
    let config = instance.relay_config(node);
    let recipe = Recipe::new("sallyport-relay")?.arg("provision").arg("--config").arg(config).args(more);
    let ended = recipe.run(COMMAND_DEADLINE)?;
    if ended.code()? != 0 {
        bail!("provision failed: {}\n{}", ended.stdout.join("\n"), ended.stderr.join("\n"));
    }
    Ok(())
}

fn run(program: &str, config: &Path, dir: &Path, log: &str) -> Result<Program> {
    let log: PathBuf = dir.join(format!("{log}.log"));
    Recipe::new(program)?.arg("run").arg("--config").arg(config).stderr_to(log).start()
}

/// Asks a program to end, and waits for it.
pub fn end(program: &mut Program) -> Result<()> {
    program.terminate()?;
    program.wait(COMMAND_DEADLINE).map(drop)
}
