//! The audit is kept honest: three deliberate defects, and it names what each did.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sallyport_audit::{Named, Report};
use sallyport_e2e::{
    Day, World,
    patience::{AFTER_REDELIVERY, SOON},
    world::Build,
};

const JAIL: &str = "zz0010000";
/// Enough for a hundredth custody, and for a fiftieth notice at one agency.
const CUSTODIES: usize = 240;

/// A day in which one program has a defect.
async fn day_with(mutant: &str, program: &str) -> Report {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.build = Build::Faults;
    world.start_everything_with(program, &format!("mutant:{mutant}")).unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, CUSTODIES).unwrap();
    // A loss never comes: what is under way is waited for, then it is judged.
    day.quiet(&world, AFTER_REDELIVERY).await.unwrap();
    day.audit(&world).unwrap()
}

fn is_named(notice: &Named) {
    assert!(
        !notice.custody_key.is_empty() && !notice.subscriber.is_empty() && notice.revision > 0,
        "{notice}"
    );
    assert_eq!(notice.ori, JAIL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_hands_over_twice_is_found_and_the_notice_named() {
    let report = day_with("hand-over-twice", "subscriber-demo-supervision").await;
    assert!(!report.duplicates.is_empty(), "{report:?}");
    for duplicate in &report.duplicates {
        is_named(&duplicate.notice);
        assert_eq!(duplicate.log_lines.len(), 2);
        assert!(duplicate.notice.notice_id.is_some());
    }
    assert!(report.lost.is_empty() && report.unallowed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_skips_every_hundredth_custody_is_found_and_the_notice_named() {
    let report = day_with("skip-100th-custody", "agent-zz0010000").await;
    assert!(!report.lost.is_empty(), "{report:?}");
    for missing in &report.lost {
        is_named(&missing.notice);
        assert!(missing.notice.place.is_some(), "where the export speaks of it: {}", missing.notice);
    }
    assert!(report.duplicates.is_empty() && report.unallowed.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_tells_who_may_not_be_told_is_found_and_the_notice_named() {
    let report = day_with("send-to-not-allowed", "agent-zz0010000").await;
    assert!(!report.unallowed.is_empty(), "{report:?}");
    for unallowed in &report.unallowed {
        is_named(&unallowed.notice);
        assert!(unallowed.notice.notice_id.is_some());
    }
    assert!(report.lost.is_empty() && report.duplicates.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_day_without_a_defect_has_no_finding() {
    let mut world = World::provisioned(|_| {}).await.unwrap();
    world.build = Build::Faults;
    world.start_everything().unwrap();
    let mut day = Day::of(JAIL);
    day.export(&world, CUSTODIES).unwrap();
    let report = day.acknowledged(&world, 2 * SOON).await.unwrap();
    assert!(report.notices > 150, "{}", report.notices);
}
