//! One simulated program: it lives, dies at any point between two steps, and starts again after a while; its clock is its
//! own. What it does is `jail`, `node` or `agency`.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending},
    rc::Rc,
};

use jiff::Timestamp;
use sallyport_proto::{time::Moment, vocabulary::SourceClock};
use tokio::sync::Notify;

use crate::{
    exec::{MS, Owner, S, Us},
    world::World,
};

/// The longest a crashed program stays away while the storm lasts.
const AWAY_MAX: Us = 45 * S;

type Boot = Rc<dyn Fn(Life)>;

/// One program over all its lives.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) world: Rc<World>,
    owner: Cell<Owner>,
    pub(crate) alive: Cell<bool>,
    /// How far its clock is off, in microseconds.
    pub(crate) clock_off: Cell<i64>,
    /// Its link carries nothing until then.
    pub(crate) cut_until: Cell<Us>,
    /// Its link came back.
    pub(crate) connected: Notify,
    pub(crate) connects: Cell<u64>,
    boot: RefCell<Option<Boot>>,
    on_crash: RefCell<Option<Rc<dyn Fn()>>>,
}

/// One life of a program: what its tasks hold.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) of: Rc<Process>,
    owner: Owner,
}

impl Process {
    pub(crate) fn new(world: &Rc<World>, name: impl Into<String>) -> Rc<Self> {
        Rc::new(Self {
            name: name.into(),
            world: world.clone(),
            owner: Cell::new(0),
            alive: Cell::new(false),
            clock_off: Cell::new(0),
            cut_until: Cell::new(0),
            connected: Notify::new(),
            connects: Cell::new(0),
            boot: RefCell::default(),
            on_crash: RefCell::default(),
        })
    }

    /// Starts it for the first time; `boot` also starts every later life, `on_crash` is what a crash does to its disk.
    pub(crate) fn run(self: &Rc<Self>, boot: impl Fn(Life) + 'static, on_crash: impl Fn() + 'static) {
        *self.boot.borrow_mut() = Some(Rc::new(boot));
        *self.on_crash.borrow_mut() = Some(Rc::new(on_crash));
        self.start();
    }

    fn start(self: &Rc<Self>) {
        let Some(boot) = self.boot.borrow().clone() else { return };
        let owner = self.world.new_owner();
        self.owner.set(owner);
        self.alive.set(true);
        self.world.note(|| format!("{} starts", self.name));
        boot(Life { of: self.clone(), owner });
    }

    /// A task of its present life.
    pub(crate) fn spawn_in_life<F>(self: &Rc<Self>, task: impl FnOnce(Life) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let life = Life { of: self.clone(), owner: self.owner.get() };
        life.clone().spawn(task(life));
    }

    /// kill -9, and a start after a while.
    pub(crate) fn crash(self: &Rc<Self>) {
        if !self.alive.replace(false) {
            return;
        }
        self.world.note(|| format!("{} dies", self.name));
        self.world.coverage.borrow_mut().crashes += 1;
        self.world.exec.kill(self.owner.get());
        if let Some(on_crash) = self.on_crash.borrow().clone() {
            on_crash();
        }
        let away = self.world.chance.borrow_mut().within(50 * MS, AWAY_MAX);
        let again = self.clone();
        self.world.exec.after(away, move || again.start());
    }

    /// Its link is there again.
    pub(crate) fn reconnect(&self) {
        self.connects.set(self.connects.get() + 1);
        self.connected.notify_waiters();
    }

    /// Lets go of everything: programs and world hold each other.
    pub(crate) fn tear_down(&self) {
        self.boot.borrow_mut().take();
        self.on_crash.borrow_mut().take();
    }
}

impl Life {
    pub(crate) fn world(&self) -> &World {
        &self.of.world
    }

    /// Its own clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.world().shifted(self.world().now(), self.of.clock_off.get())
    }

    pub(crate) fn moment(&self, clock: SourceClock) -> Moment {
        Moment::exact(self.now(), clock)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world().exec.spawn(self.owner, task);
    }

    pub(crate) async fn sleep(&self, wait: Us) {
        self.world().exec.sleep(wait).await;
    }

    /// A named point between two steps: the program may die here.
    pub(crate) async fn point(&self, name: &'static str) {
        let crashes = {
            let world = self.world();
            world.coverage.borrow_mut().passed(name);
            world.strikes("crash at a point", |weather| weather.crash_at(name))
        };
        if crashes {
            self.world().coverage.borrow_mut().crashed_at(name);
            self.world().note(|| format!("{} at {name}", self.of.name));
            self.of.crash();
            pending::<()>().await;
        }
    }
}
