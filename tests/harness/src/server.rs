//! A nats-server of our own on loopback: its own port, folder and store; answers when it is said to be up; can be
//! killed, stopped, frozen and started again on the same port and store; dies with its owner.
//!
//! The configuration is the caller's. Address, ports and store are given on the command line, which overrides the text,
//! so the simplest configuration is `jetstream { sync_interval: always }`.

mod monitor;

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::ports::{self, Port};
use crate::process::Process;
use crate::{leash, nats_binary, wait};

/// A start recovers its streams first; the largest store a test makes takes a second or two on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// After this a server that was asked to stop is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// Somebody outside the harness may take a port between our look and the server's; more often than this is no accident.
const PORT_TRIES: u32 = 5;
/// How much of the log an error quotes.
const LOG_QUOTED_BYTES: usize = 2_000;

/// What a server stands on, for the closure that writes its configuration.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The clients' port on 127.0.0.1.
    pub port: u16,
    /// The JetStream store.
    pub store: &'a Path,
}

/// A nats-server, running or not. Dropped: killed, and its folder removed unless it was given.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    dir: PathBuf,
    config: PathBuf,
    port: Port,
    monitor: Port,
    options: Vec<String>,
    log_from: u64,
    // Before the folder: the process is killed before its files are removed.
    process: Option<Process>,
    _own_dir: Option<TempDir>,
}

impl Server {
    /// Starts a server in a temporary folder, with the configuration that `text` writes.
    pub fn start(text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        Self::started(|| Self::prepare(&text))
    }

    /// Starts a server whose configuration, log and store stay in `dir`.
    pub fn start_in(dir: &Path, text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        Self::started(|| Self::prepare_in(dir, &text))
    }

    /// Starts a server with a configuration file as it lies there (files it includes are found beside it); log and
    /// store stay in `dir`.
    pub fn start_with_file(dir: &Path, config: &Path) -> Result<Self> {
        Self::started(|| Self::new(dir.to_path_buf(), None, config.to_path_buf()))
    }

    /// Everything but the start: port and URL are known and stay, nothing listens yet. [`Server::restart`] starts it.
    pub fn prepare(text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        let own = tempfile::Builder::new().prefix("sallyport-nats-").tempdir().context("make a folder")?;
        Self::new(own.path().to_path_buf(), Some(own), PathBuf::new())?.with_text(text)
    }

