//! One program's way to the cluster: a proxy before each node, cut, silenced or delayed together. The nodes tell no
//! client of each other, so that nobody goes round it.

use std::time::Duration;

use anyhow::{Context, Result};
use sallyport_harness::Proxy;

/// A program's connections, whichever node they lead to.
#[derive(Debug)]
pub struct Link {
    proxies: Vec<Proxy>,
}

impl Link {
    /// To the nodes on these ports.
    pub fn to(ports: &[u16]) -> Result<Self> {
        Ok(Self { proxies: ports.iter().map(|port| Proxy::to(*port)).collect::<Result<_>>()? })
    }

    /// As a configuration names it.
    pub fn url(&self) -> String {
        self.proxies.iter().map(Proxy::url).collect::<Vec<_>>().join(",")
    }

    /// The first node alone.
    pub fn first_url(&self) -> Result<String> {
        Ok(self.proxies.first().context("a link leads somewhere")?.url())
    }

    /// Every connection breaks, new ones are refused.
    pub fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    /// Nothing arrives, nothing closes.
    pub fn silence(&self) {
        self.proxies.iter().for_each(Proxy::silence);
    }

    /// What is connected, or connects now, never hears anything again.
    pub fn half_open(&self) {
        self.proxies.iter().for_each(Proxy::half_open);
    }

    /// Every byte takes this much longer, each way.
    pub fn delay(&self, delay: Duration) {
        self.proxies.iter().for_each(|proxy| proxy.delay(delay));
    }

    /// As it was.
    pub fn restore(&self) {
        self.delay(Duration::ZERO);
        self.proxies.iter().for_each(Proxy::restore);
    }
}
