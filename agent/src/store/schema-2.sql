-- What is kept of the last record that each custody was read from: how new it was, because an older export never takes the
-- place of a newer one; and whether it was under the floor, which stays until a person lifts it, whatever another record
-- says or leaves out. The key is an HMAC. Nothing of this ever leaves the jail.
CREATE TABLE reading (
    custody_key TEXT PRIMARY KEY,
    as_of_us INTEGER NOT NULL,
    floor TEXT CHECK (floor IN ('sealed', 'expunged', 'juvenile', 'protected_victim'))
) STRICT, WITHOUT ROWID;

-- What people say in their own words, as the signed receipt has it.
ALTER TABLE receipt ADD COLUMN text TEXT;
ALTER TABLE receipt ADD COLUMN contact TEXT;
