//! Which revisions leave, and to whom.

use super::*;

#[test]
fn bail_then_door_is_expected_then_released() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND.at_bail()]));
    scene.export(csv(&[BOND]));
    scene.check_due(&[(1, "EXPECTED", SUPERVISION), (2, "RELEASED", SUPERVISION)]);
    let report = scene.report();
    assert_eq!((report.custodies, report.withheld, report.events, report.notices), (1, 0, 2, 2));
}

#[test]
fn a_custody_still_inside_leads_to_nothing() {
    let mut scene = Scene::new();
    scene.export(csv(&[Charge { bail: "", ..BOND.at_bail() }]));
    let report = scene.report();
    assert_eq!((report.custodies, report.withheld, report.events), (1, 1, 0));
}

#[test]
fn a_reason_that_may_not_be_told_closes_once_and_only_towards_the_told() {
    let mut scene = Scene::new();
    let dismissed = Charge { text: "Dismissed", ..BOND };
    scene.export(csv(&[BOND]));
    scene.export(csv(&[dismissed]));
    scene.export(csv(&[Charge { charge: "Another invented charge", ..dismissed }]));
    scene.check_due(&[(1, "RELEASED", SUPERVISION), (2, "CLOSED", SUPERVISION)]);

    let mut untold = Scene::new();
    untold.export(csv(&[dismissed]));
    untold.check_due(&[]);
}

#[test]
fn who_was_closed_is_told_again_when_allowed_again() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { text: "Dismissed", ..BOND }]));
    scene.export(csv(&[BOND]));
    let again = [(1, "RELEASED", SUPERVISION), (2, "CLOSED", SUPERVISION), (3, "RELEASED", SUPERVISION)];
    scene.check_due(&again);
}

#[test]
fn a_record_that_shows_no_release_any_more_is_retracted_towards_everyone_who_was_told() {
    let inside = Charge { bail: "", ..BOND.at_bail() };
    let held = Charge { imm_hold: true, ..BOND };
    let mut scene = Scene::new();
    scene.export(csv(&[held]));
    // Supervision is closed here, and told nothing of the new reason.
    scene.export(csv(&[Charge { text: "Dismissed", ..held }]));
    scene.export(csv(&[inside]));
    scene.export(csv(&[inside]));
    scene.export(csv(&[BOND.at_bail()]));
    scene.check_due(&[
        (1, "RELEASED", CIVIL),
        (1, "RELEASED", SUPERVISION),
        (2, "RELEASED", CIVIL),
        (3, "CLOSED", SUPERVISION),
        (4, "RETRACTED", SUPERVISION),
        (5, "RETRACTED", CIVIL),
        (6, "EXPECTED", SUPERVISION),
    ]);
}

#[test]
fn a_revision_and_a_closed_leave_together_in_that_order() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND.at_bail()]));
    scene.export(csv(&[Charge { text: "Police Department", ..BOND }]));
    let both = [(1, "EXPECTED", SUPERVISION), (2, "TRANSFERRED", MARSHALS), (3, "CLOSED", SUPERVISION)];
    scene.check_due(&both);
}

#[test]
fn corrections_follow_the_told_although_nobody_asks_for_the_new_reason() {
    let served = Charge { text: "Time Served", ..BOND };
    let mut told = Scene::new();
    told.export(csv(&[BOND]));
    told.export(csv(&[served]));
    told.check_due(&[(1, "RELEASED", SUPERVISION), (2, "RELEASED", SUPERVISION)]);

    let mut untold = Scene::new();
    untold.export(csv(&[served]));
    untold.check_due(&[]);
    let report = untold.report();
    assert_eq!((report.events, report.allowed_not_subscribed, report.withheld), (1, 1, 0));
}

#[test]
fn recipients_that_grow_make_a_revision() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { imm_hold: true, ..BOND }]));
    scene.check_due(&[(1, "RELEASED", SUPERVISION), (2, "RELEASED", CIVIL), (2, "RELEASED", SUPERVISION)]);
}

