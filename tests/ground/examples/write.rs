//! Writes the demonstration's instance into a folder: `cargo run -p sallyport-ground --example write -- DIR PORT`.
fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "demo-ground".into());
    let port = args.next().and_then(|port| port.parse().ok()).unwrap_or(4222);
    sallyport_ground::demo(std::path::Path::new(&dir), port).write()
}
