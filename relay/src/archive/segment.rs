//! One segment: consecutive messages of one stream and one UTC day, as JSON lines that any tool can read.
//!
//! The first line is the header (instance, stream, day, first sequence, SHA-256 of the segment before). Then one line per
//! message: sequence, the broker's time, subject, headers, payload in base64. The last line is the end: how many, the last
//! sequence, and the SHA-256 over every byte before it. A segment is written aside, synced and renamed: a file without its
//! end, or whose bytes do not give its hash, is torn or was changed.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use data_encoding::{BASE64, HEXLOWER};
use jiff::{Timestamp, civil::Date};
use sallyport_proto::{envelope::Digest, ids::InstanceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of this format.
const FORMAT: u32 = 1;
/// A line longer than this is none of ours: the largest message in base64, with room for subject and headers.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// What a segment says of itself before its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The relay network.
    pub instance: InstanceId,
    /// Which stream.
    pub stream: String,
    /// When that stream was made: another one of the same name is another stream.
    pub stream_created: Timestamp,
    /// UTC.
    pub day: Date,
    /// Its first sequence.
    pub first: u64,
    /// SHA-256 of the segment before, in hex; none for the first.
    pub previous: Option<String>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// In the stream.
    pub sequence: u64,
    /// By the broker's clock.
    pub stored: Timestamp,
    /// As it was published.
    pub subject: String,
    /// As they came.
    pub headers: Vec<(String, String)>,
    /// Original bytes.
    pub payload: Vec<u8>,
}

/// A segment that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies.
    pub file: PathBuf,
    /// Its header.
    pub header: Header,
    /// Messages in it; at least one.
    pub records: u64,
    /// Its last sequence.
    pub last: u64,
    /// Subject of the last message.
    pub last_subject: String,
    /// SHA-256 of the last payload.
    pub last_payload: Digest,
    /// Of everything before the end line, in hex.
    pub sha256: String,
}

/// Why a segment is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The file system.
    #[error("{}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was not finished, or was changed since.
    #[error("{} is torn or was changed: {why}", file.display())]
    Torn {
        /// Which.
        file: PathBuf,
        /// What does not fit.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Header {
        sallyport_archive: u32,
        instance: InstanceId,
        stream: String,
        stream_created: Timestamp,
        day: Date,
        first: u64,
        previous: Option<String>,
    },
    Record {
        seq: u64,
        time: Timestamp,
        subject: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
        payload: String,
    },
    End {
        end: u64,
        records: u64,
        sha256: String,
    },
}

/// Writes one segment aside.
pub struct Writer {
    out: BufWriter<File>,
    aside: PathBuf,
    hash: Sha256,
    segment: Segment,
}

impl Writer {
    /// Begins a segment in `folder`; a half-written one of the same name is begun anew.
    pub fn begin(folder: &Path, header: Header) -> Result<Self, SegmentError> {
        let file = folder.join(format!("{}.{:020}.jsonl", header.day, header.first));
        let aside = file.with_extension("part");
        let out = private(&aside).map_err(|source| SegmentError::File { file: aside.clone(), source })?;
        let line = Line::Header {
            sallyport_archive: FORMAT,
            instance: header.instance.clone(),
            stream: header.stream.clone(),
            stream_created: header.stream_created,
            day: header.day,
            first: header.first,
            previous: header.previous.clone(),
        };
        let segment = Segment {
            file,
            records: 0,
            last: 0,
            last_subject: String::new(),
            last_payload: Digest::of(&[]),
            sha256: String::new(),
            header,
        };
        let mut writer = Self { out: BufWriter::new(out), aside, hash: Sha256::new(), segment };
        writer.line(&line)?;
        Ok(writer)
    }

    /// Appends a message.
    pub fn put(&mut self, record: &Record) -> Result<(), SegmentError> {
        self.segment.records += 1;
        self.segment.last = record.sequence;
        self.segment.last_subject.clone_from(&record.subject);
        self.segment.last_payload = Digest::of(&record.payload);
        self.line(&Line::Record {
            seq: record.sequence,
            time: record.stored,
            subject: record.subject.clone(),
            headers: record.headers.clone(),
            payload: BASE64.encode(&record.payload),
        })
    }

