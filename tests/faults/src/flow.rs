//! What the jails do all the while: one small export after the other, each brought again until the agent says that it is
//! stored, as a jail's job does.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sallyport_audit::FacilityInput;
use sallyport_e2e::Day;
use sallyport_ground::Instance;
use sallyport_harness::Recipe;

/// One try to bring an export: a frozen agent does not answer at all.
const TRY_FOR: Duration = Duration::from_secs(8);
/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// An export that is not taken for so long after the last fault is a fault of its own.
const TAKEN_WITHIN: Duration = Duration::from_secs(120);

/// How fast exports come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two exports of one jail.
    pub every: Duration,
    /// New custodies in each.
    pub custodies: usize,
    /// Ends after so many exports per jail; never by itself otherwise.
    pub exports: Option<usize>,
}

impl Pace {
    /// Some dozens of events a second from two jails: the national average many times over, and far below what the
    /// programs can do, so that what waits waits for the fault.
    pub const STEADY: Self = Self { every: Duration::from_millis(400), custodies: 6, exports: None };
    /// A count-time sync: as fast as the jails' jobs can bring it.
    pub const BURST: Self = Self { every: Duration::ZERO, custodies: 40, exports: Some(6) };
}

/// The jails and their days so far.
#[derive(Clone)]
pub struct Jails(Vec<Arc<Mutex<Jail>>>);

struct Jail {
    ori: String,
    day: Day,
    ingest: Recipe,
    instance: Instance,
}

impl Jails {
    /// Jails that have exported nothing yet; `program` gives the recipe of a jail's agent.
    pub fn of(instance: &Instance, program: impl Fn(&str) -> Result<Recipe>) -> Result<Self> {
        let jails = instance.facilities.iter().map(|facility| {
            let ori = facility.ori.clone();
            let config = instance.agent_config(&ori);
            let ingest = program(&ori)?.args(["ingest", "--json", "--config"]).arg(config);
            let jail = Jail { day: Day::of(&ori), ori, ingest, instance: instance.clone() };
            Ok(Arc::new(Mutex::new(jail)))
        });
        Ok(Self(jails.collect::<Result<_>>()?))
    }

    /// As the audit reads them.
    pub fn facilities(&self) -> Result<Vec<FacilityInput>> {
        self.0.iter().map(|jail| lock(jail)).map(|jail| jail.day.facility(&jail.instance)).collect()
    }

    /// Lets all jails export, beside each other.
    pub fn flow(&self, pace: Pace) -> Result<Flow> {
        let stop = Arc::new(AtomicBool::new(false));
        let jails = self.0.iter().map(|jail| {
            let (jail, stop) = (jail.clone(), stop.clone());
            std::thread::Builder::new()
                .name("jail".into())
                .spawn(move || exports(&jail, pace, &stop))
                .context("start a jail's thread")
        });
        Ok(Flow { jails: jails.collect::<Result<_>>()?, stop })
    }
}

/// Exports under way. Dropped without an end: told to stop, not waited for.
pub struct Flow {
    jails: Vec<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
}

impl Flow {
    /// No further export; waits until the last one is taken.
    pub fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until all exports of the pace are taken.
    pub fn finish(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        for jail in self.jails.drain(..) {
            match jail.join() {
                Ok(done) => done?,
                Err(_) => bail!("a jail's thread panicked"),
            }
        }
        Ok(())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn exports(jail: &Mutex<Jail>, pace: Pace, stop: &AtomicBool) -> Result<()> {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) && pace.exports.is_none_or(|wanted| done < wanted) {
        export(jail, pace.custodies, stop)?;
        done += 1;
        std::thread::sleep(pace.every);
    }
    Ok(())
}

fn export(jail: &Mutex<Jail>, custodies: usize, stop: &AtomicBool) -> Result<()> {
    let (ori, recipe) = {
        let mut jail = lock(jail);
        let custodies = jail.day.next(custodies)?;
        let instance = jail.instance.clone();
        let (file, as_of) = jail.day.write(&instance, &custodies)?;
        (jail.ori.clone(), jail.ingest.clone().args(["--as-of", &as_of.to_string()]).arg(file))
    };
    let mut asked_to_stop = None;
    loop {
        let ended = recipe.run(TRY_FOR);
        if ended.as_ref().is_ok_and(|ended| ended.status.success()) {
            return Ok(());
        }
        // While a fault lasts an export may wait; afterwards it must be taken.
        if stop.load(Ordering::Relaxed) {
            let since = *asked_to_stop.get_or_insert_with(Instant::now);
            if since.elapsed() > TAKEN_WITHIN {
                bail!("the agent of {ori} does not take its export: {ended:?}");
            }
        }
        std::thread::sleep(TRY_AGAIN);
    }
}

fn lock(jail: &Mutex<Jail>) -> MutexGuard<'_, Jail> {
    jail.lock().unwrap_or_else(PoisonError::into_inner)
}
