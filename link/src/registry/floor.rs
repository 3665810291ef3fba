//! The highest registry that a program has believed, kept in its store's folder: a signature never expires, so an old
//! file with its old signature must not count again after a restart, and one version has one content.
//!
//! Whether a registry is signed and well-formed: `config`. When it is looked at again: each program.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sallyport_proto::{envelope::Digest, registry::Registry};

/// The file in the store's folder.
const FILE: &str = "registry-floor";

/// What was believed last.
#[derive(Debug)]
pub struct Floor {
    path: PathBuf,
    kept: Option<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    version: u64,
    digest: String,
}

/// Why a registry is not believed, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// An older one than was in force already.
    #[error("the registry has version {found}; version {kept} was in force already (kept in {})", .path.display())]
    Older {
        /// Of the file.
        found: u64,
        /// Believed before.
        kept: u64,
        /// Where that is kept.
        path: PathBuf,
    },
    /// The same version with other content: a registrar raises the version with every change.
    #[error("the registry has version {version} as the one in force had, and another content (kept in {})", .path.display())]
    OtherContent {
        /// Of both.
        version: u64,
        /// Where the digest is kept.
        path: PathBuf,
    },
    /// Not written by this program.
    #[error("{} is not what a program keeps there: the highest registry version is unknown", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
    },
    /// The disk.
    #[error("cannot keep the registry's version in {}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FloorError {
    /// Whether the registry file is wrong, and not the disk.
    pub fn is_of_registry(&self) -> bool {
        matches!(self, Self::Older { .. } | Self::OtherContent { .. })
    }
}

impl Floor {
    /// Reads what was believed before; the folder is made if it is not there.
    pub fn open(store_dir: &Path) -> Result<Self, FloorError> {
        let path = store_dir.join(FILE);
        let failed = |source| FloorError::Io { path: path.clone(), source };
        fs::create_dir_all(store_dir).map_err(failed)?;
        let kept = match fs::read_to_string(&path) {
            Ok(text) => Some(read(&text).ok_or_else(|| FloorError::Unreadable { path: path.clone() })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path, kept })
    }

    /// Lets a registry in, or not. On disk before it counts.
    pub fn admit(&mut self, registry: &Registry) -> Result<(), FloorError> {
        let new = Kept { version: registry.version, digest: registry.digest.to_string() };
        match &self.kept {
            Some(kept) if new == *kept => return Ok(()),
            Some(kept) if new.version < kept.version => {
                let path = self.path.clone();
                return Err(FloorError::Older { found: new.version, kept: kept.version, path });
            }
            Some(kept) if new.version == kept.version => {
                return Err(FloorError::OtherContent { version: new.version, path: self.path.clone() });
            }
            _ => {}
        }
        write(&self.path, &new).map_err(|source| FloorError::Io { path: self.path.clone(), source })?;
        self.kept = Some(new);
        Ok(())
    }
}

fn read(text: &str) -> Option<Kept> {
    let (version, digest) = text.strip_suffix('\n')?.split_once(' ')?;
    let whole = digest.len() == 2 * size_of::<Digest>() && digest.bytes().all(|b| b.is_ascii_hexdigit());
    whole.then_some(Kept { version: version.parse().ok()?, digest: digest.to_owned() })
}

/// Aside and renamed: after a power cut it is the old one or the new one.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let aside = path.with_extension("aside");
    let mut file = File::create(&aside)?;
    writeln!(file, "{} {}", kept.version, kept.digest)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::registry::sample;

    /// A registry as far as it matters here.
    fn registry(version: u64, content: &str) -> Registry {
        sample::registry(version, &format!("# {content}\n"))
    }

    #[test]
    fn an_older_registry_or_another_of_the_same_version_is_refused_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        Floor::open(&store).unwrap().admit(&registry(5, "a")).unwrap();
        let mut restarted = Floor::open(&store).unwrap();
        assert!(matches!(
            restarted.admit(&registry(4, "a")),
            Err(FloorError::Older { found: 4, kept: 5, .. })
        ));
        assert!(matches!(
            restarted.admit(&registry(5, "b")),
            Err(FloorError::OtherContent { version: 5, .. })
        ));
        restarted.admit(&registry(5, "a")).unwrap();
        restarted.admit(&registry(7, "b")).unwrap();
        assert!(matches!(restarted.admit(&registry(6, "a")), Err(FloorError::Older { .. })));
        let mut again = Floor::open(&store).unwrap();
        assert!(matches!(again.admit(&registry(6, "a")), Err(FloorError::Older { kept: 7, .. })));
    }

    #[test]
    fn a_file_that_cannot_be_read_lets_nothing_in() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "5", "5 abc\n", "x 00\n"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            assert!(matches!(Floor::open(dir.path()), Err(FloorError::Unreadable { .. })), "{text:?}");
        }
    }
}
