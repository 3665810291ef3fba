//! `nats`: prints the path of the nats-server that tests, demo and bench run. How it is found: the harness.

use sallyport_harness::nats_binary;

pub(crate) fn run() -> anyhow::Result<()> {
    println!("{}", nats_binary::find()?.display());
    Ok(())
}
