//! What tests, demo and bench stand on: a real nats-server (alone or three as a cluster), our own programs as child
//! processes, and a link that can be cut. Everything started here dies with its owner.
//!
//! Out of scope: what Sallyport does with any of it (`tests/e2e`, `tests/bench`, `xtask`), and what a configuration
//! says: callers bring their own text. Nothing here depends on the product, so that it can judge the product.

pub mod cluster;
mod leash;
pub mod nats_binary;
pub mod paths;
mod ports;
mod process;
pub mod program;
pub mod proxy;
pub mod server;
pub mod wait;

pub use cluster::Cluster;
pub use program::{Program, Recipe};
pub use proxy::Proxy;
pub use server::{Ground, Server};
