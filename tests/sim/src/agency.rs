//! One agency: judges, keeps and hands over with the product's own code on real files (memory-backed where there is such
//! a folder), so that its transactions and the repair of its log are what is tested; only pulling, publishing and
//! settling are simulated. A crash drops the store between two calls; the log's last line may be torn.

use std::{cell::RefCell, collections::BTreeMap, io::Write as _, path::PathBuf, rc::Rc, sync::Arc};

use bytes::Bytes;
use sallyport_proto::{ids::SubscriberId, operations::SubscriberHead, registry::Registry, subject};
use sallyport_subscriber::{
    log::{HandOverLog, HandedOver},
    outbox::Outgoing,
    receipt::Maker,
    store::{Arrival, Kept, Place, Reach, SinkPlace, Store},
    verify::{Judged, judge},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    broker::Delivered,
    exec::Us,
    ground,
    mutant::Mutant,
    process::{Life, Process},
    reach::Expected,
    world::World,
};

/// Batches between pull and settle.
const IN_FLIGHT_MAX: usize = 4;
/// Heads that wait for the bridge on its core subscription.
const HEADS_WAITING_MAX: usize = 16;
/// Messages of one pull.
const PULL_MAX: u64 = 64;
/// A subscriber's own subject of receipts, and where its account's import ends.
const NOTIFY: &str = "notify.v1.receipt.";
const HUB: &str = "hub.v1.receipt.";

/// Where the last line of a log is torn.
const TORN: &str = "subscriber.log.torn";

/// What a running bridge holds open.
struct Open {
    store: Store,
    log: HandOverLog,
}

/// One agency over a whole run.
pub(crate) struct Agency {
    pub(crate) me: SubscriberId,
    pub(crate) process: Rc<Process>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) maker: Maker,
    dir: PathBuf,
    open: RefCell<Option<Open>>,
    /// When each notice was handed over, in true time; for the longest stall only.
    pub(crate) handed_over: RefCell<BTreeMap<String, Us>>,
    /// What it should make of the heads that it heard.
    pub(crate) expected: RefCell<Expected>,
}

struct Answered {
    answers: Vec<Outgoing>,
    messages: Vec<Delivered>,
    permit: tokio::sync::OwnedSemaphorePermit,
}

struct Batch {
    judged: Vec<(Judged, Bytes)>,
    messages: Vec<Delivered>,
    permit: tokio::sync::OwnedSemaphorePermit,
}

impl Agency {
    pub(crate) fn new(world: &Rc<World>, n: usize, dir: PathBuf) -> Rc<Self> {
        let me: SubscriberId = ground::SUBSCRIBERS[n].parse().expect("a subscriber id");
        let registry = world.routings[&ground::NEW].registry.clone();
        Rc::new(Self {
            process: Process::new(world, format!("agency {me}")),
            maker: Maker::new(registry.instance.clone(), me.clone(), ground::subscriber_signer(n)),
            me,
            registry,
            dir,
            open: RefCell::default(),
            handed_over: RefCell::default(),
            expected: RefCell::default(),
        })
    }

    pub(crate) fn run(self: &Rc<Self>) {
        let (agency, crashed) = (self.clone(), self.clone());
        self.process.run(
            move |life| agency.boot(life),
            move || {
                crashed.process.world.live_heads.borrow_mut().remove(&crashed.me);
                crashed.open.borrow_mut().take();
            },
        );
    }

