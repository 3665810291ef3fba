//! An invented instance: one relay node, two jails, one agency; and the notices they would make.

use jiff::Timestamp;
use nkeys::KeyPair;
use sallyport_proto::{
    disclosure::{Disclosure, Part},
    envelope::Digest,
    event::{ReleaseHead, UnverifiedEvent, seal_event},
    ids::{CustodyKey, EventId, InstanceId, NoticeId, Ori, SubscriberId},
    key::{Signer, SigningKey},
    notice::{Deadlines, Notice},
    provenance::{AgreementId, Provenance, TrafficClass},
    receipt::Receipt,
    registry::Registry,
    time::Moment,
    vocabulary::{Certainty, NoticeWhy, Priority, Purpose, ReleaseReason, ReleaseState, SourceClock},
};
use sallyport_subscriber::receipt::Maker;

pub const ME: &str = "fed-a";
pub const ORI: &str = "zz0010000";
pub const OTHER_ORI: &str = "zz0020000";

/// A pair that can be written to a file as well.
pub struct Key {
    pub pair: KeyPair,
}

impl Key {
    pub fn signing() -> Self {
        Self { pair: KeyPair::new_service() }
    }

    pub fn user() -> Self {
        Self { pair: KeyPair::new_user() }
    }

    pub fn registrar() -> Self {
        Self { pair: KeyPair::new_operator() }
    }

    pub fn signer(&self) -> Signer {
        Signer::from_seed(&self.seed()).unwrap()
    }

    pub fn seed(&self) -> String {
        self.pair.seed().unwrap()
    }

    pub fn public(&self) -> String {
        self.pair.public_key()
    }
}

pub struct World {
    pub relay: Key,
    pub relay_user: Key,
    pub jail: Key,
    pub other_jail: Key,
    pub agency: Key,
    pub agency_user: Key,
    pub registrar: Key,
    /// Which registry version is written next.
    pub version: u64,
    /// Without it the agency does not know the second jail.
    pub lists_other_jail: bool,
}

/// What a notice is made from; every field can be changed before it is sealed.
#[derive(Clone)]
pub struct Case {
    pub ori: &'static str,
    pub event: EventId,
    pub custody: u32,
    pub revision: u32,
    pub epoch: String,
    pub t2: Timestamp,
    pub state: ReleaseState,
    pub traffic: TrafficClass,
    pub attempt: u32,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            ori: ORI,
            event: event_id(),
            custody: 1,
            revision: 1,
            epoch: "e1".into(),
            t2: "2026-11-21T22:00:00Z".parse().unwrap(),
            state: ReleaseState::Expected,
            traffic: TrafficClass::Exercise("drill".into()),
            attempt: 0,
        }
    }
}

pub fn event_id() -> EventId {
    EventId::from(uuid::Uuid::now_v7())
}

impl Case {
    pub fn custody(custody: u32) -> Self {
        Self { custody, ..Self::default() }
    }

    /// A revision of the same custody, a minute later.
    pub fn then(&self, state: ReleaseState) -> Self {
        let t2 = self.t2 + jiff::SignedDuration::from_mins(1);
        Self { event: event_id(), revision: self.revision + 1, state, t2, ..self.clone() }
    }

    pub fn attempt(&self, attempt: u32) -> Self {
        Self { attempt, ..self.clone() }
    }

    pub fn notice_id(&self) -> NoticeId {
        NoticeId::new(&self.ori.parse().unwrap(), &self.event, &ME.parse().unwrap())
    }

