//! Agencies that are slow, or away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;

use super::{Blind, Done};
use crate::{World, calm, flow::Pace, judge};

/// Each way, for the slow one.
const SLOW_BY: Duration = Duration::from_millis(500);
/// It works for one tenth of the time.
const WORKS_FOR: Duration = Duration::from_millis(200);
const RESTS_FOR: Duration = Duration::from_millis(1_800);
const TURNS: usize = 6;
/// The steps of a week.
const HALF_HOURS: usize = 7 * 48;
const HALF_HOUR: SignedDuration = SignedDuration::from_mins(30);
/// Every two hours, so that a week stays under a minute: each export is a process of its own.
const HALF_HOURS_PER_EXPORT: usize = 4;
const ONE_EXPORT: Pace = Pace { every: Duration::ZERO, custodies: 6, exports: Some(1) };
/// A program with work to do looks at its clock meanwhile.
const STEP_SEEN_WITHIN: Duration = Duration::from_millis(40);
/// Every program does something more often than this.
const LOOKED_WITHIN: Duration = Duration::from_secs(30);
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

/// One agency's bridge is away for a week: the clocks of all our programs step on half hour by half hour, with an export of
/// each jail every two hours. Then everything arrives once, and of each custody only the newest revision is actionable. The
/// clocks stay a week ahead, as after a real one; the servers' cannot be moved, so that what hangs on the broker's time
/// (when it stored a notice, its redeliveries, the ages of its streams) sees the minute that it really takes, as our
/// programs' timers do.
pub(super) fn gone_for_a_week(world: &mut World) -> Result<Done> {
    let (name, agency) = ("subscriber-demo-supervision", "demo-supervision");
    world.end_by_kill(name)?;
    for half_hour in 0..HALF_HOURS {
        world.pass(HALF_HOUR)?;
        if half_hour % HALF_HOURS_PER_EXPORT == 0 {
            world.jails.flow(ONE_EXPORT)?.finish()?;
            world.revive()?;
        } else {
            crate::lasting(STEP_SEEN_WITHIN);
        }
    }
    let waiting = world.at_hub(async |hub| {
        let durable = hub.durable("DELIVER", agency).await?;
        Ok(durable.num_pending + durable.num_ack_pending as u64)
    })?;
    ensure!(waiting > 0, "nothing waited for {agency} after its week");
    world.begin(name, None)?;
    // Nothing new comes while the list is compared with the log.
    let jails = world.jails.clone();
    let paused = jails.pause();
    paused.wait();
    world.nothing_under_way_for(agency)?;
    let custodies = one_revision_is_actionable(world, name, agency)?;
    for name in world.from_the_start() {
        calm::until("a program looks at its clock", LOOKED_WITHIN, || {
            Ok(world.saw_its_clock(&name).then_some(()))
        })
        .context(name)?;
    }
    let agencies: Vec<String> = world.instance.subscribers.iter().map(|s| s.id.clone()).collect();
    for agency in agencies {
        let status = world.ask(&format!("subscriber-{agency}"), &["status", "--json"])?;
        ensure!(
            status["relay"]["lost"] == false,
            "{agency} believes that the relay lost something: {status}"
        );
    }
    drop(paused);
    let note = format!(
        "{waiting} notices waited in the durable; of {custodies} custodies the newest revision is actionable, no other; \
         clocks of all our programs {HALF_HOURS} half hours on, the servers' stay"
    );
    Ok(Done::Applied { note, takeover: None, blind: Blind::Everybody })
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
