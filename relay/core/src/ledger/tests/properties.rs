//! What holds for any story and any interleaving of its streams.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sallyport_proto::vocabulary::TrafficKind;

use super::*;

/// One step of a random story; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Publish {
        custody: u8,
        backfill: bool,
        routed: bool,
    },
    Resend(usize),
    Receipt {
        event: usize,
        from: bool,
        level: ReceiptLevel,
        attempt: u32,
        right_digest: bool,
        superseded: bool,
    },
    Forward(usize),
    Park(usize),
    Again(usize),
    DeadLetter(usize),
    Refuse(usize),
    Garbage(Stream),
}

fn any_step() -> impl Strategy<Value = Step> {
    let level = prop::sample::select(vec![ReceiptLevel::Received, ReceiptLevel::Staged, ReceiptLevel::Seen]);
    prop_oneof![
        4 => (0..3_u8, any::<bool>(), any::<bool>())
            .prop_map(|(custody, backfill, routed)| Step::Publish { custody, backfill, routed }),
        1 => any::<usize>().prop_map(Step::Resend),
        6 => (any::<usize>(), any::<bool>(), level, 0..2_u32, prop::bool::weighted(0.9), prop::bool::weighted(0.1))
            .prop_map(|(event, from, level, attempt, right_digest, superseded)| Step::Receipt {
                event, from, level, attempt, right_digest, superseded
            }),
        8 => any::<usize>().prop_map(Step::Forward),
        1 => any::<usize>().prop_map(Step::Park),
        1 => any::<usize>().prop_map(Step::Again),
        1 => any::<usize>().prop_map(Step::DeadLetter),
        1 => any::<usize>().prop_map(Step::Refuse),
        1 => prop::sample::select(Stream::ALL).prop_map(Step::Garbage),
    ]
}

fn tell(steps: &[Step]) -> Story {
    let mut story = Story::of(&["fed-a", "fed-b"]);
    let mut told: Vec<Told> = Vec::new();
    let mut receipts: Vec<(usize, u64)> = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let pick = |of: usize| (!told.is_empty()).then(|| of % told.len().max(1));
        match step {
            Step::Publish { custody, backfill, routed } => {
                let key = format!("{}BCDEFGHIJKLMNOPQRSTUVWXYZ", char::from(b'A' + custody));
                let event = story.publish(u32::try_from(n).unwrap(), &["fed-a", "fed-b"], |head| {
                    head.custody_key = key.parse().unwrap();
                    head.revision = u32::try_from(n).unwrap() + 1;
                    head.backfill = *backfill;
                });
                if *routed {
                    story.route(&event, &["fed-a"]).accept(&event);
                }
                told.push(event);
            }
            Step::Resend(of) => {
                if let Some(at) = pick(*of) {
                    let place = usize::try_from(told[at].ingest_sequence).unwrap();
                    let payload = story
                        .records
                        .iter()
                        .filter(|r| r.stream == Stream::Ingest)
                        .nth(place - 1)
                        .map(|r| r.payload.clone());
                    story.put(Stream::Ingest, "ingest.v1.release.zz.zz0010000", payload.unwrap());
                }
            }
            Step::Receipt { event, from, level, attempt, right_digest, superseded } => {
                if let Some(at) = pick(*event) {
                    let t6 = Some(Moment::exact(story.now(), SourceClock::Subscriber));
                    let from = if *from { "fed-a" } else { "fed-b" };
                    let event = told[at].clone();
                    let sequence = story.say_with(&event, from, Statement::Level(*level), |r| {
                        r.t6_received = t6;
                        let named = &mut r.notices[0];
                        (named.attempt, named.superseded) = (*attempt, *superseded);
                        if !right_digest {
                            named.event_digest = Digest::of(b"other");
                        }
                    });
                    receipts.push((at, sequence));
                }
            }
            Step::Forward(of) if !receipts.is_empty() => {
                let (at, sequence) = receipts[of % receipts.len()];
                story.forward(&told[at].clone(), sequence);
            }
            Step::Park(of) if !receipts.is_empty() => {
                let (_, sequence) = receipts[of % receipts.len()];
                story.park("bad-signature", Stream::Receipts, sequence);
            }
            Step::Again(of) | Step::DeadLetter(of) | Step::Refuse(of) => {
                if let Some(at) = pick(*of) {
                    let event = told[at].clone();
                    match step {
                        Step::Again(_) => story.again(&event, "fed-a", 1),
                        Step::DeadLetter(_) => story.dead_letter(&event, "fed-a"),
                        _ => story.refuse(&event, RefusalCode::Expired),
                    };
                }
            }
            Step::Garbage(stream) => {
                story.put(*stream, "hub.v1.nothing", b"garbage".to_vec());
            }
            Step::Forward(_) | Step::Park(_) => {}
        }
    }
    story
}

