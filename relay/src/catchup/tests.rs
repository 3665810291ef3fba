//! How many requests are in work at any moment, of one facility and of all, and that everybody's turn comes. What a page
//! holds, but for where it begins: `tests/e2e`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::stream;
use sallyport_proto::provenance::Provenance;
use tokio::sync::{mpsc, watch};

use super::*;

/// Reached only when somebody's turn never comes.
const PATIENCE: Duration = Duration::from_secs(20);
const BUSY: &str = "hub.v1.catchup.zz.zz0010000";
const OTHER: &str = "hub.v1.catchup.zz.zz0020000";
/// More than all of a node's turns together.
const FLOOD: usize = 3 * SERVED_AT_ONCE;

/// What became of a request: its number, and whether it was served.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Became {
    Served(Subject, usize),
    SentAway(Subject, usize),
}

/// How many are in work, and the most that ever were.
#[derive(Default)]
struct InWork {
    now: BTreeMap<Subject, usize>,
    most_of_one: BTreeMap<Subject, usize>,
    most: usize,
}

/// Serves nobody whose pages are held back.
struct Counter {
    in_work: Mutex<InWork>,
    held: watch::Sender<BTreeSet<Subject>>,
    became: mpsc::Sender<Became>,
}

impl Counter {
    fn new(held: &[&str]) -> (Arc<Self>, mpsc::Receiver<Became>) {
        let (became, seen) = mpsc::channel(4 * FLOOD);
        let held = held.iter().map(|subject| Subject::from(*subject)).collect();
        let counter = Self { in_work: Mutex::default(), held: watch::Sender::new(held), became };
        (Arc::new(counter), seen)
    }

    fn in_work(&self) -> MutexGuard<'_, InWork> {
        self.in_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>, request: Message) {
        {
            let mut in_work = self.in_work();
            let now = in_work.now.entry(request.subject.clone()).or_default();
            *now += 1;
            let (of_one, all) = (*now, in_work.now.values().sum());
            let most = in_work.most_of_one.entry(request.subject.clone()).or_default();
            *most = of_one.max(*most);
            in_work.most = in_work.most.max(all);
        }
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held.contains(&request.subject)).await.unwrap();
        *self.in_work().now.get_mut(&request.subject).unwrap() -= 1;
        self.became.send(Became::Served(request.subject.clone(), number(&request))).await.unwrap();
    }

    async fn send_away(self: Arc<Self>, request: Message) {
        self.became.send(Became::SentAway(request.subject.clone(), number(&request))).await.unwrap();
    }

    fn let_go(&self) {
        self.held.send_replace(BTreeSet::new());
    }
}

