//! One child process: signals, waiting with a deadline, and the end of it in `Drop`.

use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{leash, wait};

/// A running (or ended, but not yet dropped) child.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    what: String,
}

impl Process {
    /// Starts `command`, which was made by [`leash::command`]; `what` names it in errors.
    pub(crate) fn start(what: &str, command: Command) -> Result<Self> {
        let child = leash::spawn(command).with_context(|| format!("start {what}"))?;
        Ok(Self { child, what: what.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.what))
    }

    pub(crate) fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("end of {} (pid {})", self.what, self.pid());
        wait::until(&what, deadline, || self.ended())
    }

    /// Ends it without a chance to tidy up, and returns when it is gone.
    pub(crate) fn kill9(&mut self) -> Result<ExitStatus> {
        self.child.kill().with_context(|| format!("kill {}", self.what))?;
        self.child.wait().with_context(|| format!("reap {}", self.what))
    }

    /// Asks it to end.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Stops its time, and returns when its last thread stands still.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        // Other systems than Linux have no `waitid` in nix; there the last instructions may still run.
        #[cfg(target_os = "linux")]
        {
            use nix::sys::wait::{Id, WaitPidFlag, waitid};
            let stopped_or_gone = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            waitid(Id::Pid(self.nix_pid()?), stopped_or_gone)
                .with_context(|| format!("wait until {} stands still", self.what))?;
        }
        Ok(())
    }

    /// Lets its time go on.
    pub(crate) fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Sends a signal; to one that has ended already: nothing.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill(self.nix_pid()?, signal).with_context(|| format!("send {signal} to {}", self.what))
    }

    fn nix_pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.pid()).context("a pid has 31 bits")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
