//! One direction of one connection: a thread reads and stamps, another writes when the link lets it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use super::link::Link;

/// As much as one read takes.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on the way, 4 MiB: enough that a delay delays and does not throttle; a silent link fills it and then pushes
/// back, as a real one does.
const CHUNKS_ON_THE_WAY: usize = 256;

type Chunk = (Instant, Vec<u8>);

pub(super) fn start(from: TcpStream, to: TcpStream, link: &Arc<Link>, age: u64) -> io::Result<()> {
    let (chunks, coming) = sync_channel(CHUNKS_ON_THE_WAY);
    let (reading, writing) = (Arc::clone(link), Arc::clone(link));
    std::thread::Builder::new().name("proxy read".into()).spawn(move || read(from, &chunks, &reading))?;
    std::thread::Builder::new()
        .name("proxy write".into())
        .spawn(move || write(to, &coming, &writing, age))?;
    Ok(())
}

fn read(mut from: TcpStream, chunks: &SyncSender<Chunk>, link: &Link) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if chunks.send((link.due(), buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
}

fn write(mut to: TcpStream, coming: &Receiver<Chunk>, link: &Link, age: u64) {
    for (due, bytes) in coming {
        if !link.wait_until(due, age) || to.write_all(&bytes).is_err() {
            // The other side is gone: nothing more may come the other way either.
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
