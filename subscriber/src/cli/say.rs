//! What people at the agency say: SEEN, a response, an outcome. Signed and stored here; `deliver` sees to its way out.

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use sallyport_link::{clock, exit};
use sallyport_proto::{
    ids::{Ori, OutcomeId},
    limits::{BY_WHOM_BYTES_MAX, CONTACT_BYTES_MAX, TEXT_BYTES_MAX},
    outcome::{AboutNotice, Outcome},
    receipt::Response,
    subject::{self, ReceiptKind},
    time::Moment,
    vocabulary::{OutcomeKind, OutcomeSide, ResponseKind, SourceClock, TrafficKind},
};

use super::{Failure, deliver::Delivered, moment};
use crate::{
    config::Config,
    receipt::{Made, Maker},
    store::{OUTCOME_WORD, Said, Saying, Store},
};

/// An announced time may lie so far back: clocks differ, and people type slowly.
const PAST_TOLERATED: SignedDuration = SignedDuration::from_mins(1);

/// Who says it.
#[derive(Args)]
pub(crate) struct Words {
    /// Role or badge id of who says it; no name.
    #[arg(long, global = true, default_value = "duty-desk")]
    by: String,
    /// In words, at most 2,000 bytes; no person data.
    #[arg(long, global = true)]
    text: Option<String>,
}

/// What can be answered to a notice.
#[derive(Subcommand)]
pub(crate) enum Answer {
    /// A person has seen it.
    Seen,
    /// We come.
    WillTakeCustody {
        /// When: 2026-11-21T15:15:00-07:00, or +45m from now.
        #[arg(long)]
        eta: String,
        /// Role, desk or number of the office.
        #[arg(long)]
        contact: Option<String>,
    },
    /// We answer later, at this time.
    WillAnswerBy {
        /// 2026-11-21T15:15:00-07:00, or +10m from now.
        time: String,
    },
    /// We have no interest.
    NoInterest,
    /// The request is withdrawn.
    RequestWithdrawn,
    /// We have nobody to send.
    CannotAttend,
    /// Not the person we asked for.
    NotOurSubject,
    /// A citizenship claim is looked into.
    CitizenshipReview,
    /// Another agency's.
    WrongAgency {
        /// Its ORI.
        #[arg(long)]
        forward_to: Ori,
    },
    /// A warrant is on its way.
    WarrantToFollow,
    /// A retraction was read, and what it retracts is disregarded.
    RetractionAcknowledged,
}

/// What came of it.
#[derive(Args)]
pub(crate) struct OutcomeWords {
    /// custody-taken, released-no-show, ...
    #[arg(value_parser = outcome_kind)]
    kind: OutcomeKind,
    /// When it happened, not when it was noticed.
    #[arg(long)]
    at: String,
    /// For request-declined-by-law-or-policy: the rule.
    #[arg(long)]
    rule: Option<String>,
    /// For transferred: ORI of the next custodian.
    #[arg(long)]
    transferred_to: Option<Ori>,
    /// The outcome that this one takes the place of.
    #[arg(long)]
    supersedes: Option<OutcomeId>,
}

/// Signs and stores an answer.
pub(crate) fn answer(
    config: &Config,
    notice: &str,
    words: Words,
    answer: Answer,
) -> Result<Delivered, Failure> {
    let now = clock::now();
    check_words(&words)?;
    let mut store = Store::open(&config.store_dir, &config.me)?;
    let said = find(&store, notice)?;
    let maker = maker(config);
    let notice_id = said.about.notice.notice_id.to_string();
    let (made, word, eta) = match response(answer, now)? {
        None => (maker.seen(said.about, words.by.clone(), words.text, now), "SEEN".to_owned(), None),
        Some(response) => {
            if response.kind == ResponseKind::RetractionAcknowledged && !said.withdrawn {
                return Err(Failure::new(exit::DATA, format!("{notice_id} is no retraction")));
            }
            let eta = response.eta.or(response.answer_by).map(|moment| moment.at);
            let word = response.kind.to_string();
            (maker.response(said.about, response, words.by.clone(), words.text, now), word, eta)
        }
    };
    let saying = Saying { notice: said.notice, made, word: word.clone(), by: words.by, eta };
    let receipt = store.say(&saying, now)?;
    Ok(Delivered { notice_id, word, receipt, published: false, outcome_id: None })
}

