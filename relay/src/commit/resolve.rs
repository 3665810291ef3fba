//! Gives each event of a batch its verdict: merges copies, finds what is committed already, commits the rest, and after
//! any refusal or timeout asks the leader which of it is there.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use sallyport_link::fault;
use sallyport_proto::{event::VerifiedEvent, ids::Jurisdiction, vocabulary::RefusalCode};

use super::{
    Verdict,
    ahead::Ahead,
    batch::{self, BatchError, ENTRIES_MAX},
    draft::{self, Draft},
    known::{self, Accepted, Key, Known},
    predecessor::{self, Predecessor},
};
use crate::{
    intake::{Content, Pulled, Refused},
    node::{Node, Routing},
};

/// Reads at the leader at once: a full batch in a few round trips without flooding the API queue.
const READS_AT_ONCE: usize = 16;
/// After this many rounds without a clear outcome the rest is left to redelivery.
const ROUNDS_MAX: u32 = 6;
/// Between rounds when another batch may be in flight with the same events.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// What the server cannot take now comes again after this.
const TRY_LATER: Duration = Duration::from_secs(2);

pub(super) struct Committer {
    node: Arc<Node>,
    known: Known,
}

/// One event that needs a verdict; the first of its copies.
struct Job<'p> {
    key: Key,
    st: &'p Jurisdiction,
    pulled: &'p Pulled,
    event: &'p VerifiedEvent,
}

impl Committer {
    pub(super) fn new(node: Arc<Node>, known: Known) -> Self {
        Self { node, known }
    }

    /// One verdict per pulled message, in the same order. Refused messages get theirs elsewhere.
    pub(super) async fn resolve(&mut self, pulled: &[Pulled], ahead: Ahead) -> Vec<Verdict> {
        let (jobs, again) = {
            let jobs = jobs(pulled);
            let again = self.settle_events(jobs, ahead).await;
            (events(pulled), again)
        };
        let mut verdicts = Vec::with_capacity(pulled.len());
        for (pulled, key) in pulled.iter().zip(jobs) {
            verdicts.push(match key {
                None => Verdict::Again(TRY_LATER),
                Some(key) => match self.known.find(&key) {
                    Some(accepted) => self.compare(pulled, &accepted),
                    None => Verdict::Again(again.get(&key).copied().unwrap_or(TRY_LATER)),
                },
            });
        }
        verdicts
    }

    /// Same bytes: accepted. Other bytes under the same event id: a conflict, whoever came first.
    fn compare(&self, pulled: &Pulled, accepted: &Arc<Accepted>) -> Verdict {
        if accepted.event.digest == pulled.digest {
            return Verdict::Accepted(accepted.clone());
        }
        let event_id = accepted.event.event_id.clone();
        tracing::error!(%event_id, ori = %pulled.from.1, "the same event id with other bytes");
        self.node.metrics.conflict(&pulled.from.1);
        Verdict::Refused(Refused {
            event_id: Some(event_id),
            code: RefusalCode::Conflict,
            text: "another message with this event id was accepted before".into(),
        })
    }

