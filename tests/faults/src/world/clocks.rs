//! The clocks of a world's programs: set wrong one by one, or moved on together as if time had passed. The servers' clock
//! is the machine's and cannot be moved: what the broker states (when it stored a message) and does by its own time
//! (redelivery, ages of streams) stays real.

use std::path::PathBuf;

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

impl World {
    /// Sets one program's clock wrong by so much; zero sets it right.
    pub fn set_clock(&self, name: &str, wrong: SignedDuration) -> Result<()> {
        let file = file(&self.instance, name);
        let aside = file.with_extension("aside");
        let seconds = (self.passed + wrong).as_secs();
        std::fs::write(&aside, seconds.to_string())
            .and_then(|()| std::fs::rename(&aside, &file))
            .with_context(|| format!("set the clock of {name}"))
    }

    /// Whether a program has looked at its clock since it was set.
    pub fn saw_its_clock(&self, name: &str) -> bool {
        let file = file(&self.instance, name);
        let [set, seen] = [&file, &file.with_extension("clock-seen")].map(|file| std::fs::read(file).ok());
        set.is_some() && set == seen
    }

    /// So much time passes for every program of ours, those that do not run included.
    pub fn pass(&mut self, time: SignedDuration) -> Result<()> {
        self.passed += time;
        everybody(&self.instance).iter().try_for_each(|name| self.set_clock(name, SignedDuration::ZERO))
    }
}
