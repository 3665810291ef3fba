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
pub struct Jails {
    jails: Vec<Arc<Jail>>,
    paused: Arc<AtomicBool>,
}

struct Jail {
    ori: String,
    ingest: Recipe,
    instance: Instance,
    day: Mutex<Day>,
    /// One export after the other, whichever flow brings it: an older one after a newer one changes nothing.
    turn: Mutex<()>,
    /// Held while an agent's command runs.
    trying: Mutex<()>,
}

/// No export is brought while this is held.
pub struct Paused<'a> {
    jails: &'a Jails,
}

impl Paused<'_> {
    /// Waits until no command runs any more.
    pub fn wait(&self) {
        for jail in &self.jails.jails {
            drop(lock(&jail.trying));
        }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.jails.paused.store(false, Ordering::SeqCst);
    }
}

impl Jails {
    /// Jails that have exported nothing yet; `program` gives the recipe of a jail's agent.
    pub fn of(instance: &Instance, program: impl Fn(&str) -> Result<Recipe>) -> Result<Self> {
        let jails = instance.facilities.iter().map(|facility| {
            let ori = facility.ori.clone();
            let config = instance.agent_config(&ori);
            let ingest = program(&ori)?.args(["ingest", "--json", "--config"]).arg(config);
            let day = Mutex::new(Day::of(&ori));
            let instance = instance.clone();
            Ok(Arc::new(Jail {
                day,
                ori,
                ingest,
                instance,
                turn: Mutex::default(),
                trying: Mutex::default(),
            }))
        });
        Ok(Self { jails: jails.collect::<Result<_>>()?, paused: Arc::default() })
    }

    /// As the audit reads them.
    pub fn facilities(&self) -> Result<Vec<FacilityInput>> {
        self.jails.iter().map(|jail| lock(&jail.day).facility(&jail.instance)).collect()
    }

    /// From now on no export is brought; one that is being brought may still be taken.
    pub fn pause(&self) -> Paused<'_> {
        self.paused.store(true, Ordering::SeqCst);
        Paused { jails: self }
    }

    /// Lets all jails export, beside each other.
    pub fn flow(&self, pace: Pace) -> Result<Flow> {
        let stop = Arc::new(AtomicBool::new(false));
        let jails = self.jails.iter().map(|jail| {
            let (jail, paused, stop) = (jail.clone(), self.paused.clone(), stop.clone());
            std::thread::Builder::new()
                .name("jail".into())
                .spawn(move || exports(&jail, pace, &paused, &stop))
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

fn exports(jail: &Jail, pace: Pace, paused: &AtomicBool, stop: &AtomicBool) -> Result<()> {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) && pace.exports.is_none_or(|wanted| done < wanted) {
        export(jail, pace.custodies, paused, stop)?;
        done += 1;
        crate::lasting(pace.every);
    }
    Ok(())
}

fn export(jail: &Jail, custodies: usize, paused: &AtomicBool, stop: &AtomicBool) -> Result<()> {
    let _turn = lock(&jail.turn);
    let recipe = loop {
        // While all is paused not even the folder may be there.
        let trying = lock(&jail.trying);
        if !paused.load(Ordering::SeqCst) {
            let mut day = lock(&jail.day);
            let custodies = day.next(custodies)?;
            let (file, as_of) = day.write(&jail.instance, &custodies)?;
            break jail.ingest.clone().args(["--as-of", &as_of.to_string()]).arg(file);
        }
        drop(trying);
        crate::lasting(TRY_AGAIN);
    };
    let mut asked_to_stop = None;
    loop {
        let ended = {
            let _trying = lock(&jail.trying);
            (!paused.load(Ordering::SeqCst)).then(|| recipe.run(TRY_FOR))
        };
        if matches!(&ended, Some(Ok(ended)) if ended.status.success()) {
            return Ok(());
        }
        // While a fault lasts an export may wait; afterwards it must be taken.
        if stop.load(Ordering::Relaxed) {
            let since = *asked_to_stop.get_or_insert_with(Instant::now);
            if since.elapsed() > TAKEN_WITHIN {
                bail!("the agent of {} does not take its export: {ended:?}", jail.ori);
            }
        }
        crate::lasting(TRY_AGAIN);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
