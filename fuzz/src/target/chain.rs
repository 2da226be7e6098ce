//! Capability chains.

use remap_core::parse::capability::{Buffer, MAX_CAPABILITIES, chain, find};

use super::{Target, seeds};

/// u8: the length of the fixed part in words of four bytes; then the answer. The chain's offset is the
/// last word of the fixed part.
pub const CHAIN: Target = Target {
    name: "chain",
    run,
    seeds: || {
        let answers = seeds::answers().into_iter();
        // The fixed parts of vfio_irq_info with an offset, and of vfio_region_info with the offset as
        // its fourth word.
        let with = |words| move |(_, answer): (u32, Vec<u8>)| [&[words][..], &answer].concat();
        answers
            .clone()
            .map(with(5))
            .chain(answers.map(with(4)))
            .collect()
    },
};

fn run(bytes: &[u8]) {
    let Some((words, bytes)) = bytes.split_first() else {
        return;
    };
    let fixed = usize::from(words % 16) * 4;
    let Ok(buffer) = Buffer::new(bytes, fixed) else {
        return;
    };
    let Ok(offset) = buffer.u32((fixed as u64).saturating_sub(4)) else {
        return;
    };
    let Ok(found) = chain(buffer, offset) else {
        return;
    };
    assert!(!found.is_empty() && found.len() <= MAX_CAPABILITIES);
    for capability in &found {
        assert!(
            capability.check(8).is_ok(),
            "the header of each is captured"
        );
        for field in [8, 12, 16, u64::from(u32::MAX), u64::MAX - 3] {
            let word = capability.u64(field);
            let fits = field
                .checked_add(8)
                .is_some_and(|size| capability.check(size).is_ok());
            assert_eq!(word.is_ok(), fits);
            let _half = capability.u32(field);
        }
        match find(&found, capability.id) {
            Ok(one) => assert_eq!(one.map(|one| one.offset), Some(capability.offset)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
