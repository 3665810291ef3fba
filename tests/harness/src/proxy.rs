//! A link that can be cut: a small TCP proxy between a client and a server, both on loopback.
//!
//! *Cut* breaks every connection and refuses new ones, as a firewall that resets does; *silent* lets nothing through
//! and closes nothing, as a pulled cable does; *half-open* is silent for ever towards every connection of its time, as a
//! peer that vanished is; a *delay* holds every byte back for a time, in order. Clients that learn of other addresses
//! from the server (a cluster's nodes) go round it.

mod link;
mod pipe;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use link::{Link, State};

/// A server that does not answer a connect for so long counts as refusing it.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A listening proxy. Dropped: closed, with all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
}

impl Proxy {
    /// Listens on a free loopback port and passes everything on to `127.0.0.1:<port>`, which need not listen yet.
    pub fn to(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind the proxy")?;
        let address = listener.local_addr().context("learn the proxy's address")?;
        let link = Arc::new(Link::default());
        let accepting = Arc::clone(&link);
        let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || accept(&listener, upstream, &accepting))
            .context("start the proxy's thread")?;
        Ok(Self { address, link })
    }

    /// Where clients of a nats-server connect.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks every connection; new ones are closed at once.
    pub fn cut(&self) {
        self.link.set(State::Cut);
    }

    /// Lets nothing through and closes nothing. What was sent meanwhile arrives after [`Proxy::restore`].
    pub fn silence(&self) {
        self.link.set(State::Silent);
    }

    /// Accepts and never answers: what is connected now, and what connects until [`Proxy::restore`], hears nothing ever
    /// again and is not closed either. Only connections made after that work.
    pub fn half_open(&self) {
        self.link.set(State::HalfOpen);
    }

    /// Lets everything through again.
    pub fn restore(&self) {
        self.link.set(State::Up);
    }

    /// Holds every byte, in both directions, back for `delay` from now on.
    pub fn delay(&self, delay: Duration) {
        self.link.set_delay(delay);
    }

    /// How many connections were made through it so far.
    pub fn connections(&self) -> usize {
        self.link.connections()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.link.set(State::Closed);
        // Wakes the accepting thread, which then sees that the proxy is closed.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, upstream: SocketAddr, link: &Arc<Link>) {
    for client in listener.incoming() {
        match link.state() {
            State::Closed => return,
            State::Cut => continue,
            State::Up | State::Silent | State::HalfOpen => {}
        }
        if let Ok(client) = client {
            // A server that is not there: the client sees its connection closed, as it would without us.
            let _ = join(client, upstream, link);
        }
    }
}

fn join(client: TcpStream, upstream: SocketAddr, link: &Arc<Link>) -> io::Result<()> {
    let server = TcpStream::connect_timeout(&upstream, CONNECT_PATIENCE)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Registered before any byte flows; a cut in between closes it all the same.
    let Some(age) = link.register([client.try_clone()?, server.try_clone()?]) else {
        let _ = server.shutdown(Shutdown::Both);
        return client.shutdown(Shutdown::Both);
    };
    pipe::start(client.try_clone()?, server.try_clone()?, link, age)?;
    pipe::start(server, client, link, age)
}
