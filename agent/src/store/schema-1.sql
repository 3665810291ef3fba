-- Times are microseconds since 1970, UTC, by the agent's clock unless the name says otherwise.
-- Person data: outbox.ingest only (signed bytes), and what receipt_envelope.envelope quotes of a person's own words.

-- Whose store this is, and the numbering of what leaves. A new epoch begins when the file is new or was restored.
CREATE TABLE facility (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    instance TEXT NOT NULL,
    ori TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    epoch_since_us INTEGER NOT NULL,
    epoch_why TEXT NOT NULL,
    -- Device and inode of this file when it was opened last: a copy put in its place has others.
    file_mark TEXT NOT NULL
) STRICT;

-- What was told of each custody, as agent/core's Memory. No person data: the key is an HMAC.
CREATE TABLE custody (
    custody_key TEXT PRIMARY KEY,
    memory TEXT NOT NULL,
    changed_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Custodies with a release that nobody may be told. Those under the floor are not even here.
CREATE TABLE withheld (
    custody_key TEXT PRIMARY KEY,
    since_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Custodies kept aside whole because a row was bad, until a good reading of the same custody comes.
CREATE TABLE refused_custody (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    problems TEXT NOT NULL,
    since_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Idempotency of callers: key and content as HMACs, so that nobody reads a booking number out of them.
CREATE TABLE caller_key (
    key TEXT PRIMARY KEY,
    content TEXT NOT NULL,
    result TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    n INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    custody_key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    release_state TEXT NOT NULL,
    reason TEXT NOT NULL,
    traffic TEXT NOT NULL,
    backfill INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'accepted', 'refused')),
    attempt INTEGER NOT NULL,
    next_due_us INTEGER NOT NULL,
    stored_us INTEGER NOT NULL,
    first_sent_us INTEGER,
    last_sent_us INTEGER,
    -- The broker's PubAck of the last attempt. Retires nothing.
    acked_us INTEGER,
    closed_us INTEGER,
    -- From the Acceptance or Refusal; t4 and t5 by the broker's and the relay's clock.
    answer_digest BLOB,
    relay_node TEXT,
    t4_us INTEGER,
    t5_us INTEGER,
    registry_version INTEGER,
    predecessor_missing INTEGER,
    recipients TEXT,
    unsubscribed TEXT,
    refusal_code TEXT,
    refusal_text TEXT,
    -- The bytes that are sent, always the same. Last, so that the other columns are read without it.
    ingest BLOB NOT NULL,
    UNIQUE (epoch, seq)
) STRICT;
-- What is due, when, and how old: answered from this index alone, however many rows wait.
CREATE INDEX outbox_open ON outbox (n, next_due_us, stored_us, attempt) WHERE status = 'open';
CREATE INDEX outbox_closed ON outbox (closed_us) WHERE status <> 'open';
CREATE INDEX outbox_custody ON outbox (custody_key, n);

-- Who may be told, under which rule: the jail's own dissemination record of one event.
CREATE TABLE told (
    n INTEGER NOT NULL REFERENCES outbox (n) ON DELETE CASCADE,
    subscriber TEXT NOT NULL,
    rule_id TEXT NOT NULL,
    pack_version TEXT NOT NULL,
    purpose TEXT NOT NULL,
    agreement TEXT NOT NULL,
    fields TEXT NOT NULL,
    request_id TEXT,
    PRIMARY KEY (n, subscriber)
) STRICT, WITHOUT ROWID;

-- Answers as the relay signed them: evidence, kept as long as the rows they closed.
CREATE TABLE answer_envelope (
    digest BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    envelope BLOB NOT NULL,
    arrived_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Receipts as the subscribers signed them.
CREATE TABLE receipt_envelope (
    digest BLOB PRIMARY KEY,
    envelope BLOB NOT NULL,
    subscriber TEXT NOT NULL,
    arrived_us INTEGER NOT NULL,
    -- By the broker's clock.
    relay_stored_us INTEGER NOT NULL,
    receipts_sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a receipt says of one notice of ours. Times t6, t7, t8 and published by the subscriber's clock.
CREATE TABLE receipt (
    digest BLOB NOT NULL REFERENCES receipt_envelope (digest) ON DELETE CASCADE,
    n INTEGER NOT NULL REFERENCES outbox (n) ON DELETE CASCADE,
    subscriber TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    superseded INTEGER NOT NULL,
    statement TEXT NOT NULL CHECK (statement IN ('level', 'response', 'refusal')),
    word TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    eta_us INTEGER,
    answer_by_us INTEGER,
    t6_us INTEGER,
    t7_us INTEGER,
    t8_us INTEGER,
    published_us INTEGER NOT NULL,
    arrived_us INTEGER NOT NULL,
    PRIMARY KEY (n, subscriber, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_digest ON receipt (digest);

-- Receipts that are nobody's here: unknown, mismatched, badly signed. Never credited to another notice.
CREATE TABLE stray_receipt (
    digest BLOB NOT NULL,
    notice_id TEXT NOT NULL,
    why TEXT NOT NULL,
    arrived_us INTEGER NOT NULL,
    PRIMARY KEY (digest, notice_id)
) STRICT, WITHOUT ROWID;

-- How far the answers of the relay were read by catch-up.
CREATE TABLE answers_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    stream_created TEXT,
    caught_up_us INTEGER
) STRICT;
INSERT INTO answers_position (one, sequence) VALUES (1, 0);
