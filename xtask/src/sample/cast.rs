//! The 120 custodies: which stories happen how often, and who lives them when. A story is chosen for what it makes the
//! demo show, not drawn by chance; only times and company are.

use anyhow::ensure;

use super::chance::Chance;
use super::clock;

/// How many custodies the first jail has; the other has the rest.
const AT_FIRST_FACILITY: usize = 70;
/// Draws of a door time before the generator gives up; a handful is usual.
const DRAWS_MAX: usize = 10_000;
/// The one custody of which the agency hears more than an hour after the door: left at 17:26, exported from 18:33 on.
const LATE_DOOR_MIN: i64 = 17 * 60 + 26;
const LATE_EXPORT_MIN: i64 = 18 * 60 + 33;

/// What is put right after the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Correction {
    None,
    /// The disposition was another one.
    Disposition(&'static str),
    /// The door time was typed wrong.
    Door,
    /// A charge was missing: one more row, equal to the first.
    Charge,
}

/// What happens in one custody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Story {
    pub(crate) bail: bool,
    pub(crate) text: &'static str,
    pub(crate) correction: Correction,
    pub(crate) hold: bool,
    pub(crate) juvenile: bool,
    /// Exported only long after the door, the bail never.
    pub(crate) late: bool,
}

const BAIL: Story = Story {
    bail: true,
    text: "Bail Bond",
    correction: Correction::None,
    hold: false,
    juvenile: false,
    late: false,
};

const fn bail(text: &'static str) -> Story {
    Story { text, ..BAIL }
}

const fn plain(text: &'static str) -> Story {
    Story { bail: false, text, ..BAIL }
}

const fn corrected(story: Story, correction: Correction) -> Story {
    Story { correction, ..story }
}

const fn held(story: Story) -> Story {
    Story { hold: true, ..story }
}

/// How often each story happens. The texts are those of the county mapping.
const STORIES: &[(usize, Story)] = &[
    // Bail first. Told at bail and again at the door.
    (32, BAIL),
    (4, bail("Cash Bail")),
    (1, held(BAIL)),
    (1, Story { late: true, ..BAIL }),
    (4, corrected(BAIL, Correction::Door)),
    (2, corrected(BAIL, Correction::Disposition("Cash Bail"))),
    (1, corrected(BAIL, Correction::Disposition("PR"))),
    (1, corrected(BAIL, Correction::Charge)),
    // Told, and then a reason of which nobody may be told, or one of several may: CLOSED towards the others.
    (2, corrected(BAIL, Correction::Disposition("Dismissed"))),
    (1, corrected(held(BAIL), Correction::Disposition("Dismissed"))),
    (3, bail("No Charges Filed")),
    (1, bail("Police Department")),
    // CLOSED at the door and told again by the correction.
    (1, corrected(bail("Dismissed"), Correction::Disposition("Bail Bond"))),
    // Another reason at the door than bail.
    (3, bail("PR")),
    (3, bail("Credit for Time Served")),
    // No bail: told at the door, if at all.
    (9, plain("PR")),
    (3, plain("SIP")),
    (2, plain("Administrative Booking")),
    (1, corrected(plain("PR"), Correction::Disposition("Court Order"))),
    (1, corrected(plain("PR"), Correction::Door)),
    (6, plain("Time Served")),
    (5, plain("Credit for Time Served")),
    (1, corrected(plain("Time Served"), Correction::Disposition("Credit for Time Served"))),
    (1, held(plain("Time Served"))),
    (2, plain("WSI Chain")),
    (1, corrected(plain("WSI Chain"), Correction::Door)),
    (2, plain("Mini-Chain")),
    (1, plain("US Marshall")),
    (1, plain("Western State Hospital")),
    (1, plain("Escape Breaking the Cycle(BTC)")),
    (5, plain("Court Order")),
    (1, plain("Drug Court")),
    (4, plain("Dismissed")),
    (1, held(plain("Dismissed"))),
    (3, plain("NCF Final")),
    (3, plain("No Charges Filed")),
    (1, plain("Suspended Sentence")),
    (1, plain("Deferred Sentence")),
    (1, plain("Not Guilty Verdict")),
    (2, plain("PDC")),
    // Allowed by its reason and by its hold, and stopped by the floor.
    (1, Story { juvenile: true, ..held(plain("PR")) }),
];

/// One custody with its times, in minutes of the day.
#[derive(Debug, Clone)]
pub(crate) struct Custody {
    /// 0 or 1.
    pub(crate) facility: usize,
    pub(crate) booking_number: String,
    pub(crate) story: Story,
    pub(crate) booked: i64,
    pub(crate) bailed: Option<i64>,
    pub(crate) door: i64,
    /// When the row of the door is typed.
    pub(crate) door_typed: i64,
    /// When the correction is typed.
    pub(crate) corrected: Option<i64>,
}

/// Puts the stories into an order and gives each its times.
pub(crate) fn custodies(chance: &mut Chance) -> anyhow::Result<Vec<Custody>> {
    let mut stories: Vec<Story> =
        STORIES.iter().flat_map(|(times, story)| std::iter::repeat_n(*story, *times)).collect();
    chance.shuffle(&mut stories);
    let with_bail = stories.iter().filter(|story| story.bail).count();
    let mut gaps = clock::gaps(with_bail, chance).into_iter();
    let mut numbers = [100, 700];
    let mut custodies = Vec::new();
    for (index, story) in stories.into_iter().enumerate() {
        let facility = usize::from(index >= AT_FIRST_FACILITY);
        let gap = if story.bail { gaps.next() } else { None };
        numbers[facility] += 1 + chance.below(9);
        let prefix = ["NG", "SG"][facility];
        let booking_number = format!("{prefix}-26-{:06}", numbers[facility]);
        custodies.push(lived(story, facility, booking_number, gap, index, chance)?);
    }
    Ok(custodies)
}

fn lived(
    story: Story,
    facility: usize,
    booking_number: String,
    gap: Option<i64>,
    index: usize,
    chance: &mut Chance,
) -> anyhow::Result<Custody> {
    let delay = (story.correction != Correction::None).then(|| chance.minutes(35, 170));
    let mut draws = 0;
    let door = loop {
        draws += 1;
        ensure!(draws <= DRAWS_MAX, "no door time fits story {story:?}");
        let door = if story.late { LATE_DOOR_MIN } else { clock::door(chance) };
        // Bail and correction happen on the same day, each in time for an export of its own.
        let last = clock::export_after(door + delay.unwrap_or_default(), facility).0;
        if door - gap.unwrap_or_default() >= 5 && last <= clock::LAST_EXPORT_MIN {
            break door;
        }
    };
    let bailed = gap.map(|gap| door - gap);
    let inside = if index == 0 {
        // Booked years before: a normal row.
        3 * 365 * 24 * 60
    } else if chance.percent(75) {
        chance.minutes(3 * 60, 4 * 24 * 60)
    } else {
        chance.minutes(4 * 24 * 60, 200 * 24 * 60)
    };
    Ok(Custody {
        facility,
        booking_number,
        story,
        booked: bailed.unwrap_or(door) - inside,
        bailed,
        door,
        door_typed: if story.late { LATE_EXPORT_MIN } else { door },
        corrected: delay.map(|delay| door + delay),
    })
}
