//! Custodies that were kept aside because a row was bad, shown to a person until a good reading of them comes.

use rusqlite::Connection;

use super::{StoreError, error::Doing, us};

/// Keeps a custody aside. `id` is its custody key, or an HMAC of where it stood when it could not be named; `problems`
/// is JSON without any cell.
pub fn note_refused(
    connection: &Connection,
    id: &str,
    source: &'static str,
    problems: &str,
) -> Result<(), StoreError> {
    let what = "cannot keep a custody aside";
    connection
        .prepare_cached(
            "INSERT INTO refused_custody (id, source, problems, since_us) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET source = ?2, problems = ?3",
        )
        .doing(what)?
        .execute((id, source, problems, us(sallyport_link::clock::now())))
        .doing(what)?;
    Ok(())
}

/// A good reading came.
pub fn clear_refused(connection: &Connection, id: &str) -> Result<(), StoreError> {
    let what = "cannot clear a custody that was kept aside";
    connection
        .prepare_cached("DELETE FROM refused_custody WHERE id = ?1")
        .doing(what)?
        .execute([id])
        .doing(what)?;
    Ok(())
}
