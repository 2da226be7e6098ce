//! Ids that follow from what a span is.

/// What a span is, with what distinguishes it within its trace of remap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The number of a migration.
    Migration(u64),
    /// The number of a state change.
    Change(u64),
    /// A trigger, and a region.
    Cycle(u64, u32),
    /// The same, and the stage.
    Stage(u64, u32, u64),
    /// The number of a finding.
    Finding(u64),
}

/// One step of splitmix64, whose output has no pattern of its input.
fn mix(state: u64, word: u64) -> u64 {
    let mut mixed = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Kind {
    fn words(self) -> [u64; 4] {
        match self {
            Self::Migration(number) => [1, number, 0, 0],
            Self::Change(number) => [2, number, 0, 0],
            Self::Cycle(trigger, region) => [3, trigger, region.into(), 0],
            Self::Stage(trigger, region, stage) => [4, trigger, region.into(), stage],
            Self::Finding(number) => [5, number, 0, 0],
        }
    }

    /// Its id; never 0, which is none.
    pub fn span(self, seed: u64) -> u64 {
        self.words().into_iter().fold(seed, mix).max(1)
    }

    /// The trace that it is the root of.
    pub fn trace(self, seed: u64) -> u128 {
        let high = self.span(mix(seed, 6));
        (u128::from(high) << 64) | u128::from(self.span(mix(seed, 7)))
    }
}
