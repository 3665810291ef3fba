//! Keys and the registry's signature, as commands: what a registrar and a newcomer need before anything runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nkeys::KeyPair;
use sallyport_link::{config::signature_path, private};
use sallyport_proto::{key::Signer, registry};

/// What a key is for; the first letter of the nkey says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Signs messages (V...).
    Signing,
    /// Logs in to NATS (U...).
    Connect,
    /// Signs the registry (O...).
    Registrar,
}

/// Makes a key, writes its seed to `out` (readable by its owner only, never over an existing file), gives the public key.
pub fn make(kind: Kind, out: &Path) -> anyhow::Result<String> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let pair = match kind {
        Kind::Signing => KeyPair::new_service(),
        Kind::Connect => KeyPair::new_user(),
        Kind::Registrar => KeyPair::new_operator(),
    };
    let seed = pair.seed().context("make a seed")?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .with_context(|| format!("write {}", out.display()))?;
    writeln!(file, "{seed}").with_context(|| format!("write {}", out.display()))?;
    Ok(pair.public_key())
}

/// Signs a registry file; writes `<file>.sig`. A file with problems is not signed.
pub fn sign_registry(file: &Path, seed: &Path) -> anyhow::Result<PathBuf> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    if let Err(problems) = registry::Registry::parse(&text) {
        let lines: Vec<_> = problems.iter().map(|p| format!("{}: {p}", file.display())).collect();
        bail!("{}", lines.join("\n"));
    }
    let seed = std::fs::read_to_string(seed).with_context(|| format!("read {}", seed.display()))?;
    let registrar = Signer::registrar_from_seed(&seed)?;
    let out = signature_path(file);
    // Written aside and renamed: a program that reads the pair meanwhile sees the old or the new one.
    let aside = out.with_extension("sig.new");
    std::fs::write(&aside, registry::sign(&registrar, text.as_bytes()))
        // Every party's program reads it.
        .and_then(|()| private::share(&aside))
        .and_then(|()| std::fs::rename(&aside, &out))
        .with_context(|| format!("write {}", out.display()))?;
    Ok(out)
}
