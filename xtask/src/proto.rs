//! Regenerates the wire types of `proto/` from its `.proto` files, without protoc; or checks that they are fresh.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Messages that may hold person data, in fields or inside bytes: their `Debug` is written by hand in `proto/src/redact.rs`.
const REDACTED: [&str; 9] = [
    ".sallyport.v1.Part",
    ".sallyport.v1.Charge",
    ".sallyport.v1.RequestDetails",
    ".sallyport.v1.Envelope",
    ".sallyport.v1.ReleaseEvent",
    ".sallyport.v1.Notice",
    ".sallyport.v1.Parked",
    ".sallyport.v1.RelayedRequest",
    ".sallyport.v1.CatchupItem",
];

const FILES: [&str; 2] = ["sallyport.v1.rs", "sallyport.v1.binpb"];

/// Writes `proto/src/gen`, or with `check` fails when it is not what the `.proto` files give.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let committed = proto.join("src/gen");
    if !check {
        return generate(&proto, &committed);
    }
    let fresh = tempfile::tempdir().context("make a folder for the fresh copy")?;
    generate(&proto, fresh.path())?;
    for name in FILES {
        let want = std::fs::read(fresh.path().join(name)).with_context(|| format!("read fresh {name}"))?;
        let have = std::fs::read(committed.join(name)).with_context(|| format!("read committed {name}"))?;
        if want != have {
            bail!("proto/src/gen/{name} is stale: run `cargo xtask proto` and commit the result");
        }
    }
    Ok(())
}

fn generate(proto: &Path, out: &Path) -> anyhow::Result<()> {
    let mut sources: Vec<PathBuf> = std::fs::read_dir(proto.join("sallyport/v1"))
        .context("list proto/sallyport/v1")?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    sources.retain(|path| path.extension().is_some_and(|ext| ext == "proto"));
    sources.sort();
    let descriptors = protox::Compiler::new([proto])
        .context("start the compiler")?
        .include_imports(true)
        .include_source_info(true)
        .open_files(&sources)
        .context("compile the .proto files")?
        .file_descriptor_set();
    std::fs::create_dir_all(out).context("make the folder for generated code")?;
    let mut config = prost_build::Config::new();
    config.out_dir(out).format(true).skip_debug(REDACTED);
    config.btree_map([".sallyport.v1.Part"]);
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    std::fs::write(out.join(FILES[1]), prost_types_bytes(&bare)).context("write the descriptors")?;
    config.compile_fds(descriptors).context("generate Rust")
}

fn prost_types_bytes(set: &prost_types::FileDescriptorSet) -> Vec<u8> {
    prost::Message::encode_to_vec(set)
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_wire_types_are_what_the_proto_files_give() {
        super::run(true).unwrap();
    }
}
