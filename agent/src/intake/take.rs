//! One custody, inside the writer's transaction: decide, compare with what was told, sign, store. All of its events or
//! none.

use std::cell::Cell;

use jiff::Timestamp;
use rand::Rng;
use rusqlite::Connection;
use sallyport_agent_core::{
    custody::{Custody, custody_key, is_outdated},
    disclose::{self, Decisions, RegistryGrants},
    outbox::window::Lane,
    revise::{self, Context, Draft, Fresh},
};
use sallyport_link::fault;
use sallyport_proto::{
    disclosure::Part,
    event::seal_event,
    ids::{CustodyKey, EventId, RequestId, SubscriberId},
    limits::{HEADER_BYTES_RESERVE, INGEST_MESSAGE_BYTES_MAX},
    registry::Registry,
};

use super::Desk;
use crate::{
    faults,
    store::{
        self, NewRow, StoreError, clear_refused, clear_withheld, load_memory, next_number, note_withheld,
        save_memory, take_number,
    },
};

/// What became of one custody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// These events were stored.
    Stored(Vec<EventId>),
    /// Everybody who may be told holds this already.
    Unchanged,
    /// Nobody may be told.
    Withheld,
    /// Under the floor.
    WithheldByFloor,
    /// It says otherwise than a newer record of it that was read before.
    Outdated,
    /// Still in custody, and nothing was told before.
    NoRelease,
    /// An event of it would be too large for the broker; nothing was stored.
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Taken {
    /// The word a metric counts it under; one under the floor leaves no count.
    pub(super) fn counted_as(&self) -> Option<&'static str> {
        match self {
            Self::Stored(_) => Some("stored"),
            Self::Unchanged => Some("unchanged"),
            Self::Withheld => Some("withheld"),
            Self::NoRelease => Some("no_release"),
            Self::Outdated => Some("outdated"),
            Self::TooLarge { .. } => Some("refused"),
            Self::WithheldByFloor => None,
        }
    }
}

/// What the custodies of one intake share.
pub(super) struct Taking<'a> {
    pub(super) desk: &'a Desk,
    pub(super) registry: &'a Registry,
    pub(super) context: &'a Context,
    /// A person has said that what is no longer marked may be told.
    pub(super) lift_floor: bool,
    /// Events that this intake came to so far: the first count as stated now.
    pub(super) events: Cell<usize>,
}

