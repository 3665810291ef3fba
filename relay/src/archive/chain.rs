//! The segments of one stream in a folder, in order, each naming the hash of the one before: none can be taken out,
//! changed or put in without it showing. That its end was cut off shows against the `anchor`.

use std::path::{Path, PathBuf};

use sallyport_proto::ids::InstanceId;

use super::{
    anchor::End,
    segment::{self, Record, Segment, SegmentError},
};

/// Why segments are no chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// One segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The folder.
    #[error("cannot use folder {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A segment does not follow the one before.
    #[error("{} does not follow the segment before it: {why}", file.display())]
    Broken {
        /// Which.
        file: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Fewer segments than there were.
    #[error(
        "the end of {stream} was cut off: it had {segments} segments, through sequence {last}, and {there} are here"
    )]
    Cut {
        /// Which stream.
        stream: String,
        /// How many there were.
        segments: u64,
        /// The last sequence in them.
        last: u64,
        /// How many there are.
        there: u64,
    },
    /// Another segment than there was.
    #[error("segment {segment} of {stream} is not the one that was archived")]
    Replaced {
        /// Which stream.
        stream: String,
        /// The how manieth, from 1.
        segment: u64,
    },
    /// What says where the chains end.
    #[error("{} is torn or was changed: {why}", file.display())]
    Anchor {
        /// Which file.
        file: PathBuf,
        /// What does not fit.
        why: String,
    },
}

/// The segments of one stream.
#[derive(Debug)]
pub struct Chain {
    folder: PathBuf,
    files: Vec<PathBuf>,
    last: Option<Segment>,
}

/// A chain that was read from end to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// Every segment, in order.
    pub segments: Vec<Segment>,
    /// Messages in all.
    pub records: u64,
    /// Sequences that are in none of them, between the first and the last; both ends included.
    pub gaps: Vec<(u64, u64)>,
}

impl Whole {
    /// The first sequence, if there is one.
    pub fn first(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.header.first)
    }

    /// The last sequence, if there is one.
    pub fn last(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.last)
    }
}

impl Chain {
    /// The chain of `stream` under `to`, to be continued: its last segment is read and checked.
    pub fn open(to: &Path, instance: &InstanceId, stream: &str) -> Result<Self, ChainError> {
        let folder = to.join(stream);
        let failed = |source| ChainError::Folder { folder: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let files = files(&folder)?;
        let last = files.last().map(|file| segment::read(file, |_| ())).transpose()?;
        if let Some(last) = &last {
            belongs(last, instance, stream)?;
        }
        Ok(Self { folder, files, last })
    }

    /// Where its segments lie.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// The last segment.
    pub fn last(&self) -> Option<&Segment> {
        self.last.as_ref()
    }

    /// The last sequence that it holds; 0 when it is empty.
    pub fn through(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.last)
    }

    /// What the next segment names as the one before.
    pub fn last_sha256(&self) -> Option<String> {
        self.last.as_ref().map(|last| last.sha256.clone())
    }

    /// How far it has come.
    pub fn end(&self) -> End {
        End { segments: self.files.len() as u64, last: self.through(), sha256: self.last_sha256() }
    }

    /// Its segments, in order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Takes in a segment that was just finished.
    pub fn push(&mut self, segment: Segment) {
        self.files.push(segment.file.clone());
        self.last = Some(segment);
    }
}

/// Reads every segment of `stream` under `from` and checks hashes, order and links; gives each message to `each`.
pub fn verify(
    from: &Path,
    instance: &InstanceId,
    stream: &str,
    mut each: impl FnMut(Record),
) -> Result<Whole, ChainError> {
    let mut whole = Whole::default();
    let mut through: Option<u64> = None;
    for file in files(&from.join(stream))? {
        let mut gaps = Vec::new();
        let segment = segment::read(&file, |record| {
            if let Some(last) = through
                && record.sequence > last + 1
            {
                gaps.push((last + 1, record.sequence - 1));
            }
            through = Some(record.sequence);
            each(record);
        })?;
        belongs(&segment, instance, stream)?;
        let before = whole.segments.last();
        let broken = |why: &str| ChainError::Broken { file: file.clone(), why: why.to_owned() };
        if segment.header.previous.as_deref() != before.map(|before| before.sha256.as_str()) {
            return Err(broken(match before {
                None => "it names a segment before it, which is not here",
                Some(_) => "the hash it names is not that segment's",
            }));
        }
        if before.is_some_and(|before| segment.header.first <= before.last) {
            return Err(broken("its sequences begin before that one ends"));
        }
        whole.records += segment.records;
        whole.gaps.append(&mut gaps);
        whole.segments.push(segment);
    }
    Ok(whole)
}

fn belongs(segment: &Segment, instance: &InstanceId, stream: &str) -> Result<(), ChainError> {
    let broken = |why: String| Err(ChainError::Broken { file: segment.file.clone(), why });
    if segment.header.instance != *instance {
        return broken(format!("it is of instance {}", segment.header.instance));
    }
    if segment.header.stream != stream {
        return broken(format!("it is of stream {}", segment.header.stream));
    }
    Ok(())
}

/// Finished segments, in the order of their sequences. What was being written aside is none.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ChainError> {
    let failed = |source| ChainError::Folder { folder: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    // By sequence, not by day: a clock that was put back must not change the order.
    files.sort_by_key(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let sequence = name.split('.').nth(1).and_then(|n| n.parse::<u64>().ok());
        (sequence, name)
    });
    Ok(files)
}
