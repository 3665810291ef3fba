//! Everything that runs in the demonstration: one nats-server with the rendered accounts, one relay node, two agents, three
//! subscribers; all children of this process, all ending with it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use sallyport_ground::{Instance, demo, example};
use sallyport_harness::{Program, Recipe, Server, program::plain_dir};

use super::{pause, say};

/// The only node.
const NODE: &str = "a";
/// A command that only reads or writes files and a few requests.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at the relay's figures.
const LAG_AGAIN: Duration = Duration::from_millis(200);

/// The running demonstration.
pub(super) struct Stage {
    pub(super) instance: Instance,
    mutant: Option<String>,
    programs: Vec<Program>,
    _server: Server,
}

impl Stage {
    /// Writes the instance into `dir` and starts everything.
    pub(super) fn set(dir: &Path, mapping: Option<&Path>, mutant: Option<&str>) -> anyhow::Result<Self> {
        let mut server = Server::prepare_in(&dir.join("server"), |_| String::new())?;
        let mut instance = demo(dir, server.port());
        let mapping = match mapping {
            Some(mapping) => mapping.to_owned(),
            None => day_mapping(dir)?,
        };
        for facility in &mut instance.facilities {
            facility.mapping = Some(mapping.clone());
            facility.http_port = free_port()?;
        }
        instance.write()?;
        let mut stage_programs = Vec::new();
        let relay = instance.relay_config(NODE);
        command(
            program("sallyport-relay", mutant)?
                .arg("provision")
                .arg("--server-config-only")
                .arg("--config")
                .arg(&relay),
        )?;
        let text = std::fs::read_to_string(instance.server_config())
            .context("read the rendered server configuration")?;
        server.rewrite(|_| text.clone())?;
        server.restart()?;
        command(program("sallyport-relay", mutant)?.arg("provision").arg("--config").arg(&relay))?;
        say("nats-server runs, streams and accounts are provisioned.");

        let mut start = |name: &str, config: &Path, log: String| -> anyhow::Result<()> {
            let recipe =
                program(name, mutant)?.arg("run").arg("--config").arg(config).stderr_to(dir.join(log));
            stage_programs.push(recipe.start()?);
            Ok(())
        };
        start("sallyport-relay", &relay, "relay.log".into())?;
        for subscriber in &instance.subscribers {
            let config = instance.subscriber_config(&subscriber.id);
            start("sallyport-subscriber", &config, format!("subscriber-{}.log", subscriber.id))?;
        }
        for facility in &instance.facilities {
            let config = instance.agent_config(&facility.ori);
            start("sallyport-agent", &config, format!("agent-{}.log", facility.ori))?;
        }
        say(&format!(
            "One relay, {} agents and {} subscribers run.",
            instance.facilities.len(),
            instance.subscribers.len()
        ));
        Ok(Self { instance, mutant: mutant.map(str::to_owned), programs: stage_programs, _server: server })
    }

    /// Runs a command of one of the programs; gives its standard output.
    pub(super) fn ask(&self, name: &str, args: &[&str]) -> anyhow::Result<Vec<String>> {
        command(program(name, self.mutant.as_deref())?.args(args))
    }

    /// An agent ingests an export; gives its summary.
    pub(super) fn ingest(&self, ori: &str, file: &Path, more: &[&str]) -> anyhow::Result<serde_json::Value> {
        let config = self.instance.agent_config(ori);
        let recipe = program("sallyport-agent", self.mutant.as_deref())?
            .arg("ingest")
            .arg(file)
            .arg("--config")
            .arg(&config)
            .arg("--json")
            .args(more);
        let ended = recipe.run(INGEST_DEADLINE)?;
        // 65: custodies were kept aside; the summary says which.
        if !matches!(ended.code()?, 0 | 65) {
            bail!("ingest of {} failed: {}", file.display(), ended.stderr.join("\n"));
        }
        let last = ended.stdout.last().context("ingest printed no summary")?;
        serde_json::from_str(last).with_context(|| format!("ingest printed {last:?}"))
    }