impl Taking<'_> {
    /// Takes one custody as it was read.
    pub(super) fn take(&self, connection: &Connection, custody: &Custody) -> Result<Taken, StoreError> {
        let facility = &self.desk.facility;
        let key = custody_key(&facility.secret, &facility.ori, custody.booking_number.expose());
        let now = super::now();
        let last = store::last_reading(connection, &key)?;
        let outdated = is_outdated(custody.as_of, last.as_of, now);
        // A mark stays: that another record does not carry it, or another way in does not know it, lifts nothing.
        let lifted = self.lift_floor && !outdated;
        let kept = last.floor.filter(|_| custody.floor.is_none() && !lifted);
        let marked = kept.map(|floor| Custody { floor: Some(floor), ..custody.clone() });
        let custody = marked.as_ref().unwrap_or(custody);
        let grants = RegistryGrants { registry: self.registry, ori: &facility.ori };
        let input =
            disclose::Input { custody, ori: &facility.ori, secret: &facility.secret, grants: &grants, now };
        let decisions = disclose::decide(&input, &self.desk.allow);
        let mut memory = load_memory(connection, &key)?;
        let mut drafts = revise::plan(&revise::Input {
            custody_key: &key,
            custody,
            decisions: &decisions,
            memory: &memory,
            secret: &facility.secret,
            grants: &grants,
            now,
        });
        if outdated {
            return Ok(if drafts.is_empty() { Taken::Unchanged } else { Taken::Outdated });
        }
        clear_refused(connection, key.as_str())?;
        if drafts.is_empty() {
            store::note_reading(connection, &key, custody.as_of.min(now), custody.floor)?;
            return nothing_to_send(connection, &key, custody, &decisions);
        }
        if fault::mutant(faults::SEND_TO_NOT_ALLOWED) {
            drafts.iter_mut().for_each(|draft| self.add_one_not_allowed(draft));
        }
        let sealed: Vec<Sealed> = self.seal_all(connection, &drafts, now)?;
        if let Some(bytes) = sealed.iter().map(|s| s.ingest.len()).find(|bytes| *bytes > INGEST_BYTES_MAX) {
            return Ok(Taken::TooLarge { bytes });
        }
        store::note_reading(connection, &key, custody.as_of.min(now), custody.floor)?;
        let mut stored = Vec::with_capacity(drafts.len());
        for (draft, Sealed { event_id, number, ingest }) in drafts.iter().zip(sealed) {
            let row = NewRow {
                event_id: &event_id,
                ingest: &ingest,
                number: &number,
                draft,
                traffic: self.context.traffic.kind().as_str(),
                backfill: self.context.backfill,
                lane: Lane::of(self.events.get(), self.context.backfill),
                now,
            };
            store::insert_row(connection, &row)?;
            self.events.update(|events| events.saturating_add(1));
            take_number(connection, &number)?;
            memory.record(draft, &event_id);
            stored.push(event_id);
        }
        save_memory(connection, &key, &memory)?;
        clear_withheld(connection, &key)?;
        Ok(Taken::Stored(stored))
    }

    /// Signs the drafts under the next numbers; takes none of the numbers yet.
    fn seal_all(
        &self,
        connection: &Connection,
        drafts: &[Draft],
        now: Timestamp,
    ) -> Result<Vec<Sealed>, StoreError> {
        let mut number = next_number(connection)?;
        let mut sealed = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let event_id = EventId::from(uuid::Uuid::now_v7());
            let fresh = Fresh {
                event_id: event_id.clone(),
                salts: draft.recipients.iter().map(|_| rand::rng().random()).collect(),
                epoch: number.epoch.clone(),
                seq: number.seq,
                now,
            };
            let (head, disclosures) = revise::assemble(draft, fresh, self.context)?;
            let ingest = seal_event(&self.desk.facility.signer, head, disclosures);
            sealed.push(Sealed { event_id, number: number.clone(), ingest });
            number.seq += 1;
        }
        Ok(sealed)
    }

    /// A deliberate defect, for the audit to find: told as if a request had been lodged, so that every subscription
    /// of the right purpose matches.
    fn add_one_not_allowed(&self, draft: &mut Draft) {
        let told = |id: &SubscriberId| draft.recipients.iter().any(|recipient| recipient.subscriber == *id);
        let Some(other) = self.registry.subscribers.values().find(|other| !told(&other.id)) else { return };
        let Some(mut recipient) = draft.recipients.first().cloned() else { return };
        let agreement = self.registry.agreements.values().find(|a| a.subscriber == other.id);
        if let Some(agreement) = agreement {
            recipient.agreement = agreement.id.clone();
        }
        recipient.subscriber = other.id.clone();
        recipient.purpose = other.class;
        recipient.request_id = Some(RequestId::from(uuid::Uuid::now_v7()));
        recipient.fields = Vec::new();
        recipient.part = recipient.part.map(|_| Part::default());
        draft.recipients.push(recipient);
        draft.recipients.sort_by(|a, b| a.subscriber.cmp(&b.subscriber));
    }
}

/// What the broker stores of one message, headers left out.
const INGEST_BYTES_MAX: usize = INGEST_MESSAGE_BYTES_MAX - HEADER_BYTES_RESERVE;

struct Sealed {
    event_id: EventId,
    number: store::NextNumber,
    ingest: Vec<u8>,
}

fn nothing_to_send(
    connection: &Connection,
    key: &CustodyKey,
    custody: &Custody,
    decisions: &Decisions,
) -> Result<Taken, StoreError> {
    if custody.floor.is_some() {
        // It is in no count that anybody sees.
        clear_withheld(connection, key)?;
        return Ok(Taken::WithheldByFloor);
    }
    if custody.release.is_none() {
        return Ok(Taken::NoRelease);
    }
    if decisions.allowed.is_empty() {
        note_withheld(connection, key)?;
        return Ok(Taken::Withheld);
    }
    Ok(Taken::Unchanged)
}
