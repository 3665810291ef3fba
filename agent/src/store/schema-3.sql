-- How a row came into the outbox, which decides what goes before what: 0 stated now, 1 came with many others, 2 a backfill.
ALTER TABLE outbox ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
UPDATE outbox SET lane = 2 WHERE backfill = 1 AND status = 'open';

-- How much waits, and since when.
DROP INDEX outbox_open;
CREATE INDEX outbox_open ON outbox (stored_us) WHERE status = 'open';
-- What was never sent, and what was sent and has no answer: each answered from its index alone, however many rows wait.
CREATE INDEX outbox_waiting ON outbox (lane, n, stored_us) WHERE status = 'open' AND attempt = 0;
CREATE INDEX outbox_sent ON outbox (n, next_due_us, attempt) WHERE status = 'open' AND attempt > 0;
