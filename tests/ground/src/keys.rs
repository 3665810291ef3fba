//! Key files of an instance: made once, then read.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use nkeys::KeyPair;

/// A folder of keys.
#[derive(Debug, Clone)]
pub struct Keys {
    dir: PathBuf,
}

impl Keys {
    /// Keys in this folder.
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Where the seed of a key lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.nk"))
    }

    /// A signing key.
    pub fn signing(&self, who: &str) -> anyhow::Result<KeyPair> {
        self.pair(&format!("{who}.sign"), KeyPair::new_service)
    }

    /// A connect key.
    pub fn connect(&self, who: &str) -> anyhow::Result<KeyPair> {
        self.pair(&format!("{who}.connect"), KeyPair::new_user)
    }

    /// The registrar.
    pub fn registrar(&self) -> anyhow::Result<KeyPair> {
        self.pair("registrar", KeyPair::new_operator)
    }

    /// A facility's secret for custody keys, hex.
    pub fn secret(&self, ori: &str) -> anyhow::Result<String> {
        let file = self.dir.join(format!("{ori}.secret"));
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok(text.trim().to_owned());
        }
        // Two random UUIDs are 244 random bits; the format asks for 32 bytes of hex.
        let text =
            format!("{}{}", uuid::Uuid::now_v7().simple(), KeyPair::new_user().public_key().to_lowercase());
        let hex: String = text.bytes().take(32).map(|b| format!("{b:02x}")).collect();
        save(&file, &hex)?;
        Ok(hex)
    }

    /// Replaces a facility's signing key: what happens when a jail changes its key before the registrar knows.
    pub fn replace_signing(&self, who: &str) -> anyhow::Result<KeyPair> {
        let file = self.file(&format!("{who}.sign"));
        std::fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
        self.signing(who)
    }

    fn pair(&self, name: &str, make: fn() -> KeyPair) -> anyhow::Result<KeyPair> {
        let file = self.file(name);
        if let Ok(seed) = std::fs::read_to_string(&file) {
            return KeyPair::from_seed(seed.trim()).with_context(|| format!("read {}", file.display()));
        }
        let pair = make();
        save(&file, &pair.seed().context("make a seed")?)?;
        Ok(pair)
    }
}

/// For its owner alone, as the programs expect it.
fn save(file: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("write {}", file.display()))
}