    pub fn custody_key(&self) -> CustodyKey {
        // Base32 knows no 0, 1, 8, 9.
        let digits: String =
            format!("{:06}", self.custody).bytes().map(|b| (b - b'0' + b'A') as char).collect();
        format!("CUSTODYKEYCUSTODYKEY{digits}").parse().unwrap()
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            relay: Key::signing(),
            relay_user: Key::user(),
            jail: Key::signing(),
            other_jail: Key::signing(),
            agency: Key::signing(),
            agency_user: Key::user(),
            registrar: Key::registrar(),
            version: 1,
            lists_other_jail: true,
        }
    }

    pub fn registry_text(&self) -> String {
        let user = || Key::user().public();
        let mut text = format!(
            "instance = \"zz-test\"\nversion = {}\nissued = \"2026-11-01T00:00:00Z\"\n\
             [[relay]]\nnode = \"a\"\nsigning_key = \"{}\"\nconnect_key = \"{}\"\n\
             [operator]\nprovision_key = \"{}\"\nmonitor_key = \"{}\"\n",
            self.version,
            self.relay.public(),
            self.relay_user.public(),
            user(),
            user()
        );
        let mut jail = |ori: &str, key: &Key| {
            text += &format!(
                "[[facility]]\nori = \"{ori}\"\njurisdiction = \"zz\"\nname = \"Jail {ori}\"\n\
                 signing_key = \"{}\"\nconnect_key = \"{}\"\n",
                key.public(),
                user()
            );
        };
        jail(ORI, &self.jail);
        if self.lists_other_jail {
            jail(OTHER_ORI, &self.other_jail);
        }
        text += &format!(
            "[[subscriber]]\nid = \"{ME}\"\nori = \"zzfed0001\"\nname = \"Agency\"\nclass = \"SUPERVISION\"\n\
             signing_key = \"{}\"\nconnect_key = \"{}\"\n",
            self.agency.public(),
            self.agency_user.public()
        );
        text
    }

    pub fn registry(&self) -> Registry {
        Registry::parse(&self.registry_text()).unwrap()
    }

    pub fn maker(&self) -> Maker {
        Maker::new("zz-test".parse().unwrap(), me(), self.agency.signer())
    }

    fn jail_key(&self, ori: &str) -> &Key {
        if ori == OTHER_ORI { &self.other_jail } else { &self.jail }
    }

    /// The notice as the relay would put it on DELIVER.
    pub fn notice(&self, case: &Case) -> Vec<u8> {
        self.notice_with(case, |_, _| {}, |_| {})
    }

    /// The same, with the jail's and the relay's words changed before each signs.
    pub fn notice_with(
        &self,
        case: &Case,
        jail: impl FnOnce(&mut ReleaseHead, &mut Disclosure),
        relay: impl FnOnce(&mut Notice),
    ) -> Vec<u8> {
        let key = self.jail_key(case.ori);
        let (mut head, mut disclosure) = (head(case), disclosure(case));
        jail(&mut head, &mut disclosure);
        let ingest = seal_event(&key.signer(), head, vec![disclosure]);
        let public: SigningKey = key.public().parse().unwrap();
        let event = UnverifiedEvent::read(&ingest).unwrap().verify(&public).unwrap();
        let mut notice = Notice {
            provenance: provenance(),
            notice_id: case.notice_id(),
            attempt: case.attempt,
            why: if case.attempt == 0 { NoticeWhy::First } else { NoticeWhy::Reminder },
            head: event.head_bytes,
            disclosure: event.disclosures[0].1.clone(),
            subscription: Some("s1".parse().unwrap()),
            predecessor: None,
            priority: Priority::Routine,
            deadlines: Deadlines::default(),
            registry_version: 1,
            event_digest: Digest::of(&ingest),
            traffic: case.traffic.clone(),
            predecessor_missing: false,
            t4_stored: moment(case.t2, SourceClock::Broker),
            ingest_sequence: 1,
            t5_routed: moment(case.t2, SourceClock::Relay),
            case_number: Some("CASE-1".into()),
            legal_basis: Some("EXAMPLE".into()),
            purpose: Some(Purpose::Supervision),
            agreement: agreement(),
        };
        relay(&mut notice);
        notice.seal(&self.relay.signer())
    }

    pub fn receipt(&self, bytes: &[u8]) -> Receipt {
        Receipt::open(bytes, &self.agency.public().parse().unwrap()).unwrap()
    }
}

pub fn me() -> SubscriberId {
    ME.parse().unwrap()
}

pub fn agreement() -> AgreementId {
    AgreementId { id: "zz-agreement".parse().unwrap(), version: 1 }
}

fn provenance() -> Provenance {
    Provenance::of(&"zz-test".parse::<InstanceId>().unwrap(), "test/0")
}

fn moment(at: Timestamp, clock: SourceClock) -> Moment {
    Moment::exact(at, clock)
}

fn head(case: &Case) -> ReleaseHead {
    ReleaseHead {
        provenance: provenance(),
        event_id: case.event.clone(),
        ori: case.ori.parse::<Ori>().unwrap(),
        jurisdiction: "zz".parse().unwrap(),
        custody_key: case.custody_key(),
        revision: case.revision,
        supersedes: None,
        release_state: case.state,
        certainty: Certainty::Confirmed,
        reason: ReleaseReason::BondPosted,
        t0_trigger: None,
        t1_entered: None,
        t2_observed: moment(case.t2, SourceClock::Agent),
        t3_decided: moment(case.t2, SourceClock::Agent),
        t9_cleared: None,
        t10_released: case.state.ends_custody().then(|| moment(case.t2, SourceClock::JailRecord)),
        expected: None,
        traffic: case.traffic.clone(),
        epoch: case.epoch.clone(),
        seq: 1,
        disclosure_sha256: vec![],
        transferred_to: None,
        registry_version: 1,
        backfill: false,
        mapping_version: "m1".into(),
        inferred_uncertainty_s: 0,
    }
}

fn disclosure(case: &Case) -> Disclosure {
    let part = Part { person_name: Some("Invented Person".to_owned().into()), ..Part::default() };
    Disclosure {
        salt: [7; 16],
        event_id: case.event.clone(),
        subscriber_id: me(),
        request_id: None,
        agreement: agreement(),
        purpose: Purpose::Supervision,
        rule_id: "r1".into(),
        pack_version: "p1".into(),
        fields: vec!["person_name".into()],
        part: (!case.state.withdraws()).then_some(part),
    }
}
