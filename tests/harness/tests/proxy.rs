//! A link that can be cut, silenced, delayed and restored, with a plain TCP echo behind it.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sallyport_harness::Proxy;

const SOON: Duration = Duration::from_secs(60);

/// Echoes everything; its thread ends with the test process.
fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
        }
    });
    port
}

fn through(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn says_back(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<bool> {
    stream.write_all(word)?;
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard)?;
    Ok(heard == word)
}

#[test]
fn passes_everything_on_in_order() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = through(&proxy);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
    let mut writer = stream.try_clone().unwrap();
    let expected = sent.clone();
    let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
    let mut heard = vec![0; expected.len()];
    stream.read_exact(&mut heard).unwrap();
    writing.join().unwrap();
    assert!(heard == expected);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_cut_breaks_connections_and_refuses_new_ones_until_restored() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = through(&proxy);
    assert!(says_back(&mut stream, b"before").unwrap());
    proxy.cut();
    assert!(says_back(&mut stream, b"x").is_err());
    assert!(says_back(&mut through(&proxy), b"x").is_err());
    proxy.restore();
    assert!(says_back(&mut through(&proxy), b"after").unwrap());
}

#[test]
fn silence_closes_nothing_and_loses_nothing() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = through(&proxy);
    proxy.silence();
    stream.write_all(b"held").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut heard = [0; 4];
    let kind = stream.read_exact(&mut heard).unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
    proxy.restore();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"held");
}

#[test]
fn a_half_open_link_never_answers_whoever_connected_in_its_time() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut before = through(&proxy);
    assert!(says_back(&mut before, b"before").unwrap());
    proxy.half_open();
    let mut during = through(&proxy);
    let accepted = || Ok((proxy.connections() == 2).then_some(()));
    sallyport_harness::wait::until("the proxy accepts", SOON, accepted).unwrap();
    for stream in [&mut before, &mut during] {
        stream.write_all(b"anybody?").unwrap();
    }
    proxy.restore();
    assert!(says_back(&mut through(&proxy), b"after").unwrap());
    for stream in [&mut before, &mut during] {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let heard = stream.read(&mut [0; 1]).unwrap_err();
        assert!(matches!(heard.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{heard}");
    }
}

#[test]
fn a_delay_holds_every_byte_back_both_ways() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = through(&proxy);
    proxy.delay(Duration::from_millis(100));
    let start = Instant::now();
    assert!(says_back(&mut stream, b"slow").unwrap());
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_server_that_is_not_there_closes_the_connection() {
    let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let proxy = Proxy::to(gone).unwrap();
    assert!(says_back(&mut through(&proxy), b"x").is_err());
}

#[test]
fn listens_no_more_after_drop() {
    let proxy = Proxy::to(echo()).unwrap();
    let port = proxy.port();
    let mut stream = through(&proxy);
    drop(proxy);
    assert!(says_back(&mut stream, b"x").is_err());
    let closed = || Ok(TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    sallyport_harness::wait::until("the proxy closes", SOON, closed).unwrap();
}
