//! A whole instance on one machine: server, accounts, streams, and the programs that a test starts, each a real process.

use std::{collections::BTreeMap, path::PathBuf, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use sallyport_ground::{Instance, demo};
use sallyport_harness::{Program, Proxy, Recipe, Server, program::Ended};
use sallyport_proto::{ids::Ori, key::SigningKey, registry::Registry};
use serde_json::Value;

use crate::{FakeAgency, FakeJail, Hub, day};

/// `provision` makes eight streams and a few durables, each synced to disk.
const PROVISION_DEADLINE: Duration = Duration::from_secs(60);
/// A command that reads a file or a store, or asks a running program.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);
/// An agent opens its store and its door at once.
const LISTEN_DEADLINE: Duration = Duration::from_secs(20);
/// What programs log while a test runs.
const LOG_FILTER: &str =
    "warn,sallyport_relay=debug,sallyport_agent=debug,sallyport_subscriber=debug,sallyport_link=debug";
/// An HTTP port of an instance that stands for: any free one, which the program itself finds. A port that a test found
/// free may be another test's by the time it is used.
pub const ANY_PORT: u16 = 1;
/// After SIGTERM: the grace period of our programs and some.
const END_DEADLINE: Duration = Duration::from_secs(20);
/// Sees and may do everything at the hub: so that a test looks at streams without borrowing a program's login.
pub const OBSERVER: &str = "observer";

/// The relay's name as a program.
pub const RELAY: &str = "sallyport-relay";
/// The agent's.
pub const AGENT: &str = "sallyport-agent";
/// The bridge's.
pub const SUBSCRIBER: &str = "sallyport-subscriber";

/// Which builds of our programs a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As people get them.
    Plain,
    /// With crash points and mutants.
    Faults,
}

/// One instance. Dropped: every process killed, every file removed.
pub struct World {
    /// Keys, registry, configurations.
    pub instance: Instance,
    /// The server.
    pub server: Server,
    /// Which builds are started.
    pub build: Build,
    amend: Box<dyn Fn(String) -> String + Send + Sync>,
    programs: BTreeMap<String, Program>,
    // Last: removed when nothing writes there any more.
    _dir: tempfile::TempDir,
}

impl World {
    /// The demonstration's instance, changed by `change`, on a running and provisioned server. No program runs yet.
    pub async fn provisioned(change: impl FnOnce(&mut Instance)) -> Result<Self> {
        Self::provisioned_with(change, |text| text).await
    }

    /// The same on a server whose rendered configuration is amended.
    pub async fn provisioned_with(
        change: impl FnOnce(&mut Instance),
        amend: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut world = Self::rendered(change, amend)?;
        world.server.restart()?;
        world.provision()?;
        Ok(world)
    }

    /// Provisioned, with every relay node of the instance running.
    pub async fn routing(change: impl FnOnce(&mut Instance)) -> Result<Self> {
        let mut world = Self::provisioned(change).await?;
        for node in world.instance.nodes.clone() {
            world.start_relay(&node)?;
        }
        world.relays_are_up().await?;
        Ok(world)
    }

    /// Everything written and the server's accounts rendered; the server does not run yet.
    pub fn rendered(
        change: impl FnOnce(&mut Instance),
        amend: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("sallyport-e2e-").tempdir().context("make a folder")?;
        let server = Server::prepare_in(&dir.path().join("server"), |_| String::new())?;
        let mut instance = demo(dir.path(), server.port());
        for facility in &mut instance.facilities {
            facility.http_port = ANY_PORT;
            facility.mapping = Some(day::mapping(dir.path())?);
        }
        change(&mut instance);
        instance.write()?;
        open_any_port(&instance)?;
        let mut world = Self {
            instance,
            server,
            build: Build::Plain,
            amend: Box::new(amend),
            programs: BTreeMap::new(),
            _dir: dir,
        };
        world.render_accounts()?;
        Ok(world)
    }

    /// Renders the accounts from the registry as it is now, into the configuration the server starts with.
    pub fn render_accounts(&mut self) -> Result<()> {
        self.render(&["provision", "--server-config-only", "--config"])
    }

