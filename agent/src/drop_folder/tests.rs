//! Which files are left alone. Taking them is tested with the program (`tests/against_nats.rs`).

use super::*;

#[test]
fn files_that_are_still_being_written_are_left_alone() {
    for (name, unfinished) in [
        ("day.csv", false),
        ("day", false),
        (".day.csv", true),
        ("day.csv.tmp", true),
        ("day.csv.PART", true),
        ("day.csv.filepart", true),
    ] {
        assert_eq!(is_unfinished(Path::new(name)), unfinished, "{name}");
    }
}

#[test]
fn a_look_of_our_own_is_no_hint_of_a_new_file() {
    for (kind, hint) in [
        (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
        (EventKind::Access(AccessKind::Read), false),
        (EventKind::Remove(notify::event::RemoveKind::File), false),
        (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
        (EventKind::Create(notify::event::CreateKind::File), true),
        (EventKind::Modify(ModifyKind::Any), true),
    ] {
        assert_eq!(is_hint(kind), hint, "{kind:?}");
    }
}
