//! Agencies that are slow, or away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::Done;
use crate::{World, flow::Pace, judge};

/// Each way, for the slow one.
const SLOW_BY: Duration = Duration::from_millis(500);
/// It works for one tenth of the time.
const WORKS_FOR: Duration = Duration::from_millis(200);
const RESTS_FOR: Duration = Duration::from_millis(1_800);
const TURNS: usize = 6;
/// Half-hourly exports of seven days.
const A_WEEK: Pace = Pace { every: Duration::ZERO, custodies: 2, exports: Some(7 * 48) };
/// As many as are listed at once.
const NEWEST: &str = "1000";

/// One agency's bridge crawls while a burst passes: its notices wait, and the others' do not wait as long as it rests.
pub(super) fn slow(world: &mut World) -> Result<Done> {
    let name = world.any("subscriber-")?;
    let mark = judge::mark(&world.instance);
    let burst = world.jails.flow(Pace::BURST)?;
    world.link(&name)?.delay(SLOW_BY);
    for _ in 0..TURNS {
        world.program(&name)?.freeze()?;
        crate::lasting(RESTS_FOR);
        world.program(&name)?.thaw()?;
        crate::lasting(WORKS_FOR);
    }
    world.link(&name)?.restore();
    burst.finish()?;
    world.nothing_under_way_for(name.trim_start_matches("subscriber-"))?;
    let (slow, fast): (Vec<_>, Vec<_>) =
        judge::since(&world.instance, &mark).into_iter().partition(|line| name.ends_with(&line.subscriber));
    let half = |lines: &[judge::HandOver]| {
        let mut waits: Vec<Duration> = lines.iter().map(judge::HandOver::waited).collect();
        waits.sort_unstable();
        waits.get(waits.len() / 2).copied()
    };
    let (theirs, others) = (half(&slow).context("the slow one got nothing")?, half(&fast));
    let others = others.context("the others got nothing")?;
    ensure!(
        others < theirs,
        "half of the others' notices waited {others:.1?}, of {name}'s {theirs:.1?}: a slow one delays everybody"
    );
    Ok(Done::noted(format!(
        "{name}; half of its notices waited {theirs:.1?}, of the others' {} {others:.1?}",
        fast.len()
    )))
}

/// One agency's bridge is away for a week of exports; then everything arrives once, and of each custody only the newest
/// revision is actionable.
pub(super) fn gone_for_a_week(world: &mut World) -> Result<Done> {
    let name = "subscriber-demo-supervision";
    world.end_by_kill(name)?;
    world.jails.flow(A_WEEK)?.finish()?;
    let waiting = world.at_hub(async |hub| {
        let durable = hub.durable("DELIVER", "demo-supervision").await?;
        Ok(durable.num_pending + durable.num_ack_pending as u64)
    })?;
    world.begin(name, None)?;
    // Nothing new comes while the list is compared with the log.
    let jails = world.jails.clone();
    let paused = jails.pause();
    paused.wait();
    world.nothing_under_way_for("demo-supervision")?;
    let custodies = one_revision_is_actionable(world, name, "demo-supervision")?;
    drop(paused);
    Ok(Done::noted(format!(
        "{waiting} notices waited in the durable; of {custodies} custodies the newest revision is actionable, no other"
    )))
}

/// Of every custody among the newest notices; gives how many those are.
fn one_revision_is_actionable(world: &World, name: &str, subscriber: &str) -> Result<usize> {
    let log = judge::lines(&world.instance, subscriber);
    let of: BTreeMap<_, _> = log.iter().map(|l| (l.notice_id.as_str(), (&l.ori, &l.custody_key))).collect();
    let mut newest = BTreeMap::new();
    for line in &log {
        let newest = newest.entry((&line.ori, &line.custody_key)).or_insert(line.revision);
        *newest = line.revision.max(*newest);
    }
    let mut judged = BTreeSet::new();
    for row in world.ask_lines(name, &["list", "--json", "--limit", NEWEST])? {
        let id = row["notice_id"].as_str().context("a notice id")?;
        let custody = of.get(id).with_context(|| format!("{id} is not in the log"))?;
        let is_newest = row["revision"].as_u64() == newest.get(custody).copied();
        let superseded = row["superseded"] == true;
        ensure!(is_newest != superseded, "notice {id}: newest {is_newest}, superseded {superseded}");
        judged.insert(*custody);
    }
    ensure!(!judged.is_empty(), "no notice was judged");
    Ok(judged.len())
}
