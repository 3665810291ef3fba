//! One event: who may be told under which rule, who has received it, seen it, and is coming when.

use jiff::Timestamp;
use sallyport_proto::vocabulary::ResponseKind;
use serde::Serialize;

use super::us_between;
use crate::store::{Reader, StoreError, from_us};

/// Everything `status EVENT` shows. No person data: not even the booking number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Its id.
    pub event_id: String,
    /// Stands for the booking.
    pub custody_key: String,
    /// From 1.
    pub revision: u32,
    /// Where the release stands.
    pub release_state: String,
    /// Why, as the head says it.
    pub reason: String,
    /// Real or not.
    pub traffic: String,
    /// A replay of past records.
    pub backfill: bool,
    /// Its number.
    pub epoch: String,
    /// Its number.
    pub seq: u64,
    /// SHA-256 of the bytes that are sent.
    pub digest: String,
    /// `open`, `accepted`, `refused`.
    pub status: String,
    /// How often it was sent.
    pub attempts: u32,
    /// On disk.
    pub stored: Timestamp,
    /// First handed to the broker.
    pub first_sent: Option<Timestamp>,
    /// The broker's PubAck of the last attempt that got one. Says nothing about routing.
    pub pub_acked: Option<Timestamp>,
    /// The signed answer was here.
    pub closed: Option<Timestamp>,
    /// When it is sent next, while it is open.
    pub next_due: Option<Timestamp>,
    /// The node that answered.
    pub relay_node: Option<String>,
    /// t4, by the broker's clock.
    pub t4_stored: Option<Timestamp>,
    /// t5, by the relay's clock.
    pub t5_routed: Option<Timestamp>,
    /// From the disk to the signed Acceptance, by the jail's own clock, microseconds.
    pub acceptance_us: Option<i64>,
    /// The relay routed it without having seen the revision before it.
    pub predecessor_missing: Option<bool>,
    /// Why it was refused, or refused for now.
    pub refusal_code: Option<String>,
    /// In words.
    pub refusal_text: Option<String>,
    /// Who may be told.
    pub recipients: Vec<RecipientView>,
}

/// One subscriber of an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecipientView {
    /// Who.
    pub subscriber: String,
    /// Under which rule.
    pub rule_id: String,
    /// Of which version of the rules.
    pub pack_version: String,
    /// For what.
    pub purpose: String,
    /// `<id>/<version>`
    pub agreement: String,
    /// What it may have.
    pub fields: Vec<String>,
    /// The request it answers.
    pub request_id: Option<String>,
    /// `addressed`, `not subscribed`, `waiting for the relay`, or that it refused the event.
    pub routing: &'static str,
    /// Their machine had stored it, by their clock.
    pub received: Option<Timestamp>,
    /// Proven upper bound of the one-way latency: from handing it to the broker to holding their receipt, by the jail's
    /// own clock, microseconds.
    pub round_trip_us: Option<i64>,
    /// The same way as two clocks state it, microseconds; may be negative when they disagree.
    pub one_way_two_clocks_us: Option<i64>,
    /// A person saw it, by their clock.
    pub seen: Option<Timestamp>,
    /// Role or badge.
    pub seen_by: Option<String>,
    /// Their last response.
    pub response: Option<String>,
    /// Role or badge.
    pub response_by: Option<String>,
    /// When they expect to arrive.
    pub eta: Option<Timestamp>,
    /// Always beside an ETA.
    pub note: Option<&'static str>,
    /// When they will answer.
    pub answer_by: Option<Timestamp>,
    /// In their own words, with the response that counts.
    pub text: Option<String>,
    /// Role, desk or number to call.
    pub contact: Option<String>,
    /// Their endpoint could not take it.
    pub endpoint_refusal: Option<String>,
    /// Every receipt, as it came.
    pub receipts: Vec<ReceiptView>,
}