#[test]
fn a_change_that_no_recipient_sees_is_no_revision() {
    let mut scene = Scene::new();
    let chain = Charge { bail: "", text: "WSI Chain", ..BOND };
    scene.export(csv(&[chain]));
    // The marshals see the booking number and the head: neither holds the charge.
    scene.export(csv(&[Charge { charge: "Another invented charge", ..chain }]));
    scene.check_due(&[(1, "TRANSFERRED", MARSHALS)]);
}

#[test]
fn a_changed_charge_is_news_to_who_sees_charges() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { charge: "Another invented charge", ..BOND }]));
    scene.check_due(&[(1, "RELEASED", SUPERVISION), (2, "RELEASED", SUPERVISION)]);
}

#[test]
fn an_equal_row_more_is_another_count() {
    let mut scene = Scene::new();
    scene.export(csv(&[BOND]));
    scene.export(csv(&[BOND, BOND]));
    assert_eq!(scene.report().events, 2);
}

#[test]
fn a_custody_that_a_newer_export_leaves_out_is_unchanged() {
    let mut scene = Scene::new();
    let other = Charge { booking: "NG-26-000002", ..BOND };
    scene.export(csv(&[BOND, other]));
    scene.export(csv(&[other]));
    assert_eq!(scene.report().events, 2);
}

#[test]
fn the_floor_leaves_nothing_whatever_is_allowed() {
    let mut scene = Scene::new();
    let hold = Charge { imm_hold: true, ..BOND };
    scene.export(csv(&[hold, Charge { court: "JUV", ..hold }]));
    let report = scene.report();
    assert_eq!((report.custodies, report.withheld, report.withheld_by_floor, report.events), (1, 1, 1, 0));
}

#[test]
fn a_door_after_the_export_is_scheduled_until_a_later_export() {
    let mut scene = Scene::new();
    for as_of in ["2026-03-17T21:30:00Z", "2026-03-17T21:40:00Z", "2026-03-17T22:30:00Z"] {
        scene.export(csv(&[BOND]));
        scene.facility().exports.last_mut().unwrap().as_of = Some(as_of.parse().unwrap());
    }
    scene.check_due(&[(1, "SCHEDULED", SUPERVISION), (2, "RELEASED", SUPERVISION)]);
}

#[test]
fn a_transfer_for_health_is_a_transfer_to_an_agency_for_all_and_its_text_is_no_news() {
    let mut scene = Scene::new();
    let hospital = Charge { bail: "", text: "Western State Hospital", imm_hold: true, ..BOND };
    scene.export(csv(&[hospital]));
    scene.export(csv(&[Charge { text: "DETOX CENTER", ..hospital }]));
    scene.check_due(&[(1, "TRANSFERRED", CIVIL), (1, "TRANSFERRED", MARSHALS)]);
    scene.hand_over(MARSHALS, BOND.booking, 1, "TRANSFERRED", "TRANSFER_HOSPITAL");
    scene.hand_over(CIVIL, BOND.booking, 1, "TRANSFERRED", "TRANSFER_AGENCY");
    let report = scene.report();
    assert_eq!(report.reasons, BTreeMap::from([("TRANSFER_HOSPITAL".to_owned(), 1)]));
    let [mismatch] = report.mismatched.as_slice() else { panic!("{:?}", report.mismatched) };
    assert_eq!((mismatch.what.as_str(), mismatch.expected.as_str()), ("reason", "TRANSFER_AGENCY"));
}

