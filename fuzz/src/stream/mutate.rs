//! Changes of a stream that leave it a stream: of one item's payload, or of the order of items.

use fastrand::Rng;

use super::{Item, append, items};

/// How much longer a payload may become at a time, bytes.
const ROOM: usize = 16;

/// How often an item is repeated at most.
const REPEATS: usize = 24;

/// Changes the stream in the first `size` bytes, which may become at most `most` bytes long, and returns
/// its new size. `bytes_of` changes bytes: it gets a buffer, the size used, and the largest size.
pub fn mutate(
    bytes: &mut [u8],
    size: usize,
    most: usize,
    seed: u32,
    bytes_of: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let mut rng = Rng::with_seed(u64::from(seed));
    let most = most.min(bytes.len());
    let Some((switches, stream)) = bytes[..size].split_first() else {
        return bytes_of(bytes, size, most);
    };
    let switches = if rng.u8(..) < 8 {
        rng.u8(..)
    } else {
        *switches
    };
    let mut list: Vec<(u8, Vec<u8>)> = items(stream)
        .map(|(operation, payload)| (operation, payload.to_vec()))
        .collect();
    if list.is_empty() || rng.u8(..) < 16 {
        return bytes_of(bytes, size, most);
    }
    let (at, other) = (rng.usize(..list.len()), rng.usize(..list.len()));
    match rng.u8(..16) {
        0..=5 => {
            let payload = &mut list[at].1;
            let used = payload.len();
            payload.resize(used + ROOM, 0);
            let new = bytes_of(payload, used, used + ROOM);
            payload.truncate(new);
        }
        6..=8 => copy_word(&mut list, (other, at), &mut rng),
        9 => list.swap(at, other),
        10 => drop(list.remove(at)),
        11 => {
            let item = list.remove(at);
            list.insert(rng.usize(..=list.len()), item);
        }
        12 => {
            let item = list[at].clone();
            list.insert(other, item);
        }
        13 => {
            let repeated = vec![list[at].clone(); rng.usize(..REPEATS)];
            list.splice(at..at, repeated);
        }
        14 => drop(list.drain(at..(at + rng.usize(..8)).min(list.len()))),
        _ => list[at].0 = rng.u8(1..72) | if rng.u8(..) < 8 { 128 } else { 0 },
    }
    let list = list
        .iter()
        .map(|(operation, payload)| (*operation, payload.as_slice()));
    write(switches, list, &mut bytes[..most])
}

/// Makes a stream of two: the beginning of one, and the end of another, or both in turn.
pub fn cross(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    let mut rng = Rng::with_seed(u64::from(seed));
    let (Some((switches, one)), Some((_, other))) = (one.split_first(), other.split_first()) else {
        return 0;
    };
    let (one, other): (Vec<_>, Vec<_>) = (items(one).collect(), items(other).collect());
    let (cut, rest) = (rng.usize(..=one.len()), rng.usize(..=other.len()));
    if rng.bool() {
        let list = one[..cut].iter().chain(&other[rest..]).copied();
        return write(*switches, list, out);
    }
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let turns = std::iter::from_fn(|| if rng.bool() { one.next() } else { other.next() });
    write(*switches, turns, out)
}

/// Copies a word of one item over a word of another one: an address, a generation, an index.
fn copy_word(list: &mut [(u8, Vec<u8>)], (from, to): (usize, usize), rng: &mut Rng) {
    // Behind the task and the time, words lie at multiples of four.
    let word = |payload: &[u8], rng: &mut Rng| match payload.len().saturating_sub(9) / 4 {
        0 => None,
        words => Some(9 + 4 * rng.usize(..words)),
    };
    let source = word(&list[from].1, rng);
    let place = if list[from].0 == list[to].0 && rng.bool() {
        source
    } else {
        word(&list[to].1, rng)
    };
    let (Some(source), Some(place)) = (source, place) else {
        return;
    };
    let length = if rng.bool() { 4 } else { 8 };
    let word = list[from].1[source..]
        .iter()
        .take(length)
        .copied()
        .collect::<Vec<_>>();
    list[to]
        .1
        .iter_mut()
        .skip(place)
        .zip(word)
        .for_each(|(old, new)| *old = new);
}

/// Writes as many items as have room.
fn write<'a>(switches: u8, list: impl Iterator<Item = Item<'a>>, out: &mut [u8]) -> usize {
    let mut bytes = vec![switches];
    for item in list {
        let size = bytes.len();
        append(&mut bytes, item);
        if bytes.len() > out.len() {
            bytes.truncate(size);
            break;
        }
    }
    let size = bytes.len().min(out.len());
    out[..size].copy_from_slice(&bytes[..size]);
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets the last byte.
    fn last(bytes: &mut [u8], size: usize, most: usize) -> usize {
        let size = (size + 1).min(most);
        if let Some(byte) = bytes[..size].last_mut() {
            *byte = 7;
        }
        size
    }

    #[test]
    fn a_changed_stream_is_a_stream_and_fits() {
        let seed = (crate::target::PIPELINE.seeds)().swap_remove(0);
        let count = items(&seed[1..]).count();
        let most = seed.len() * 8;
        let mut bytes = vec![0; most];
        let mut differ = 0;
        for number in 0..2000 {
            bytes[..seed.len()].copy_from_slice(&seed);
            let size = mutate(&mut bytes, seed.len(), most, number, last);
            assert!(size <= most);
            let left = items(&bytes[1..size]).count();
            assert!(left + 8 >= count, "{number}: {left} of {count} items");
            differ += u32::from(bytes[..size] != seed);
        }
        assert!(differ > 1500, "{differ}");
    }

    #[test]
    fn two_streams_make_a_third_of_their_items() {
        let seeds = (crate::target::PIPELINE.seeds)();
        let (one, other) = (&seeds[0], &seeds[seeds.len() - 1]);
        let mut out = vec![0; one.len() + other.len()];
        for number in 0..500 {
            let size = cross(one, other, &mut out, number);
            let both: Vec<_> = items(&one[1..]).chain(items(&other[1..])).collect();
            assert!(items(&out[1..size]).all(|item| both.contains(&item)));
        }
    }
}
