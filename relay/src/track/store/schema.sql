-- The read model: facts under their keys, disposable, rebuilt from the streams. Times are microseconds since 1970, UTC;
-- `<time>_src` is uncertainty_s * 16 + source clock; words of vocabularies are their numbers in sallyport/v1.
CREATE TABLE position (
    stream   TEXT PRIMARY KEY,
    created  TEXT NOT NULL,             -- of the stream: another one is another stream
    sequence INTEGER NOT NULL,          -- the last one folded
    stored   INTEGER,                   -- when the broker stored that one
    whole_at INTEGER                    -- when the model was last known to hold everything
) WITHOUT ROWID;

-- Another number is another model: made anew, or something was taken out of it because its stream lost it.
CREATE TABLE model (made INTEGER NOT NULL);
INSERT INTO model VALUES (random());

-- Messages that were folded, as sequences without a gap stored within one hour; and those that their stream lost since.
CREATE TABLE held (
    stream TEXT, first INTEGER, last INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (stream, first)
) WITHOUT ROWID;
CREATE TABLE lost (
    stream TEXT, first INTEGER, last INTEGER NOT NULL, noticed INTEGER NOT NULL, PRIMARY KEY (stream, first)
) WITHOUT ROWID;
-- Numbers of jails that INGEST lost.
CREATE TABLE lost_number (
    ori TEXT, epoch TEXT, seq INTEGER, jurisdiction TEXT NOT NULL, PRIMARY KEY (ori, epoch, seq)
) WITHOUT ROWID;

CREATE TABLE ingest (
    sequence INTEGER PRIMARY KEY, ori TEXT NOT NULL, jurisdiction TEXT NOT NULL, digest BLOB NOT NULL,
    stored INTEGER NOT NULL,
    event_id TEXT, custody_key TEXT, revision INTEGER, release_state INTEGER, t2 INTEGER, t2_src INTEGER,
    traffic INTEGER, epoch TEXT, seq INTEGER,
    answered INTEGER NOT NULL           -- accepted or parked: derived, kept for the index
);
CREATE INDEX ingest_by_event ON ingest (event_id, ori) WHERE event_id IS NOT NULL;
CREATE INDEX ingest_by_number ON ingest (ori, epoch, seq) WHERE epoch IS NOT NULL;
CREATE INDEX ingest_unanswered ON ingest (stored) WHERE answered = 0;

CREATE TABLE routed (
    event_id TEXT, ori TEXT, sequence INTEGER NOT NULL, digest BLOB NOT NULL, ingest_sequence INTEGER NOT NULL,
    custody_key TEXT NOT NULL, revision INTEGER NOT NULL, registry_version INTEGER NOT NULL,
    verdict INTEGER NOT NULL, predecessor_missing INTEGER NOT NULL, t4 INTEGER NOT NULL, t4_src INTEGER NOT NULL,
    t5 INTEGER NOT NULL, t5_src INTEGER NOT NULL, node TEXT NOT NULL, traffic INTEGER NOT NULL,
    recipients TEXT NOT NULL,           -- ids, a space between
    unsubscribed TEXT NOT NULL,
    PRIMARY KEY (event_id, ori)
) WITHOUT ROWID;
CREATE INDEX routed_by_sequence ON routed (sequence);
CREATE INDEX routed_unsubscribed ON routed (t5) WHERE unsubscribed <> '';

