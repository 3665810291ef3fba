//! Reads one page of a server's monitoring over plain HTTP/1.0: a dozen lines, so that this crate needs no HTTP client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// Loopback answers at once or not at all; a frozen server must not hold a test.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest page a test asks for, with room; a wrong port must not fill the memory.
const PAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) status: String,
    pub(super) body: String,
}

pub(super) fn ask(port: u16, page: &str) -> Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream =
        TcpStream::connect_timeout(&address, PATIENCE).context("connect to the monitoring port")?;
    stream.set_read_timeout(Some(PATIENCE)).context("bound the wait")?;
    write!(stream, "GET {page} HTTP/1.0\r\n\r\n").context("ask for the page")?;
    let mut text = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut text).context("read the page")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default().to_owned();
    Ok(Answer { ok: status.split(' ').nth(1) == Some("200"), status, body: body.to_owned() })
}