    /// As [`Server::prepare`], in a folder that stays.
    pub fn prepare_in(dir: &Path, text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        Self::new(dir.to_path_buf(), None, PathBuf::new())?.with_text(text)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port.number)
    }

    /// The clients' port.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The folder with configuration, log and store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The body of a page of the server's own monitoring, such as `/varz` or `/jsz?streams=1`.
    pub fn monitor(&self, page: &str) -> Result<String> {
        let answer = monitor::ask(self.monitor.number, page)?;
        if !answer.ok {
            bail!("{page} answers {}", answer.status);
        }
        Ok(answer.body)
    }

    /// Everything it logged since it was started last.
    pub fn log(&self) -> Result<String> {
        let path = self.log_path();
        let mut file = fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
        file.seek(SeekFrom::Start(self.log_from)).context("find the last start in the log")?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).context("read the log")?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// `kill -9`: what it had not synced is lost as far as the kernel lets it be (nothing: see a power cut for that).
    pub fn kill9(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill9().map(drop),
            None => Ok(()),
        }
    }

    /// Asks it to end, and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.terminate()?;
        process.wait(STOP_DEADLINE).map(drop)
    }

    /// Starts it again on the same port and store, after [`Server::kill9`], [`Server::stop`] or [`Server::prepare`],
    /// and waits until it answers. A running one is stopped first.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.spawn()?;
        self.wait_until_healthy()
    }

    /// Lets it read its configuration again; connections stay.
    pub fn reload(&mut self) -> Result<()> {
        let before = self.log()?.matches("Reloaded server configuration").count();
        self.running()?.signal(Signal::SIGHUP)?;
        wait::until("the server reloads its configuration", STOP_DEADLINE, || {
            let log = self.log()?;
            if log.contains("Failed to reload server configuration") {
                bail!("the server refuses its new configuration:\n{}", self.log_end());
            }
            Ok((log.matches("Reloaded server configuration").count() > before).then_some(()))
        })
    }

    /// Writes another configuration text; it counts from the next [`Server::reload`] or [`Server::restart`].
    pub fn rewrite(&mut self, text: impl Fn(&Ground<'_>) -> String) -> Result<()> {
        let store = self.store();
        let text = without_store(&text(&Ground { port: self.port.number, store: &store }));
        fs::write(&self.config, text).with_context(|| format!("write {}", self.config.display()))
    }

    /// Stops its time (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&mut self) -> Result<()> {
        self.running()?.freeze()
    }

    /// Lets its time go on (SIGCONT).
    pub fn thaw(&mut self) -> Result<()> {
        self.running()?.thaw()
    }

    /// Starts the process and does not wait; for a cluster, whose nodes become healthy only together.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        // Not by its own `--log`: what is wrong with a configuration it says on standard error only.
        let path = self.log_path();
        let log = fs::File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("open {}", path.display()))?;
        self.log_from = log.metadata().context("measure the log")?.len();
        let log_too = log.try_clone().context("share the log")?;
        let mut command = leash::command(&self.binary);
        command.args(["-a", "127.0.0.1", "-p", &self.port.number.to_string()]);
        command.args(["-m", &self.monitor.number.to_string()]);
        command.arg("-c").arg(&self.config).arg("-sd").arg(self.store());
        command.args(&self.options);
        command.stdin(Stdio::null()).stdout(log).stderr(log_too);
        self.process = Some(Process::start("nats-server", command)?);
        Ok(())
    }

    /// Waits until it takes connections and JetStream answers for itself.
    pub(crate) fn wait_until_healthy(&mut self) -> Result<()> {
        let port = self.monitor.number;
        let process = self.process.as_mut().context("the server was not started")?;
        let waited = wait::until("nats-server is healthy", START_DEADLINE, || {
            if let Some(status) = process.ended()? {
                bail!("nats-server ended with {status}");
            }
            Ok(monitor::ask(port, "/healthz").is_ok_and(|answer| answer.ok).then_some(()))
        });
        waited.with_context(|| format!("its log ends:\n{}", self.log_end()))
    }

    pub(crate) fn with_options(mut self, options: Vec<String>) -> Self {
        self.options = options;
        self
    }

    /// A server that lost the race for its port starts over with another one; any other failure is final.
    fn started(prepare: impl Fn() -> Result<Self>) -> Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut server = prepare()?;
            server.spawn()?;
            match server.wait_until_healthy() {
                Ok(()) => return Ok(server),
                Err(_) if tries < PORT_TRIES && server.log_end().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn new(dir: PathBuf, own: Option<TempDir>, config: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        let config = if config.as_os_str().is_empty() { dir.join("nats.conf") } else { config };
        Ok(Self {
            binary: nats_binary::find()?,
            config,
            port: ports::claim()?,
            monitor: ports::claim()?,
            options: Vec::new(),
            log_from: 0,
            process: None,
            dir,
            _own_dir: own,
        })
    }

    fn with_text(mut self, text: impl Fn(&Ground<'_>) -> String) -> Result<Self> {
        self.rewrite(text)?;
        Ok(self)
    }

    fn running(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the server does not run")
    }

    fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("nats.log")
    }

    /// The end of its log for an error; what went wrong while reading it, otherwise.
    fn log_end(&self) -> String {
        match self.log() {
            Ok(log) => {
                let from = log.len().saturating_sub(LOG_QUOTED_BYTES);
                let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
                log[from..].to_owned()
            }
            Err(error) => format!("(no log: {error:#})"),
        }
    }
}

/// The text without its own `store_dir` line: a server refuses one beside the command line's instead of passing it over.
fn without_store(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("store_dir:"))
        .fold(String::new(), |kept, line| kept + line + "\n")
}