    /// The server loses everything it ever stored, and starts again with a configuration for `restore` alone.
    pub fn lose_everything(&mut self) -> Result<()> {
        self.server.kill9()?;
        let store = self.server.dir().join("store");
        std::fs::remove_dir_all(&store).with_context(|| format!("remove {}", store.display()))?;
        self.render(&["provision", "--server-config-only", "--for-restore", "--config"])?;
        self.server.restart()
    }

    fn render(&mut self, args: &[&str]) -> Result<()> {
        let config = self.instance.relay_config(self.first_node()?);
        let ended = self.recipe(RELAY)?.args(args).arg(&config).run(PROVISION_DEADLINE)?;
        ensure!(ended.code()? == 0, "provision --server-config-only: {ended:?}");
        let rendered = std::fs::read_to_string(self.instance.server_config()).context("read nats.conf")?;
        let text = (self.amend)(with_user(&rendered, "HUB", OBSERVER)?);
        self.server.rewrite(|_| text.clone())
    }

    /// Runs `provision` and expects that nothing is left to say.
    pub fn provision(&self) -> Result<()> {
        let ended = self.run_provision(self.first_node()?)?;
        ensure!(ended.code()? == 0, "provision: {ended:?}");
        Ok(())
    }

    /// Runs `provision --json`, however it ends.
    pub fn run_provision(&self, node: &str) -> Result<Ended> {
        let config = self.instance.relay_config(node);
        self.recipe(RELAY)?.args(["provision", "--json", "--config"]).arg(config).run(PROVISION_DEADLINE)
    }

    /// A recipe of one of our programs, in this world's build. Fails with what to run when it was not built.
    pub fn recipe(&self, program: &str) -> Result<Recipe> {
        match self.build {
            Build::Plain => Recipe::new(program),
            Build::Faults => Recipe::with_faults(program),
        }
    }

    /// Starts a relay node, as `relay-<node>`.
    pub fn start_relay(&mut self, node: &str) -> Result<()> {
        self.start(&format!("relay-{node}"), None)
    }

    /// Starts a jail's agent, as `agent-<ori>`.
    pub fn start_agent(&mut self, ori: &str) -> Result<()> {
        self.start(&format!("agent-{ori}"), None)
    }

    /// Starts an agency's bridge, as `subscriber-<id>`.
    pub fn start_subscriber(&mut self, id: &str) -> Result<()> {
        self.start(&format!("subscriber-{id}"), None)
    }

    /// Starts a program by its name in this world, with a crash point or a mutant if one is given; of an agent, waits until
    /// it takes records.
    pub fn start(&mut self, name: &str, fault: Option<&str>) -> Result<()> {
        self.begin(name, fault)?;
        match name.strip_prefix("agent-") {
            Some(ori) => self.agent_listens(ori),
            None => Ok(()),
        }
    }

    /// The same without waiting: it may die before it listens.
    pub fn begin(&mut self, name: &str, fault: Option<&str>) -> Result<()> {
        let (program, config) = self.who(name)?;
        let log = self.instance.dir.join(format!("{name}.log"));
        // What a program says is read when a test fails: everything of ours, warnings of others.
        let mut recipe = self
            .recipe(program)?
            .args(["run", "--config"])
            .arg(&config)
            .stderr_to(log)
            .env("SALLYPORT_LOG", LOG_FILTER);
        if let Some(fault) = fault {
            ensure!(self.build == Build::Faults, "only a build with faults has {fault}");
            recipe = recipe.env("SALLYPORT_FAULT", fault);
        }
        self.programs.insert(name.to_owned(), recipe.start()?);
        Ok(())
    }

    /// Which program a name of this world stands for, and its configuration.
    fn who(&self, name: &str) -> Result<(&'static str, PathBuf)> {
        if let Some(node) = name.strip_prefix("relay-") {
            return Ok((RELAY, self.instance.relay_config(node)));
        }
        if let Some(ori) = name.strip_prefix("agent-") {
            return Ok((AGENT, self.instance.agent_config(ori)));
        }
        let id = name.strip_prefix("subscriber-").with_context(|| format!("{name} is nobody"))?;
        Ok((SUBSCRIBER, self.instance.subscriber_config(id)))
    }

    /// Starts one relay node, every bridge, and the agent of the first facility.
    pub fn start_everything(&mut self) -> Result<()> {
        self.start_everything_with("", "")
    }

