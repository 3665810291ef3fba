//! What one route decision costs, in this process, without any network: the relay's own index over 10,000 subscriptions,
//! asked about typical events.

use std::{fmt::Write as _, hint::black_box, time::Instant};

use anyhow::{Result, anyhow, ensure};
use jiff::Timestamp;
use nkeys::KeyPair;
use sallyport_proto::{
    disclosure::Disclosure,
    event::ReleaseHead,
    provenance::{AgreementId, Provenance, TrafficClass},
    registry::Registry,
    time::Moment,
    vocabulary::{Certainty, Purpose, ReleaseReason, ReleaseState, SourceClock},
};
use sallyport_relay_core::route::Index;
use serde::Serialize;

/// Subscriptions in the registry.
pub const SUBSCRIPTIONS: usize = 10_000;
/// Agencies that hold them in the typical case: a hundred each, by facility, by state, and by kind.
const AGENCIES: usize = 100;
/// Jails, in twenty jurisdictions.
const FACILITIES: usize = 200;
const JURISDICTIONS: usize = 20;
/// Agencies that an event may be told to: most jails allow a handful.
const DISCLOSURES: usize = 3;
/// Different events.
const EVENTS: usize = 2_000;
/// All of them are routed so often.
const ROUNDS: usize = 50;

const REASONS: [&str; 5] =
    ["BOND_POSTED", "OWN_RECOGNIZANCE", "TIME_SERVED", "COURT_ORDER", "TRANSFER_AGENCY"];

/// What a decision costs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Routes {
    /// Mean of an event with three disclosures over a hundred agencies' 10,000 subscriptions, microseconds.
    pub typical_us: f64,
    /// Mean of an event with one disclosure to the one agency that holds all 10,000, microseconds.
    pub one_agency_us: f64,
    /// Share of the typical events' disclosures that matched.
    pub matched: f64,
}

/// Measures both.
pub(crate) fn measure() -> Result<Routes> {
    let now = Timestamp::now();
    let (typical_us, matched) = mean_us(AGENCIES, DISCLOSURES, now)?;
    let (one_agency_us, _) = mean_us(1, 1, now)?;
    Ok(Routes { typical_us, one_agency_us, matched })
}

fn mean_us(agencies: usize, disclosures: usize, now: Timestamp) -> Result<(f64, f64)> {
    let text = registry_text(agencies)?;
    let registry =
        Registry::parse(&text).map_err(|problems| anyhow!("the bench's registry: {problems:?}"))?;
    let held: usize = registry.subscribers.values().map(|agency| agency.subscriptions.len()).sum();
    ensure!(held == SUBSCRIPTIONS, "{held} subscriptions");
    let index = Index::build(&registry, now);
    let events =
        (0..EVENTS).map(|number| event(number, agencies, disclosures, now)).collect::<Result<Vec<_>>>()?;
    let mut recipients = 0;
    let mut means = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for (head, disclosed) in &events {
            recipients += black_box(index.route(head, disclosed, None, now)).recipients.len();
        }
        means.push(began.elapsed().as_secs_f64() * 1e6 / EVENTS as f64);
    }
    ensure!(recipients > 0, "no event of the bench matched any subscription");
    // A round in which another program had the processor says nothing about us: the middle one counts.
    means.sort_by(f64::total_cmp);
    Ok((means[ROUNDS / 2], recipients as f64 / (EVENTS * ROUNDS * disclosures) as f64))
}

fn ori(number: usize) -> String {
    format!("zzjail{:03}", number % FACILITIES)
}

fn jurisdiction(facility: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    format!("z{}", letter(facility % FACILITIES % JURISDICTIONS))
}

