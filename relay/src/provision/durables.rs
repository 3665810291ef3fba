//! The durables: `relay`, shared by all nodes, on INGEST, RECEIPTS and REQUESTS; one per subscriber on DELIVER.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull::Config},
};
use sallyport_proto::{registry::Registry, subject};

use super::{Error, Report};
use crate::in_hand;

/// The first is the ack_wait, and lies under the RECEIVED deadline of 30 s.
const DELIVER_BACKOFF_S: [u64; 6] = [10, 30, 60, 120, 300, 600];
/// What one node may have in work; permits in the programs equal it.
pub(crate) const MAX_ACK_PENDING: i64 = 256;
/// All nodes share the relay's durables.
const RELAY_MAX_ACK_PENDING: i64 = 1_024;

/// A durable on a stream.
pub(super) struct Durable {
    stream: &'static str,
    config: Config,
}

pub(super) fn wanted(registry: &Registry, replicas: usize) -> Vec<Durable> {
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
    let current = js.get_consumer_from_stream::<Config, _, _>(&name, stream).await;
    match current {
        Ok(consumer) => compare(&label, consumer, &config, report),
        Err(error) if is_not_found(&error) => {
            js.create_consumer_strict_on_stream(config, stream).await.map_err(|e| failed(e.to_string()))?;
            report.created.push(label);
        }
        Err(error) => return Err(failed(sallyport_link::publish::chain(&error))),
    }
    Ok(())
}

fn is_not_found(error: &jetstream::stream::ConsumerError) -> bool {
    use jetstream::stream::ConsumerErrorKind as Kind;
    matches!(error.kind(), Kind::JetStream(e) if e.error_code() == jetstream::ErrorCode::CONSUMER_NOT_FOUND)
}

/// A changed durable is only reported: an update can restart deliveries of what is in flight.
fn compare(label: &str, current: PullConsumer, wanted: &Config, report: &mut Report) {
    let is = &current.cached_info().config;
    let pairs = [
        ("filter", is.filter_subject.clone(), wanted.filter_subject.clone()),
        ("ack_policy", format!("{:?}", is.ack_policy), format!("{:?}", wanted.ack_policy)),
        ("ack_wait", format!("{:?}", is.ack_wait), format!("{:?}", wanted.ack_wait)),
        ("max_deliver", is.max_deliver.to_string(), wanted.max_deliver.to_string()),
        ("max_ack_pending", is.max_ack_pending.to_string(), wanted.max_ack_pending.to_string()),
        ("backoff", format!("{:?}", is.backoff), format!("{:?}", wanted.backoff)),
    ];
    let before = report.drift.len();
    for (key, is, should) in pairs {
        if is != should {
            report.drift.push(format!("{label}: {key} is {is}, should be {should}"));
        }
    }
    if report.drift.len() == before {
        report.unchanged.push(label.to_owned());
    }
}
