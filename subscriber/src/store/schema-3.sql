-- Where the copy of a notice that came last lies on the relay's stream: a stream that was made anew holds what came since.
-- Of what came before this form, when it came says nearly the same.
ALTER TABLE notice ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notice ADD COLUMN stored_us INTEGER NOT NULL DEFAULT 0;
UPDATE notice SET stored_us = t6_us;
CREATE INDEX notice_by_place ON notice (stored_us, sequence);

-- Since when only heads with lower numbers came, and the last break: the relay's stream became another one.
ALTER TABLE reach ADD COLUMN behind_since_us INTEGER;
ALTER TABLE reach ADD COLUMN break_us INTEGER;               -- when, by the broker
ALTER TABLE reach ADD COLUMN break_kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reach ADD COLUMN break_owed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reach ADD COLUMN break_told_us INTEGER;
ALTER TABLE reach ADD COLUMN break_acknowledged INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 3;
