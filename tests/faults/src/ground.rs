//! What a world stands on, as far as the machine permits: small file systems that can be full, and one that forgets what
//! was not synced when the power goes. Both need the right to mount; where it is missing that is said, never passed over:
//! full disks then are stores that refuse to grow (`Disks::Refusing`), and a power cut is left out.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

/// Set, whatever it says: nothing is mounted, as if it were not permitted.
pub const NO_MOUNT: &str = "SALLYPORT_NO_MOUNT";
/// What a small file system may hold while it is not full.
const ROOM: &str = "256m";
/// The image of a whole machine; sparse.
const IMAGE_BYTES: u64 = 1 << 30;
/// A size may be taken by the program that is being stopped while it is set.
const TRIES: usize = 20;

/// A small file system of its own under one folder. Dropped: taken away.
#[derive(Debug)]
pub struct Volume {
    dir: PathBuf,
}

impl Volume {
    /// Mounts one over `dir`, which is made.
    pub fn mount(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={ROOM}"), "sallyport-faults"])
            .arg(dir))?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// From now on no byte more fits.
    pub fn fill(&self) -> Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            let used = run(Command::new("df").args(["--output=used", "-B1"]).arg(&self.dir))?;
            let used = used.lines().last().context("df says something")?.trim().to_owned();
            match self.resize(&used) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("never tried")))
    }

    /// There is room again.
    pub fn free(&self) -> Result<()> {
        self.resize(ROOM)
    }

    fn resize(&self, size: &str) -> Result<()> {
        run(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.dir)).map(drop)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still hold a file.
        let _ = run(Command::new("umount").arg("-l").arg(&self.dir));
    }
}

/// A machine's disk: a file system in a file. What was not synced is not in the file yet, so that a copy of the file is
/// what a power cut leaves. Dropped: taken away.
#[derive(Debug)]
pub struct Machine {
    image: PathBuf,
    dir: PathBuf,
    cuts: usize,
    next: Option<PathBuf>,
}

impl Machine {
    /// Makes the image beside `dir` and mounts it there.
    pub fn mount(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let image = dir.with_extension("img");
        let file = std::fs::File::create(&image).context("make the image")?;
        file.set_len(IMAGE_BYTES).context("size the image")?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let machine = Self { image, dir: dir.to_owned(), cuts: 0, next: None };
        machine.attach()?;
        Ok(machine)
    }

    /// Everything written so far is on the disk: the moment the machine was set up.
    pub fn sync(&self) -> Result<()> {
        run(Command::new("sync").arg("-f").arg(&self.dir)).map(drop)
    }

    /// The moment of a power cut: sets aside what has reached the disk by now. Everything that writes was stopped.
    pub fn keep_what_reached_the_disk(&mut self) -> Result<()> {
        self.cuts += 1;
        let left = self.image.with_extension(format!("{}.img", self.cuts));
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(&left))?;
        self.next = Some(left);
        Ok(())
    }

    /// The power is back: the disk holds what was set aside, and no more. Nothing may run on it.
    pub fn come_back(&mut self) -> Result<()> {
        let left = self.next.take().context("no power cut before")?;
        run(Command::new("umount").arg(&self.dir))?;
        std::fs::remove_file(&self.image).context("remove the old image")?;
        self.image = left;
        self.attach()
    }

    fn attach(&self) -> Result<()> {
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.dir)).map(drop)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.dir));
        let _ = std::fs::remove_file(&self.image);
    }
}

/// Whether this machine lets us mount at all, and if not, what it says.
pub fn may_mount() -> Result<()> {
    ensure!(std::env::var_os(NO_MOUNT).is_none(), "{NO_MOUNT} is set");
    let dir = tempfile::tempdir().context("make a folder")?;
    Volume::mount(&dir.path().join("tried")).map(drop)
}

/// Takes away what runs that were killed have left mounted.
pub fn sweep(prefix: &str) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for dir in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        let name =
            Path::new(dir).components().find_map(|part| part.as_os_str().to_str()?.strip_prefix(prefix));
        let owner = name.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = run(Command::new("umount").arg("-l").arg(dir));
        }
    }
}

fn run(command: &mut Command) -> Result<String> {
    let done = match command.output() {
        Ok(done) => done,
        Err(error) => bail!("{command:?}: {error}"),
    };
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?}: {}: {}", done.status, said.trim());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
