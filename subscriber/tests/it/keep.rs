//! What the store makes of a batch: receipts, copies, attempts, what is set apart.

use sallyport_proto::{
    envelope::Digest,
    provenance::TrafficClass,
    receipt::{Receipt, Statement},
    vocabulary::{EndpointRefusalCode as Code, Priority, ReceiptLevel, ReleaseState},
};
use sallyport_subscriber::{
    store::{Arrival, Kept, Place, SinkPlace, Store},
    verify::judge,
};
use tempfile::TempDir;

use crate::world::{Case, Key, OTHER_ORI, World, me};

pub struct Bench {
    pub world: World,
    pub store: Store,
    pub dir: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { world: World::new(), store: Store::open(dir.path(), &me()).unwrap(), dir }
    }

    pub fn keep(&mut self, messages: &[Vec<u8>]) -> Kept {
        self.keep_from(None, messages)
    }

    /// The first of them had this sequence on DELIVER, the others the next, all stored at the same time.
    pub fn keep_from(&mut self, first: Option<Place>, messages: &[Vec<u8>]) -> Kept {
        let registry = self.world.registry();
        let judged: Vec<_> = messages.iter().map(|bytes| (judge(bytes, &registry, &me()), bytes)).collect();
        let batch: Vec<Arrival<'_>> = (0..)
            .zip(&judged)
            .map(|(n, (judged, bytes))| Arrival {
                judged,
                bytes,
                place: first.map(|first| Place { sequence: first.sequence + n, ..first }),
            })
            .collect();
        let now = jiff::Timestamp::now();
        self.store.keep(&batch, &self.world.maker(), now, SinkPlace::Pending).unwrap()
    }

    pub fn keep_cases(&mut self, cases: &[Case]) -> Kept {
        let messages: Vec<_> = cases.iter().map(|case| self.world.notice(case)).collect();
        self.keep(&messages)
    }

    pub fn receipts(&self, kept: &Kept) -> Vec<Receipt> {
        kept.answers.iter().map(|answer| self.world.receipt(&answer.bytes)).collect()
    }
}

fn level(receipt: &Receipt) -> ReceiptLevel {
    match receipt.statement {
        Statement::Level(level) => level,
        _ => panic!("{receipt:?}"),
    }
}

fn refusal(receipt: &Receipt) -> Code {
    match &receipt.statement {
        Statement::Refusal(refusal) => refusal.code,
        _ => panic!("{receipt:?}"),
    }
}

#[test]
fn one_receipt_names_the_notices_of_one_facility_and_traffic_class() {
    let mut bench = Bench::new();
    let cases = [
        Case::custody(1),
        Case { ori: OTHER_ORI, ..Case::custody(2) },
        Case::custody(3),
        Case { traffic: TrafficClass::Test, ..Case::custody(4) },
    ];
    let kept = bench.keep_cases(&cases);
    let receipts = bench.receipts(&kept);
    let named: Vec<Vec<_>> = receipts
        .iter()
        .map(|receipt| receipt.notices.iter().map(|n| n.notice_id.clone()).collect())
        .collect();
    let [first, second, third, fourth] = cases.map(|case| case.notice_id());
    assert_eq!(named, [vec![first, third], vec![second], vec![fourth]]);
    for receipt in &receipts {
        assert_eq!(level(receipt), ReceiptLevel::Received);
        assert!(receipt.t6_received.is_some() && receipt.agreement.is_some());
        assert_eq!(receipt.by_whom, "machine");
    }
}

#[test]
fn a_receipt_names_at_most_64_notices() {
    let mut bench = Bench::new();
    let cases: Vec<Case> = (1..=130).map(Case::custody).collect();
    let kept = bench.keep_cases(&cases);
    let sizes: Vec<usize> = bench.receipts(&kept).iter().map(|receipt| receipt.notices.len()).collect();
    assert_eq!(sizes, [64, 64, 2]);
    assert_eq!(kept.handed_over.len(), 130);
}

#[test]
fn a_copy_gets_the_very_bytes_again_and_is_not_handed_over_twice() {
    let mut bench = Bench::new();
    let notices = [bench.world.notice(&Case::custody(1)), bench.world.notice(&Case::custody(2))];
    let first = bench.keep(&notices);
    assert_eq!(first.handed_over.len(), 2);
    let again = bench.keep(&notices);
    assert_eq!(again.answers.len(), 1);
    assert_eq!(again.answers[0].bytes, first.answers[0].bytes);
    assert!(again.handed_over.is_empty());
    assert_eq!(again.counts.copies, 2);
    // Both in one batch, and the copy with another relay signature time: still one notice.
    let case = Case::custody(3);
    let later = bench.world.notice_with(&case, |_, _| {}, |notice| notice.ingest_sequence = 9);
    let kept = bench.keep(&[bench.world.notice(&case), later]);
    assert_eq!((kept.answers.len(), kept.handed_over.len()), (1, 1));
    assert_eq!(bench.receipts(&kept)[0].notices.len(), 1);
}

#[test]
fn a_further_attempt_is_receipted_and_shows_on_the_same_notice() {
    let mut bench = Bench::new();
    let case = Case::default();
    let first = bench.keep_cases(std::slice::from_ref(&case));
    // The facility's event is sealed anew: only the digest ties the attempt to it, so it must be the same.
    let digest = bench.receipts(&first)[0].notices[0].event_digest;
    let reminder =
        bench.world.notice_with(&case.attempt(1), |_, _| {}, |notice| notice.event_digest = digest);
    let kept = bench.keep(std::slice::from_ref(&reminder));
    let receipt = &bench.receipts(&kept)[0];
    assert_eq!((receipt.notices[0].attempt, level(receipt)), (1, ReceiptLevel::Received));
    assert!(kept.handed_over.is_empty());
    assert_eq!(kept.counts.attempts, 1);
    assert_eq!(bench.store.list(10, None).unwrap().len(), 1);
    assert_eq!(bench.store.list(10, None).unwrap()[0].attempt, 1);
    let copy = bench.keep(&[reminder]);
    assert_eq!(copy.answers[0].bytes, kept.answers[0].bytes);
}

