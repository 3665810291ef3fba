//! Agencies without a disk: a connection each, the bridge's own way of pulling, judging and receipting, and a memory of
//! every notice instead of a store, which is what counts a notice that would be handed over twice.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_nats::HeaderMap;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use sallyport_e2e::login::Login;
use sallyport_ground::Instance;
use sallyport_link::{publish, pull::Source, settle};
use sallyport_proto::{
    ids::{NoticeId, Ori, SubscriberId},
    key::Signer,
    provenance::TrafficClass,
    receipt::ReceiptFor,
    registry::Registry,
    subject,
};
use sallyport_subscriber::{
    receipt::Maker,
    verify::{Judged, Verified, judge},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::tally::{Shared, Tally};

/// Connections that are made at once.
const CONNECT_AT_ONCE: usize = 64;

/// All agencies.
pub(crate) struct Agencies {
    pub(crate) ids: Vec<SubscriberId>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

struct Agency {
    id: SubscriberId,
    login: Login,
    maker: Maker,
    registry: Arc<Registry>,
    tally: Shared,
    seen: HashSet<(NoticeId, u32)>,
    last: Instant,
    shutdown: CancellationToken,
}

impl Agencies {
    /// Logs all of them in, and lets them pull.
    pub(crate) async fn connect(
        instance: &Instance,
        url: &str,
        registry: &Arc<Registry>,
        tally: &Shared,
    ) -> Result<Self> {
        let shutdown = CancellationToken::new();
        let logging_in = stream::iter(&instance.subscribers).map(|subscriber| {
            let (registry, tally, shutdown) = (registry.clone(), tally.clone(), shutdown.clone());
            async move { Agency::connect(instance, url, &subscriber.id, registry, tally, shutdown).await }
        });
        let agencies: Vec<Agency> = logging_in.buffer_unordered(CONNECT_AT_ONCE).try_collect().await?;
        let mut tasks = JoinSet::new();
        let mut ids: Vec<SubscriberId> = agencies.iter().map(|agency| agency.id.clone()).collect();
        ids.sort();
        agencies.into_iter().for_each(|agency| {
            tasks.spawn(agency.run());
        });
        Ok(Self { ids, tasks, shutdown })
    }

    pub(crate) fn end(&mut self) {
        self.shutdown.cancel();
        self.tasks.abort_all();
    }
}

impl Agency {
    async fn connect(
        instance: &Instance,
        url: &str,
        id: &str,
        registry: Arc<Registry>,
        tally: Shared,
        shutdown: CancellationToken,
    ) -> Result<Self> {
        let (keys, id) = (instance.keys(), id.parse::<SubscriberId>()?);
        let seed = keys.connect(id.as_str())?.seed().context("a connect seed")?;
        let js_api = Some(subject::SUBSCRIBER_JS_API);
        let login = Login::with_nkey(url, seed, &subject::inbox_of_subscriber(&id), js_api).await?;
        let signer = Signer::from_seed(&keys.signing(id.as_str())?.seed().context("a signing seed")?)?;
        let maker = Maker::new(instance.name.parse()?, id.clone(), signer);
        let (seen, last) = (HashSet::new(), Instant::now());
        Ok(Self { id, login, maker, registry, tally, seen, last, shutdown })
    }

    async fn run(mut self) {
        let mut source = Source::new(self.login.js.clone(), subject::DELIVER, self.id.as_str());
        while let Some(messages) = source.next(&self.shutdown.clone()).await {
            let now = Timestamp::now();
            let mut told: BTreeMap<(Ori, String), (TrafficClass, Vec<ReceiptFor>)> = BTreeMap::new();
            for message in &messages {
                match judge(&message.payload, &self.registry, &self.id) {
                    Judged::Notice(verified) => {
                        self.count(&verified, now);
                        let traffic = verified.notice.traffic.clone();
                        let key = (verified.head.ori.clone(), format!("{traffic:?}"));
                        told.entry(key).or_insert((traffic, Vec::new())).1.push(named(&verified));
                    }
                    Judged::Refused(_) | Judged::Unreadable(_) => {
                        self.tally.load().bad.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            for ((ori, _), (traffic, notices)) in told {
                let made = self.maker.received(ori, notices, traffic, None, now);
                let stored = publish::until_stored(
                    &self.login.js,
                    &made.subject,
                    HeaderMap::new(),
                    made.bytes.into(),
                    &self.shutdown,
                );
                if stored.await.is_err() {
                    return;
                }
            }
            for message in &messages {
                settle::ack(message).await;
            }
        }
    }

    fn count(&mut self, verified: &Verified, now: Timestamp) {
        let tally: Arc<Tally> = self.tally.load_full();
        if !self.seen.insert((verified.notice.notice_id.clone(), verified.notice.attempt)) {
            tally.copies.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let stated = verified.head.t2_observed.at;
        let waited = Duration::try_from(now.duration_since(stated)).unwrap_or_default();
        tally.received_after(waited);
        // Time in which something of this agency waited and nothing came.
        tally.stalled(self.last.elapsed().min(waited));
        self.last = Instant::now();
    }
}

fn named(verified: &Verified) -> ReceiptFor {
    ReceiptFor {
        notice_id: verified.notice.notice_id.clone(),
        event_digest: verified.notice.event_digest,
        attempt: verified.notice.attempt,
        superseded: false,
        t6_received: None,
    }
}
