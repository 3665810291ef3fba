//! One of our own programs as a child process: what it prints can be waited for, it can be killed, frozen or asked to
//! end, and it dies with its owner.
//!
//! Which program, with which configuration, and what its lines mean: the caller.

mod lines;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use lines::{Line, Lines};

use crate::process::Process;
use crate::{leash, paths};

/// Names a folder to take programs from, before any other place.
pub const PROGRAMS_DIR: &str = "SALLYPORT_PROGRAMS_DIR";

/// Where plain programs are taken from.
pub fn plain_dir() -> PathBuf {
    std::env::var_os(PROGRAMS_DIR).map_or_else(paths::programs_dir, PathBuf::from)
}

/// How to start a program; it can be started from the same recipe again after a kill.
#[derive(Debug, Clone)]
pub struct Recipe {
    binary: PathBuf,
    name: String,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stderr_file: Option<PathBuf>,
}

impl Recipe {
    /// The plain build of `name`: from `SALLYPORT_PROGRAMS_DIR` when that is set, else from the folder this test or
    /// task was built into.
    pub fn new(name: &str) -> Result<Self> {
        Self::in_dir(name, &plain_dir(), &format!("cargo build -p {name} --bins"))
    }

    /// The build of `name` that has crash points and mutants compiled in (feature `faults`).
    pub fn with_faults(name: &str) -> Result<Self> {
        Self::in_dir(name, &paths::faulty_programs_dir(), "cargo xtask build")
    }

    /// Any other program, by its path.
    pub fn at(binary: &Path) -> Self {
        let name = binary.file_name().unwrap_or(binary.as_os_str()).to_string_lossy().into_owned();
        Self { binary: binary.to_path_buf(), name, args: vec![], env: vec![], dir: None, stderr_file: None }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment, which is ours otherwise.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder it runs in; ours otherwise.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Appends its standard error to a file instead of keeping it in memory.
    #[must_use]
    pub fn stderr_to(mut self, file: impl Into<PathBuf>) -> Self {
        self.stderr_file = Some(file.into());
        self
    }

    /// Starts it.
    pub fn start(&self) -> Result<Program> {
        let mut command = leash::command(&self.binary);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(match &self.stderr_file {
            Some(path) => {
                let file = File::options().create(true).append(true).open(path);
                file.with_context(|| format!("open {}", path.display()))?.into()
            }
            None => Stdio::piped(),
        });
        let mut process = Process::start(&self.name, command)?;
        let stdout = process.child.stdout.take().context("its standard output is piped")?;
        let stdout = Lines::read(&self.name, stdout)?;
        let stderr = match process.child.stderr.take() {
            Some(stderr) => Lines::read(&self.name, stderr)?,
            None => Lines::none(),
        };
        Ok(Program { name: self.name.clone(), process, stdout, stderr })
    }

    /// Starts it, waits for its end at most `deadline`, and returns how it ended and what it printed.
    pub fn run(&self, deadline: Duration) -> Result<Ended> {
        let mut program = self.start()?;
        drop(program.process.child.stdin.take());
        let status = program.wait(deadline)?;
        Ok(Ended {
            status,
            stdout: program.stdout.finish(deadline)?,
            stderr: program.stderr.finish(deadline)?,
        })
    }

    fn in_dir(name: &str, dir: &Path, build_with: &str) -> Result<Self> {
        let binary = dir.join(name);
        if !binary.is_file() {
            bail!("{} is not there: run `{build_with}` first", binary.display());
        }
        Ok(Self::at(&binary))
    }
}

/// A program that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Lines of its standard output.
    pub stdout: Vec<String>,
    /// Lines of its standard error, unless they went to a file.
    pub stderr: Vec<String>,
}

impl Ended {
    /// The exit code; an error when a signal ended it.
    pub fn code(&self) -> Result<i32> {
        self.status.code().with_context(|| format!("it ended with {}", self.status))
    }
}

/// A program that was started. Dropped: killed.
#[derive(Debug)]
pub struct Program {
    name: String,
    process: Process,
    stdout: Lines,
    stderr: Lines,
}

impl Program {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has printed so far; a cheap handle that can go to another thread.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// What it has said on standard error, unless that goes to a file.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// Its standard input; drop it to close it.
    pub fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.process.child.stdin.take()
    }

    /// The first line of standard output, from its start on, that `wanted` accepts. When none comes in time the
    /// error quotes the last lines of both outputs.
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool, deadline: Duration) -> Result<Line> {
        self.stdout.wait_for(0, wanted, deadline).with_context(|| {
            let (out, err) = (self.stdout.last(), self.stderr.last());
            format!("{} printed last:\n{out}\nand on standard error:\n{err}", self.name)
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// `kill -9`, and the wait for it.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.kill9().map(drop)
    }

    /// Asks it to end (SIGTERM); [`Program::wait`] for it.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Stops its time (SIGSTOP).
    pub fn freeze(&mut self) -> Result<()> {
        self.process.freeze()
    }

    /// Lets its time go on (SIGCONT).
    pub fn thaw(&mut self) -> Result<()> {
        self.process.thaw()
    }

    /// Waits for its end at most `deadline`; by itself, at a crash point, or after [`Program::terminate`].
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let waited = self.process.wait(deadline);
        waited.with_context(|| format!("{} said last:\n{}", self.name, self.stderr.last()))
    }
}