#[test]
fn another_event_under_a_known_notice_id_is_refused_and_set_apart() {
    let mut bench = Bench::new();
    let case = Case::default();
    bench.keep_cases(std::slice::from_ref(&case));
    let other =
        bench.world.notice_with(&case, |_, _| {}, |notice| notice.event_digest = Digest::of(b"other"));
    let kept = bench.keep(std::slice::from_ref(&other));
    assert_eq!(refusal(&bench.receipts(&kept)[0]), Code::PolicyRefused);
    assert!(kept.handed_over.is_empty());
    assert_eq!(bench.keep(&[other]).answers[0].bytes, kept.answers[0].bytes);
}

#[test]
fn what_is_not_believed_is_refused_by_name_and_good_ones_go_on() {
    let mut bench = Bench::new();
    let stranger = World { relay: Key::signing(), ..World::new() };
    let bad = Case::custody(1);
    let batch = [b"garbage".to_vec(), stranger.notice(&bad), bench.world.notice(&Case::custody(2))];
    let kept = bench.keep(&batch);
    let receipts = bench.receipts(&kept);
    assert_eq!(receipts.len(), 2);
    assert_eq!(level(&receipts[0]), ReceiptLevel::Received);
    assert_eq!(refusal(&receipts[1]), Code::UnknownKey);
    assert_eq!(receipts[1].notices[0].notice_id, bad.notice_id());
    assert_eq!((kept.handed_over.len(), kept.counts.unreadable), (1, 1));
    let refused = bench.store.to_judge_again(0, false).unwrap();
    assert_eq!(refused.iter().map(|again| again.bytes.clone()).collect::<Vec<_>>(), [batch[1].clone()]);
}

#[test]
fn a_ping_is_receipted_and_goes_no_further() {
    let mut bench = Bench::new();
    let ping = Case { traffic: TrafficClass::Ping, ..Case::custody(1) };
    let kept = bench.keep_cases(&[ping.clone(), Case::custody(1)]);
    assert_eq!(kept.answers.len(), 2);
    assert_eq!(kept.handed_over.len(), 1);
    assert_eq!(kept.counts.pings, 1);
    let due = bench.store.due(jiff::Timestamp::now()).unwrap();
    assert!(due.iter().all(|due| due.notice_id != ping.notice_id().as_str()));
    // Nor does it count as a revision of anything.
    assert!(!kept.handed_over[0].superseded);
    let kept = bench.keep_cases(&[Case { traffic: TrafficClass::Ping, revision: 9, ..Case::custody(1) }]);
    assert_eq!(kept.handed_over.len(), 0);
    assert!(!bench.store.list(10, None).unwrap().iter().any(|row| row.superseded));
}

#[test]
fn the_log_line_says_what_the_receipt_says() {
    let mut bench = Bench::new();
    let case = Case::default().then(ReleaseState::Released);
    let kept = bench.keep_cases(std::slice::from_ref(&case));
    let (line, receipt) = (&kept.handed_over[0], &bench.receipts(&kept)[0]);
    assert_eq!(Some(line.t6), receipt.t6_received.map(|moment| moment.at));
    assert_eq!(line.notice_id, receipt.notices[0].notice_id.to_string());
    assert_eq!((line.release_state.as_str(), line.reason.as_str()), ("RELEASED", "BOND_POSTED"));
    assert_eq!(line.t2, case.t2);
    assert_eq!((line.t10, line.revision, line.attempt), (Some(case.t2), 2, 0));
    assert_eq!(line.traffic, "EXERCISE");
}

#[test]
fn a_store_belongs_to_one_subscriber_and_one_bridge() {
    let bench = Bench::new();
    use sallyport_subscriber::store::StoreError;
    let other = Store::open(bench.dir.path(), &"fed-b".parse().unwrap()).err().unwrap();
    assert!(matches!(other, StoreError::OtherOwner { .. }));
    let lock = Store::lock(bench.dir.path()).unwrap();
    assert!(matches!(Store::lock(bench.dir.path()), Err(StoreError::Busy { .. })));
    drop(lock);
    assert!(Store::lock(bench.dir.path()).is_ok());
}

#[test]
fn the_urgent_goes_first_then_what_is_told_now_and_a_custody_keeps_its_order() {
    let mut bench = Bench::new();
    let world = &bench.world;
    let (routine, past, waits) = (Case::custody(1), Case::custody(2), Case::custody(3));
    let (urgent, lifting) = (Case::custody(4), waits.then(ReleaseState::Released));
    let of_priority =
        |case: &Case, priority| world.notice_with(case, |_, _| {}, |notice| notice.priority = priority);
    let messages = [
        world.notice_with(&past, |head, _| head.backfill = true, |_| {}),
        of_priority(&routine, Priority::Routine),
        of_priority(&waits, Priority::Routine),
        of_priority(&urgent, Priority::Urgent),
        of_priority(&lifting, Priority::Urgent),
    ];
    messages.iter().for_each(|message| drop(bench.keep(std::slice::from_ref(message))));
    let due = bench.store.due(jiff::Timestamp::now()).unwrap();
    let order: Vec<&str> = due.iter().map(|due| due.notice_id.as_str()).collect();
    let expected = [&waits, &urgent, &lifting, &routine, &past].map(|case| case.notice_id().to_string());
    assert_eq!(order, expected);
}
