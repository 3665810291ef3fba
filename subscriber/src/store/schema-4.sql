-- What stood at a sequence of one stream says nothing about the next stream's: when the broker stored what came, too. Of
-- what came before this form, now says nearly the same.
ALTER TABLE came RENAME TO came_before;
CREATE TABLE came (
  sequence INTEGER NOT NULL,
  stored_us INTEGER NOT NULL,
  PRIMARY KEY (sequence, stored_us)
) WITHOUT ROWID;
INSERT INTO came SELECT sequence, unixepoch() * 1000000 FROM came_before;
DROP TABLE came_before;

PRAGMA user_version = 4;