    /// The lines of its hand-over log, as an auditor reads them.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.join("hand-over.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of the log")).collect()
    }

    /// Lets go of its files.
    pub(crate) fn close(&self) {
        self.open.borrow_mut().take();
    }

    /// What its store says of its reach.
    pub(crate) fn reach(&self) -> Reach {
        let now = self.process.world.time(self.process.world.now());
        match &*self.open.borrow() {
            Some(open) => open.store.reach(now).expect("the store reads"),
            None => Reach::default(),
        }
    }

    fn boot(self: &Rc<Self>, life: Life) {
        let mut store = Store::open(&self.dir, &self.me).expect("the store opens");
        let path = store.hand_over_log();
        let log = HandOverLog::open(&path, &mut store, life.now()).expect("the log opens");
        for line in self.lines() {
            let id = line["notice_id"].as_str().unwrap_or_default().to_owned();
            self.handed_over.borrow_mut().entry(id).or_insert(life.world().now());
        }
        *self.open.borrow_mut() = Some(Open { store, log });
        let (live, heads) = mpsc::channel(HEADS_WAITING_MAX);
        life.world().live_heads.borrow_mut().insert(self.me.clone(), live);
        life.spawn(self.clone().hear(life.clone(), heads));
        let (to_keep, batches) = mpsc::channel(1);
        let (to_acknowledge, answered) = mpsc::channel(1);
        life.spawn(self.clone().receive(life.clone(), to_keep));
        life.spawn(self.clone().keep_all(life.clone(), batches, to_acknowledge));
        life.spawn(self.clone().acknowledge_all(life.clone(), answered));
        life.spawn(self.clone().publish_what_was_left(life.clone()));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Open) -> T) -> T {
        work(self.open.borrow_mut().as_mut().expect("a running bridge has its store open"))
    }

    /// Compares every head with what came; the reference model does so as well, by the very notices.
    async fn hear(self: Rc<Self>, life: Life, mut heads: mpsc::Receiver<Bytes>) {
        while let Some(bytes) = heads.recv().await {
            if self.process.is_cut() {
                continue;
            }
            let Ok(head) = SubscriberHead::open(&bytes, self.registry.relay_keys()) else { continue };
            let now = life.now();
            let (heard, reach) =
                self.with(|open| open.store.compare(&head, now).expect("the store compares"));
            let world = life.world();
            world.coverage.borrow_mut().heard(heard);
            let mut expected = self.expected.borrow_mut();
            expected.heard(&head.stream_created, head.last_sequence, world.law.borrow().claims(&bytes));
            world.note(|| format!("{} hears {} up to {}: {heard:?}", self.me, head.rank, head.last_sequence));
            expected.judge(&self.me, &reach).into_iter().for_each(|what| world.found(what));
        }
    }

    async fn receive(self: Rc<Self>, life: Life, batches: mpsc::Sender<Batch>) {
        let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let most = life.world().chance.borrow_mut().within(1, PULL_MAX) as usize;
            let messages = life.pull(self.me.as_str(), most).await;
            life.point("subscriber.receive.after-pull").await;
            if life.world().is(Mutant::SettleBeforeStore) {
                for message in &messages {
                    life.settle(self.me.as_str(), message).await;
                }
            }
            let judged = messages
                .iter()
                .map(|message| (judge(&message.payload, &self.registry, &self.me), message.payload.clone()))
                .collect();
            if batches.send(Batch { judged, messages, permit }).await.is_err() {
                return;
            }
        }
    }

    async fn keep_all(
        self: Rc<Self>,
        life: Life,
        mut batches: mpsc::Receiver<Batch>,
        answered: mpsc::Sender<Answered>,
    ) {
        while let Some(Batch { judged, messages, permit }) = batches.recv().await {
            let answers = self.keep(&life, &judged, &messages).await;
            if answered.send(Answered { answers, messages, permit }).await.is_err() {
                return;
            }
        }
    }

    /// One transaction in the store, then the lines of the log, then the mark: as the product's `keep`.
    async fn keep(
        self: &Rc<Self>,
        life: &Life,
        judged: &[(Judged, Bytes)],
        messages: &[Delivered],
    ) -> Vec<Outgoing> {
        if life.world().is(Mutant::HandOverBeforeStore) {
            self.hand_over_before_store(life, judged).await;
        }
        let now = life.now();
        let kept: Kept = self.with(|open| {
            // The defect: what comes again was counted when it came first.
            let counts =
                |m: &Delivered| m.deliveries == 1 || !life.world().is(Mutant::RedeliveriesDoNotCount);
            let arrivals: Vec<Arrival<'_>> = judged
                .iter()
                .zip(messages)
                .map(|((judged, bytes), m)| Arrival {
                    judged,
                    bytes,
                    place: counts(m)
                        .then(|| Place { sequence: m.sequence, stored: life.world().time(m.stored) }),
                })
                .collect();
            open.store.keep(&arrivals, &self.maker, now, SinkPlace::Pending).expect("the store keeps")
        });
        for message in messages {
            self.expected.borrow_mut().came(message.sequence, life.world().time(message.stored));
        }
        life.point("subscriber.store.after-commit").await;
        if !kept.handed_over.is_empty() && !life.world().is(Mutant::HandOverBeforeStore) {
            let bytes = self.append(life, &kept.handed_over).await;
            life.point("subscriber.log.after-append").await;
            self.with(|open| open.store.mark_logged(bytes, kept.through).expect("the store marks"));
            for (judged, _) in judged {
                let Judged::Notice(verified) = judged else { continue };
                let id = verified.notice.notice_id.as_str();
                if kept.handed_over.iter().any(|line| line.notice_id == id) {
                    self.people(life, verified);
                }
            }
        }
        kept.answers
    }

    /// Appends; a crash in the middle leaves a part of a line.
    async fn append(&self, life: &Life, lines: &[HandedOver]) -> u64 {
        let world = life.world();
        if world.strikes("torn line", |weather| weather.crash_at(TORN)) {
            world.coverage.borrow_mut().crashed_at(TORN);
            let mut text = Vec::new();
            for line in lines {
                serde_json::to_writer(&mut text, line).expect("a line");
                text.push(b'\n');
            }
            text.truncate(world.chance.borrow_mut().within(1, text.len() as u64 - 1) as usize);
            let mut file =
                std::fs::File::options().append(true).open(self.dir.join("hand-over.log")).expect("the log");
            file.write_all(&text).expect("the log takes a part of a line");
            self.process.crash();
            std::future::pending::<()>().await;
        }
        let now = life.now();
        let bytes = self.with(|open| open.log.append(lines, now).expect("the log appends"));
        for line in lines {
            world.note(|| format!("{} hands over {} rev {}", self.me, line.notice_id, line.revision));
            self.handed_over.borrow_mut().entry(line.notice_id.clone()).or_insert(world.now());
        }
        bytes
    }

    /// The defect: what came is handed over before anything is kept.
    async fn hand_over_before_store(&self, life: &Life, judged: &[(Judged, Bytes)]) {
        let lines: Vec<HandedOver> = judged
            .iter()
            .filter_map(|(judged, _)| match judged {
                Judged::Notice(verified) => Some(HandedOver::of(0, verified, false, life.now())),
                _ => None,
            })
            .collect();
        self.append(life, &lines).await;
        life.point("subscriber.log.after-append").await;
    }

    async fn acknowledge_all(self: Rc<Self>, life: Life, mut answered: mpsc::Receiver<Answered>) {
        while let Some(batch) = answered.recv().await {
            life.spawn(self.clone().acknowledge(life.clone(), batch));
        }
    }

    async fn acknowledge(self: Rc<Self>, life: Life, batch: Answered) {
        life.point("subscriber.receipt.before-publish").await;
        for receipt in &batch.answers {
            publish(&life, receipt).await;
        }
        life.point("subscriber.receipt.after-puback").await;
        for message in &batch.messages {
            life.settle(self.me.as_str(), message).await;
        }
        drop(batch.permit);
        life.point("subscriber.settle.after").await;
        let ids: Vec<i64> = batch.answers.iter().map(|receipt| receipt.id).collect();
        let now = life.now();
        self.with(|open| open.store.published(&ids, now).expect("the store marks"));
    }

    /// At start: whatever an earlier life left open.
    async fn publish_what_was_left(self: Rc<Self>, life: Life) {
        let (last, mut after) = (self.with(|open| open.store.last_receipt().expect("the store reads")), 0);
        while after < last {
            let round = self.with(|open| open.store.unpublished(after, true).expect("the store reads"));
            let Some(end) = round.last().map(|receipt| receipt.id) else { return };
            after = end;
            for receipt in round.iter().filter(|receipt| receipt.id <= last) {
                life.point("subscriber.outbox.before-publish").await;
                publish(&life, receipt).await;
                life.point("subscriber.outbox.after-puback").await;
                let now = life.now();
                self.with(|open| open.store.published(&[receipt.id], now).expect("the store marks"));
            }
        }
    }
}

/// The subscriber's account maps its subject to the hub's.
async fn publish(life: &Life, receipt: &Outgoing) {
    let subject = receipt.subject.replacen(NOTIFY, HUB, 1);
    life.until_stored(subject::RECEIPTS, subject, receipt.bytes.clone()).await.expect("no limit there");
}
