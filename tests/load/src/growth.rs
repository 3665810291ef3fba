//! How the cost of a notice grows with the number of jails, of agencies, of subscriptions, and of what waits: countries of several sizes,
//! the same backlog in each.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{Scenario, scenario, world};

/// What is varied.
const FACILITIES: [usize; 4] = [1, 100, 1_000, 3_143];
const SUBSCRIBERS: [usize; 4] = [1, 10, 100, 500];
/// Of all agencies together.
const SUBSCRIPTIONS: [usize; 4] = [10, 100, 1_000, 10_000];
const BACKLOGS: [u64; 4] = [1_000, 3_000, 10_000, 30_000];
/// What stays while another thing is varied.
const FACILITIES_OTHERWISE: usize = 100;
const SUBSCRIBERS_OTHERWISE: usize = 10;
const BACKLOG_OTHERWISE: u64 = 3_000;

/// One country's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    /// Of what is varied.
    pub x: u64,
    /// Processor time of the relay for one notice, microseconds.
    pub relay_us: f64,
    /// Of the servers.
    pub servers_us: f64,
    /// Notices a second while the backlog drains.
    pub notices_per_s: f64,
    /// The relay's resident memory, MiB.
    pub relay_mib: f64,
}

/// Four curves.
#[derive(Debug, Clone, Serialize)]
pub struct Growth {
    /// Of every stream.
    pub replicas: usize,
    /// By the number of jails.
    pub facilities: Vec<Point>,
    /// By the number of agencies.
    pub subscribers: Vec<Point>,
    /// By the number of subscriptions.
    pub subscriptions: Vec<Point>,
    /// By what waits.
    pub backlog: Vec<Point>,
}

/// Measures all of them; `quick` leaves out the largest of each.
pub(crate) fn measure(replicas: usize, quick: bool, dir: &Path, say: &dyn Fn(&str)) -> Result<Growth> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("a runtime")?;
    let mut number = 0;
    let usual = world::Size {
        facilities: FACILITIES_OTHERWISE,
        subscribers: SUBSCRIBERS_OTHERWISE,
        cases: 0,
        replicas,
        nodes: 1,
    };
    let mut point = |size: world::Size, events: u64, x: u64| -> Result<Point> {
        number += 1;
        say(&format!("{size}, {events} events waiting ..."));
        let mut country = world::Country::make(&size, &dir.join(format!("country-{number}")), &runtime)?;
        // New connections and files are not what is measured.
        scenario::play(Scenario::Burst { events: 200 }, &mut country, &runtime, say)?;
        let run = scenario::play(Scenario::Backlog { events }, &mut country, &runtime, say)?;
        country.end()?;
        let of = |name: &str| run.programs.iter().find(|process| process.name == name);
        let us = |name| of(name).map_or(f64::NAN, |process| process.cpu_s * 1e6 / run.notices.max(1) as f64);
        Ok(Point {
            x,
            relay_us: us("relay"),
            servers_us: us("nats-server"),
            notices_per_s: run.notices as f64 / run.seconds,
            relay_mib: of("relay").map_or(f64::NAN, |process| process.resident_mib),
        })
    };
    let some = |len: usize| if quick { len - 1 } else { len };
    let facilities = FACILITIES[..some(FACILITIES.len())]
        .iter()
        .map(|n| point(world::Size { facilities: *n, ..usual.clone() }, BACKLOG_OTHERWISE, *n as u64))
        .collect::<Result<_>>()?;
    let subscribers = SUBSCRIBERS[..some(SUBSCRIBERS.len())]
        .iter()
        .map(|n| point(world::Size { subscribers: *n, ..usual.clone() }, BACKLOG_OTHERWISE, *n as u64))
        .collect::<Result<_>>()?;
    let subscriptions = SUBSCRIPTIONS[..some(SUBSCRIPTIONS.len())]
        .iter()
        .map(|n| {
            let cases = n / SUBSCRIBERS_OTHERWISE - 1;
            point(world::Size { cases, ..usual.clone() }, BACKLOG_OTHERWISE, *n as u64)
        })
        .collect::<Result<_>>()?;
    let backlog = BACKLOGS[..some(BACKLOGS.len())]
        .iter()
        .map(|n| point(usual.clone(), *n, *n))
        .collect::<Result<_>>()?;
    Ok(Growth { replicas, facilities, subscribers, subscriptions, backlog })
}
