//! What a running bridge says about itself.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use crate::{ground::Ground, world::Case};

/// The status and body of a page; none while nobody listens.
fn page(port: u16, path: &str) -> Option<(u16, String)> {
    page_of("localhost", port, path)
}

/// The same as a browser asks for it under another name of this machine.
fn page_of(host: &str, port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_link_and_metrics_count_what_came() {
    let mut ground = Ground::prepared("to = \"none\"").await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = fs::read_to_string(ground.config()).unwrap();
    fs::write(ground.config(), format!("{text}[http]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    let _bridge = ground.run();
    let sick = ground.until("the page is there", async || page(port, "/healthz")).await;
    assert_eq!(sick.0, 503, "no server yet: {}", sick.1);

    ground.start_server().await;
    ground.until("it is healthy", async || page(port, "/healthz").filter(|(status, _)| *status == 200)).await;
    assert_eq!(page_of("evil.example", port, "/metrics").unwrap().0, 403, "no browser reads it");
    let bytes = ground.world.notice(&Case::custody(1));
    ground.deliver_bytes(&Case::custody(1), bytes.clone()).await;
    ground.deliver_bytes(&Case::custody(1), b"garbage".to_vec()).await;
    ground.settled().await;
    ground.deliver_bytes(&Case::custody(1), bytes).await;
    ground.settled().await;
    let wanted = [
        "sallyport_subscriber_notices_total{what=\"new\"} 1",
        "sallyport_subscriber_notices_total{what=\"copy\"} 1",
        "sallyport_subscriber_notices_total{what=\"unreadable\"} 1",
        "sallyport_subscriber_receipts_total{lane=\"machine\"} 2",
        "sallyport_subscriber_connected 1",
        "sallyport_subscriber_outbox_waiting 0",
        "sallyport_subscriber_registry_version 1",
    ];
    ground
        .until("the metrics say so", async || {
            let (_, text) = page(port, "/metrics")?;
            let missing: Vec<_> = wanted.iter().filter(|line| !text.contains(**line)).collect();
            missing.is_empty().then_some(())
        })
        .await;
}
