//! Each wrong line of a log is found and named.

use super::*;

/// A day of three custodies, handed over as it should be: five notices.
fn day() -> Scene {
    let mut scene = Scene::new();
    let chain = Charge { booking: "NG-26-000002", bail: "", text: "WSI Chain", ..BOND };
    let dismissed = Charge { booking: "NG-26-000003", bail: "", text: "Dismissed", ..BOND };
    scene.export(csv(&[BOND.at_bail()]));
    scene.export(csv(&[Charge { imm_hold: true, ..BOND }, chain, dismissed]));
    scene.hand_over(SUPERVISION, BOND.booking, 1, "EXPECTED", "BOND_POSTED");
    scene.hand_over(SUPERVISION, BOND.booking, 2, "RELEASED", "BOND_POSTED");
    scene.hand_over(CIVIL, BOND.booking, 2, "RELEASED", "BOND_POSTED");
    scene.hand_over(MARSHALS, "NG-26-000002", 1, "TRANSFERRED", "TRANSFER_PRISON");
    scene
}

fn key_of(booking: &str) -> String {
    CustodyKeys::new(ORI, &"5a".repeat(32)).unwrap().of(booking)
}

/// Takes one line out of a log.
fn drop_line(scene: &Scene, subscriber: &str, index: usize) {
    let path = &scene.inputs.hand_over_logs[subscriber];
    let text = fs::read_to_string(path).unwrap();
    let kept = text.lines().enumerate().filter(|(at, _)| *at != index).map(|(_, line)| format!("{line}\n"));
    fs::write(path, kept.collect::<String>()).unwrap();
}

#[test]
fn a_day_as_it_should_be_is_clean() {
    let report = day().report();
    assert_eq!(report.findings(), Vec::<String>::new());
    assert!(report.is_clean());
    assert_eq!((report.custodies, report.withheld, report.events), (3, 1, 3));
    assert_eq!((report.notices, report.received, report.events_addressed), (4, 4, 3));
    assert_eq!(report.notices_by_subscriber[SUPERVISION], 2);
}

#[test]
fn a_missing_line_is_lost_and_named_by_its_siblings_event() {
    let scene = day();
    drop_line(&scene, SUPERVISION, 1);
    let report = scene.report();
    let [lost] = report.lost.as_slice() else { panic!("{report:?}") };
    let expect = format!("{ORI}.event-{}-2.{SUPERVISION}", BOND.booking);
    assert_eq!(lost.notice.notice_id.as_deref(), Some(expect.as_str()));
    assert_eq!(lost.notice.custody_key, key_of(BOND.booking));
    let place = lost.notice.place.as_ref().unwrap();
    assert_eq!((&place.export, place.line), (&scene.inputs.facilities[0].exports[1].path, 2));
    assert!(!report.is_clean());
    assert_eq!((report.duplicates.len(), report.unallowed.len(), report.received), (0, 0, 3));
}

#[test]
fn a_missing_log_loses_everything_of_its_subscriber() {
    let mut scene = day();
    scene.inputs.hand_over_logs.remove(MARSHALS);
    let report = scene.report();
    let [lost] = report.lost.as_slice() else { panic!("{report:?}") };
    assert_eq!((lost.notice.notice_id.as_ref(), lost.notice.subscriber.as_str()), (None, MARSHALS));
    assert_eq!(lost.notice.place.as_ref().unwrap().line, 3);
}

#[test]
fn a_doubled_line_is_a_duplicate() {
    let mut scene = day();
    scene.hand_over(SUPERVISION, BOND.booking, 1, "EXPECTED", "BOND_POSTED");
    let report = scene.report();
    let [twice] = report.duplicates.as_slice() else { panic!("{report:?}") };
    assert_eq!(twice.log_lines, [1, 3]);
    assert_eq!(twice.notice.notice_id.as_deref(), Some(twice.notice_ids[0].as_str()));
    assert_eq!((report.received, report.lost.len()), (4, 0));
}

#[test]
fn one_revision_under_two_event_ids_is_a_duplicate() {
    let mut scene = day();
    let path = scene.inputs.hand_over_logs[MARSHALS].clone();
    let other = fs::read_to_string(path).unwrap().replace("event-NG", "event-again-NG");
    scene.append(MARSHALS, &other);
    let report = scene.report();
    assert_eq!(report.duplicates.len(), 1);
    assert_ne!(report.duplicates[0].notice_ids[0], report.duplicates[0].notice_ids[1]);
}

#[test]
fn a_line_to_who_may_not_be_told_is_unallowed() {
    let cases = [
        // Nobody may be told of it; not this subscriber; a custody that no export holds.
        (SUPERVISION, "NG-26-000003", 1, Some(4)),
        (CIVIL, "NG-26-000002", 1, Some(3)),
        (MARSHALS, "NG-26-999999", 1, None),
        // Allowed later, but not at this revision.
        (CIVIL, BOND.booking, 1, Some(2)),
    ];
    for (subscriber, booking, revision, line) in cases {
        let mut scene = day();
        scene.hand_over(subscriber, booking, revision, "RELEASED", "BOND_POSTED");
        let report = scene.report();
        let [unallowed] = report.unallowed.as_slice() else { panic!("{booking}: {report:?}") };
        assert_eq!(unallowed.notice.custody_key, key_of(booking));
        assert_eq!(unallowed.notice.place.as_ref().map(|place| place.line), line, "{booking}");
        assert_eq!(unallowed.notice.subscriber, subscriber);
        assert_eq!((report.received, report.unexpected.len()), (4, 0));
        assert!(!report.is_clean());
    }
}