fn registry_text(agencies: usize) -> Result<String> {
    let (sign, connect) = (|| KeyPair::new_service().public_key(), || KeyPair::new_user().public_key());
    let mut text = format!(
        "instance = 'zz-bench'\nversion = 1\nissued = '2025-01-01T00:00:00Z'\n\
         [operator]\nprovision_key = '{}'\nmonitor_key = '{}'\n\
         [[relay]]\nnode = 'a'\nsigning_key = '{}'\nconnect_key = '{}'\n",
        connect(),
        connect(),
        sign(),
        connect()
    );
    for number in 0..FACILITIES {
        let (ori, st, sign, connect) = (ori(number), jurisdiction(number), sign(), connect());
        writeln!(
            text,
            "[[facility]]\nori = '{ori}'\njurisdiction = '{st}'\nname = 'Jail'\nsigning_key = '{sign}'\nconnect_key = '{connect}'"
        )?;
    }
    for agency in 0..agencies {
        let (id, sign, connect) = (agency_id(agency), sign(), connect());
        writeln!(
            text,
            "[[subscriber]]\nid = '{id}'\nori = 'zzfed0001'\nname = 'Office'\nclass = 'SUPERVISION'\n\
             signing_key = '{sign}'\nconnect_key = '{connect}'"
        )?;
        for number in 0..SUBSCRIPTIONS / agencies {
            writeln!(
                text,
                "[[subscriber.subscription]]\nid = '{id}-{number}'\npurpose = 'SUPERVISION'\nlegal_basis = 'EXAMPLE'\n\
                 case_number = 'EX-{number}'\nexpires = '2099-12-31'\npriority = 'ROUTINE'\nreceived_within_s = 30\n\
                 filter = {{ {} }}",
                filter(agency, number)
            )?;
        }
        writeln!(
            text,
            "[[agreement]]\nid = 'agreed-{id}'\nversion = 1\nfacility = '*'\nsubscriber = '{id}'\nkinds = ['release']\n\
             fields = []\nfallback = 'none'\nlegal_basis = 'EXAMPLE'\nreview = '2099-01-01'\nends = '2099-12-31'"
        )?;
    }
    Ok(text)
}

fn agency_id(number: usize) -> String {
    format!("agency-{number:03}")
}

/// Half ask about one jail, a quarter about a jurisdiction, a quarter about kinds of release anywhere.
fn filter(agency: usize, number: usize) -> String {
    let reason = REASONS[(agency + number) % REASONS.len()];
    match number % 4 {
        0 | 1 => format!("facilities = ['{}'], reasons = ['{reason}']", ori(agency * 7 + number * 13)),
        2 => format!("jurisdictions = ['{}'], reasons = ['{reason}']", jurisdiction(agency + number * 3)),
        _ => format!("requests_only = true, reasons = ['{reason}']"),
    }
}

fn event(
    number: usize,
    agencies: usize,
    disclosures: usize,
    now: Timestamp,
) -> Result<(ReleaseHead, Vec<Disclosure>)> {
    let facility = number * 31;
    let moment = Moment::exact(now, SourceClock::Agent);
    let reason: ReleaseReason = REASONS[number % REASONS.len()].parse().map_err(|_| anyhow!("a reason"))?;
    let head = ReleaseHead {
        provenance: Provenance::of(&"zz-bench".parse()?, "bench/0"),
        event_id: format!("0192a3b4-c5d6-7e7f-8a9b-0000{number:08x}").parse()?,
        ori: ori(facility).parse()?,
        jurisdiction: jurisdiction(facility).parse()?,
        custody_key: "ABCDEFGHIJKLMNOPQRSTUVWXYZ".parse()?,
        revision: 1,
        supersedes: None,
        release_state: ReleaseState::Released,
        certainty: Certainty::Confirmed,
        reason,
        t0_trigger: Some(moment),
        t1_entered: None,
        t2_observed: moment,
        t3_decided: moment,
        t9_cleared: None,
        t10_released: Some(moment),
        expected: None,
        traffic: TrafficClass::Exercise("bench".into()),
        epoch: "e1".into(),
        seq: 1,
        disclosure_sha256: Vec::new(),
        transferred_to: None,
        registry_version: 1,
        backfill: false,
        mapping_version: String::new(),
        inferred_uncertainty_s: 0,
    };
    let told = (0..disclosures).map(|place| agency_id((number * 17 + place * 29) % agencies));
    let disclosed = told.map(|agency| {
        Ok(Disclosure {
            salt: [7; 16],
            event_id: head.event_id.clone(),
            agreement: AgreementId { id: format!("agreed-{agency}").parse()?, version: 1 },
            subscriber_id: agency.parse()?,
            request_id: None,
            purpose: Purpose::Supervision,
            rule_id: "rule".into(),
            pack_version: "1".into(),
            fields: Vec::new(),
            part: None,
        })
    });
    let disclosed = disclosed.collect::<Result<Vec<_>>>()?;
    Ok((head, disclosed))
}