/// One receipt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiptView {
    /// SHA-256 of the signed receipt.
    pub digest: String,
    /// `level`, `response`, `refusal`.
    pub statement: String,
    /// `RECEIVED`, `SEEN`, `WILL_TAKE_CUSTODY`, ...
    pub word: String,
    /// Which attempt of the notice.
    pub attempt: u32,
    /// A newer revision was there already.
    pub superseded: bool,
    /// Role, badge, or `machine`.
    pub by_whom: String,
    /// By their clock.
    pub t6_received: Option<Timestamp>,
    /// By their clock.
    pub t7_seen: Option<Timestamp>,
    /// By their clock.
    pub t8_answered: Option<Timestamp>,
    /// When they expect to arrive.
    pub eta: Option<Timestamp>,
    /// When they will answer.
    pub answer_by: Option<Timestamp>,
    /// In their own words.
    pub text: Option<String>,
    /// Role, desk or number to call.
    pub contact: Option<String>,
    /// Handed to the broker, by their clock.
    pub published: Timestamp,
    /// Stored on the relay's stream, by the broker's clock.
    pub relay_stored: Timestamp,
    /// Here, by the jail's clock.
    pub arrived: Timestamp,
}

/// Reads an event by its id or the beginning of it; none when there is no such event, or several.
pub fn event(reader: &Reader, id: &str) -> Result<Option<EventView>, StoreError> {
    let found = reader.rows(
        "SELECT n FROM outbox WHERE event_id >= ?1 AND event_id < ?1 || '~' LIMIT 2",
        [id],
        |row| row.get::<_, i64>(0),
    )?;
    let [n] = found.as_slice() else { return Ok(None) };
    let heads = reader.rows(
        "SELECT event_id, custody_key, revision, release_state, reason, traffic, backfill, epoch, seq, digest, status, \
         attempt, stored_us, first_sent_us, acked_us, closed_us, next_due_us, relay_node, t4_us, t5_us, \
         refusal_code, refusal_text, recipients, unsubscribed, predecessor_missing FROM outbox WHERE n = ?1",
        [*n],
        Head::read,
    )?;
    heads.into_iter().next().map(|head| head.view(reader, *n)).transpose()
}

struct Head {
    view: EventView,
    times: [Option<i64>; 7],
    recipients: Option<String>,
    unsubscribed: Option<String>,
}

impl Head {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let digest: Vec<u8> = row.get(9)?;
        let seq: i64 = row.get(8)?;
        let view = EventView {
            event_id: row.get(0)?,
            custody_key: row.get(1)?,
            revision: row.get(2)?,
            release_state: row.get(3)?,
            reason: row.get(4)?,
            traffic: row.get(5)?,
            backfill: row.get(6)?,
            epoch: row.get(7)?,
            seq: u64::try_from(seq).unwrap_or(0),
            digest: hex(&digest),
            status: row.get(10)?,
            attempts: row.get(11)?,
            stored: Timestamp::UNIX_EPOCH,
            first_sent: None,
            pub_acked: None,
            closed: None,
            next_due: None,
            relay_node: row.get(17)?,
            t4_stored: None,
            t5_routed: None,
            acceptance_us: None,
            predecessor_missing: row.get(24)?,
            refusal_code: row.get(20)?,
            refusal_text: row.get(21)?,
            recipients: Vec::new(),
        };
        let times = [
            row.get(12)?,
            row.get(13)?,
            row.get(14)?,
            row.get(15)?,
            row.get(16)?,
            row.get(18)?,
            row.get(19)?,
        ];
        Ok(Self { view, times, recipients: row.get(22)?, unsubscribed: row.get(23)? })
    }

    fn view(self, reader: &Reader, n: i64) -> Result<EventView, StoreError> {
        let [stored, first_sent, acked, closed, next_due, t4, t5] = self.times;
        let mut view = self.view;
        view.stored = from_us(stored.unwrap_or_default())?;
        view.first_sent = first_sent.map(from_us).transpose()?;
        view.pub_acked = acked.map(from_us).transpose()?;
        view.closed = closed.map(from_us).transpose()?;
        if view.status == "open" {
            view.next_due = next_due.map(from_us).transpose()?;
        }
        view.t4_stored = t4.map(from_us).transpose()?;
        view.t5_routed = t5.map(from_us).transpose()?;
        if view.status == "accepted" {
            view.acceptance_us = us_between(Some(view.stored), view.closed);
        }
        let names = |list: &Option<String>, id: &str| {
            list.as_ref().is_some_and(|list| list.split(' ').any(|name| name == id))
        };
        view.recipients = recipients(reader, n)?;
        let sent = view.first_sent.unwrap_or(view.stored);
        for recipient in &mut view.recipients {
            recipient.routing = if names(&self.recipients, &recipient.subscriber) {
                "addressed"
            } else if names(&self.unsubscribed, &recipient.subscriber) {
                "not subscribed"
            } else if view.status == "refused" {
                "not told: the relay refused the event"
            } else {
                "waiting for the relay"
            };
            recipient.receipts = receipts(reader, n, &recipient.subscriber)?;
            recipient.fold(sent);
        }
        Ok(view)
    }
}

