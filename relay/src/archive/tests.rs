//! What a folder of segments gives back, and that whatever is done to it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use super::{
    anchor::{self, Anchor},
    chain::{self, Chain, ChainError},
    segment::{self, Header, Record, SegmentError, Writer},
};

const STREAM: &str = "INGEST";

fn record(sequence: u64) -> Record {
    Record {
        sequence,
        stored: "2026-11-21T12:00:00Z".parse().unwrap(),
        subject: "ingest.v1.release.zz.zz0010000".into(),
        headers: vec![("Nats-Msg-Id".into(), format!("id.{sequence}"))],
        payload: vec![sequence as u8; 100],
    }
}

/// A chain of segments with these sequences.
fn written(dir: &Path, segments: &[&[u64]]) -> Vec<PathBuf> {
    let instance = "zz-test".parse().unwrap();
    let mut chain = Chain::open(dir, &instance, STREAM).unwrap();
    let mut files = Vec::new();
    for sequences in segments {
        let header = Header {
            instance: instance.clone(),
            stream: STREAM.into(),
            stream_created: "2026-11-01T00:00:00Z".parse().unwrap(),
            day: "2026-11-21".parse().unwrap(),
            first: sequences[0],
            previous: chain.last_sha256(),
        };
        let mut writer = Writer::begin(&chain.folder(), header).unwrap();
        for &sequence in *sequences {
            writer.put(&record(sequence)).unwrap();
        }
        chain.push(writer.finish().unwrap());
        files.push(chain.last().unwrap().file.clone());
    }
    files
}

fn verify(dir: &Path) -> Result<(chain::Whole, Vec<Record>), ChainError> {
    let mut records = Vec::new();
    let whole = chain::verify(dir, &"zz-test".parse().unwrap(), STREAM, |record| records.push(record))?;
    Ok((whole, records))
}

#[test]
fn what_was_put_in_comes_out_and_gaps_are_named() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[&[3, 4, 6], &[9, 10]]);
    let (whole, records) = verify(dir.path()).unwrap();
    assert_eq!((whole.first(), whole.last(), whole.records), (Some(3), Some(10), 5));
    assert_eq!(whole.gaps, [(5, 5), (7, 8)]);
    assert_eq!(records, [3, 4, 6, 9, 10].map(record));
}

#[test]
fn a_segment_cut_anywhere_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &[&[1, 2, 3]]).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    for length in 0..bytes.len() - 1 {
        std::fs::write(&file, &bytes[..length]).unwrap();
        assert!(matches!(segment::read(&file, |_| ()), Err(SegmentError::Torn { .. })), "{length} bytes");
    }
}

#[test]
fn any_changed_byte_shows() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path(), &[&[1, 2], &[3]]);
    let bytes = std::fs::read(&files[0]).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&files[0], &changed).unwrap();
        assert!(verify(dir.path()).is_err(), "byte {at}");
    }
}

#[test]
fn a_segment_taken_out_or_written_again_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path(), &[&[1], &[2], &[3]]);
    let second = std::fs::read(&files[1]).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    assert!(matches!(verify(dir.path()), Err(ChainError::Broken { .. })));
    std::fs::write(&files[1], second).unwrap();
    assert!(verify(dir.path()).is_ok());
    // The same message with another payload, sealed as properly as the first time.
    let other = tempfile::tempdir().unwrap();
    let forged = written(other.path(), &[&[2]]).remove(0);
    std::fs::copy(forged, &files[1]).unwrap();
    assert!(matches!(verify(dir.path()), Err(ChainError::Broken { .. })));
}

#[test]
fn a_half_written_segment_is_begun_anew_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[&[1, 2]]);
    std::fs::write(dir.path().join(STREAM).join("2026-11-21.00000000000000000003.part"), b"{\"half").unwrap();
    written(dir.path(), &[&[3, 4]]);
    let (whole, records) = verify(dir.path()).unwrap();
    assert_eq!((whole.records, records.len(), whole.gaps.len()), (4, 4, 0));
}

#[test]
fn a_folder_of_another_instance_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[&[1]]);
    let other = Chain::open(dir.path(), &"zz-other".parse().unwrap(), STREAM);
    assert!(matches!(other, Err(ChainError::Broken { .. })));
}

/// An archive with so many segments in INGEST and RECEIPTS, its anchor written after each of them.
fn anchored(dir: &Path, segments: u64) {
    let instance = "zz-test".parse().unwrap();
    let (mut anchor, adopted) = Anchor::open(dir, &instance).unwrap();
    assert!(!adopted);
    for n in 1..=segments {
        for stream in ["INGEST", "RECEIPTS"] {
            let mut chain = Chain::open(dir, &instance, stream).unwrap();
            anchor.judge_open(&chain, stream).unwrap();
            chain.push(segment(&chain, stream, n));
            anchor.set(stream, chain.end()).unwrap();
        }
    }
}

