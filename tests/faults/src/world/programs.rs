//! The programs of a world: started and kept running as a service manager does, killed, ended, and asked.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rand::seq::IndexedRandom;
use sallyport_e2e::world::{AGENT, RELAY, SUBSCRIBER};
use sallyport_ground::Instance;
use sallyport_harness::{Program, Recipe};

use super::{CLOCK_OFFSET, STORE_FULL, World, clocks};

/// A command that asks a running program.
const COMMAND_DEADLINE: Duration = Duration::from_secs(20);
/// After SIGTERM: the grace period of our programs and some.
const END_DEADLINE: Duration = Duration::from_secs(25);
/// What programs log.
const LOG_FILTER: &str =
    "warn,sallyport_relay=debug,sallyport_agent=debug,sallyport_subscriber=debug,sallyport_link=debug";

impl World {
    /// From the next start on, this program is taken from another folder, or from the usual one again: another version of
    /// it, which may know one address of the cluster only.
    pub fn take_from(&mut self, name: &str, dir: Option<&Path>) -> Result<()> {
        let Some(dir) = dir else {
            self.programs_dir.remove(name);
            return Ok(());
        };
        let config = config_of(&self.instance, name)?;
        let text = std::fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
        let link = self.link(name)?;
        let text = text.replace(&link.url(), &link.first_url()?);
        std::fs::write(previous_of(&config), text).context("write a configuration of another version")?;
        self.programs_dir.insert(name.to_owned(), dir.to_owned());
        Ok(())
    }

    /// Starts a program and keeps it running from now on; with a crash point if one is given.
    pub fn begin(&mut self, name: &str, fault: Option<&str>) -> Result<()> {
        let program = program_of(name)?;
        let config = config_of(&self.instance, name)?;
        let (recipe, config) = match self.programs_dir.get(name) {
            Some(dir) => (Recipe::at(&dir.join(program)), previous_of(&config)),
            None => (Recipe::with_faults(program)?, config),
        };
        let mut recipe = recipe
            .args(["run", "--config"])
            .arg(config)
            .stderr_to(self.instance.dir.join(format!("{name}.log")))
            .env("SALLYPORT_LOG", LOG_FILTER)
            .env(CLOCK_OFFSET, clocks::file(&self.instance, name))
            .env(STORE_FULL, self.full_file(name));
        if let Some(fault) = fault {
            recipe = recipe.env("SALLYPORT_FAULT", fault);
        }
        self.programs.insert(name.to_owned(), recipe.start()?);
        self.kept.insert(name.to_owned());
        Ok(())
    }

    /// A running program.
    pub fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.programs.get_mut(name).with_context(|| format!("{name} does not run"))
    }

    /// `kill -9`; it is started again by [`World::revive`].
    pub fn kill9(&mut self, name: &str) -> Result<()> {
        self.program(name)?.kill9()?;
        self.programs.remove(name);
        Ok(())
    }

    /// Asks it to end and waits; it stays away until it is begun again.
    pub fn end(&mut self, name: &str) -> Result<ExitStatus> {
        self.kept.remove(name);
        let mut program = self.programs.remove(name).with_context(|| format!("{name} does not run"))?;
        program.terminate()?;
        program.wait(END_DEADLINE)
    }

    /// Kills a program that stays away until it is begun again.
    pub fn end_by_kill(&mut self, name: &str) -> Result<()> {
        self.kept.remove(name);
        self.kill9(name)
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self, name: &str, deadline: Duration) -> Result<ExitStatus> {
        let status = self.program(name)?.wait(deadline)?;
        self.programs.remove(name);
        Ok(status)
    }

    /// Starts whatever should run and does not; gives how many that were. Who was not killed and does not run has ended by
    /// itself, and is remembered for [`World::ended_by_themselves`].
    pub fn revive(&mut self) -> Result<usize> {
        let mut revived = 0;
        for name in self.kept.clone() {
            let ran = self.programs.contains_key(&name);
            let runs = self.programs.get_mut(&name).map_or(Ok(false), Program::is_running)?;
            if !runs {
                if ran {
                    self.ended.push(name.clone());
                }
                self.begin(&name, None)?;
                revived += 1;
            }
        }
        Ok(revived)
    }

    /// Who ended without having been asked or killed, since the last time this was asked.
    pub fn ended_by_themselves(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ended)
    }

    /// How often any program panicked so far; a panic in a task does not end its program.
    pub fn panics(&self) -> usize {
        super::everybody(&self.instance)
            .iter()
            .map(|name| self.log_of(name).matches("panicked at").count())
            .sum()
    }

    /// Running programs whose names begin so.
    pub fn running(&self, prefix: &str) -> Vec<String> {
        self.programs.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    /// One of them, by chance.
    pub fn any(&mut self, prefix: &str) -> Result<String> {
        let names = self.running(prefix);
        names.choose(&mut self.rng).cloned().with_context(|| format!("nobody runs as {prefix}*"))
    }

    /// What a program logged.
    pub fn log_of(&self, name: &str) -> String {
        let file = self.instance.dir.join(format!("{name}.log"));
        std::fs::read_to_string(&file).unwrap_or_else(|error| format!("({}: {error})", file.display()))
    }

    /// The ends of all logs, for a failure.
    pub fn logs(&self) -> String {
        const LINES_QUOTED: usize = 15;
        let end = |name: &String| {
            let log = self.log_of(name);
            let lines: Vec<_> = log.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(LINES_QUOTED)..].join("\n"))
        };
        self.kept.iter().map(end).collect()
    }

    /// Runs a command of a program that prints one JSON object.
    pub fn ask(&self, name: &str, args: &[&str]) -> Result<serde_json::Value> {
        self.ask_lines(name, args)?.pop().with_context(|| format!("{name} {args:?} printed nothing"))
    }

    /// Runs a command of a program that prints JSON objects, one on each line.
    pub fn ask_lines(&self, name: &str, args: &[&str]) -> Result<Vec<serde_json::Value>> {
        let (word, rest) = args.split_first().context("a command has a word")?;
        let config = config_of(&self.instance, name)?;
        let recipe = Recipe::with_faults(program_of(name)?)?.arg(word).arg("--config").arg(config).args(rest);
        let recipe = recipe.env(CLOCK_OFFSET, clocks::file(&self.instance, name));
        let ended = recipe.run(COMMAND_DEADLINE)?;
        ensure!(ended.code()? == 0, "{name} {args:?}: {ended:?}");
        let read =
            |line: &String| serde_json::from_str(line).with_context(|| format!("{name} printed {line}"));
        ended.stdout.iter().map(read).collect()
    }
}

fn program_of(name: &str) -> Result<&'static str> {
    let programs = [("relay-", RELAY), ("agent-", AGENT), ("subscriber-", SUBSCRIBER)];
    let found = programs.into_iter().find(|(prefix, _)| name.starts_with(prefix));
    Ok(found.with_context(|| format!("{name} is nobody"))?.1)
}

pub(super) fn config_of(instance: &Instance, name: &str) -> Result<PathBuf> {
    let (_, who) = name.split_once('-').with_context(|| format!("{name} is nobody"))?;
    Ok(match program_of(name)? {
        RELAY => instance.relay_config(who),
        AGENT => instance.agent_config(who),
        _ => instance.subscriber_config(who),
    })
}

/// Beside it, so that what it names is found.
fn previous_of(config: &Path) -> PathBuf {
    config.with_extension("previous.toml")
}
