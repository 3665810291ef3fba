//! The clocks of a world's programs: set wrong one by one, or moved on together as if time had passed. The servers' clock
//! is the machine's and cannot be moved: what the broker states (when it stored a message) and does by its own time
//! (redelivery, ages of streams) stays real.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::SignedDuration;
use sallyport_ground::Instance;

use super::{World, everybody};

/// Names the file, to a program with crash points.
pub(super) const CLOCK_OFFSET: &str = "SALLYPORT_CLOCK_OFFSET";

/// Says by how many seconds a program's clock is not the machine's.
pub(super) fn file(instance: &Instance, name: &str) -> PathBuf {
    instance.dir.join(format!("{name}.clock"))
}

/// What all clocks show that are not wrong: each program's file is a link to this one.
fn common(instance: &Instance) -> PathBuf {
    instance.dir.join("passed.clock")
}

/// Puts a file in place that `make` makes beside it: at no moment is it half there.
fn replace(file: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let aside = file.with_extension("aside");
    make(&aside)
        .and_then(|()| std::fs::rename(&aside, file))
        .with_context(|| format!("set {}", file.display()))
}

/// Lets every clock of a world follow the common one.
pub(super) fn set_up(instance: &Instance) -> Result<()> {
    replace(&common(instance), |aside| std::fs::write(aside, "0"))?;
    everybody(instance).iter().try_for_each(|name| follow(instance, name))
}

fn follow(instance: &Instance, name: &str) -> Result<()> {
    replace(&file(instance, name), |aside| std::os::unix::fs::symlink(common(instance), aside))
}

impl World {
    /// Sets one program's clock wrong by so much.
    pub fn set_clock_wrong(&self, name: &str, by: SignedDuration) -> Result<()> {
        let seconds = (self.passed + by).as_secs().to_string();
        replace(&file(&self.instance, name), |aside| std::fs::write(aside, seconds))
    }

    /// Sets one program's clock right.
    pub fn set_clock_right(&self, name: &str) -> Result<()> {
        follow(&self.instance, name)
    }

    /// Whether a program has looked at its clock since it was set.
    pub fn saw_its_clock(&self, name: &str) -> bool {
        let file = file(&self.instance, name);
        let read = |file: &Path| std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        let (set, seen) = (read(&file), read(&file.with_extension("clock-seen")));
        set.is_some() && set == seen
    }

    /// So much time passes for every program of ours, those that do not run included.
    pub fn pass(&mut self, time: SignedDuration) -> Result<()> {
        self.passed += time;
        let seconds = self.passed.as_secs().to_string();
        replace(&common(&self.instance), |aside| std::fs::write(aside, seconds))
    }
}