#[test]
fn a_line_in_the_wrong_subscribers_log_is_judged_by_the_log() {
    let mut scene = day();
    let line = fs::read_to_string(&scene.inputs.hand_over_logs[SUPERVISION]).unwrap();
    scene.append(MARSHALS, line.lines().next().unwrap());
    let report = scene.report();
    assert_eq!(report.unallowed.len(), 1);
    assert_eq!(report.unallowed[0].notice.subscriber, MARSHALS);
}

#[test]
fn a_line_that_is_allowed_but_was_not_due_is_unexpected() {
    let mut scene = day();
    scene.hand_over(SUPERVISION, BOND.booking, 3, "RELEASED", "BOND_POSTED");
    let report = scene.report();
    assert_eq!(report.unexpected.len(), 1);
    assert_eq!(report.unexpected[0].why, "no such revision leaves the jail");

    let mut unasked = Scene::new();
    unasked.export(csv(&[Charge { text: "Time Served", ..BOND }]));
    unasked.hand_over(SUPERVISION, BOND.booking, 1, "RELEASED", "TIME_SERVED");
    let report = unasked.report();
    assert_eq!(report.unexpected[0].why, "no subscription asks for it");
    assert!(report.unallowed.is_empty() && !report.is_clean());
}

#[test]
fn a_line_that_says_something_else_is_mismatched() {
    let mut scene = day();
    let path = scene.inputs.hand_over_logs[MARSHALS].clone();
    let text = fs::read_to_string(&path).unwrap();
    let swaps = [
        ("\"TRANSFERRED\"", "\"RELEASED\"", "release_state"),
        ("\"TRANSFER_PRISON\"", "\"UNKNOWN\"", "reason"),
        ("\"EXERCISE\"", "\"ACTUAL\"", "traffic"),
        ("zz0010000.event", "zz0010000.other", "notice_id"),
    ];
    for (from, to, what) in swaps {
        fs::write(&path, text.replace(from, to)).unwrap();
        let report = scene.report();
        let found: Vec<_> = report.mismatched.iter().map(|mismatch| mismatch.what.as_str()).collect();
        assert_eq!(found, [what]);
        assert_eq!((report.received, report.is_clean()), (4, false));
    }
    scene.inputs.hand_over_logs.clear();
}

#[test]
fn a_closed_says_no_reason() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { text: "Dismissed", ..BOND }]));
    scene.hand_over(SUPERVISION, BOND.booking, 1, "RELEASED", "BOND_POSTED");
    scene.hand_over(SUPERVISION, BOND.booking, 2, "CLOSED", "UNKNOWN");
    assert!(scene.report().is_clean());
    drop_line(&scene, SUPERVISION, 1);
    scene.hand_over(SUPERVISION, BOND.booking, 2, "CLOSED", "CHARGES_DISMISSED");
    let report = scene.report();
    assert_eq!(report.mismatched.len(), 1);
    assert_eq!(report.mismatched[0].found, "CHARGES_DISMISSED");
}

#[test]
fn a_torn_line_is_tolerated_and_reported_and_any_other_is_an_error() {
    let mut scene = day();
    scene.append(MARSHALS, "{\"at\":\"2026-03-17T22:0");
    let report = scene.report();
    assert!(report.is_clean());
    assert_eq!(report.torn_lines.len(), 1);
    assert_eq!(report.torn_lines[0].line, 2);

    // The writer went on in the middle of the torn line.
    scene.hand_over(MARSHALS, "NG-26-000002", 1, "TRANSFERRED", "TRANSFER_PRISON");
    let report = scene.report();
    assert_eq!((report.unreadable_lines.len(), report.is_clean()), (1, false));
    assert_eq!(report.unreadable_lines[0].line, 2);
}

#[test]
fn a_ping_is_never_handed_over_and_its_name_hides_nothing() {
    let mut scene = day();
    scene.hand_over(MARSHALS, "ping", 1, "RELEASED", "UNKNOWN");
    let path = scene.inputs.hand_over_logs[MARSHALS].clone();
    let text = fs::read_to_string(&path).unwrap();
    let (kept, ping) = text.split_once('\n').unwrap();
    fs::write(&path, format!("{kept}\n{}", ping.replace("EXERCISE", "PING"))).unwrap();
    assert!(!scene.report().is_clean(), "a hand-over to nobody that calls itself a ping");
    fs::write(&path, format!("{kept}\n{}\n", kept.replace("EXERCISE", "PING"))).unwrap();
    assert_eq!(scene.report().duplicates.len(), 1, "one that calls itself a ping the second time");
}