fn asked(subject: &str, number: usize) -> Message {
    Message {
        subject: subject.into(),
        reply: None,
        payload: number.to_string().into(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    }
}

fn number(request: &Message) -> usize {
    std::str::from_utf8(&request.payload).unwrap().parse().unwrap()
}

/// Runs `jails` beside the desk.
async fn beside<T>(
    counter: &Arc<Counter>,
    requests: mpsc::Receiver<Message>,
    jails: impl Future<Output = T>,
) -> T {
    let (mut desk, shutdown, mut requests) = (Desk::default(), CancellationToken::new(), requests);
    let requests = stream::poll_fn(|context| requests.poll_recv(context));
    let serve = |request| counter.clone().serve(request);
    let send_away = |request| counter.clone().send_away(request);
    let desk = desk.attend(requests, &shutdown, serve, send_away);
    let jails = async {
        let came = tokio::time::timeout(PATIENCE, jails).await;
        shutdown.cancel();
        came.expect("somebody's turn never came")
    };
    let (ended, came) = tokio::join!(desk, jails);
    assert_eq!(ended, Ended::Shutdown);
    came
}

#[tokio::test]
async fn a_facility_that_catches_up_has_two_turns_at_once_and_keeps_nobody_waiting() {
    let (counter, mut seen) = Counter::new(&[BUSY]);
    let (ask, requests) = mpsc::channel(2 * FLOOD);
    for n in 0..FLOOD {
        ask.send(asked(BUSY, n)).await.unwrap();
    }
    ask.send(asked(OTHER, 0)).await.unwrap();
    let done = beside(&counter, requests, async {
        let mut sent_away = Vec::new();
        // The other's turn comes behind all of them while not one of theirs is done.
        loop {
            match seen.recv().await.unwrap() {
                Became::SentAway(_, n) => sent_away.push(n),
                Became::Served(subject, _) => break assert_eq!(subject.as_str(), OTHER),
            }
        }
        assert_eq!(counter.in_work().now[&Subject::from(BUSY)], SERVED_AT_ONCE_OF_ONE);
        counter.let_go();
        for n in sent_away {
            ask.send(asked(BUSY, n)).await.unwrap();
        }
        let mut done = BTreeSet::new();
        while done.len() < FLOOD {
            match seen.recv().await.unwrap() {
                Became::SentAway(_, n) => ask.send(asked(BUSY, n)).await.unwrap(),
                Became::Served(_, n) => assert!(done.insert(n), "{n} was served twice"),
            }
        }
        done
    })
    .await;
    assert_eq!(done, (0..FLOOD).collect());
    let most = &counter.in_work().most_of_one;
    assert_eq!(most[&Subject::from(BUSY)], SERVED_AT_ONCE_OF_ONE);
}

#[tokio::test]
async fn a_node_serves_so_many_at_once_and_the_others_in_turn() {
    let all: Vec<String> = (0..FLOOD).map(|n| format!("hub.v1.catchup.zz.zz{n:07}")).collect();
    let held: Vec<&str> = all.iter().map(String::as_str).collect();
    let (counter, mut seen) = Counter::new(&held);
    let (ask, requests) = mpsc::channel(2 * FLOOD);
    for subject in &held {
        ask.send(asked(subject, 0)).await.unwrap();
    }
    let served = beside(&counter, requests, async {
        while counter.in_work().most < SERVED_AT_ONCE {
            tokio::task::yield_now().await;
        }
        counter.let_go();
        let mut served = BTreeSet::new();
        while served.len() < FLOOD {
            match seen.recv().await.unwrap() {
                Became::Served(subject, _) => assert!(served.insert(subject.to_string())),
                Became::SentAway(subject, _) => panic!("{subject} was sent away with one request"),
            }
        }
        served
    })
    .await;
    assert_eq!(served, all.iter().cloned().collect());
    assert_eq!(counter.in_work().most, SERVED_AT_ONCE);
}

#[tokio::test]
async fn what_is_in_work_goes_on_over_a_new_subscription_and_still_counts() {
    let (counter, mut seen) = Counter::new(&[BUSY]);
    let (mut desk, shutdown) = (Desk::default(), CancellationToken::new());
    let serve = |request| counter.clone().serve(request);
    let send_away = |request| counter.clone().send_away(request);
    for n in 0..SERVED_AT_ONCE_OF_ONE {
        let one = stream::iter([asked(BUSY, n)]);
        assert_eq!(desk.attend(one, &shutdown, serve, send_away).await, Ended::NoMore);
    }
    let again = stream::iter([asked(BUSY, SERVED_AT_ONCE_OF_ONE)]);
    assert_eq!(desk.attend(again, &shutdown, serve, send_away).await, Ended::NoMore);
    let away = tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap();
    assert_eq!(away, Some(Became::SentAway(BUSY.into(), SERVED_AT_ONCE_OF_ONE)));
}

#[test]
fn a_jail_goes_on_where_it_was_unless_the_stream_is_another_one_or_was_cut_short() {
    let asked = CatchupRequest {
        provenance: Provenance::of(&"zz-test".parse().unwrap(), "test/0"),
        after_sequence: 7,
        stream_created: Some(Timestamp::UNIX_EPOCH),
    };
    assert_eq!(begin(&asked, Timestamp::UNIX_EPOCH, 7), 7);
    assert_eq!(begin(&asked, Timestamp::UNIX_EPOCH, 6), 0);
    assert_eq!(begin(&asked, Timestamp::MAX, 9), 0);
}
