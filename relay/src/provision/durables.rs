//! The durables: `relay`, shared by all nodes, on INGEST, RECEIPTS and REQUESTS; one per subscriber on DELIVER.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig, pull::Config},
};
use futures_util::StreamExt;
use sallyport_link::publish::chain;
use sallyport_proto::{registry::Registry, subject};
use serde_json::Value;

use super::{Error, Report, drift};
use crate::in_hand;

/// The first is the ack_wait, and lies under the RECEIVED deadline of 30 s.
const DELIVER_BACKOFF_S: [u64; 6] = [10, 30, 60, 120, 300, 600];
/// What one node may have in work; permits in the programs equal it.
pub(crate) const MAX_ACK_PENDING: i64 = 256;
/// All nodes share the relay's durables.
pub(crate) const RELAY_MAX_ACK_PENDING: i64 = 1_024;

/// A durable on a stream.
pub(crate) struct Durable {
    stream: &'static str,
    config: Config,
}

pub(crate) fn wanted(registry: &Registry, replicas: usize) -> Vec<Durable> {
    let base = |name: &str| Config {
        durable_name: Some(name.to_owned()),
        name: Some(name.to_owned()),
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::All,
        // Giving up is a decision with a dead letter, never a counter.
        max_deliver: -1,
        num_replicas: replicas,
        ..Config::default()
    };
    let relay = |stream| Durable {
        stream,
        config: Config {
            ack_wait: in_hand::ACK_WAIT,
            max_ack_pending: RELAY_MAX_ACK_PENDING,
            ..base(subject::RELAY_DURABLE)
        },
    };
    let mut all = vec![relay(subject::INGEST), relay(subject::RECEIPTS), relay(subject::REQUESTS)];
    for subscriber in registry.subscribers.keys() {
        let backoff: Vec<_> = DELIVER_BACKOFF_S.map(Duration::from_secs).to_vec();
        all.push(Durable {
            stream: subject::DELIVER,
            config: Config {
                filter_subject: subject::hub_deliver_all(subscriber),
                ack_wait: backoff[0],
                backoff,
                max_ack_pending: MAX_ACK_PENDING,
                ..base(subscriber.as_str())
            },
        });
    }
    all
}

pub(super) async fn reconcile(
    js: &jetstream::Context,
    wanted: Durable,
    report: &mut Report,
) -> Result<(), Error> {
    let Durable { stream, config } = wanted;
    let name = config.durable_name.clone().unwrap_or_default();
    let label = format!("durable {name} on {stream}");
    let failed = |reason: String| Error::JetStream { what: label.clone(), reason };
    match js.get_consumer_from_stream::<Config, _, _>(&name, stream).await {
        Ok(consumer) => {
            let is = serde_json::to_value(&consumer.cached_info().config).unwrap_or_default();
            compare(&label, &is, config, report);
        }
        Err(error) if is_not_found(&error) => {
            js.create_consumer_strict_on_stream(config, stream).await.map_err(|e| failed(e.to_string()))?;
            report.created.push(label);
        }
        Err(error) => return Err(failed(chain(&error))),
    }
    Ok(())
}

fn is_not_found(error: &jetstream::stream::ConsumerError) -> bool {
    use jetstream::stream::ConsumerErrorKind as Kind;
    matches!(error.kind(), Kind::JetStream(e) if e.error_code() == jetstream::ErrorCode::CONSUMER_NOT_FOUND)
}

/// A changed durable is only reported: an update can restart deliveries of what is in flight.
fn compare(label: &str, is: &Value, wanted: Config, report: &mut Report) {
    let should = serde_json::to_value(wanted.into_consumer_config()).unwrap_or_default();
    let found = drift::differences(is, &should);
    if found.is_empty() {
        report.unchanged.push(label.to_owned());
    }
    report.drift.extend(found.iter().map(|difference| format!("{label}: {difference}")));
}

/// Names every consumer that is neither one of `durables` nor a reader of a node: somebody reads there, or did.
pub(super) async fn strangers(
    js: &jetstream::Context,
    registry: &Registry,
    stream: &str,
    durables: &BTreeSet<(&'static str, String)>,
    report: &mut Report,
) -> Result<(), Error> {
    let failed = |reason: String| Error::JetStream { what: format!("list consumers on {stream}"), reason };
    let bound = js.get_stream(stream).await.map_err(|error| failed(chain(&error)))?;
    let mut names = bound.consumer_names();
    while let Some(name) = names.next().await {
        let name = name.map_err(|error| failed(chain(&error)))?;
        let ours = durables.iter().any(|(on, durable)| *on == stream && *durable == name);
        let of_a_node = registry.relays.iter().any(|relay| {
            [subject::track_consumer, subject::audit_consumer, subject::archive_consumer]
                .iter()
                .any(|reader| reader(&relay.node) == name)
        });
        if !ours && !of_a_node {
            report.drift.push(format!(
                "consumer {name} on {stream}: not made by provision for anybody in this registry"
            ));
        }
    }
    Ok(())
}

impl Durable {
    /// Where it is, and its name.
    pub(crate) fn place(&self) -> (&'static str, String) {
        (self.stream, self.config.durable_name.clone().unwrap_or_default())
    }

    /// As the server would state it.
    pub(crate) fn stated(self) -> Value {
        serde_json::to_value(self.config.into_consumer_config()).unwrap_or_default()
    }
}
