//! A real nats-server with the accounts of a hub and a jail, and a stand-in for the relay on it: it reads what the jail
//! published and answers what a test tells it to. The real relay is tested with the agent in `tests/e2e`.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use sallyport_harness::{Program, Recipe, Server, wait};
use sallyport_proto::{
    answer::{AcceptedEvent, Answer, Body, Refusal, RelayedReceipt},
    catchup::{CatchupItem, CatchupRequest, CatchupResponse},
    envelope::Digest,
    event::{UnverifiedEvent, VerifiedEvent},
    ids::{EventId, NoticeId},
    key::Signer,
    provenance::{Provenance, TrafficClass},
    receipt::{Receipt, ReceiptFor, Response, Statement},
    time::Moment,
    vocabulary::{ReceiptLevel, RefusalCode, SourceClock},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::jail::{INSTANCE, JURISDICTION, Jail, ORI, Setting};

/// Longer than any of this takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
const BUILD: &str = "test-relay/0";

/// One message as the jail published it.
#[derive(Clone)]
pub struct Published {
    pub bytes: Vec<u8>,
    pub msg_id: String,
    pub event: VerifiedEvent,
}

impl Published {
    pub fn id(&self) -> &EventId {
        &self.event.head.event_id
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// Server, jail and stand-in.
pub struct World {
    pub jail: Jail,
    pub server: Server,
    pub runtime: Runtime,
    hub: Option<Hub>,
}

struct Hub {
    client: async_nats::Client,
    js: jetstream::Context,
}

fn accounts(connect: &str) -> String {
    let (st, ori) = (JURISDICTION, ORI);
    format!(
        r#"jetstream {{ sync_interval: always }}
accounts {{
  HUB {{
    jetstream: enabled
    users: [ {{ user: hub, password: p }} ]
    exports: [
      {{ service: "ingest.v1.release.>", accounts: [EDGE] }}
      {{ service: "hub.v1.catchup.>", response: stream, accounts: [EDGE] }}
      {{ stream: "hub.v1.answer.>", accounts: [EDGE] }}
    ]
  }}
  EDGE {{
    users: [ {{ nkey: {connect}, permissions: {{
      publish: {{ allow: ["notify.v1.release.{st}.{ori}", "notify.v1.heartbeat.{st}.{ori}", "notify.v1.catchup.{st}.{ori}"] }}
      subscribe: {{ allow: ["_INBOX_{st}_{ori}.>", "notify.v1.answer.{st}.{ori}.>"] }} }} }} ]
    imports: [
      {{ service: {{ account: HUB, subject: "ingest.v1.release.>" }}, to: "notify.v1.release.>" }}
      {{ service: {{ account: HUB, subject: "hub.v1.catchup.>" }}, to: "notify.v1.catchup.>" }}
      {{ stream: {{ account: HUB, subject: "hub.v1.answer.>" }}, to: "notify.v1.answer.>" }}
    ]
  }}
}}
"#
    )
}

impl World {
    /// A server that is up, with the streams of a hub.
    pub fn new(setting: impl FnOnce(&mut Setting<'_>)) -> Self {
        let mut world = Self::with_server_down(setting);
        world.server_up();
        world
    }

    /// Everything but the server, whose address is known already.
    pub fn with_server_down(edit: impl FnOnce(&mut Setting<'_>)) -> Self {
        let jail = Jail::new(&Setting::default());
        let connect = jail.connect.public_key();
        let server = Server::prepare(|_| accounts(&connect)).unwrap();
        let url = server.url();
        let mut setting = Setting { nats_url: &url, ..Setting::default() };
        edit(&mut setting);
        jail.write("agent.toml", &jail.config_text(&setting));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { jail, server, runtime, hub: None }
    }

    pub fn server_up(&mut self) {
        self.server.restart().unwrap();
        if self.hub.is_some() {
            return;
        }
        let url = self.server.url();
        self.hub = Some(self.runtime.block_on(async {
            let options = async_nats::ConnectOptions::with_user_and_password("hub".into(), "p".into());
            let client = options.connect(url).await.unwrap();
            let js = jetstream::new(client.clone());
            for (name, subject) in [("INGEST", "ingest.v1.release.>"), ("ANSWERS", "hub.v1.answer.>")] {
                let config = stream::Config {
                    name: name.into(),
                    subjects: vec![subject.into()],
                    ..stream::Config::default()
                };
                js.create_stream(config).await.unwrap();
            }
            Hub { client, js }
        }));
    }

    fn hub(&self) -> &Hub {
        self.hub.as_ref().unwrap()
    }

    pub fn program(&self) -> Recipe {
        Recipe::at(std::path::Path::new(env!("CARGO_BIN_EXE_sallyport-agent")))
            .current_dir(self.jail.dir.path())
    }

    /// The agent, running; a crash point kills it there.
    pub fn agent(&self, fault: Option<&str>) -> Program {
        let mut recipe = self.program().args(["run", "--config", "agent.toml"]);
        if let Some(fault) = fault {
            recipe = recipe.env("SALLYPORT_FAULT", fault);
        }
        // What a killed one left there is not where this one listens.
        let _ = std::fs::remove_file(self.jail.path("store/agent.lock"));
        let program = recipe.start().unwrap();
        wait::until("the agent listens", SOON, || {
            let text = std::fs::read_to_string(self.jail.path("store/agent.lock")).unwrap_or_default();
            Ok(text.trim().parse::<std::net::SocketAddr>().ok())
        })
        .unwrap();
        program
    }

    /// A command's exit code and its one line of JSON.
    pub fn command(&self, args: &[&str]) -> (i32, Value) {
        let ended =
            self.program().args(args).arg("--json").args(["--config", "agent.toml"]).run(SOON).unwrap();
        let json = ended.stdout.last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or(Value::Null);
        (ended.code().unwrap(), json)
    }

    pub fn status(&self) -> Value {
        self.command(&["status"]).1
    }

    /// Waits until the status is as `wanted` says.
    pub fn wait_for_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, SOON, || Ok(Some(self.status()).filter(|status| wanted(status)))).unwrap()
    }

    pub fn wait_for_event(&self, event: &EventId, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, SOON, || {
            Ok(Some(self.command(&["status", event.as_str()]).1).filter(|status| wanted(status)))
        })
        .unwrap()
    }

    /// Everything on INGEST once `count` messages are there.
    pub fn published(&self, count: usize) -> Vec<Published> {
        let key = self.jail.facility.public_key().parse().unwrap();
        let messages = wait::until(&format!("{count} messages on INGEST"), SOON, || {
            let messages = self.runtime.block_on(self.all("INGEST"));
            Ok((messages.len() >= count).then_some(messages))
        });
        let messages = messages.unwrap();
        let read = |message: &jetstream::message::StreamMessage| Published {
            bytes: message.payload.to_vec(),
            msg_id: message.headers.get("Nats-Msg-Id").unwrap().to_string(),
            event: UnverifiedEvent::read(&message.payload).unwrap().verify(&key).unwrap(),
        };
        messages.iter().map(read).collect()
    }

    async fn all(&self, stream: &str) -> Vec<jetstream::message::StreamMessage> {
        let mut stream = self.hub().js.get_stream(stream).await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            if let Ok(message) = stream.get_raw_message(sequence).await {
                messages.push(message);
            }
        }
        messages
    }

    /// Stores an answer and so sends it to whoever listens.
    pub fn answer(&self, kind: &str, bytes: Vec<u8>) {
        self.runtime.block_on(async {
            let subject = format!("hub.v1.answer.{JURISDICTION}.{ORI}.{kind}");
            self.hub().js.publish(subject, bytes.into()).await.unwrap().await.unwrap();
        });
    }

    pub fn accept(&self, events: &[&Published]) {
        let events = events.iter().map(|event| accepted(event.id(), event.digest(), &self.jail)).collect();
        self.answer("accepted", sealed(&self.jail.relay, Body::Acceptance(events)));
    }

    pub fn refuse(&self, event: &Published, code: RefusalCode, permanent: bool) {
        let refusal = Refusal {
            event_id: Some(event.id().clone()),
            digest: event.digest(),
            code,
            permanent,
            text: "as the test asks".into(),
        };
        self.answer("refused", sealed(&self.jail.relay, Body::Refusal(refusal)));
    }

    pub fn progress(&self, receipts: Vec<Vec<u8>>) {
        let stored = now(SourceClock::Broker);
        let receipts = (1..)
            .zip(receipts)
            .map(|(receipts_sequence, receipt)| RelayedReceipt { receipt, stored, receipts_sequence })
            .collect();
        self.answer("progress", sealed(&self.jail.relay, Body::Progress(receipts)));
    }

    /// Serves catch-up until the world ends.
    pub fn serve_catchup(&self) {
        let (client, js) = (self.hub().client.clone(), self.hub().js.clone());
        let mut requests = self.runtime.block_on(client.subscribe("hub.v1.catchup.>")).unwrap();
        self.runtime.block_on(client.flush()).unwrap();
        let serving = async move {
            while let Some(request) = requests.next().await {
                let asked = CatchupRequest::decode(&request.payload).unwrap();
                let mut stream = js.get_stream("ANSWERS").await.unwrap();
                let info = stream.info().await.unwrap();
                let (last, created) = (info.state.last_sequence, info.created.unix_timestamp_nanos());
                let stream_created = jiff::Timestamp::from_nanosecond(created).unwrap();
                let same = asked.stream_created == Some(stream_created);
                let from = if same { asked.after_sequence } else { 0 };
                let mut items = Vec::new();
                for sequence in from + 1..=last {
                    let message = stream.get_raw_message(sequence).await.unwrap();
                    items.push(CatchupItem::Answer { sequence, answer: message.payload.to_vec() });
                }
                items.push(CatchupItem::End { more: false, sequence: last.max(from), stream_created });
                for item in items {
                    let response = CatchupResponse { provenance: provenance(), item }.encode();
                    client.publish(request.reply.clone().unwrap(), response.into()).await.unwrap();
                }
            }
        };
        #[allow(clippy::disallowed_methods, reason = "it lives as long as the runtime of the test")]
        self.runtime.spawn(serving);
    }
}

pub fn provenance() -> Provenance {
    Provenance::of(&INSTANCE.parse().unwrap(), BUILD)
}

pub fn now(clock: SourceClock) -> Moment {
    Moment::exact(jiff::Timestamp::now(), clock)
}

pub fn accepted(event_id: &EventId, digest: Digest, jail: &Jail) -> AcceptedEvent {
    AcceptedEvent {
        event_id: event_id.clone(),
        digest,
        recipients: vec![jail.subscribers[0].0.parse().unwrap()],
        unsubscribed: vec![],
        registry_version: 1,
        predecessor_missing: false,
        t4_stored: now(SourceClock::Broker),
        t5_routed: now(SourceClock::Relay),
    }
}

pub fn sealed(signer: &Signer, body: Body) -> Vec<u8> {
    let answer = Answer {
        provenance: provenance(),
        ori: ORI.parse().unwrap(),
        at: now(SourceClock::Relay),
        relay_node: "a".parse().unwrap(),
        body,
    };
    answer.seal(signer)
}

/// A receipt of `subscriber` about an event, signed by `signer`.
pub fn receipt(subscriber: &str, signer: &Signer, event: &Published, statement: Statement) -> Vec<u8> {
    let at = Some(now(SourceClock::Subscriber));
    let seen = matches!(&statement, Statement::Level(ReceiptLevel::Seen) | Statement::Response(_));
    let receipt = Receipt {
        provenance: provenance(),
        subscriber: subscriber.parse().unwrap(),
        ori: ORI.parse().unwrap(),
        notices: vec![ReceiptFor {
            notice_id: NoticeId::new(&ORI.parse().unwrap(), event.id(), &subscriber.parse().unwrap()),
            event_digest: event.digest(),
            attempt: 0,
            superseded: false,
            t6_received: None,
        }],
        statement,
        by_whom: if seen { "badge 17".into() } else { "machine".into() },
        text: None,
        traffic: TrafficClass::Exercise("test".into()),
        t6_received: at.filter(|_| !seen),
        staged: None,
        t7_seen: at.filter(|_| seen),
        t8_answered: None,
        published: now(SourceClock::Subscriber),
        agreement: None,
    };
    receipt.seal(signer)
}

pub fn coming(eta: &str) -> Statement {
    Statement::Response(Response {
        kind: sallyport_proto::vocabulary::ResponseKind::WillTakeCustody,
        eta: Some(Moment::exact(eta.parse().unwrap(), SourceClock::Person)),
        answer_by: None,
        contact: None,
        forward_to: None,
    })
}
