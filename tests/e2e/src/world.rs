//! A whole instance on one machine: server, accounts, streams, and the programs that a test starts, each a real process.

mod programs;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use sallyport_ground::{Instance, demo};
use sallyport_harness::{Server, program::Ended};
use sallyport_proto::{ids::Ori, key::SigningKey, registry::Registry};

use programs::Running;
pub use programs::{AGENT, Build, RELAY, SUBSCRIBER};

use crate::{Day, FakeAgency, FakeJail, Hub, day, patience};

/// `provision` makes eight streams and a few durables, each synced to disk.
const PROVISION_DEADLINE: Duration = Duration::from_secs(60);
/// An HTTP port of an instance that stands for: any free one, which the program itself finds. A port that a test found
/// free may be another test's by the time it is used.
pub const ANY_PORT: u16 = 1;
/// Sees and may do everything at the hub: so that a test looks at streams without borrowing a program's login.
pub const OBSERVER: &str = "observer";

/// One instance. Dropped: every process killed, every file removed.
pub struct World {
    /// Keys, registry, configurations.
    pub instance: Instance,
    /// The server.
    pub server: Server,
    /// Which builds are started.
    pub build: Build,
    amend: Box<dyn Fn(String) -> String + Send + Sync>,
    programs: BTreeMap<String, Running>,
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

    /// Everybody runs, and a day of one jail is acknowledged: 16 custodies. `prepare` changes configurations before.
    pub async fn after_a_day(ori: &str, prepare: impl FnOnce(&Self)) -> Result<(Self, Day)> {
        let mut world = Self::provisioned(|_| {}).await?;
        prepare(&world);
        world.start_everything()?;
        let mut day = Day::of(ori);
        day.export(&world, 16)?;
        day.acknowledged(&world, patience::SOON).await?;
        Ok((world, day))
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
        Self::rendered_under(&std::env::temp_dir(), change, amend)
    }

    /// The same in a folder below `parent`.
    pub fn rendered_under(
        parent: &Path,
        change: impl FnOnce(&mut Instance),
        amend: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Result<Self> {
        std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        let dir =
            tempfile::Builder::new().prefix("sallyport-e2e-").tempdir_in(parent).context("make a folder")?;
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
