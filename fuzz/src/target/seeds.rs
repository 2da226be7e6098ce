//! Parts of the recordings that several targets begin with.

use remap_common::record::{RecordRef, parse};
use zerocopy::IntoBytes as _;

use crate::recording::{self, Frame, frames};

/// The answers to the ioctls of a VFIO device: the request, and the bytes.
pub fn answers() -> Vec<(u32, Vec<u8>)> {
    let mut answers = Vec::new();
    for (_, bytes) in recording::ALL {
        for frame in frames(bytes) {
            let Frame::Record(record) = frame else {
                continue;
            };
            let mut aligned = vec![0_u64; record.len().div_ceil(8)];
            let aligned = &mut aligned.as_mut_bytes()[..record.len()];
            aligned.copy_from_slice(&record);
            if let Ok((_, RecordRef::Exit(exit, answer))) = parse(aligned) {
                let length = exit.answer_len as usize;
                let answer = (exit.request, answer[..length.min(answer.len())].to_vec());
                if length > 0 && !answers.contains(&answer) {
                    answers.push(answer);
                }
            }
        }
    }
    answers
}