    /// Tries until every job is known or put off; gives how long the put-off ones wait.
    async fn settle_events(&mut self, mut jobs: Vec<Job<'_>>, mut ahead: Ahead) -> HashMap<Key, Duration> {
        let mut put_off = HashMap::new();
        let mut share = usize::MAX;
        // What was delivered before may be committed: look before writing.
        let look = jobs.iter().any(|job| job.pulled.redelivered);
        if look && self.look_up(&jobs).await.is_err() {
            return put_off;
        }
        for round in 0..ROUNDS_MAX {
            jobs.retain(|job| self.known.find(&job.key).is_none());
            if jobs.is_empty() {
                break;
            }
            let routing = self.node.routing.load_full();
            let (drafts, waiting) = self.drafts(&routing, &jobs, share, &mut ahead).await;
            for key in waiting {
                jobs.retain(|job| job.key != key);
                put_off.insert(key, predecessor::LOOK_AGAIN);
            }
            if drafts.is_empty() {
                continue;
            }
            match self.commit(drafts).await {
                Ok(()) => share = usize::MAX,
                Err(BatchError::Refused { code, description }) if batch::means_full(code) => {
                    tracing::error!(
                        code,
                        description,
                        "DELIVER takes nothing more; the jails' messages wait on INGEST"
                    );
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, round, "batch not confirmed; reading what is there");
                    if self.look_up(&jobs).await.is_err() {
                        break;
                    }
                    let lost_race =
                        matches!(&error, BatchError::Refused { code, .. } if batch::means_taken(*code));
                    if !lost_race {
                        tracing::warn!(%error, "batch not confirmed");
                        share = (jobs.len() / 2).max(1);
                    }
                    tokio::time::sleep(ROUND_PAUSE * round).await;
                }
            }
        }
        put_off
    }

    /// Remembers what the leader has of these events.
    async fn look_up(&mut self, jobs: &[Job<'_>]) -> Result<(), ()> {
        let registry = self.node.registry.load_full();
        let keys: Vec<_> = jobs
            .iter()
            .filter(|job| self.known.find(&job.key).is_none())
            .map(|job| (job.key.clone(), job.st.clone()))
            .collect();
        let mut reads = stream::iter(keys)
            .map(|(key, st)| {
                let (node, registry) = (self.node.clone(), registry.clone());
                async move {
                    let found = known::read(&node.js, &registry, &st, &key).await;
                    (key, found)
                }
            })
            .buffered(READS_AT_ONCE);
        while let Some((key, found)) = reads.next().await {
            match found {
                Ok(Some(accepted)) => self.known.remember(key, Arc::new(accepted)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "left to redelivery");
                    return Err(());
                }
            }
        }
        Ok(())
    }

    /// Drafts of as many jobs as fit one batch (at most `share` events), and those that wait for their predecessor.
    async fn drafts(
        &mut self,
        routing: &Routing,
        jobs: &[Job<'_>],
        share: usize,
        ahead: &mut Ahead,
    ) -> (Vec<(Key, Draft)>, Vec<Key>) {
        let mut drafts: Vec<(Key, Draft)> = Vec::new();
        let mut waiting = Vec::new();
        let mut entries = 0;
        for job in jobs {
            let draft = match ahead.take(&job.key, job.pulled, routing) {
                Some(draft) => draft,
                None => match self.predecessor(job, &drafts).await {
                    Some(before) => draft::make(&self.node, routing, job.pulled, job.event, &before),
                    None => {
                        waiting.push(job.key.clone());
                        continue;
                    }
                },
            };
            if !drafts.is_empty() && (entries + draft.entries.len() > ENTRIES_MAX || drafts.len() >= share) {
                break;
            }
            entries += draft.entries.len();
            drafts.push((job.key.clone(), draft));
        }
        (drafts, waiting)
    }

    /// What the event follows; `None` while it should wait.
    async fn predecessor(&mut self, job: &Job<'_>, drafts: &[(Key, Draft)]) -> Option<Predecessor> {
        let Some(before) = &job.event.head.supersedes else { return Some(Predecessor::None) };
        let key = (job.key.0.clone(), before.clone());
        // In the same batch: both are stored or neither is.
        if let Some((_, draft)) = drafts.iter().find(|(drafted, _)| *drafted == key) {
            return Some(Predecessor::Routed(draft.accepted.clone()));
        }
        if let Some(accepted) = self.known.find(&key) {
            return Some(Predecessor::Routed(accepted));
        }
        let registry = self.node.registry.load_full();
        match known::read(&self.node.js, &registry, job.st, &key).await {
            Ok(Some(accepted)) => {
                let accepted = Arc::new(accepted);
                self.known.remember(key, accepted.clone());
                Some(Predecessor::Routed(accepted))
            }
            Ok(None) if predecessor::waited_enough(job.pulled) => {
                tracing::warn!(event = %job.key.1, "routed without its predecessor: it did not come within 60 s");
                Some(Predecessor::Missing)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "predecessor not readable now");
                None
            }
        }
    }

    async fn commit(&mut self, drafts: Vec<(Key, Draft)>) -> Result<(), BatchError> {
        let mut entries = Vec::new();
        let mut accepted = Vec::with_capacity(drafts.len());
        for (key, draft) in drafts {
            entries.extend(draft.entries);
            accepted.push((key, draft.accepted));
        }
        let began = Instant::now();
        // Unique per try: an abandoned batch holds its id for 10 s.
        let batch_id = uuid::Uuid::now_v7().simple().to_string();
        let outcome = batch::publish(&self.node.client, &batch_id, &entries).await;
        self.node.metrics.commit_took(began.elapsed());
        outcome?;
        fault::point("relay.commit.after-batch");
        for (key, accepted) in accepted {
            for subscriber in &accepted.told {
                self.node.metrics.committed(subscriber, 1);
            }
            self.known.remember(key, accepted);
        }
        Ok(())
    }
}

/// What a message is known by, if it is an event.
pub(super) fn key_of(pulled: &Pulled) -> Option<(Key, &VerifiedEvent)> {
    match &pulled.content {
        Content::Event(event) => Some(((event.head.ori.clone(), event.head.event_id.clone()), event)),
        Content::Refused(_) => None,
    }
}

fn events(pulled: &[Pulled]) -> Vec<Option<Key>> {
    pulled.iter().map(|pulled| key_of(pulled).map(|(key, _)| key)).collect()
}

/// The first copy of each event, in stream order.
fn jobs(pulled: &[Pulled]) -> Vec<Job<'_>> {
    let mut seen = std::collections::HashSet::new();
    pulled
        .iter()
        .filter_map(|pulled| {
            key_of(pulled).map(|(key, event)| Job { key, st: &pulled.from.0, pulled, event })
        })
        .filter(|job| seen.insert(job.key.clone()))
        .collect()
}
