-- Sequences of DELIVER that came since everything up to `reach.base_sequence` did.
CREATE TABLE came (sequence INTEGER PRIMARY KEY);

-- One row: what the relay stated last of our notices, and up to where it agrees with what came.
CREATE TABLE reach (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  created TEXT NOT NULL,                     -- of DELIVER, in the broker's words
  base_rank INTEGER NOT NULL,
  base_sequence INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  heard_us INTEGER NOT NULL,
  short_since_us INTEGER                     -- since when fewer came than were sent
);

-- The lowest rank goes to the sink first.
ALTER TABLE notice ADD COLUMN rank INTEGER NOT NULL DEFAULT 1;
UPDATE notice SET rank = 2 WHERE sink IN ('pending', 'aside') AND (backfill OR late);
CREATE INDEX notice_by_rank ON notice (rank, seq, next_try_us, t6_us) WHERE sink IN ('pending', 'aside');
DROP INDEX notice_for_sink;

PRAGMA user_version = 2;
