//! Runs the simulated programs: tasks and calls in one order, on one thread, in simulated time. Nothing here knows what
//! the tasks do. A task belongs to an owner (one life of one program); killing the owner drops its tasks wherever they
//! wait, which is what a crash is.
//!
//! Time is microseconds since the beginning of the run, the true time: what each program's clock shows is `process`.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// Microseconds.
pub(crate) type Us = u64;
pub(crate) const MS: Us = 1_000;
pub(crate) const S: Us = 1_000_000;

/// Whose task it is.
pub(crate) type Owner = u64;

type Call = Box<dyn FnOnce()>;
type Body = Pin<Box<dyn Future<Output = ()>>>;
type Ready = Arc<Mutex<VecDeque<u64>>>;

/// Polls without time going on: beyond it two tasks wake each other for ever.
const POLLS_AT_ONE_TIME_MAX: u64 = 5_000_000;

/// The executor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Exec(Rc<Inner>);

struct Inner {
    now: Cell<Us>,
    next: Cell<u64>,
    calls: RefCell<BTreeMap<(Us, u64), Call>>,
    tasks: RefCell<BTreeMap<u64, (Owner, Body)>>,
    ready: Ready,
    /// The task that is being polled, and whether its owner was killed by itself.
    polled: Cell<Option<Owner>>,
    doomed: Cell<bool>,
}

struct TaskWaker {
    task: u64,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.task);
    }
}

impl Exec {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(0),
            next: Cell::new(0),
            calls: RefCell::default(),
            tasks: RefCell::default(),
            ready: Arc::default(),
            polled: Cell::new(None),
            doomed: Cell::new(false),
        }))
    }

    pub(crate) fn now(&self) -> Us {
        self.0.now.get()
    }

    fn number(&self) -> u64 {
        let number = self.0.next.get();
        self.0.next.set(number + 1);
        number
    }

    /// Calls `call` at `at`, after whatever was asked for that time before.
    pub(crate) fn at(&self, at: Us, call: impl FnOnce() + 'static) {
        let key = (at.max(self.now()), self.number());
        self.0.calls.borrow_mut().insert(key, Box::new(call));
    }

    pub(crate) fn after(&self, wait: Us, call: impl FnOnce() + 'static) {
        self.at(self.now() + wait, call);
    }

    pub(crate) fn spawn(&self, owner: Owner, body: impl Future<Output = ()> + 'static) {
        let task = self.number();
        self.0.tasks.borrow_mut().insert(task, (owner, Box::pin(body)));
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }

    /// Ends every task of `owner`, also the one that is running: it gets no further than its next wait.
    pub(crate) fn kill(&self, owner: Owner) {
        let mut tasks = self.0.tasks.borrow_mut();
        let dead: Vec<u64> = tasks.iter().filter(|(_, (of, _))| *of == owner).map(|(id, _)| *id).collect();
        let dead: Vec<_> = dead.iter().filter_map(|id| tasks.remove(id)).collect();
        drop(tasks);
        // What they held is given back only now, when nothing of ours is borrowed.
        drop(dead);
        if self.0.polled.get() == Some(owner) {
            self.0.doomed.set(true);
        }
    }

    pub(crate) fn sleep(&self, wait: Us) -> Sleep {
        Sleep { exec: self.clone(), until: self.now() + wait, asked: false }
    }

    /// Runs until `until`, or until nothing is left to do.
    pub(crate) fn run_until(&self, until: Us) {
        loop {
            self.poll_ready();
            let mut calls = self.0.calls.borrow_mut();
            let Some(first) = calls.first_entry() else { break };
            if first.key().0 > until {
                break;
            }
            let ((at, _), call) = first.remove_entry();
            drop(calls);
            self.0.now.set(at);
            call();
        }
        self.0.now.set(self.now().max(until));
    }

    /// Lets go of everything that waits: it holds the world, and the world holds it.
    pub(crate) fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
        let calls = std::mem::take(&mut *self.0.calls.borrow_mut());
        drop(calls);
    }

    fn poll_ready(&self) {
        for polls in 0.. {
            assert!(polls < POLLS_AT_ONE_TIME_MAX, "time stands still: two tasks wake each other for ever");
            let next = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(task) = next else { return };
            let Some((owner, mut body)) = self.0.tasks.borrow_mut().remove(&task) else { continue };
            let waker = Waker::from(Arc::new(TaskWaker { task, ready: self.0.ready.clone() }));
            self.0.polled.set(Some(owner));
            let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
            self.0.polled.set(None);
            let doomed = self.0.doomed.replace(false);
            if polled.is_pending() && !doomed {
                self.0.tasks.borrow_mut().insert(task, (owner, body));
            }
        }
    }
}

/// Waits for a time.
pub(crate) struct Sleep {
    exec: Exec,
    until: Us,
    asked: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.exec.now() >= self.until {
            return Poll::Ready(());
        }
        if !self.asked {
            self.asked = true;
            let waker = context.waker().clone();
            let exec = self.exec.clone();
            exec.at(self.until, move || waker.wake());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_take_turns_by_time_and_a_killed_owner_stops_where_it_waits() {
        let exec = Exec::new();
        let seen: Rc<RefCell<Vec<(Owner, Us)>>> = Rc::default();
        for owner in [1, 2] {
            let (e, seen) = (exec.clone(), seen.clone());
            exec.spawn(owner, async move {
                for _ in 0..3 {
                    e.sleep(10 * owner).await;
                    seen.borrow_mut().push((owner, e.now()));
                }
            });
        }
        let e = exec.clone();
        exec.at(45, move || e.kill(2));
        exec.run_until(1_000);
        assert_eq!(*seen.borrow(), [(1, 10), (2, 20), (1, 20), (1, 30), (2, 40)]);
        assert_eq!(exec.now(), 1_000);
    }
}
