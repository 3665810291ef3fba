//! A nats-server with the hub's streams and the agency's own account, the test in the relay's place, and the bridge as a
//! program with its configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use async_nats::jetstream::{self, consumer::pull, stream};
use sallyport_harness::{Program, Recipe, Server, wait};
use sallyport_proto::{
    ids::Jurisdiction,
    receipt::{Receipt, ReceiptFor},
    registry, subject,
};
use tempfile::TempDir;

use crate::world::{Case, Key, ME, World, me};

/// Generous: a busy machine must not fail a test.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Ground {
    pub world: World,
    // Before the folder: programs and server die before their files are removed.
    pub server: Server,
    pub js: jetstream::Context,
    pub dir: TempDir,
}

impl Ground {
    /// A server that runs, streams and durable made, the bridge's files written; `hand_over` is that part of its
    /// configuration.
    pub async fn new(hand_over: &str) -> Self {
        let mut ground = Self::prepared(hand_over).await;
        ground.start_server().await;
        ground
    }

    /// The same, with a server that does not run yet.
    pub async fn prepared(hand_over: &str) -> Self {
        let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
        let server = Server::prepare(|_| server_config(&world)).unwrap();
        let js = jetstream::new(connect(&server, &world.relay_user).await);
        let ground = Self { world, server, js, dir };
        ground.write_files(hand_over);
        ground
    }

    pub async fn start_server(&mut self) {
        self.server.restart().unwrap();
        for (name, subjects) in
            [(subject::DELIVER, vec!["hub.v1.deliver.>"]), (subject::RECEIPTS, vec!["hub.v1.receipt.>"])]
        {
            let config = stream::Config {
                name: name.into(),
                subjects: subjects.into_iter().map(str::to_owned).collect(),
                ..stream::Config::default()
            };
            self.js.get_or_create_stream(config).await.unwrap();
        }
        let durable = pull::Config {
            durable_name: Some(ME.into()),
            filter_subject: subject::hub_deliver_all(&me()),
            max_ack_pending: 256,
            // Redelivery soon: these tests kill the bridge and wait for it.
            ack_wait: Duration::from_secs(2),
            ..pull::Config::default()
        };
        self.js.create_consumer_on_stream(durable, subject::DELIVER).await.unwrap();
    }