/// Any order of the streams, each one in its own order; `again` reads a record twice, as after a crash.
fn interleave(records: &[Stored], order: &[u16], again: &[bool]) -> Vec<Stored> {
    let mut queues: BTreeMap<Stream, std::collections::VecDeque<&Stored>> = BTreeMap::new();
    for record in records {
        queues.entry(record.stream).or_default().push_back(record);
    }
    let mut out: Vec<Stored> = Vec::new();
    for n in 0.. {
        queues.retain(|_, queue| !queue.is_empty());
        if queues.is_empty() {
            break;
        }
        let chosen = usize::from(order.get(n % order.len().max(1)).copied().unwrap_or(0)) % queues.len();
        if let Some(record) = queues.values_mut().nth(chosen).and_then(std::collections::VecDeque::pop_front)
        {
            out.push(record.clone());
            if again.get(n % again.len().max(1)).copied().unwrap_or(false) {
                out.extend(out.clone().into_iter().rev().take(3).rev().collect::<Vec<_>>());
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_of_the_streams_gives_the_same_model(
        steps in prop::collection::vec(any_step(), 0..25),
        order in prop::collection::vec(any::<u16>(), 1..60),
        again in prop::collection::vec(prop::bool::weighted(0.2), 1..20),
    ) {
        let story = tell(&steps);
        let whole = fold(&story);
        let other = fold_records(&interleave(&story.records, &order, &again));
        prop_assert_eq!(&whole, &other);
        for id in whole.notices.keys().map(|(id, _)| id) {
            prop_assert_eq!(
                whole.notice(id).unwrap().standing(),
                other.notice(id).unwrap().standing()
            );
        }
    }

    #[test]
    fn no_figure_is_invented(steps in prop::collection::vec(any_step(), 0..25)) {
        let story = tell(&steps);
        let model = fold(&story);
        for id in model.notices.keys().map(|(id, _)| id) {
            let facts = model.notice(id).unwrap();
            let standing = facts.standing().unwrap();
            let said: Vec<_> = facts
                .receipts
                .iter()
                .filter(|r| facts.attempts.iter().any(|a| r.belongs_to(a)) && facts.is_believed(r))
                .collect();
            if let Some(t6) = standing.times.t6 {
                prop_assert!(said.iter().any(|r| r.t6 == Some(t6)), "a t6 that no credited receipt states");
            }
            if said.is_empty() {
                prop_assert_eq!(standing.times.stage(Stage::Deliver), None);
                prop_assert_eq!(standing.times.lead().received, None);
            }
            prop_assert!(facts.attempts.iter().all(|a| a.traffic == TrafficKind::Exercise));
        }
    }

    #[test]
    fn any_bytes_under_any_subject_are_folded_without_a_fall(
        stream in prop::sample::select(Stream::ALL),
        subject in "[a-z0-9.]{0,40}",
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let stored = "2026-11-21T12:00:00Z".parse().unwrap();
        let record = Record { stream, sequence: 1, subject: &subject, stored, payload: &payload };
        let mut model = Model::default();
        for change in changes(&record) {
            model.apply(change);
        }
        prop_assert!(model.notices.is_empty() && model.routed.is_empty());
    }
}
