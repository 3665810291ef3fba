//! Starts child processes so that they die when this process dies, `kill -9` included.
//!
//! Linux offers that as the parent-death signal, which only the child itself can ask for; without `unsafe` we cannot
//! run code in the child before it becomes the program, so `setpriv` (util-linux) asks for it and then becomes the
//! program, under the same pid. Where there is no such `setpriv` (other systems), children still die with their owner's
//! `Drop`, but a `kill -9` of this process leaves them behind.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

type Order = (Command, SyncSender<io::Result<Child>>);

/// A command for `program`, on the leash where the system has one.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    if !leash_exists() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Starts it from a thread that lives as long as this process: the signal is sent when the *thread* that started the
/// child ends, and tests run on threads that end early.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let (answer, answered) = sync_channel(1);
    let gone = |_| io::Error::other("the thread that starts children is gone");
    starter()?.send((command, answer)).map_err(|_| gone(()))?;
    answered.recv().map_err(|_| gone(()))?
}

fn starter() -> io::Result<&'static SyncSender<Order>> {
    static STARTER: OnceLock<SyncSender<Order>> = OnceLock::new();
    if let Some(starter) = STARTER.get() {
        return Ok(starter);
    }
    let (orders, queue) = sync_channel::<Order>(1);
    std::thread::Builder::new().name("harness-starter".into()).spawn(move || {
        for (mut command, answer) in queue {
            // Nobody waits for the answer any more: then the child must not stay either.
            if let Err(unsent) = answer.send(command.spawn())
                && let Ok(mut child) = unsent.0
            {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    })?;
    // Two first callers at once start two threads; the loser's channel closes and its thread ends with no child.
    Ok(STARTER.get_or_init(|| orders))
}

fn leash_exists() -> bool {
    static EXISTS: OnceLock<bool> = OnceLock::new();
    *EXISTS.get_or_init(|| {
        let mut trial = Command::new("setpriv");
        trial.args(["--pdeathsig", "KILL", "true"]).stdin(Stdio::null()).stdout(Stdio::null());
        trial.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}
