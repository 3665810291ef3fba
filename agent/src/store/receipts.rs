//! Receipts of the subscribers, folded by their digest. Each is credited to the one notice that it names by event,
//! digest and subscriber; anything else is kept as a stray and credited to nobody.

use jiff::Timestamp;
use rusqlite::Connection;
use sallyport_proto::{
    answer::RelayedReceipt,
    envelope::Digest,
    ids::{NoticeId, SubscriberId},
    receipt::{Receipt, ReceiptFor, Statement},
};

use super::{
    StoreError,
    error::Doing,
    outbox::{self, Kept},
    us,
};

/// What became of one notice of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// Credited now.
    New,
    /// Was credited before.
    Repeated,
    /// Kept as a stray, and why.
    Stray(&'static str),
}

const KEEP: &str = "cannot keep a receipt";

/// Keeps the signed receipt as evidence. Its statements are credited one by one.
pub fn keep_receipt(
    connection: &Connection,
    relayed: &RelayedReceipt,
    subscriber: &SubscriberId,
    arrived: Timestamp,
) -> Result<Digest, StoreError> {
    let digest = Digest::of(&relayed.receipt);
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO receipt_envelope \
             (digest, envelope, subscriber, arrived_us, relay_stored_us, receipts_sequence) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .doing(KEEP)?
        .execute((
            digest.as_bytes().as_slice(),
            &relayed.receipt,
            subscriber.as_str(),
            us(arrived),
            us(relayed.stored.at),
            i64::try_from(relayed.receipts_sequence).unwrap_or(i64::MAX),
        ))
        .doing(KEEP)?;
    Ok(digest)
}

/// Credits what `receipt` (kept under `digest`) says of one notice, or keeps it as a stray.
pub fn credit(
    connection: &Connection,
    digest: &Digest,
    receipt: &Receipt,
    about: &ReceiptFor,
    arrived: Timestamp,
) -> Result<Credit, StoreError> {
    let n = match find(connection, receipt, about)? {
        Ok(n) => n,
        Err(why) => {
            stray(connection, digest, Some(&about.notice_id), why, arrived)?;
            return Ok(Credit::Stray(why));
        }
    };
    let (statement, word, eta, answer_by, text, contact) = match &receipt.statement {
        Statement::Level(level) => ("level", level.as_str(), None, None, receipt.text.as_ref(), None),
        Statement::Response(r) => {
            let (text, contact) = (receipt.text.as_ref(), r.contact.as_ref());
            ("response", r.kind.as_str(), r.eta, r.answer_by, text, contact)
        }
        Statement::Refusal(r) => ("refusal", r.code.as_str(), None, None, Some(&r.text), None),
    };
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO receipt (digest, n, subscriber, attempt, superseded, statement, word, by_whom, \
             eta_us, answer_by_us, t6_us, t7_us, t8_us, published_us, arrived_us, text, contact) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )
        .doing(KEEP)?
        .execute(rusqlite::params![
            digest.as_bytes().as_slice(),
            n,
            receipt.subscriber.as_str(),
            about.attempt,
            about.superseded,
            statement,
            word,
            receipt.by_whom,
            eta.map(|m| us(m.at)),
            answer_by.map(|m| us(m.at)),
            about.t6_received.or(receipt.t6_received).map(|m| us(m.at)),
            receipt.t7_seen.map(|m| us(m.at)),
            receipt.t8_answered.map(|m| us(m.at)),
            us(receipt.published.at),
            us(arrived),
            text.filter(|text| !text.is_empty()),
            contact,
        ])
        .doing(KEEP)?;
    Ok(if inserted == 1 { Credit::New } else { Credit::Repeated })
}

/// The row that a receipt is about, or why there is none.
fn find(
    connection: &Connection,
    receipt: &Receipt,
    about: &ReceiptFor,
) -> Result<Result<i64, &'static str>, StoreError> {
    let Some(Kept { n, row }) = outbox::by_event(connection, &about.notice_id.event())? else {
        return Ok(Err("unknown event"));
    };
    if row.digest != about.event_digest {
        return Ok(Err("other bytes than were sent"));
    }
    let told: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM told WHERE n = ?1 AND subscriber = ?2)")
        .doing(KEEP)?
        .query_row((n, receipt.subscriber.as_str()), |row| row.get(0))
        .doing(KEEP)?;
    Ok(if told { Ok(n) } else { Err("this subscriber was not told") })
}

/// Keeps that a receipt came which is nobody's here.
pub fn stray(
    connection: &Connection,
    digest: &Digest,
    notice: Option<&NoticeId>,
    why: &'static str,
    arrived: Timestamp,
) -> Result<(), StoreError> {
    let notice = notice.map(|id| id.as_str()).unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO stray_receipt (digest, notice_id, why, arrived_us) VALUES (?1, ?2, ?3, ?4)",
        )
        .doing(KEEP)?
        .execute((digest.as_bytes().as_slice(), notice, why, us(arrived)))
        .doing(KEEP)?;
    Ok(())
}
