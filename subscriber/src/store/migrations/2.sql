-- How far our notices reach.
CREATE TABLE came (sequence INTEGER PRIMARY KEY);
CREATE TABLE reach (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  created TEXT NOT NULL,
  base_rank INTEGER NOT NULL,
  base_sequence INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  heard_us INTEGER NOT NULL,
  short_since_us INTEGER
);
PRAGMA user_version = 2;