/// Signs and stores an outcome.
pub(crate) fn outcome(
    config: &Config,
    notice: &str,
    words: Words,
    outcome: OutcomeWords,
) -> Result<Delivered, Failure> {
    let now = clock::now();
    check_words(&words)?;
    let at = moment::parse(&outcome.at, now).map_err(usage)?;
    if at > now {
        return Err(usage("--at lies in the future: an outcome states what has happened"));
    }
    if outcome.kind == OutcomeKind::RequestDeclinedByLawOrPolicy && outcome.rule.is_none() {
        return Err(usage("request-declined-by-law-or-policy needs --rule"));
    }
    let mut store = Store::open(&config.store_dir, &config.me)?;
    let said = find(&store, notice)?;
    let maker = maker(config);
    let notice_id = said.about.notice.notice_id.clone();
    agrees(&store.outcomes(said.notice)?, outcome.kind, outcome.supersedes.as_ref())?;
    let outcome_id = OutcomeId::from(uuid::Uuid::now_v7());
    let message = Outcome {
        provenance: maker.provenance(),
        outcome_id: outcome_id.clone(),
        ori: notice_id.ori(),
        custody_key: said.custody_key.parse().ok(),
        notice: Some(AboutNotice {
            notice_id: notice_id.clone(),
            event_digest: said.about.notice.event_digest,
        }),
        request_id: None,
        subscriber: Some(config.me.clone()),
        side: OutcomeSide::Subscriber,
        kind: outcome.kind,
        rule_id: outcome.rule,
        act: Some(Moment::exact(at, SourceClock::Person)),
        t11_recorded: Moment::exact(now, SourceClock::Subscriber),
        by_whom: words.by.clone(),
        text: words.text,
        traffic: said.about.traffic,
        agreement: said.about.agreement,
        supersedes: outcome.supersedes,
        transferred_to: outcome.transferred_to,
        way_back: None,
    };
    let subject = subject::notify_receipt(&config.me, ReceiptKind::Outcome);
    let made = Made { subject, bytes: message.seal(maker.signer()) };
    let word = format!("{OUTCOME_WORD}{}", outcome.kind);
    let saying = Saying { notice: said.notice, made, word: word.clone(), by: words.by, eta: None };
    let receipt = store.say(&saying, now)?;
    Ok(Delivered {
        notice_id: notice_id.into(),
        word,
        receipt,
        published: false,
        outcome_id: Some(outcome_id.into()),
    })
}

/// Two outcomes of one notice that say different things need a word on which of them counts.
fn agrees(earlier: &[Outcome], kind: OutcomeKind, supersedes: Option<&OutcomeId>) -> Result<(), Failure> {
    let replaced: Vec<_> = earlier.iter().filter_map(|o| o.supersedes.as_ref()).chain(supersedes).collect();
    let mut standing = earlier.iter().filter(|o| !replaced.contains(&&o.outcome_id));
    let Some(other) = standing.rfind(|o| o.kind != kind) else { return Ok(()) };
    let (id, said) = (&other.outcome_id, other.kind);
    let text =
        format!("{said} was stated as the outcome before ({id}); to take its place: --supersedes {id}");
    Err(Failure::new(exit::DATA, text))
}

fn response(answer: Answer, now: Timestamp) -> Result<Option<Response>, Failure> {
    let plain = |kind| Response { kind, eta: None, answer_by: None, contact: None, forward_to: None };
    let at = |text: &str| {
        let at = moment::parse(text, now).map_err(usage)?;
        if at < now - PAST_TOLERATED {
            return Err(usage(format!("{text}: lies in the past; an announced time lies ahead")));
        }
        Ok::<_, Failure>(Some(Moment::exact(at, SourceClock::Person)))
    };
    Ok(Some(match answer {
        Answer::Seen => return Ok(None),
        Answer::WillTakeCustody { eta, contact } => {
            fits("--contact", contact.as_deref().unwrap_or_default(), CONTACT_BYTES_MAX)?;
            Response { eta: at(&eta)?, contact, ..plain(ResponseKind::WillTakeCustody) }
        }
        Answer::WillAnswerBy { time } => {
            Response { answer_by: at(&time)?, ..plain(ResponseKind::WillAnswerBy) }
        }
        Answer::NoInterest => plain(ResponseKind::NoInterest),
        Answer::RequestWithdrawn => plain(ResponseKind::RequestWithdrawn),
        Answer::CannotAttend => plain(ResponseKind::CannotAttend),
        Answer::NotOurSubject => plain(ResponseKind::NotOurSubject),
        Answer::CitizenshipReview => plain(ResponseKind::CitizenshipReview),
        Answer::WrongAgency { forward_to } => {
            Response { forward_to: Some(forward_to), ..plain(ResponseKind::WrongAgency) }
        }
        Answer::WarrantToFollow => plain(ResponseKind::WarrantToFollow),
        Answer::RetractionAcknowledged => plain(ResponseKind::RetractionAcknowledged),
    }))
}

fn outcome_kind(text: &str) -> Result<OutcomeKind, String> {
    text.to_ascii_uppercase().replace('-', "_").parse().map_err(|error| format!("{error}"))
}

fn find(store: &Store, notice: &str) -> Result<Said, Failure> {
    let mut found = store.find(notice)?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(unknown(notice)),
        (Some(_), false) => {
            Err(Failure::new(exit::DATA, format!("{notice}: several notices; give the notice id")))
        }
        (Some(said), true) if said.about.traffic.kind() == TrafficKind::Ping => {
            Err(Failure::new(exit::DATA, format!("{notice} is a ping: no person answers it")))
        }
        (Some(said), true) => Ok(said),
    }
}

pub(crate) fn unknown(notice: &str) -> Failure {
    Failure::new(exit::DATA, format!("{notice}: no such notice here"))
}

fn check_words(words: &Words) -> Result<(), Failure> {
    if words.by.trim().is_empty() {
        return Err(usage("--by must not be empty"));
    }
    fits("--by", &words.by, BY_WHOM_BYTES_MAX)?;
    fits("--text", words.text.as_deref().unwrap_or_default(), TEXT_BYTES_MAX)
}

fn fits(key: &str, text: &str, max: usize) -> Result<(), Failure> {
    if text.len() <= max {
        return Ok(());
    }
    Err(usage(format!("{key} has {} bytes, at most {max} are permitted", text.len())))
}

fn usage(text: impl Into<String>) -> Failure {
    Failure::new(exit::CONFIG, text)
}

fn maker(config: &Config) -> Maker {
    Maker::new(config.instance.clone(), config.me.clone(), config.signer.clone())
}
