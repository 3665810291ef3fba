//! What a folder of segments gives back, and that whatever is done to it shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use super::{
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
