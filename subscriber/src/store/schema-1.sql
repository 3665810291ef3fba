-- The subscriber's store. Times are microseconds since 1970, UTC. Raise user_version with every change and migrate.
CREATE TABLE notice (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,     -- order of arrival, and of hand-over
  notice_id TEXT NOT NULL UNIQUE,
  event_id TEXT NOT NULL,
  ori TEXT NOT NULL,
  custody_key TEXT NOT NULL,
  traffic TEXT NOT NULL,
  exercise_id TEXT,
  epoch TEXT NOT NULL,
  revision INTEGER NOT NULL,
  t2_us INTEGER NOT NULL,
  release_state TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempt INTEGER NOT NULL,                  -- the first one that came
  event_digest BLOB NOT NULL,
  t6_us INTEGER NOT NULL,
  t10_us INTEGER,
  backfill INTEGER NOT NULL,
  agreement_id TEXT NOT NULL,
  agreement_version INTEGER NOT NULL,
  late INTEGER NOT NULL,                     -- superseded already when it came: what the receipt and the log say
  superseded INTEGER NOT NULL,               -- superseded by now
  bytes BLOB NOT NULL,                       -- the envelope of that attempt, as it came
  sink TEXT NOT NULL,                        -- pending, aside, done, failed, none
  tries INTEGER NOT NULL DEFAULT 0,
  next_try_us INTEGER NOT NULL DEFAULT 0,
  failed_receipt INTEGER REFERENCES receipt (id)
);
CREATE INDEX notice_of_event ON notice (event_id);
CREATE INDEX notice_of_custody ON notice (ori, custody_key, seq);
CREATE INDEX notice_for_sink ON notice (seq) WHERE sink IN ('pending', 'aside');

-- Every attempt of a notice that came, with the receipt that answered it.
CREATE TABLE attempt (
  notice_seq INTEGER NOT NULL REFERENCES notice (seq),
  attempt INTEGER NOT NULL,
  why TEXT NOT NULL,
  t6_us INTEGER NOT NULL,
  receipt INTEGER NOT NULL REFERENCES receipt (id),
  PRIMARY KEY (notice_seq, attempt)
) WITHOUT ROWID;

-- The newest revision of each custody. Exercises have custodies of their own.
CREATE TABLE newest (
  ori TEXT NOT NULL,
  custody_key TEXT NOT NULL,
  traffic TEXT NOT NULL,
  notice_seq INTEGER NOT NULL REFERENCES notice (seq),
  epoch TEXT NOT NULL,
  revision INTEGER NOT NULL,
  t2_us INTEGER NOT NULL,
  PRIMARY KEY (ori, custody_key, traffic)
) WITHOUT ROWID;

-- What we say, as the signed bytes: the same bytes go out until the broker stored them, and for every copy again.
CREATE TABLE receipt (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  lane TEXT NOT NULL,                        -- machine: published with its batch; later: by the outbox, in order
  subject TEXT NOT NULL,
  bytes BLOB NOT NULL,
  made_us INTEGER NOT NULL,
  stored_us INTEGER,                         -- PubAck
  unstorable TEXT                            -- the broker can never store it: why
);
CREATE INDEX receipt_open ON receipt (id, lane) WHERE stored_us IS NULL AND unstorable IS NULL;

-- What was said later about a notice: STAGED, SEEN, a response, an outcome, a refusal.
CREATE TABLE statement (
  receipt INTEGER NOT NULL REFERENCES receipt (id),
  notice_seq INTEGER NOT NULL REFERENCES notice (seq),
  word TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  eta_us INTEGER,
  PRIMARY KEY (notice_seq, receipt)
) WITHOUT ROWID;

-- What is not believed or not readable, never handed over.
CREATE TABLE apart (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE,
  notice_id TEXT,
  attempt INTEGER,
  code TEXT NOT NULL,
  why TEXT NOT NULL,
  came_us INTEGER NOT NULL,
  receipt INTEGER REFERENCES receipt (id),
  bytes BLOB NOT NULL
);

CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

PRAGMA user_version = 1;
