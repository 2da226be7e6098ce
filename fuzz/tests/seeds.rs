//! Every target runs over its seeds, and over many changes of them, as an ordinary test.

use fastrand::Rng;
use remap_fuzz::target::{ALL, Target};
use remap_fuzz::{recording, run, stream};

/// Runs a target over its seeds, whole, cut off, and with bytes changed.
fn all(target: &Target) {
    let seeds = (target.seeds)();
    assert!(seeds.len() >= 7, "{}: {} seeds", target.name, seeds.len());
    let mut rng = Rng::with_seed(1);
    for seed in seeds {
        run(target, &seed);
        run(target, &seed[..rng.usize(..seed.len())]);
        for _ in 0..8 {
            let mut changed = seed.clone();
            changed[rng.usize(..seed.len())] = rng.u8(..);
            run(target, &changed);
        }
    }
}

#[test]
fn each_target_takes_its_seeds() {
    ALL.into_iter().for_each(all);
}

#[test]
fn a_whole_recording_is_a_stream() {
    for (_, bytes) in recording::ALL {
        let frames = recording::frames(bytes);
        let items = stream::pack::pack(&frames);
        assert!(
            items.len() + 2 >= frames.len() * 9 / 10,
            "what a recording has, the stream has"
        );
        let whole = [
            vec![stream::play::CONSUMERS | stream::play::LOGS],
            items.concat(),
        ]
        .concat();
        stream::play::play(&whole);
    }
}