    pub fn write_files(&self, hand_over: &str) {
        let keys = self.dir.path().join("keys");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("sign.nk"), self.world.agency.seed()).unwrap();
        fs::write(keys.join("connect.nk"), self.world.agency_user.seed()).unwrap();
        self.write_registry();
        let config = format!(
            "[subscriber]\ninstance = \"zz-test\"\nid = \"{ME}\"\nsigning_seed_file = \"keys/sign.nk\"\n\
             connect_seed_file = \"keys/connect.nk\"\n[registry]\nfile = \"registry.toml\"\nreload_s = 1\n\
             registrar_key = \"{}\"\n[nats]\nurl = \"{}\"\n[store]\ndir = \"store\"\n[hand_over]\n{hand_over}\n",
            self.world.registrar.public(),
            self.server.url(),
        );
        fs::write(self.config(), config).unwrap();
    }

    pub fn write_registry(&self) {
        let text = self.world.registry_text();
        let registrar =
            sallyport_proto::key::Signer::registrar_from_seed(&self.world.registrar.seed()).unwrap();
        let signature = registry::sign(&registrar, text.as_bytes());
        fs::write(self.dir.path().join("registry.toml"), text).unwrap();
        fs::write(self.dir.path().join("registry.toml.sig"), signature).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("subscriber.toml")
    }

    pub fn recipe(&self, command: &str) -> Recipe {
        self.typed(command, &[])
    }

    /// As people type it: the configuration last.
    pub fn typed(&self, command: &str, words: &[&str]) -> Recipe {
        Recipe::at(Path::new(env!("CARGO_BIN_EXE_sallyport-subscriber")))
            .arg(command)
            .args(words)
            .args(["--config".as_ref(), self.config().as_os_str()])
    }

    pub fn run(&self) -> Program {
        self.recipe("run").stderr_to(self.dir.path().join("bridge.log")).start().unwrap()
    }

    /// Puts a notice where the relay does.
    pub async fn deliver(&self, case: &Case) {
        self.deliver_bytes(case, self.world.notice(case)).await;
    }

    pub async fn deliver_bytes(&self, case: &Case, bytes: Vec<u8>) {
        let st: Jurisdiction = "zz".parse().unwrap();
        let subject = subject::hub_deliver(&me(), &st, &case.ori.parse().unwrap(), &case.event, case.attempt);
        self.js.publish(subject, bytes.into()).await.unwrap().await.unwrap();
    }

    /// All receipts on RECEIPTS so far, with their bytes, in order.
    pub async fn receipts(&self) -> Vec<(Receipt, Vec<u8>)> {
        let bytes = self.stored(subject::RECEIPTS).await;
        let receipts = bytes.into_iter().filter(|(subject, _)| !subject.ends_with(".outcome"));
        receipts.map(|(_, bytes)| (self.world.receipt(&bytes), bytes)).collect()
    }

    pub async fn stored(&self, stream: &str) -> Vec<(String, Vec<u8>)> {
        let stream = self.js.get_stream(stream).await.unwrap();
        let state = &stream.cached_info().state;
        let mut found = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            found.push((message.subject.to_string(), message.payload.to_vec()));
        }
        found
    }

    /// Waits for receipts until `enough` says so.
    pub async fn receipts_until(&self, what: &str, enough: impl Fn(&[Receipt]) -> bool) -> Vec<Receipt> {
        self.until(what, async || {
            let receipts: Vec<Receipt> =
                self.receipts().await.into_iter().map(|(receipt, _)| receipt).collect();
            enough(&receipts).then_some(receipts)
        })
        .await
    }

    /// Waits until everything on DELIVER is settled. What is stored reaches a durable's count of pending messages a
    /// moment later: "nothing pending" means nothing before the last one was delivered.
    pub async fn settled(&self) {
        self.until("everything is settled", async || {
            let stream = self.js.get_stream(subject::DELIVER).await.unwrap();
            let consumer: jetstream::consumer::PullConsumer = stream.get_consumer(ME).await.unwrap();
            let info = consumer.cached_info();
            let delivered = info.delivered.stream_sequence >= stream.cached_info().state.last_sequence;
            (delivered && info.num_pending == 0 && info.num_ack_pending == 0).then_some(())
        })
        .await;
    }

    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let end = std::time::Instant::now() + SOON;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(std::time::Instant::now() < end, "waited in vain: {what}\n{}", self.bridge_log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn bridge_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("bridge.log")).unwrap_or_default()
    }

    pub fn store_dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// The lines of the hand-over log.
    pub fn log(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.store_dir().join("hand-over.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn logged_ids(&self) -> Vec<String> {
        self.log().iter().map(|line| line["notice_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Names of the notice files, without those that lie aside.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.path().join("notices")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn wait_for_files(&self, count: usize) -> Vec<String> {
        wait::until("the files are there", SOON, || {
            let files = self.files();
            let whole = files.iter().filter(|name| !name.starts_with('.')).count();
            Ok((whole >= count && whole == files.len()).then_some(files))
        })
        .unwrap()
    }
}

/// Everything the receipts say about notices, flat.
pub fn named(receipts: &[Receipt]) -> Vec<ReceiptFor> {
    receipts.iter().flat_map(|receipt| receipt.notices.clone()).collect()
}

/// A command that appends what it is told to `told`, and then does `then`.
pub fn script(dir: &Path, then: &str) -> String {
    let path = dir.join("command.sh");
    let told = dir.join("told");
    let text = format!(
        "echo \"$SALLYPORT_NOTICE_ID $SALLYPORT_REDELIVERED $SALLYPORT_TRAFFIC $(cat | wc -c)\" >> {}\n{then}\n",
        told.display()
    );
    fs::write(&path, text).unwrap();
    format!("to = \"command\"\ncommand = [\"/bin/sh\", \"{}\"]", path.display())
}

/// What it was told, a line a run.
pub fn told(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("told")).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn connect(server: &Server, user: &Key) -> async_nats::Client {
    async_nats::ConnectOptions::with_nkey(user.seed())
        .retry_on_initial_connect()
        .connect(server.url())
        .await
        .unwrap()
}

/// The shape that `sallyport-relay provision` renders, with the test as the hub.
fn server_config(world: &World) -> String {
    let api = |call: &str| {
        let own = subject::SUBSCRIBER_JS_API;
        (format!("$JS.API.{call}.DELIVER.{ME}"), Some(format!("{own}.{call}.DELIVER.{ME}")))
    };
    let services = [
        api("CONSUMER.INFO"),
        api("CONSUMER.MSG.NEXT"),
        (format!("$JS.ACK.DELIVER.{ME}.>"), None),
        (format!("$JS.ACK.*.*.DELIVER.{ME}.>"), None),
        (format!("hub.v1.receipt.{ME}.>"), Some(format!("notify.v1.receipt.{ME}.>"))),
    ];
    let (mut exports, mut imports, mut publish) = (String::new(), String::new(), String::new());
    for (hub, own) in services {
        let response = if hub.contains("MSG.NEXT") { ", response: stream" } else { "" };
        exports += &format!("{{ service: \"{hub}\"{response}, accounts: [SUB] }}\n");
        let to = own.as_ref().map(|own| format!(", to: \"{own}\"")).unwrap_or_default();
        imports += &format!("{{ service: {{ account: HUB, subject: \"{hub}\" }}{to} }}\n");
        publish += &format!("\"{}\", ", own.unwrap_or(hub));
    }
    format!(
        "jetstream {{ sync_interval: always }}\naccounts {{\n\
         HUB {{ jetstream: enabled\n users: [ {{ nkey: {} }} ]\n exports: [ {exports} ] }}\n\
         SUB {{ users: [ {{ nkey: {}, permissions: {{ publish: {{ allow: [{publish}] }}\n\
         subscribe: {{ allow: [\"_INBOX_{ME}.>\"] }} }} }} ]\n imports: [ {imports} ] }}\n}}\n",
        world.relay_user.public(),
        world.agency_user.public(),
    )
}
