//! Where each stream's chain of segments ends, kept beside the segments: a chain shows what is missing inside, never that
//! its end was cut off or that its folder was emptied.
//!
//! It is written before the first segment, with nothing in it, and again after every segment: synced aside, renamed. A
//! crash in between leaves a segment more than it names, which is accepted because the segment continues the chain; one
//! less never comes about by itself. It guards against accidents (a copy that was cut short, a folder that was cleaned, a
//! disk that lost files), not against somebody who writes both: keep a copy of the file elsewhere for that.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use sallyport_proto::ids::InstanceId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    STREAMS,
    chain::{Chain, ChainError, Whole},
    segment,
};

/// The name of the file in an archive's folder.
pub const FILE: &str = "anchor.json";
/// Version of this format.
const FORMAT: u32 = 1;

/// The end of one stream's chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many segments there are.
    pub segments: u64,
    /// The last sequence in them; 0 for none.
    pub last: u64,
    /// SHA-256 of the last segment, in hex; none while there is none.
    pub sha256: Option<String>,
}

/// The ends of all streams of an archive.
#[derive(Debug)]
pub struct Anchor {
    file: PathBuf,
    body: Body,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Body {
    sallyport_archive_anchor: u32,
    instance: InstanceId,
    streams: BTreeMap<String, End>,
}

impl Anchor {
    /// What lies in the archive's folder; none in a folder of before there were anchors, or in an empty one.
    pub fn read(folder: &Path, instance: &InstanceId) -> Result<Option<Self>, ChainError> {
        let file = folder.join(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                return Err(wrong(&file, "it is no text"));
            }
            Err(source) => return Err(ChainError::Folder { folder: file, source }),
        };
        let (line, sum) = text.split_once('\n').ok_or_else(|| wrong(&file, "it has no end"))?;
        if sum.strip_suffix('\n') != Some(sum_of(line).as_str()) {
            return Err(wrong(&file, "its bytes do not give the hash it states"));
        }
        let body: Body = serde_json::from_str(line).map_err(|_| wrong(&file, "it cannot be read"))?;
        if body.sallyport_archive_anchor != FORMAT {
            return Err(wrong(&file, "it is of another format"));
        }
        if body.instance != *instance {
            return Err(wrong(&file, &format!("it is of instance {}", body.instance)));
        }
        if let Some(absent) = STREAMS.iter().find(|stream| !body.streams.contains_key(**stream)) {
            return Err(wrong(&file, &format!("it says nothing of {absent}")));
        }
        Ok(Some(Self { file, body }))
    }

    /// The same, to go on with: a new folder gets one before any segment. Also says whether segments were there and no
    /// anchor: then what is there now is believed.
    pub fn open(folder: &Path, instance: &InstanceId) -> Result<(Self, bool), ChainError> {
        if let Some(anchor) = Self::read(folder, instance)? {
            return Ok((anchor, false));
        }
        let mut streams = BTreeMap::new();
        for stream in STREAMS {
            streams.insert(stream.to_owned(), Chain::open(folder, instance, stream)?.end());
        }
        let adopted = streams.values().any(|end| end.segments > 0);
        let body = Body { sallyport_archive_anchor: FORMAT, instance: instance.clone(), streams };
        let anchor = Self { file: folder.join(FILE), body };
        anchor.write()?;
        Ok((anchor, adopted))
    }

    /// Where `stream` ends.
    pub fn end(&self, stream: &str) -> End {
        self.body.streams.get(stream).cloned().unwrap_or_default()
    }

    /// Notes how far a chain has come: call it after each segment.
    pub fn set(&mut self, stream: &str, end: End) -> Result<(), ChainError> {
        if self.end(stream) != end {
            self.body.streams.insert(stream.to_owned(), end);
            self.write()?;
        }
        Ok(())
    }

    /// Whether a chain that was read whole comes at least as far as it once did.
    pub fn judge(&self, stream: &str, whole: &Whole) -> Result<(), ChainError> {
        let end = self.end(stream);
        let at = usize::try_from(end.segments).unwrap_or(usize::MAX).checked_sub(1);
        let there = whole.segments.len() as u64;
        reaches(stream, &end, there, at.and_then(|at| whole.segments.get(at)).map(|one| one.sha256.clone()))
    }

    /// The same of a chain that is to be continued.
    pub fn judge_open(&self, chain: &Chain, stream: &str) -> Result<(), ChainError> {
        let end = self.end(stream);
        let at = usize::try_from(end.segments).unwrap_or(usize::MAX).checked_sub(1);
        let there = chain.end().segments;
        let sha256 = match at.and_then(|at| chain.files().get(at)) {
            Some(_) if there == end.segments => chain.last_sha256(),
            Some(file) => Some(segment::read(file, |_| ())?.sha256),
            None => None,
        };
        reaches(stream, &end, there, sha256)
    }

    fn write(&self) -> Result<(), ChainError> {
        let failed = |source| ChainError::Folder { folder: self.file.clone(), source };
        let line = serde_json::to_string(&self.body).map_err(|error| failed(error.into()))?;
        let aside = self.file.with_extension("part");
        let mut out = segment::private(&aside).map_err(failed)?;
        out.write_all(format!("{line}\n{}\n", sum_of(&line)).as_bytes()).map_err(failed)?;
        out.sync_all().map_err(failed)?;
        fs::rename(&aside, &self.file).map_err(failed)?;
        let folder = self.file.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// `sha256`: of the segment at the place of the last one that the anchor names.
fn reaches(stream: &str, end: &End, there: u64, sha256: Option<String>) -> Result<(), ChainError> {
    let stream = stream.to_owned();
    if there < end.segments {
        return Err(ChainError::Cut { stream, segments: end.segments, last: end.last, there });
    }
    if sha256 != end.sha256 {
        return Err(ChainError::Replaced { stream, segment: end.segments });
    }
    Ok(())
}

fn wrong(file: &Path, why: &str) -> ChainError {
    ChainError::Anchor { file: file.to_owned(), why: why.to_owned() }
}

fn sum_of(line: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(line.as_bytes()))
}
