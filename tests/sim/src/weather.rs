//! What may go wrong in a run, and how often. Each seed draws its own mixture: some faults are absent, so that others
//! are seen alone. Struck here is only chance; what a fault does is done where it strikes (`net`, `process`, `storm`).

use crate::{chance::Chance, coverage::SELDOM_PASSED};

/// At points that are seldom passed.
const MORE_READILY: u64 = 6;

/// How long the storm lasts; after it nothing fails any more.
pub(crate) const STORM_ENDS: crate::exec::Us = 600 * crate::exec::S;

/// Chances in a thousand, per act.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    /// A request never reaches the broker.
    pub(crate) request_lost: u64,
    /// It does, and its answer is lost.
    pub(crate) reply_lost: u64,
    /// A plain ack is lost.
    pub(crate) ack_lost: u64,
    /// A pulled batch never arrives.
    pub(crate) delivery_lost: u64,
    /// A message is delivered again at once.
    pub(crate) duplicated: u64,
    /// A message takes seconds.
    pub(crate) slow: u64,
    /// An atomic batch is refused for no reason of its own.
    pub(crate) batch_refused: u64,
    /// A live answer never reaches its jail.
    pub(crate) answer_lost: u64,
    /// Somebody sends other bytes under an event's id: an agent on a copied disk.
    pub(crate) twin: u64,
    /// A program dies at a named point.
    pub(crate) crash_at_point: u64,
    /// Timed faults of each kind, at most.
    pub(crate) timed: Timed,
    /// Nodes begin with registries of their own.
    pub(crate) mixed_registries: bool,
    /// The broker loses a notice that its agency never had.
    pub(crate) notice_lost: bool,
    /// People at the agencies say something, too.
    pub(crate) people: bool,
}

/// How many of each timed fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timed {
    pub(crate) kills: u64,
    pub(crate) leader_losses: u64,
    pub(crate) full_streams: u64,
    pub(crate) consumer_resets: u64,
    pub(crate) forgotten_acks: u64,
    pub(crate) streams_made_again: u64,
    /// INGEST, DELIVER or both come back empty, or without their ends.
    pub(crate) streams_lost: u64,
    /// A node's reader of one stream gets nothing for minutes.
    pub(crate) stuck_readers: u64,
    pub(crate) link_cuts: u64,
    pub(crate) clock_changes: u64,
}

impl Weather {
    /// Nothing fails.
    pub(crate) fn calm() -> Self {
        Self::default()
    }

    /// A mixture of its own for every seed.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        // One seed in twelve runs in fine weather: what fails then fails by itself.
        if chance.permille(83) {
            return Self { mixed_registries: chance.permille(300), ..Self::calm() };
        }
        let mut some =
            |often: u64, most: u64| if chance.permille(often) { chance.within(1, most) } else { 0 };
        Self {
            request_lost: some(500, 80),
            reply_lost: some(600, 120),
            ack_lost: some(500, 200),
            delivery_lost: some(400, 100),
            duplicated: some(600, 250),
            slow: some(400, 80),
            batch_refused: some(400, 200),
            answer_lost: some(500, 500),
            twin: some(150, 150),
            crash_at_point: some(700, 12),
            timed: Timed {
                kills: some(600, 12),
                leader_losses: some(400, 5),
                full_streams: some(250, 2),
                consumer_resets: some(250, 2),
                forgotten_acks: some(300, 4),
                streams_made_again: some(200, 2),
                streams_lost: some(250, 2),
                stuck_readers: some(350, 8),
                link_cuts: some(400, 4),
                clock_changes: some(500, 8),
            },
            mixed_registries: some(350, 1) > 0,
            notice_lost: some(250, 1) > 0,
            people: some(400, 1) > 0,
        }
        .judgeable()
    }
}

impl Weather {
    /// A lost notice is missed on the stream that lost it: in a run in which DELIVER begins anew nobody could say by whom. And
    /// which of two versions of an event was there first is decided anew with it: the other may be out already.
    fn judgeable(mut self) -> Self {
        if self.timed.streams_lost > 0 {
            self.notice_lost = false;
            self.twin = 0;
        }
        self
    }

    /// How readily a program dies at a point.
    pub(crate) fn crash_at(&self, point: &str) -> u64 {
        let times = if SELDOM_PASSED.contains(&point) { MORE_READILY } else { 1 };
        self.crash_at_point * times
    }

    /// Whether nothing at all can fail, and nobody is behind.
    pub(crate) fn is_fine(&self) -> bool {
        let Timed {
            kills,
            leader_losses,
            full_streams,
            consumer_resets,
            forgotten_acks,
            streams_made_again,
            streams_lost,
            stuck_readers,
            link_cuts,
            clock_changes,
        } = self.timed;
        let timed = kills
            + leader_losses
            + full_streams
            + consumer_resets
            + forgotten_acks
            + streams_made_again
            + streams_lost
            + stuck_readers
            + link_cuts
            + clock_changes;
        let chances = self.request_lost
            + self.reply_lost
            + self.ack_lost
            + self.delivery_lost
            + self.duplicated
            + self.slow
            + self.batch_refused
            + self.answer_lost
            + self.twin
            + self.crash_at_point;
        timed + chances == 0 && !self.mixed_registries && !self.notice_lost
    }
}