#[test]
fn the_deciding_ranks_decide_only_within_a_day_of_the_door() {
    let old = Charge { ended: "2026-03-16 14:00:00", text: "WSI Chain", bail: "", ..BOND };
    let recent = Charge { ended: "2026-03-16 15:10:00", ..old };
    let personal = Charge { text: "PR", ended: "2026-03-15 09:00:00", bail: "", ..BOND };
    let reason_of = |charges: &[Charge]| {
        let mut scene = Scene::new();
        scene.export(csv(charges));
        let report = scene.report();
        (report.reasons.into_keys().next().unwrap(), report.disagreeing)
    };
    assert_eq!(reason_of(&[personal, recent]), ("TRANSFER_PRISON".to_owned(), 1));
    assert_eq!(reason_of(&[personal, old]), ("OWN_RECOGNIZANCE".to_owned(), 1));
    assert_eq!(reason_of(&[old]), ("UNKNOWN".to_owned(), 0));
}

#[test]
fn the_latest_end_decides_and_on_a_tie_the_lower_rank() {
    let served = Charge { text: "Time Served", ..BOND };
    let mut later = Scene::new();
    later.export(csv(&[BOND, Charge { ended: "2026-03-18 09:00:00", ..served }]));
    assert_eq!(later.report().reasons, BTreeMap::from([("TIME_SERVED".to_owned(), 1)]));
    let mut tie = Scene::new();
    tie.export(csv(&[served, BOND]));
    assert_eq!(tie.report().reasons, BTreeMap::from([("BOND_POSTED".to_owned(), 1)]));
}

#[test]
fn the_first_entry_that_matches_gives_the_fields() {
    let mut scene = Scene::new();
    let narrow = "[[allow]]\nsubscriber = \"demo-supervision\"\nrule_id = \"first\"\nagreement = \"zz-supervision\"\n\
                  purpose = \"SUPERVISION\"\n\
                  reasons = [\"BOND_POSTED\"]\nfields = [\"booking_number\"]\n[[allow]]\nsubscriber = \"demo-supervision\"";
    scene.change("agent.toml", "[[allow]]\nsubscriber = \"demo-supervision\"", narrow);
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { charge: "Another invented charge", ..BOND }]));
    assert_eq!(scene.report().events, 1, "the first entry shows no charges");
}

#[test]
fn nothing_goes_past_an_end_date() {
    let mut subscription = Scene::new();
    subscription.export(csv(&[BOND]));
    subscription.change("registry.toml", "expires = \"2027-12-31\"", "expires = \"2026-03-17\"");
    let report = subscription.report();
    assert_eq!((report.events, report.notices, report.allowed_not_subscribed), (1, 0, 1));

    let ended = [
        ("\nends = \"2027-12-31\"", "\nends = \"2026-03-17\""),
        ("\nends = \"2028-12-31\"", "\nends = \"2026-03-17\""),
        ("kinds = [\"release\"]", "kinds = [\"request\"]"),
    ];
    for (from, to) in ended {
        let mut scene = Scene::new();
        scene.export(csv(&[BOND]));
        scene.change("registry.toml", from, to);
        let report = scene.report();
        assert_eq!((report.events, report.withheld), (0, 1), "{to}");
    }
}

#[test]
fn an_agreement_lets_through_its_own_fields_at_most() {
    let mut scene = Scene::new();
    scene.change("registry.toml", "\"charges\", ", "");
    scene.export(csv(&[BOND]));
    scene.export(csv(&[Charge { charge: "Another invented charge", ..BOND }]));
    assert_eq!(scene.report().events, 1);
}

#[test]
fn a_filter_by_facility_and_certainty_narrows() {
    let release = Charge { text: "PDC", bail: "", imm_hold: true, ..BOND };
    let notices = |filter: &str| {
        let mut scene = Scene::new();
        scene.export(csv(&[release]));
        scene.change("registry.toml", "requests_only = true", filter);
        scene.report().notices
    };
    assert_eq!(notices("facilities = [\"zz0010000\"]"), 1);
    assert_eq!(notices("facilities = [\"zz0020000\"]"), 0);
    assert_eq!(notices("jurisdictions = [\"zz\"]\nminimum_certainty = \"LIKELY\""), 1);
    assert_eq!(notices("minimum_certainty = \"CONFIRMED\""), 0);
    assert_eq!(notices("jurisdictions = [\"zy\"]"), 0);
}
