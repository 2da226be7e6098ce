//! Numbers in place of kernel addresses, where records leave remap.

/// A random key: the numbers of one trace depend on it.
pub type Key = [u64; 2];

/// The number of a kernel address; any other value stays. As `%p` of the kernel's own log: SipHash-2-4
/// of the address, so that equal addresses have equal numbers, and a number shows nothing of its
/// address without the key. It is below 2^63, and so distinct from an address.
#[inline(always)]
pub const fn of(key: &Key, value: u64) -> u64 {
    // The kernel has the upper half of the address space.
    if value >> 63 == 0 {
        return value;
    }
    siphash(key, value) >> 1
}

/// SipHash-2-4 of one word.
#[inline(always)]
const fn siphash(key: &Key, word: u64) -> u64 {
    const LENGTH: u64 = 8 << 56;
    let mut state = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573 ^ word,
    ];
    state = round(round(state));
    state[0] ^= word;
    state[3] ^= LENGTH;
    state = round(round(state));
    state[0] ^= LENGTH;
    state[2] ^= 0xff;
    state = round(round(round(round(state))));
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

#[inline(always)]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the algorithm's authors for the bytes 0 to 7.
    #[test]
    fn it_is_siphash() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(siphash(&key, 0x0706_0504_0302_0100), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn only_addresses_of_the_kernel_have_numbers() {
        let key = [1, 2];
        for value in [0, 7, u64::MAX >> 1] {
            assert_eq!(of(&key, value), value);
        }
        let address = 0xffff_8880_0123_4560;
        let number = of(&key, address);
        assert_eq!(number, of(&key, address));
        assert!(number >> 63 == 0 && number != of(&[1, 3], address));
        assert_ne!(number, of(&key, address + 64));
    }
}
