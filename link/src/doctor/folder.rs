//! Whether a folder is a place for what must not be lost: it stays over a restart, has room, and is its owner's alone.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use nix::sys::{statfs, statvfs};

use super::{Code, Finding};

/// Folders that a restart, or a timer that tidies up, empties.
const TEMPORARY: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run"];
/// Memory under a mount point; nix has no name for it (linux/magic.h).
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// From here on a person has days to make room: a backlog of the longest outage still has to fit.
const FILLING_PERCENT: u64 = 80;
/// From here on one large export, one log or one compaction of a database ends it.
const FULL_PERCENT: u64 = 95;

/// What lies under a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Something that stays.
    Disk,
    /// Gone at a restart.
    Memory,
    /// The writable layer of a container: gone when the container is made again.
    Overlay,
    /// Another machine's disk.
    Network,
}

/// What was seen of a folder, or of the nearest one above it that is there.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Without links.
    pub path: PathBuf,
    /// What it lies on.
    pub ground: Ground,
    /// How full that is, as `df` counts.
    pub used_percent: u64,
    /// All that fits there.
    pub disk_bytes: u64,
    /// Permission bits, if the folder itself is there.
    pub mode: Option<u32>,
}

/// Looks at a folder. It need not be there yet: a program makes it where its parent is.
pub fn look(dir: &Path) -> io::Result<Folder> {
    let dir = std::path::absolute(dir)?;
    let there = dir.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let rest = dir.strip_prefix(there).unwrap_or(Path::new(""));
    let there = there.canonicalize()?;
    let room = statvfs::statvfs(&there)?;
    let used = room.blocks().saturating_sub(room.blocks_free());
    let for_us = used + room.blocks_available();
    Ok(Folder {
        ground: ground(statfs::statfs(&there)?.filesystem_type()),
        used_percent: (used * 100).checked_div(for_us).unwrap_or(100),
        disk_bytes: for_us * room.fragment_size(),
        mode: if rest.as_os_str().is_empty() { Some(there.metadata()?.mode()) } else { None },
        path: there.join(rest),
    })
}

fn ground(kind: statfs::FsType) -> Ground {
    match kind {
        statfs::TMPFS_MAGIC => Ground::Memory,
        other if i128::from(other.0) == i128::from(RAMFS_MAGIC) => Ground::Memory,
        statfs::OVERLAYFS_SUPER_MAGIC => Ground::Overlay,
        statfs::NFS_SUPER_MAGIC | statfs::SMB_SUPER_MAGIC => Ground::Network,
        _ => Ground::Disk,
    }
}

/// The folder that is emptied, if `path` lies in one. By its name alone: it may be on another machine.
pub fn temporary(path: &Path) -> Option<&'static str> {
    let plain = !path.components().any(|part| part == Component::ParentDir);
    TEMPORARY.into_iter().find(|dir| plain && path.starts_with(dir))
}

/// What is wrong with the ground under a folder and the room on it. `what`: "the store".
pub fn judge_ground(what: &str, folder: &Folder) -> Vec<Finding> {
    let mut found = Vec::new();
    let path = folder.path.display();
    let move_it = format!("stop the program, move {what} to a disk that stays, and set its path");
    match (temporary(&folder.path), folder.ground) {
        (_, Ground::Memory) => found.push(Finding::unsafe_(
            Code::StoreTemporary,
            format!("{what} {path} lies in memory: it is gone after a restart"),
            move_it,
        )),
        (Some(dir), _) => found.push(Finding::unsafe_(
            Code::StoreTemporary,
            format!("{what} {path} lies in {dir}, which is emptied at a restart or by a timer"),
            move_it,
        )),
        (None, Ground::Overlay) => found.push(Finding::warning(
            Code::StoreOverlay,
            format!("{what} {path} lies in a container's own layer: it goes with the container"),
            "mount a volume there",
        )),
        (None, Ground::Network) => found.push(Finding::warning(
            Code::StoreNetwork,
            format!("{what} {path} lies on a network share, whose locks and syncs cannot be relied upon"),
            move_it,
        )),
        (None, Ground::Disk) => {}
    }
    let used = folder.used_percent;
    let make_room =
        "make room, or move it to a larger disk; nothing that the programs hold may be deleted by hand";
    let text = format!("the disk under {what} {path} is {used} % full");
    if used >= FULL_PERCENT {
        found.push(Finding::unsafe_(Code::DiskFull, text, make_room));
    } else if used >= FILLING_PERCENT {
        found.push(Finding::warning(Code::DiskFilling, text, make_room));
    }
    found
}