    /// Ends it: synced, then under its name, then the folder synced. Only from then on it exists.
    pub fn finish(mut self) -> Result<Segment, SegmentError> {
        self.segment.sha256 = HEXLOWER.encode(&self.hash.clone().finalize());
        let end = Line::End {
            end: self.segment.last,
            records: self.segment.records,
            sha256: self.segment.sha256.clone(),
        };
        self.line(&end)?;
        let failed = |source| SegmentError::File { file: self.aside.clone(), source };
        self.out.flush().map_err(failed)?;
        self.out.get_ref().sync_all().map_err(failed)?;
        fs::rename(&self.aside, &self.segment.file).map_err(failed)?;
        let folder = self.segment.file.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(self.segment)
    }

    fn line(&mut self, line: &Line) -> Result<(), SegmentError> {
        let failed = |source| SegmentError::File { file: self.aside.clone(), source };
        let mut bytes = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        self.hash.update(&bytes);
        self.out.write_all(&bytes).map_err(failed)
    }
}

/// Person data may be in it: for its owner alone.
pub(super) fn private(file: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Reads a whole segment, checks every byte against its hash, and gives each message to `each`. What is given is to be
/// believed only once this has returned: the hash comes last.
pub fn read(file: &Path, mut each: impl FnMut(Record)) -> Result<Segment, SegmentError> {
    let torn = |why: &str| SegmentError::Torn { file: file.to_owned(), why: why.to_owned() };
    let failed = |source| SegmentError::File { file: file.to_owned(), source };
    // A pipe would be waited for, for ever.
    if !fs::symlink_metadata(file).map_err(failed)?.is_file() {
        return Err(torn("it is no regular file"));
    }
    let mut input = BufReader::new(File::open(file).map_err(failed)?);
    let mut hash = Sha256::new();
    let mut segment: Option<Segment> = None;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let most = LINE_BYTES_MAX as u64 + 1;
        input.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(failed)?;
        if bytes.is_empty() {
            return Err(torn("it has no end"));
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Err(torn("a line is longer than any message"));
        }
        let line: Line = serde_json::from_slice(&bytes).map_err(|_| torn("a line cannot be read"))?;
        match (line, &mut segment) {
            (
                Line::Header { sallyport_archive, instance, stream, stream_created, day, first, previous },
                None,
            ) => {
                if sallyport_archive != FORMAT {
                    return Err(torn("it is of another format"));
                }
                let header = Header { instance, stream, stream_created, day, first, previous };
                segment = Some(Segment {
                    file: file.to_owned(),
                    header,
                    records: 0,
                    last: 0,
                    last_subject: String::new(),
                    last_payload: Digest::of(&[]),
                    sha256: String::new(),
                });
            }
            (Line::Record { seq, time, subject, headers, payload }, Some(segment)) => {
                let payload =
                    BASE64.decode(payload.as_bytes()).map_err(|_| torn("a payload is no base64"))?;
                if seq == u64::MAX {
                    return Err(torn("no stream gives such a sequence"));
                }
                if seq <= segment.last {
                    return Err(torn("its sequences do not ascend"));
                }
                if segment.records == 0 && seq != segment.header.first {
                    return Err(torn("its first sequence is not the one it names"));
                }
                segment.records += 1;
                segment.last = seq;
                segment.last_subject.clone_from(&subject);
                segment.last_payload = Digest::of(&payload);
                each(Record { sequence: seq, stored: time, subject, headers, payload });
            }
            (Line::End { end, records, sha256 }, Some(whole)) => {
                let computed = HEXLOWER.encode(&hash.finalize());
                if computed != sha256 || records != whole.records || end != whole.last || records == 0 {
                    return Err(torn("its bytes do not give the hash it states"));
                }
                let mut rest = [0];
                if std::io::Read::read(&mut input, &mut rest).map_err(failed)? != 0 {
                    return Err(torn("it goes on after its end"));
                }
                whole.sha256 = sha256;
                return segment.ok_or_else(|| torn("it has no header"));
            }
            _ => return Err(torn("a line stands where it may not")),
        }
        hash.update(&bytes);
    }
}
