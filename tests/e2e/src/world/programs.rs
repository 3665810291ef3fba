//! The programs of a world: each a real process, started, asked, killed and ended by its name.

use std::{os::unix::process::ExitStatusExt, path::PathBuf, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, ensure};
use sallyport_harness::{Program, Proxy, Recipe, program::Ended};
use serde_json::Value;

use super::World;

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

/// A command that reads a file or a store, or asks a running program.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);
/// An agent opens its store and its door at once.
const LISTEN_DEADLINE: Duration = Duration::from_secs(20);
/// What programs log while a test runs.
const LOG_FILTER: &str =
    "warn,sallyport_relay=debug,sallyport_agent=debug,sallyport_subscriber=debug,sallyport_link=debug";
/// After SIGTERM: the grace period of our programs and some.
const END_DEADLINE: Duration = Duration::from_secs(20);
/// Every program says so once all its stages do.
const RUNS: &str = " runs\"";
/// As POSIX numbers it.
const SIGTERM: i32 = 15;

/// A started program.
pub(super) struct Running {
    program: Program,
    /// Where its own log begins: a file is appended to by every start.
    log_from: usize,
}

impl World {
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
        let log = self.log_file(name);
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
        let log_from = self.log_of(name).len();
        self.programs.insert(name.to_owned(), Running { program: recipe.start()?, log_from });
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
        let running = self.programs.get_mut(name).with_context(|| format!("{name} was not started"))?;
        Ok(&mut running.program)
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

    /// Asks it to end, waits, and expects exit code 0. One that is asked while it starts ends by the signal itself.
    pub fn end(&mut self, name: &str) -> Result<()> {
        let program = self.program(name)?;
        program.terminate()?;
        let status = program.wait(END_DEADLINE)?;
        let running = self.programs.remove(name).context("it was started")?;
        let log = self.log_of(name);
        let ran = log.get(running.log_from..).is_some_and(|since| since.contains(RUNS));
        let by_signal = !ran && status.signal() == Some(SIGTERM);
        ensure!(status.success() || by_signal, "{name} ended with {status}");
        Ok(())
    }

    /// What a program logged.
    pub fn log_of(&self, name: &str) -> String {
        std::fs::read_to_string(self.log_file(name)).unwrap_or_default()
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.instance.dir.join(format!("{name}.log"))
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
}
