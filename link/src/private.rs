//! What a program writes is its owner's alone: stores, notice files, bundles and logs hold person data.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use nix::sys::stat::{Mode, umask};

/// From now on nobody else may read or write what this process makes, nor what the commands it starts make. First of all
/// in `main`: whatever was made before is as the caller's mask had it.
pub fn files() {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
}

/// Lets everybody read a file that holds nothing secret: a signature, a server's configuration of public keys.
pub fn share(file: &Path) -> io::Result<()> {
    std::fs::set_permissions(file, Permissions::from_mode(0o644))
}

/// Whether others than its owner may read or write a file. Not so where that cannot be found out.
pub fn is_open_to_others(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_made_is_the_owners_alone_until_it_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        files();
        std::fs::write(&file, "x").unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(!is_open_to_others(&file) && !is_open_to_others(&dir.path().join("folder")));
        share(&file).unwrap();
        assert!(is_open_to_others(&file));
        assert!(!is_open_to_others(&dir.path().join("nothing")));
    }
}
