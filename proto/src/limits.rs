//! Every limit that both ends of a message must know, each with its reason.

/// A subject token. Three of them and two ids stay far under the 4 KiB a NATS subject may have.
pub const TOKEN_BYTES_MAX: usize = 64;
/// A decision's id is the end of its subject: a notice id, an attempt and a word fit twice.
pub const DECISION_ID_BYTES_MAX: usize = 256;
/// INGEST refuses larger messages (headers included): a flood of one facility must not crowd out the others.
pub const INGEST_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What NATS headers of ours take of a message at most (Msg-Id, trace parent), left free under the stream's limit.
pub const HEADER_BYTES_RESERVE: usize = 512;
/// The head goes to every recipient: it must leave room for the largest disclosure in a notice.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A notice carries one head, one disclosure and the relay's own words.
pub const DELIVER_MESSAGE_BYTES_MAX: usize = 96 * 1024;
/// Recipients of one event: 200 notices and one `routed` record fit four times into an atomic batch of 1,000.
pub const RECIPIENTS_MAX: usize = 200;
/// Salt of a disclosure: long enough that its digest in the head cannot be guessed.
pub const DISCLOSURE_SALT_BYTES: usize = 16;
/// Notices that one receipt may name: keeps a receipt under 16 KiB.
pub const NOTICES_PER_RECEIPT_MAX: usize = 64;
/// Answers per page of the catch-up service.
pub const CATCHUP_PAGE_MAX: usize = 256;
/// RECEIPTS refuses larger messages (headers included): what one subscriber says must never crowd out what the others
/// say to the same jail. A receipt of `NOTICES_PER_RECEIPT_MAX` notices with the longest ids and texts fits (tested).
pub const RECEIPT_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// A role or badge id.
pub const BY_WHOM_BYTES_MAX: usize = 128;
/// A role, desk or telephone number.
pub const CONTACT_BYTES_MAX: usize = 256;
/// Why an endpoint could not take a notice: words of a machine.
pub const REFUSAL_TEXT_BYTES_MAX: usize = 500;
/// Free text of a person in a receipt or outcome.
pub const TEXT_BYTES_MAX: usize = 2_000;
/// Numbers named in one request to send again: the answer stays far under a message's size, and the jail's link is not
/// filled by one.
pub const SEQS_PER_RESEND_MAX: usize = 500;
