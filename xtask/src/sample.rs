//! The synthetic day: 120 invented custodies of two invented jails over one invented day, as the jails' export jobs write
//! them, in the columns of the county export. `run` writes the committed file, the same bytes every time; `day` reads it
//! back as the exports in their order, and `rebase` moves them to another time.
//!
//! Out of scope: what becomes of it (the demo replays it, the audit judges it). Nothing in it is taken from a real record.

mod cast;
mod chance;
mod clock;
mod exports;
mod rows;

use std::path::Path;

use anyhow::Context as _;

pub(crate) use exports::{day, rebase};

/// Writes the synthetic day to `out`.
pub(crate) fn run(out: &Path) -> anyhow::Result<()> {
    std::fs::write(out, generate()?).with_context(|| format!("cannot write {}", out.display()))
}

/// The bytes of the synthetic day: a pure function of the cast and the seed.
fn generate() -> anyhow::Result<Vec<u8>> {
    let mut chance = chance::Chance::new(chance::SEED);
    let custodies = cast::custodies(&mut chance)?;
    rows::write(&custodies, &mut chance)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod judged;
