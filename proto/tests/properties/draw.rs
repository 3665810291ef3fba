//! Draws checked values from a tape of numbers: any tape gives a valid value, a tape of zeros the plainest one, so that
//! proptest shrinks towards it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_proto::{
    envelope::Digest,
    ids::{CustodyKey, NoticeId, Ori, SubscriberId},
    provenance::{AgreementId, Provenance, TrafficClass},
    redact::Redacted,
    time::{Moment, Window},
    vocabulary::SourceClock,
};

/// Letters of free texts: what encodings and separators stumble over is among them.
const LETTERS: &[char] = &['a', 'Z', '0', ' ', '.', '"', '\n', '\u{0}', 'é', '漢', '🚪'];
const TOKEN_LETTERS: &[char] = &['a', 'z', '0', '9', '_', '-'];
const BASE32_LETTERS: &[char] = &['A', 'Z', '2', '7'];
/// Nearly all that a protobuf timestamp holds, on both sides of 1970.
const SECONDS_MAX: i64 = 62_000_000_000;

/// A tape, and how far it was read. Past its end there are zeros.
pub struct Draw {
    tape: std::vec::IntoIter<u64>,
}

impl Draw {
    pub fn new(tape: Vec<u64>) -> Self {
        Self { tape: tape.into_iter() }
    }

    pub fn number(&mut self) -> u64 {
        self.tape.next().unwrap_or_default()
    }

    pub fn small(&mut self) -> u32 {
        u32::try_from(self.number() >> 32).unwrap()
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    pub fn coin(&mut self) -> bool {
        self.number() % 2 == 1
    }

    pub fn word<T: Copy>(&mut self, words: &[T]) -> T {
        words[self.below(words.len())]
    }

    pub fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.coin().then(|| draw(self))
    }

    pub fn some<T>(&mut self, least: usize, most: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..least + self.below(most - least + 1)).map(|_| draw(self)).collect()
    }

    fn letters(&mut self, from: &[char], least: usize, most: usize) -> String {
        self.some(least, most, |draw| draw.word(from)).into_iter().collect()
    }

    /// Never empty: to proto3 an empty text is an absent one.
    pub fn text(&mut self) -> String {
        self.letters(LETTERS, 1, 12)
    }

    pub fn redacted(&mut self) -> Option<Redacted<String>> {
        self.maybe(|draw| draw.text().into())
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        self.some(0, 40, |draw| draw.number().to_le_bytes()[0])
    }

    pub fn token<T: std::str::FromStr>(&mut self) -> T {
        let text = self.letters(TOKEN_LETTERS, 1, 12);
        text.parse().unwrap_or_else(|_| panic!("{text} is a token"))
    }

    pub fn ori(&mut self) -> Ori {
        self.letters(&['a', 'z', '0', '9'], 9, 9).parse().unwrap()
    }

    pub fn custody(&mut self) -> CustodyKey {
        self.letters(BASE32_LETTERS, 26, 26).parse().unwrap()
    }

    pub fn uuid<T: From<uuid::Uuid>>(&mut self) -> T {
        let bits = u128::from(self.number()) << 64 | u128::from(self.number());
        uuid::Builder::from_u128(bits)
            .with_version(uuid::Version::SortRand)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
            .into()
    }

    pub fn notice(&mut self, ori: &Ori, subscriber: &SubscriberId) -> NoticeId {
        NoticeId::new(ori, &self.uuid(), subscriber)
    }

    pub fn digest(&mut self) -> Digest {
        Digest::of(&self.number().to_le_bytes())
    }

    pub fn timestamp(&mut self) -> Timestamp {
        let second = i64::try_from(self.number() % SECONDS_MAX as u64).unwrap();
        let second = if self.coin() { -second } else { second };
        Timestamp::new(second, i32::try_from(self.below(1_000_000_000)).unwrap()).unwrap()
    }

    pub fn moment(&mut self) -> Moment {
        Moment { at: self.timestamp(), clock: self.word(SourceClock::ALL), uncertainty_s: self.small() }
    }

    pub fn maybe_moment(&mut self) -> Option<Moment> {
        self.maybe(Self::moment)
    }

    /// With at least one end: without there is no window.
    pub fn window(&mut self) -> Window {
        match self.below(3) {
            0 => Window { earliest: Some(self.moment()), latest: None },
            1 => Window { earliest: None, latest: Some(self.moment()) },
            _ => Window { earliest: Some(self.moment()), latest: Some(self.moment()) },
        }
    }

    pub fn provenance(&mut self) -> Provenance {
        Provenance { instance: self.token(), schema_version: 1, build: self.text() }
    }

    pub fn traffic(&mut self) -> TrafficClass {
        match self.below(4) {
            0 => TrafficClass::Actual,
            1 => TrafficClass::Exercise(self.text()),
            2 => TrafficClass::Test,
            _ => TrafficClass::Ping,
        }
    }

    pub fn agreement(&mut self) -> AgreementId {
        AgreementId { id: self.token(), version: self.small() }
    }

    pub fn details(&mut self) -> BTreeMap<String, String> {
        self.some(0, 4, |draw| (draw.text(), draw.text())).into_iter().collect()
    }
}
