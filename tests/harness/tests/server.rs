//! The server really starts, answers, keeps its port and store over a kill, and dies with its owner.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use sallyport_harness::{Ground, Recipe, Server, wait};

/// Generous: a busy machine must not fail a test.
const SOON: Duration = Duration::from_secs(60);
/// Set when this very test program plays an owner that gets killed.
const VICTIM: &str = "HARNESS_TEST_VICTIM";

fn jetstream(_: &Ground<'_>) -> String {
    "jetstream { sync_interval: always }".into()
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

async fn jetstream_of(server: &Server) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

#[tokio::test]
async fn keeps_its_port_and_store_over_a_kill() {
    let mut server = Server::start(jetstream).unwrap();
    let (url, pid) = (server.url(), server.pid());
    let context = jetstream_of(&server).await;
    let config = async_nats::jetstream::stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept".into()],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    context.publish("kept", "first".into()).await.unwrap().await.unwrap();

    server.kill9().unwrap();
    assert!(!listens(server.port()));
    assert_eq!(server.pid(), None);
    server.restart().unwrap();

    assert_eq!(server.url(), url);
    assert_ne!(server.pid(), pid);
    let context = jetstream_of(&server).await;
    assert_eq!(context.get_stream("KEPT").await.unwrap().cached_info().state.messages, 1);
}

#[test]
fn the_configuration_in_force_is_the_callers() {
    let server = Server::start(|ground| {
        assert!(ground.store.is_absolute());
        "server_name: mine, max_payload: 4321, jetstream { sync_interval: always }".into()
    })
    .unwrap();
    let variables = server.monitor("/varz").unwrap();
    assert!(variables.contains("\"server_name\": \"mine\""), "{variables}");
    assert!(variables.contains("\"max_payload\": 4321"), "{variables}");
    assert!(variables.contains("\"sync_always\": true"), "{variables}");
    assert!(variables.contains(&*server.dir().join("store").to_string_lossy()), "{variables}");
}

#[test]
fn a_configuration_file_finds_what_it_includes_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("more.conf"), "max_payload: 4321").unwrap();
    std::fs::write(dir.path().join("main.conf"), "include 'more.conf'").unwrap();
    let server = Server::start_with_file(&dir.path().join("run"), &dir.path().join("main.conf")).unwrap();
    assert!(server.monitor("/varz").unwrap().contains("\"max_payload\": 4321"));
}

#[test]
fn a_wrong_configuration_is_quoted_from_the_log() {
    let error = Server::start(|_| "no_such_option: 1".into()).unwrap_err();
    assert!(format!("{error:#}").contains("no_such_option"), "{error:#}");
}

#[test]
fn dies_in_drop() {
    let server = Server::start(jetstream).unwrap();
    let (port, dir) = (server.port(), server.dir().to_path_buf());
    assert!(listens(port));
    drop(server);
    assert!(!listens(port));
    assert!(!dir.exists());
}

#[test]
fn a_prepared_server_listens_only_once_started() {
    let mut server = Server::prepare(jetstream).unwrap();
    assert!(!listens(server.port()));
    server.restart().unwrap();
    assert!(listens(server.port()));
    server.stop().unwrap();
    assert!(!listens(server.port()));
}

#[tokio::test]
async fn answers_nothing_while_frozen_and_everything_after() {
    let mut server = Server::start(jetstream).unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut heard = client.subscribe("x").await.unwrap();
    client.flush().await.unwrap();
    server.freeze().unwrap();
    client.publish("x", "late".into()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), heard.next()).await.is_err());
    server.thaw().unwrap();
    assert_eq!(tokio::time::timeout(SOON, heard.next()).await.unwrap().unwrap().payload, "late");
}

#[test]
fn reload_takes_the_rewritten_configuration() {
    let mut server = Server::start(|_| "max_payload: 4321".into()).unwrap();
    let pid = server.pid();
    server.rewrite(|_| "max_payload: 8642".into()).unwrap();
    server.reload().unwrap();
    assert_eq!(server.pid(), pid);
    assert!(server.monitor("/varz").unwrap().contains("\"max_payload\": 8642"));
}

/// Needs `setpriv`; where it is missing the harness cannot promise this, and the test says so.
#[test]
fn dies_even_when_its_owner_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        return play_the_victim();
    }
    let leash = std::process::Command::new("setpriv").arg("--version").stdout(Stdio::null()).status();
    if leash.is_err() {
        return eprintln!("SKIPPED dies_even_when_its_owner_is_killed: no setpriv here");
    }
    // What a killed owner leaves behind lies here and goes with the test.
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Recipe::at(&std::env::current_exe().unwrap())
        .args(["--exact", "dies_even_when_its_owner_is_killed", "--nocapture"])
        .env(VICTIM, "1")
        .env("TMPDIR", dir.path())
        .start()
        .unwrap();
    let line = owner.wait_for_line(|line| line.contains("PORT "), SOON).unwrap().text;
    let port: u16 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(listens(port));
    owner.kill9().unwrap();
    wait::until("the server dies", SOON, || Ok((!listens(port)).then_some(()))).unwrap();
}

fn play_the_victim() {
    // Started on a thread that ends at once: the server must outlive it and die only with the process.
    let server = std::thread::spawn(|| Server::start(jetstream).unwrap()).join().unwrap();
    println!("\nPORT {}", server.port());
    let mut never = String::new();
    std::io::stdin().read_line(&mut never).unwrap();
}