fn segment(chain: &Chain, stream: &str, sequence: u64) -> segment::Segment {
    let header = Header {
        instance: "zz-test".parse().unwrap(),
        stream: stream.into(),
        stream_created: "2026-11-01T00:00:00Z".parse().unwrap(),
        day: "2026-11-21".parse().unwrap(),
        first: sequence,
        previous: chain.last_sha256(),
    };
    let mut writer = Writer::begin(&chain.folder(), header).unwrap();
    writer.put(&record(sequence)).unwrap();
    writer.finish().unwrap()
}

/// What a restore, and what the next archiving would say of the stream.
fn judged(dir: &Path, stream: &str) -> (Result<(), ChainError>, Result<(), ChainError>) {
    let instance = "zz-test".parse().unwrap();
    let anchor = Anchor::read(dir, &instance).unwrap().unwrap();
    let whole = chain::verify(dir, &instance, stream, |_| ()).unwrap();
    let chain = Chain::open(dir, &instance, stream).unwrap();
    (anchor.judge(stream, &whole), anchor.judge_open(&chain, stream))
}

fn files(dir: &Path, stream: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join(stream)).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_tail_that_was_cut_off_and_a_folder_that_was_emptied_are_named() {
    let dir = tempfile::tempdir().unwrap();
    anchored(dir.path(), 3);
    for stream in ["INGEST", "RECEIPTS", "ANSWERS"] {
        assert!(matches!(judged(dir.path(), stream), (Ok(()), Ok(()))), "{stream}");
    }
    std::fs::remove_file(&files(dir.path(), "INGEST")[2]).unwrap();
    let (restore, archive) = judged(dir.path(), "INGEST");
    assert!(matches!(restore, Err(ChainError::Cut { segments: 3, last: 3, there: 2, .. })), "{restore:?}");
    assert!(matches!(archive, Err(ChainError::Cut { there: 2, .. })), "{archive:?}");
    files(dir.path(), "RECEIPTS").iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let (restore, archive) = judged(dir.path(), "RECEIPTS");
    assert!(matches!(restore, Err(ChainError::Cut { there: 0, .. })), "{restore:?}");
    assert!(matches!(archive, Err(ChainError::Cut { there: 0, .. })), "{archive:?}");
}

#[test]
fn a_crash_between_segment_and_anchor_leaves_an_archive_that_is_restored_and_continued() {
    let instance = "zz-test".parse().unwrap();
    for before in [0, 2] {
        let dir = tempfile::tempdir().unwrap();
        anchored(dir.path(), before);
        let mut chain = Chain::open(dir.path(), &instance, STREAM).unwrap();
        chain.push(segment(&chain, STREAM, before + 1));
        // Half an anchor beside it, too.
        std::fs::write(dir.path().join("anchor.part"), b"{").unwrap();
        assert!(matches!(judged(dir.path(), STREAM), (Ok(()), Ok(()))), "{before}");
        let (mut anchor, adopted) = Anchor::open(dir.path(), &instance).unwrap();
        assert!(!adopted);
        anchor.set(STREAM, chain.end()).unwrap();
        assert_eq!(Anchor::read(dir.path(), &instance).unwrap().unwrap().end(STREAM).last, before + 1);
    }
}

#[test]
fn a_tail_that_was_written_again_is_named_though_its_chain_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    anchored(dir.path(), 2);
    let instance = "zz-test".parse().unwrap();
    std::fs::remove_file(&files(dir.path(), "INGEST")[1]).unwrap();
    let mut chain = Chain::open(dir.path(), &instance, STREAM).unwrap();
    chain.push(segment(&chain, STREAM, 7));
    chain.push(segment(&chain, STREAM, 8));
    let (restore, archive) = judged(dir.path(), STREAM);
    assert!(matches!(restore, Err(ChainError::Replaced { segment: 2, .. })), "{restore:?}");
    assert!(matches!(archive, Err(ChainError::Replaced { segment: 2, .. })), "{archive:?}");
}

#[test]
fn a_folder_of_before_is_taken_up_as_it_is_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &[&[1, 2], &[3]]);
    let instance = "zz-test".parse().unwrap();
    assert!(Anchor::read(dir.path(), &instance).unwrap().is_none());
    let (anchor, adopted) = Anchor::open(dir.path(), &instance).unwrap();
    assert!(adopted);
    assert_eq!((anchor.end(STREAM).segments, anchor.end(STREAM).last), (2, 3));
}

#[test]
fn an_anchor_with_any_byte_changed_or_cut_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    anchored(dir.path(), 1);
    let instance = "zz-test".parse().unwrap();
    let file = dir.path().join(anchor::FILE);
    let bytes = std::fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        for wrong in [changed.as_slice(), &bytes[..at]] {
            std::fs::write(&file, wrong).unwrap();
            assert!(
                matches!(Anchor::read(dir.path(), &instance), Err(ChainError::Anchor { .. })),
                "byte {at}"
            );
        }
    }
}