    /// The same, with a crash point or a mutant in one of them.
    pub fn start_everything_with(&mut self, faulty: &str, fault: &str) -> Result<()> {
        let mut names = vec![format!("relay-{}", self.first_node()?)];
        names.extend(self.instance.subscribers.iter().map(|s| format!("subscriber-{}", s.id)));
        let first = self.instance.facilities.first().context("an instance has a facility")?;
        names.push(format!("agent-{}", first.ori));
        for name in names {
            self.start(&name, (name == faulty).then_some(fault))?;
        }
        Ok(())
    }

    /// Waits until an agent takes records: until then a command may be told to come again, or take the store itself.
    fn agent_listens(&self, ori: &str) -> Result<()> {
        let lock = self.instance.agent_store(ori).join("agent.lock");
        sallyport_harness::wait::until("the agent listens", LISTEN_DEADLINE, || {
            let address = std::fs::read_to_string(&lock).unwrap_or_default();
            let Ok(address) = address.trim().parse::<std::net::SocketAddr>() else { return Ok(None) };
            Ok(std::net::TcpStream::connect(address).is_ok().then_some(()))
        })
        .with_context(|| self.logs())
    }

    /// Runs a command of a program by its name in this world, with its configuration behind the command's word.
    pub fn command(&self, name: &str, args: &[&str]) -> Result<Ended> {
        let (program, config) = self.who(name)?;
        let (word, rest) = args.split_first().context("a command has a word")?;
        self.recipe(program)?.arg(word).arg("--config").arg(config).args(rest).run(COMMAND_DEADLINE)
    }

    /// The same for a command that must succeed and prints one JSON object last.
    pub fn ask(&self, name: &str, args: &[&str]) -> Result<Value> {
        let ended = self.command(name, args)?;
        ensure!(ended.code()? == 0, "{name} {args:?}: {ended:?}");
        let line = ended.stdout.last().with_context(|| format!("{name} {args:?} printed nothing"))?;
        serde_json::from_str(line).with_context(|| format!("{name} {args:?} printed {line}"))
    }

    /// From now on a program reaches the server through this proxy.
    pub fn reach_through(&self, name: &str, proxy: &Proxy) -> Result<()> {
        let (_, config) = self.who(name)?;
        let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
        let changed = text.replace(&self.server.url(), &proxy.url());
        ensure!(changed != text, "{} does not name {}", config.display(), self.server.url());
        std::fs::write(&config, changed).with_context(|| format!("write {}", config.display()))
    }

