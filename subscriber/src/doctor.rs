//! What `check` of a bridge looks at beyond its configuration: its own machine, what the server lets this agency do, and
//! its durable. It changes nothing. What a finding means: `sallyport_link::doctor`.

use std::{path::Path, time::Duration};

use async_nats::Request;
use sallyport_link::doctor::{
    Code, Finding, Report,
    durable::{self, BRIDGE},
    folder,
    line::{self, Line},
    need::{self, NO_NUMBER, Need, Try},
    seeds, version,
};
use sallyport_proto::subject::{self, ReceiptKind};
use serde_json::Value;

use crate::{BUILD, bridge, config::Config, hand_over::Sink};

/// Looks at everything; with `offline` at this machine alone.
pub async fn look(file: &Path, config: &Config, offline: bool) -> Report {
    let mut report = Report::default();
    report.add(version::judge(&config.registry, BUILD));
    report.add(seeds::look(file));
    report.add(folder::look_and_judge("the store", &config.store_dir));
    if let Sink::Files(dir) = &config.sink {
        report.add(folder::look_and_judge("the folder of notices", dir));
    }
    if offline {
        report.add_offline("server, permissions, durable and clock");
        return report;
    }
    match line::connect(bridge::login(config)).await {
        Ok(line) => {
            report.add(line::judge_address(&config.nats_url, line.client.server_info().tls_required));
            report.add(line.judge_clock().await);
            report.add(line.try_all(&needs(config)).await);
            report.add(judge_durable(&line, config).await);
            line.close().await;
        }
        Err(finding) => report.add([finding]),
    }
    report
}

/// What a running bridge and its commands do at the server.
fn needs(config: &Config) -> Vec<Need> {
    let (api, stream, me) = (subject::SUBSCRIBER_JS_API, subject::DELIVER, config.me.as_str());
    let receipt = |kind| subject::notify_receipt(&config.me, kind);
    let mut needs = vec![
        Need::new(format!("{api}.CONSUMER.MSG.NEXT.{stream}.{me}"), Try::Api(NO_NUMBER), "notices"),
        Need::new(receipt(ReceiptKind::Received), Try::Store, "receipts"),
        Need::new(receipt(ReceiptKind::Response), Try::Store, "answers of the desk"),
        Need::new(receipt(ReceiptKind::Outcome), Try::Store, "outcomes"),
        Need::new(subject::notify_head(&config.me), Try::Hear, "hearing how far our notices reach"),
    ];
    needs.extend(need::acks(stream, me));
    needs
}

/// The durable as the server states it.
async fn judge_durable(line: &Line, config: &Config) -> Vec<Finding> {
    let (api, stream, me) = (subject::SUBSCRIBER_JS_API, subject::DELIVER, &config.me);
    let subject = format!("{api}.CONSUMER.INFO.{stream}.{me}");
    let message = match line.ask(&subject, Request::new().payload(Vec::new().into())).await {
        Ok(message) => message,
        Err(outcome) => {
            let need = Need::new(subject, Try::Api(""), "binding to the durable");
            return need::judge(&need, outcome).into_iter().collect();
        }
    };
    let stated: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let is = &stated["config"];
    if !is.is_object() {
        let why = stated["error"]["description"].as_str().unwrap_or("no configuration");
        return vec![Finding::unsafe_(
            Code::NotProvisioned,
            format!("the durable {me} on {stream} is not there ({why}): no notice comes"),
            "ask the relay's operator to run `sallyport-relay provision`",
        )];
    }
    let label = format!("durable {me} on {stream}");
    let mut found = durable::judge(&label, is, BRIDGE);
    let ours = config.registry.subscribers.get(me).into_iter().flat_map(|us| &us.subscriptions);
    let tight = ours.min_by_key(|subscription| subscription.received_within_s).map(|subscription| {
        let within = Duration::from_secs(subscription.received_within_s.into());
        (within, format!("subscription {}", subscription.id))
    });
    found.extend(durable::judge_deadline(
        &label,
        is,
        tight.as_ref().map(|(within, whose)| (*within, whose.as_str())),
    ));
    let filter = subject::hub_deliver_all(me);
    let more = is["filter_subjects"].as_array().is_some_and(|filters| !filters.is_empty());
    if is["filter_subject"].as_str() != Some(&filter) || more {
        found.push(Finding::unsafe_(
            Code::DurableUnsafe,
            format!(
                "durable {me} on {stream}: its filter is {}, not {filter}: notices go past it",
                is["filter_subject"]
            ),
            "ask the relay's operator: `sallyport-relay check` says how",
        ));
    }
    found
}