    /// What a person may type while it runs.
    pub(super) fn hints(&self) -> Vec<String> {
        let relay = self.instance.relay_config(NODE);
        let agent = self.instance.agent_config(&self.instance.facilities[0].ori);
        let subscriber = self.instance.subscriber_config(&self.instance.subscribers[0].id);
        let typed = |name: &str, words: &str, config: &Path| {
            format!("{} {words} --config {}", plain_dir().join(name).display(), config.display())
        };
        vec![
            typed("sallyport-relay", "lag", &relay),
            typed("sallyport-agent", "status", &agent),
            typed("sallyport-subscriber", "list --limit 5", &subscriber),
            typed("sallyport-subscriber", "answer NOTICE will-take-custody --eta +45m", &subscriber),
        ]
    }

    /// The relay's figures, once it knows everything.
    pub(super) fn lag(&self) -> anyhow::Result<serde_json::Value> {
        let deadline = Instant::now() + COMMAND_DEADLINE;
        loop {
            let lag = self.lag_now()?;
            if lag["known"] == true {
                return Ok(lag);
            }
            if Instant::now() > deadline {
                bail!("the relay's read model does not become whole");
            }
            pause(LAG_AGAIN);
        }
    }

    /// The same as they are now, known or not.
    pub(super) fn lag_now(&self) -> anyhow::Result<serde_json::Value> {
        let config = self.instance.relay_config(NODE).display().to_string();
        let recipe = program("sallyport-relay", self.mutant.as_deref())?;
        let ended = recipe.args(["lag", "--json", "--config", &config]).run(COMMAND_DEADLINE)?;
        // 1: the read model does not know everything yet.
        if !matches!(ended.code()?, 0 | 1) {
            bail!("lag failed: {}", ended.stderr.join("\n"));
        }
        let line = ended.stdout.last().context("lag printed nothing")?;
        serde_json::from_str(line).context("read lag")
    }

    /// An agent's own state.
    pub(super) fn status(&self, ori: &str) -> anyhow::Result<serde_json::Value> {
        let config = self.instance.agent_config(ori).display().to_string();
        let lines = self.ask("sallyport-agent", &["status", "--json", "--config", &config])?;
        serde_json::from_str(lines.last().context("status printed nothing")?).context("read status")
    }

    /// Ends the programs in order.
    pub(super) fn strike(mut self) {
        for program in &mut self.programs {
            // A program that does not end by itself is killed when its handle drops.
            let _ = program.terminate();
        }
        for program in &mut self.programs {
            let _ = program.wait(COMMAND_DEADLINE);
        }
    }
}

/// A national day's export is read in well under this.
const INGEST_DEADLINE: Duration = Duration::from_secs(600);

/// The shipped mapping for a replayed day: the same table, but the rebased times are UTC and may have fractions.
fn day_mapping(dir: &Path) -> anyhow::Result<PathBuf> {
    let shipped =
        std::fs::read_to_string(example("county-mapping.toml")).context("read the shipped mapping")?;
    let mut text = String::new();
    let mut changed = 0;
    for line in shipped.lines() {
        let line = if line.starts_with("time_zone") {
            changed += 1;
            "time_zone = \"UTC\""
        } else if line.starts_with("time_formats") {
            changed += 1;
            "time_formats = [\"%Y-%m-%d %H:%M:%S%.f\"]"
        } else {
            line
        };
        text.push_str(line);
        text.push('\n');
    }
    if changed != 2 {
        bail!("the shipped mapping has {changed} of the 2 lines that a replay changes");
    }
    let file = dir.join("day-mapping.toml");
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// A port that was free a moment ago; an agent that finds it taken says so and the demo ends.
fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn program(name: &str, mutant: Option<&str>) -> anyhow::Result<Recipe> {
    let recipe = match mutant {
        None => Recipe::new(name)?,
        Some(mutant) => Recipe::with_faults(name)?.env("SALLYPORT_FAULT", format!("mutant:{mutant}")),
    };
    Ok(recipe)
}

fn command(recipe: Recipe) -> anyhow::Result<Vec<String>> {
    let ended = recipe.run(COMMAND_DEADLINE)?;
    if ended.code()? != 0 {
        bail!("{recipe:?} failed: {}", ended.stderr.join("\n"));
    }
    Ok(ended.stdout)
}
