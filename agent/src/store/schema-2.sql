-- How new the record was that each custody was last read from: an older export never takes the place of a newer one.
-- Also for custodies that nobody was told of; those under the floor too, so that an export from before a court sealed the
-- booking cannot bring it back. The key is an HMAC and says nothing.
CREATE TABLE reading (
    custody_key TEXT PRIMARY KEY,
    as_of_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
