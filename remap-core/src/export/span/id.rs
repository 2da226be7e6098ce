//! Ids of traces and spans: hashes (FNV-1a) of what they are about.

/// Makes ids.
#[derive(Debug)]
pub(super) struct Ids(u64);

impl Ids {
    pub fn new(seed: &str) -> Self {
        Self(fnv(0xcbf2_9ce4_8422_2325, seed.as_bytes()))
    }

    /// The id of a span about this.
    pub fn span(&self, about: &[&str]) -> [u8; 8] {
        self.hash(b's', about).to_be_bytes()
    }

    /// The id of a part of a span.
    pub fn child(&self, parent: [u8; 8], name: &str) -> [u8; 8] {
        let hash = fnv(fnv(self.0, &parent), name.as_bytes());
        (hash | 1).to_be_bytes()
    }

    /// The id of a trace about this.
    pub fn trace(&self, about: &[&str]) -> [u8; 16] {
        let halves = [b't', b'u'].map(|half| u128::from(self.hash(half, about)));
        (halves[0] << 64 | halves[1]).to_be_bytes()
    }

    /// Never 0, which is no id.
    fn hash(&self, kind: u8, about: &[&str]) -> u64 {
        let begin = fnv(self.0, &[kind]);
        let parts = about.iter();
        parts.fold(begin, |hash, part| fnv(fnv(hash, part.as_bytes()), &[0])) | 1
    }
}

fn fnv(begin: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(begin, step)
}