    /// A program that was started here.
    pub fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.programs.get_mut(name).with_context(|| format!("{name} was not started"))
    }

    /// Waits until a program has ended by itself, and forgets it.
    pub fn wait_for_end(&mut self, name: &str, deadline: Duration) -> Result<ExitStatus> {
        let status = self.program(name)?.wait(deadline)?;
        self.programs.remove(name);
        Ok(status)
    }

    /// `kill -9`.
    pub fn kill9(&mut self, name: &str) -> Result<()> {
        self.program(name)?.kill9()?;
        self.programs.remove(name);
        Ok(())
    }

    /// Asks it to end, waits, and expects exit code 0.
    pub fn end(&mut self, name: &str) -> Result<()> {
        let program = self.program(name)?;
        program.terminate()?;
        let status = program.wait(END_DEADLINE)?;
        self.programs.remove(name);
        ensure!(status.success(), "{name} ended with {status}");
        Ok(())
    }

    /// What a program logged.
    pub fn log_of(&self, name: &str) -> String {
        let file = self.instance.dir.join(format!("{name}.log"));
        std::fs::read_to_string(&file).unwrap_or_else(|error| format!("({}: {error})", file.display()))
    }

    /// A page of a relay node: its status and its text. Where it listens, it says when it starts.
    pub fn relay_page(&self, node: &str, path: &str) -> Result<(u16, String)> {
        let log = self.log_of(&format!("relay-{node}"));
        let said = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let address = said.filter_map(|line| Some(line["listen"].as_str()?.to_owned())).next();
        let address = address.with_context(|| format!("relay-{node} does not say where it listens"))?;
        let client: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut page = client.get(format!("http://{address}{path}")).call().context("ask for the page")?;
        Ok((page.status().as_u16(), page.body_mut().read_to_string().context("read the page")?))
    }

    /// The ends of all logs, for a failure.
    pub fn logs(&self) -> String {
        const LINES_QUOTED: usize = 30;
        let end = |name: &String| {
            let log = self.log_of(name);
            let lines: Vec<_> = log.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(LINES_QUOTED)..].join("\n"))
        };
        self.programs.keys().map(end).collect()
    }

    /// Waits until every started relay node takes part in the work.
    pub async fn relays_are_up(&mut self) -> Result<()> {
        let names: Vec<_> = self.programs.keys().filter(|name| name.starts_with("relay-")).cloned().collect();
        let hub = self.hub().await?;
        crate::patience::until("every relay node pulls from INGEST", crate::patience::SOON, || {
            let (hub, wanted) = (hub.clone(), names.len());
            async move { Ok((hub.pulls_waiting("INGEST", "relay").await? >= wanted).then_some(())) }
        })
        .await
        .with_context(|| self.logs())
    }

    /// Waits until the node whose registry this is routes by `version`: probes with events told to nobody that asked.
    pub async fn routes_by(&self, jail: &mut FakeJail, version: u64) -> Result<()> {
        let end = tokio::time::Instant::now() + crate::patience::SOON;
        loop {
            let probe = jail.draft(&["demo-marshals"])?.seal(&jail.signer)?;
            jail.publish(&probe.bytes).await?;
            let found = jail.acceptance(&probe).await?.registry_version;
            if found >= version {
                return Ok(());
            }
            ensure!(tokio::time::Instant::now() < end, "registry {version} is not in force, {found} is");
            // The file is looked at once a second; probing faster would only fill the streams.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The hub, seen by the observing user.
    pub async fn hub(&self) -> Result<Hub> {
        Hub::open(&self.server.url(), self.registry()?).await
    }

    /// A jail that speaks by hand, logged in with the facility's own connect key.
    pub async fn jail(&self, ori: &str) -> Result<FakeJail> {
        FakeJail::log_in(&self.instance, &self.server.url(), ori).await
    }

    /// An agency that speaks by hand.
    pub async fn agency(&self, id: &str) -> Result<FakeAgency> {
        FakeAgency::log_in(&self.instance, &self.server.url(), id).await
    }

    /// The registry as it lies in its file now.
    pub fn registry(&self) -> Result<Registry> {
        read_registry(&self.instance)
    }

    fn first_node(&self) -> Result<&str> {
        Ok(self.instance.nodes.first().context("an instance has a relay node")?)
    }
}

/// Puts port 0 where a configuration has [`ANY_PORT`], and into every relay node's.
pub fn open_any_port(instance: &Instance) -> Result<()> {
    let configs = instance.facilities.iter().map(|f| instance.agent_config(&f.ori));
    for config in configs.chain(instance.subscribers.iter().map(|s| instance.subscriber_config(&s.id))) {
        let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
        let text = text.replace(&format!("127.0.0.1:{ANY_PORT}\""), "127.0.0.1:0\"");
        std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    }
    for config in instance.nodes.iter().map(|node| instance.relay_config(node)) {
        let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
        std::fs::write(&config, text + "[http]\nlisten = \"127.0.0.1:0\"\n")
            .with_context(|| format!("write {}", config.display()))?;
    }
    Ok(())
}

/// A rendered configuration with one more user in an account: password as the name, may do whatever the account may.
pub fn with_user(rendered: &str, account: &str, user: &str) -> Result<String> {
    let start = rendered.find(&format!("  {account} {{\n")).with_context(|| format!("account {account}"))?;
    let users = rendered[start..].find("users: [\n").with_context(|| format!("users of {account}"))?;
    let at = start + users + "users: [\n".len();
    Ok(format!("{}      {{ user: {user}, password: {user} }}\n{}", &rendered[..at], &rendered[at..]))
}

/// Parses the instance's registry.
pub fn read_registry(instance: &Instance) -> Result<Registry> {
    let file = instance.registry_file();
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    match Registry::parse(&text) {
        Ok(registry) => Ok(registry),
        Err(problems) => bail!("the registry has problems: {problems:?}"),
    }
}

/// The key that signs a facility's events, by the registry.
pub(crate) fn facility_key(registry: &Registry, ori: &Ori) -> Result<SigningKey> {
    let facility = registry.facilities.get(ori).with_context(|| format!("facility {ori}"))?;
    Ok(facility.signing_key.clone())
}