CREATE TABLE notice (
    event_id TEXT, ori TEXT, subscriber TEXT, attempt INTEGER, sequence INTEGER NOT NULL, why INTEGER NOT NULL,
    digest BLOB NOT NULL, custody_key TEXT NOT NULL, revision INTEGER NOT NULL, release_state INTEGER NOT NULL,
    reason INTEGER NOT NULL, subscription TEXT, predecessor TEXT, priority INTEGER NOT NULL,
    due_received INTEGER, due_received_src INTEGER, due_seen INTEGER, due_seen_src INTEGER,
    due_answered INTEGER, due_answered_src INTEGER,
    traffic INTEGER NOT NULL, backfill INTEGER NOT NULL,
    t0 INTEGER, t0_src INTEGER, t2 INTEGER NOT NULL, t2_src INTEGER NOT NULL, t4 INTEGER NOT NULL,
    t4_src INTEGER NOT NULL, t5 INTEGER NOT NULL, t5_src INTEGER NOT NULL, t10 INTEGER, t10_src INTEGER,
    stored INTEGER NOT NULL,
    received INTEGER,                   -- first receipt of any attempt, its sequence: derived, kept for the index
    refused INTEGER,                    -- first refusal that is a failure: likewise
    PRIMARY KEY (event_id, ori, subscriber, attempt)
) WITHOUT ROWID;
CREATE INDEX notice_open ON notice (subscriber, ori, t5) WHERE received IS NULL AND refused IS NULL;
CREATE INDEX notice_by_custody ON notice (custody_key, subscriber);
CREATE INDEX notice_by_time ON notice (t5);
CREATE INDEX notice_by_rank ON notice (subscriber, sequence);

CREATE TABLE receipt (
    sequence INTEGER, item INTEGER, subscriber TEXT NOT NULL, event_id TEXT NOT NULL, ori TEXT NOT NULL,
    named TEXT NOT NULL,                -- the subscriber in the notice id
    attempt INTEGER NOT NULL, digest BLOB NOT NULL,
    kind INTEGER NOT NULL,              -- 0 level, 1 response, 2 refusal
    word INTEGER NOT NULL,              -- of the vocabulary of that kind
    severity INTEGER, at INTEGER, at_src INTEGER, superseded INTEGER NOT NULL,
    t6 INTEGER, t6_src INTEGER, t7 INTEGER, t7_src INTEGER, t8 INTEGER, t8_src INTEGER,
    published INTEGER NOT NULL, published_src INTEGER NOT NULL, stored INTEGER NOT NULL,
    PRIMARY KEY (sequence, item)
) WITHOUT ROWID;
CREATE INDEX receipt_by_notice ON receipt (event_id, ori, named);

CREATE TABLE accepted (
    event_id TEXT, ori TEXT, digest BLOB, sequence INTEGER NOT NULL, stored INTEGER NOT NULL,
    PRIMARY KEY (event_id, ori, digest)
) WITHOUT ROWID;

CREATE TABLE refused (
    sequence INTEGER PRIMARY KEY, ori TEXT NOT NULL, event_id TEXT, digest BLOB NOT NULL, code INTEGER NOT NULL,
    permanent INTEGER NOT NULL, stored INTEGER NOT NULL
);

CREATE TABLE progress (
    receipts_sequence INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, stored INTEGER NOT NULL
);

CREATE TABLE parked (
    sequence INTEGER PRIMARY KEY, reason TEXT NOT NULL, ori TEXT, origin TEXT, origin_sequence INTEGER,
    stored INTEGER NOT NULL
);
CREATE INDEX parked_by_origin ON parked (origin, origin_sequence);

CREATE TABLE control (
    sequence INTEGER PRIMARY KEY, notice_id TEXT, kind INTEGER NOT NULL, phase INTEGER NOT NULL,
    stored INTEGER NOT NULL
);
CREATE INDEX control_by_notice ON control (notice_id);

-- The newest of each epoch.
CREATE TABLE heartbeat (
    ori TEXT, epoch TEXT, sequence INTEGER NOT NULL, jurisdiction TEXT NOT NULL, seq INTEGER NOT NULL,
    kept_from INTEGER, range_first INTEGER, range_sha256 BLOB, outbox_depth INTEGER NOT NULL,
    outbox_oldest INTEGER, stored INTEGER NOT NULL,
    PRIMARY KEY (ori, epoch)
) WITHOUT ROWID;

CREATE TABLE unreadable (stream TEXT, sequence INTEGER, PRIMARY KEY (stream, sequence)) WITHOUT ROWID;