impl RecipientView {
    /// What the receipts come to: the first time of each level; the last response, up to one that ends their interest.
    fn fold(&mut self, sent: Timestamp) {
        let mut ended = false;
        for receipt in &self.receipts {
            self.received = earlier(self.received, receipt.t6_received);
            self.seen = earlier(self.seen, receipt.t7_seen);
            if receipt.word == "SEEN" {
                self.seen_by = Some(receipt.by_whom.clone());
            }
            if receipt.statement == "response" && !ended {
                ended = receipt.word.parse().is_ok_and(ResponseKind::ends_interest);
                self.response = Some(receipt.word.clone());
                self.response_by = Some(receipt.by_whom.clone());
                self.eta = receipt.eta;
                self.answer_by = receipt.answer_by;
                (self.text, self.contact) = (receipt.text.clone(), receipt.contact.clone());
            }
            if receipt.statement == "refusal" {
                self.endpoint_refusal = Some(receipt.word.clone());
            }
        }
        self.note = self.eta.map(|_| super::NOT_A_REASON);
        let first = self.receipts.iter().filter(|r| r.statement != "refusal").map(|r| r.arrived).min();
        self.round_trip_us = us_between(Some(sent), first);
        self.one_way_two_clocks_us = us_between(Some(sent), self.received);
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn recipients(reader: &Reader, n: i64) -> Result<Vec<RecipientView>, StoreError> {
    reader.rows(
        "SELECT subscriber, rule_id, pack_version, purpose, agreement, fields, request_id FROM told WHERE n = ?1 \
         ORDER BY subscriber",
        [n],
        |row| {
            let fields: String = row.get(5)?;
            Ok(RecipientView {
                subscriber: row.get(0)?,
                rule_id: row.get(1)?,
                pack_version: row.get(2)?,
                purpose: row.get(3)?,
                agreement: row.get(4)?,
                fields: fields.split_whitespace().map(str::to_owned).collect(),
                request_id: row.get(6)?,
                routing: "",
                received: None,
                round_trip_us: None,
                one_way_two_clocks_us: None,
                seen: None,
                seen_by: None,
                response: None,
                response_by: None,
                eta: None,
                note: None,
                answer_by: None,
                text: None,
                contact: None,
                endpoint_refusal: None,
                receipts: Vec::new(),
            })
        },
    )
}

fn receipts(reader: &Reader, n: i64, subscriber: &str) -> Result<Vec<ReceiptView>, StoreError> {
    let rows = reader.rows(
        "SELECT r.digest, r.statement, r.word, r.attempt, r.superseded, r.by_whom, r.t6_us, r.t7_us, r.t8_us, \
         r.eta_us, r.answer_by_us, r.published_us, e.relay_stored_us, r.arrived_us, r.text, r.contact \
         FROM receipt r JOIN receipt_envelope e ON e.digest = r.digest \
         WHERE r.n = ?1 AND r.subscriber = ?2 ORDER BY e.receipts_sequence, r.published_us",
        (n, subscriber),
        |row| {
            let digest: Vec<u8> = row.get(0)?;
            let times: [Option<i64>; 8] = [
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
                row.get(9)?,
                row.get(10)?,
                row.get(11)?,
                row.get(12)?,
                row.get(13)?,
            ];
            let words: (String, String, u32, bool, String) =
                (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
            let said: (Option<String>, Option<String>) = (row.get(14)?, row.get(15)?);
            Ok((hex(&digest), words, times, said))
        },
    )?;
    rows.into_iter()
        .map(|(digest, (statement, word, attempt, superseded, by_whom), times, (text, contact))| {
            let at = |n: usize| times.get(n).copied().flatten().map(from_us).transpose();
            let always = |n: usize| Ok::<_, StoreError>(at(n)?.unwrap_or(Timestamp::UNIX_EPOCH));
            Ok(ReceiptView {
                digest,
                statement,
                word,
                attempt,
                superseded,
                by_whom,
                t6_received: at(0)?,
                t7_seen: at(1)?,
                t8_answered: at(2)?,
                eta: at(3)?,
                answer_by: at(4)?,
                text,
                contact,
                published: always(5)?,
                relay_stored: always(6)?,
                arrived: always(7)?,
            })
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
