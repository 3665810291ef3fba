//! A disk that a program writes records to. What is not synced when it crashes is lost from some record on, and the last
//! of what is left may be torn: recovery cuts it off. (The subscribers write to real files instead.)

use crate::chance::Chance;

#[derive(Debug)]
enum Frame<R> {
    Whole(R),
    Torn,
}

/// Survives every life of its program.
#[derive(Debug)]
pub(crate) struct Disk<R> {
    frames: Vec<Frame<R>>,
    synced: usize,
}

impl<R> Disk<R> {
    pub(crate) fn new() -> Self {
        Self { frames: Vec::new(), synced: 0 }
    }

    /// Not safe before `sync`.
    pub(crate) fn write(&mut self, record: R) {
        self.frames.push(Frame::Whole(record));
    }

    pub(crate) fn sync(&mut self) {
        self.synced = self.frames.len();
    }

    /// Of what was not synced some may be there all the same, and the last of it may be torn. True: it is torn.
    pub(crate) fn crash(&mut self, chance: &mut Chance) -> bool {
        let loose = self.frames.len() - self.synced;
        if loose == 0 {
            return false;
        }
        let kept = chance.below(loose as u64 + 1) as usize;
        self.frames.truncate(self.synced + kept);
        let torn = kept < loose && chance.permille(500);
        if torn {
            self.frames.push(Frame::Torn);
        }
        torn
    }

    /// Cuts off what is torn and reads the rest, in order.
    pub(crate) fn recover(&mut self) -> impl Iterator<Item = &R> {
        while matches!(self.frames.last(), Some(Frame::Torn)) {
            self.frames.pop();
        }
        self.sync();
        self.frames.iter().filter_map(|frame| match frame {
            Frame::Whole(record) => Some(record),
            Frame::Torn => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_every_crash_and_nothing_torn_is_read() {
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            let mut disk = Disk::new();
            disk.write(1);
            disk.sync();
            disk.write(2);
            disk.write(3);
            disk.crash(&mut chance);
            let read: Vec<i32> = disk.recover().copied().collect();
            assert!([1, 2, 3].starts_with(&read) && !read.is_empty(), "{read:?}");
        }
    }
}
