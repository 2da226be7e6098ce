//! The programs' counters, read in memory that is shared with them.
//!
//! A look-up by bpf(2) would lose records: meanwhile the kernel skips every kprobe that fires on
//! that CPU (kernel/bpf/syscall.c, `bpf_map_copy_value`). On a preemptible kernel that can take as
//! long as another task runs.

#![expect(unsafe_code, reason = "mmap(2), munmap(2) and reads of that memory")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use remap_common::counter::{Counter, STRIDE};

/// The map of counters, mapped to read: a line of [`STRIDE`] words for each CPU.
#[derive(Debug)]
pub struct CounterMap {
    words: NonNull<u64>,
    cpus: usize,
}

// SAFETY: an address range belongs to the process, not to a thread.
unsafe impl Send for CounterMap {}

impl CounterMap {
    /// Maps the counters of `cpus` CPUs: all possible CPUs of the machine.
    ///
    /// # Errors
    /// If mmap(2) fails.
    pub fn new(map: BorrowedFd<'_>, cpus: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address that the kernel chooses, overlaps no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes(cpus),
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(address.cast());
        let words = words.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(Self { words, cpus })
    }

    /// The sum of a counter over all CPUs.
    pub fn sum(&self, counter: Counter) -> u64 {
        let of_cpu = |cpu: usize| {
            let at = cpu * STRIDE as usize + counter as usize;
            // SAFETY: `at` is within the line of one of the `cpus` that are mapped. The programs
            // change the word meanwhile, so the read is volatile.
            unsafe { self.words.add(at).read_volatile() }
        };
        (0..self.cpus).map(of_cpu).sum()
    }
}

impl Drop for CounterMap {
    fn drop(&mut self) {
        // SAFETY: `new` mapped this range, and nothing else refers to it.
        unsafe { libc::munmap(self.words.as_ptr().cast(), bytes(self.cpus)) };
    }
}

fn bytes(cpus: usize) -> usize {
    cpus * STRIDE as usize * size_of::<u64>()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn every_cpu_has_its_own_line() {
        let mut file = tempfile::tempfile().unwrap();
        for word in 0..3 * u64::from(STRIDE) {
            file.write_all(&word.to_ne_bytes()).unwrap();
        }
        let map = CounterMap::new(file.as_fd(), 3).unwrap();
        let stride = u64::from(STRIDE);
        assert_eq!(map.sum(Counter::Seen), stride + 2 * stride);
        assert_eq!(
            map.sum(Counter::RingFull),
            2 + (stride + 2) + (2 * stride + 2)
        );
    }
}