/// Whether others on this machine may enter a folder that holds person data.
pub fn judge_privacy(what: &str, folder: &Folder) -> Option<Finding> {
    let mode = folder.mode? & 0o777;
    (mode & 0o077 != 0).then(|| {
        let path = folder.path.display();
        Finding::unsafe_(
            Code::StoreOpen,
            format!("others on this machine can enter {what} {path} (mode {mode:o})"),
            format!("chmod 700 {path}"),
        )
    })
}

/// Everything about a folder of ours that holds what must not be lost or read by others.
pub fn look_and_judge(what: &str, dir: &Path) -> Vec<Finding> {
    match look(dir) {
        Ok(folder) => judge_ground(what, &folder).into_iter().chain(judge_privacy(what, &folder)).collect(),
        Err(error) => vec![Finding::not_seen(
            Code::NoAnswer,
            format!("{what} {} cannot be looked at: {error}", dir.display()),
            "run `check` as the user that runs the program",
        )],
    }
}

/// Whoever writes into a drop folder states releases of this jail.
pub fn look_at_drop(dir: &Path) -> Option<Finding> {
    let folder = look(dir).ok()?;
    let mode = folder.mode? & 0o777;
    let path = folder.path.display();
    (mode & 0o002 != 0).then(|| {
        Finding::unsafe_(
            Code::DropFolderOpen,
            format!("anybody on this machine can put an export into {path} (mode {mode:o})"),
            format!("chmod o-w {path}; give the jail system's user access by a group"),
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    fn folder(path: &str, ground: Ground, used_percent: u64) -> Folder {
        Folder { path: path.into(), ground, used_percent, disk_bytes: 1, mode: None }
    }

    fn check(folder: &Folder, codes: &[Code]) {
        let found: Vec<Code> = judge_ground("the store", folder).into_iter().map(|f| f.code).collect();
        assert_eq!(found, codes, "{folder:?}");
    }

    #[test]
    fn a_folder_that_is_emptied_is_found_by_name_and_by_kind() {
        check(&folder("/var/lib/sallyport", Ground::Disk, 50), &[]);
        check(&folder("/tmp/x", Ground::Disk, 50), &[Code::StoreTemporary]);
        check(&folder("/tmpx", Ground::Disk, 50), &[]);
        check(&folder("/var/tmp/x", Ground::Disk, 50), &[Code::StoreTemporary]);
        check(&folder("/srv/x", Ground::Memory, 50), &[Code::StoreTemporary]);
        check(&folder("/srv/x", Ground::Overlay, 50), &[Code::StoreOverlay]);
        check(&folder("/srv/x", Ground::Network, 50), &[Code::StoreNetwork]);
    }

    #[test]
    fn a_disk_is_named_before_it_is_full_and_when_it_is() {
        check(&folder("/srv/x", Ground::Disk, 79), &[]);
        check(&folder("/srv/x", Ground::Disk, 80), &[Code::DiskFilling]);
        check(&folder("/srv/x", Ground::Disk, 95), &[Code::DiskFull]);
    }

    #[test]
    fn a_store_that_is_not_made_yet_is_judged_by_the_place_it_will_have() {
        let seen = look(Path::new("/dev/shm/sallyport-not-made/store")).unwrap();
        assert_eq!((seen.ground, seen.mode), (Ground::Memory, None));
        check(&seen, &[Code::StoreTemporary]);
    }

    #[test]
    fn a_link_into_a_temporary_folder_is_followed() {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/shm", &link).unwrap();
        assert!(look(&link.join("store")).unwrap().path.starts_with("/dev/shm"));
    }

    #[test]
    fn a_folder_that_others_may_enter_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |mode| std::fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let found = || judge_privacy("the store", &look(dir.path()).unwrap()).map(|f| f.code);
        mode(0o700);
        assert_eq!((found(), look_at_drop(dir.path())), (None, None));
        mode(0o750);
        assert_eq!((found(), look_at_drop(dir.path())), (Some(Code::StoreOpen), None));
        mode(0o777);
        assert_eq!(look_at_drop(dir.path()).unwrap().code, Code::DropFolderOpen);
    }
}
