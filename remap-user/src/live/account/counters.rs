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
use remap_common::loss;
use remap_core::account::LossTable;

/// An array of words, mapped to read.
#[derive(Debug)]
struct Words {
    words: NonNull<u64>,
    count: usize,
}

// SAFETY: an address range belongs to the process, not to a thread.
unsafe impl Send for Words {}

impl Words {
    fn new(map: BorrowedFd<'_>, count: u32) -> io::Result<Self> {
        let count = usize::try_from(count).map_err(io::Error::other)?;
        // SAFETY: a new mapping, at an address that the kernel chooses, overlaps no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<u64>(),
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
        Ok(Self { words, count })
    }

    /// The word at an index; 0 behind the end.
    fn get(&self, at: u32) -> u64 {
        let at = at as usize;
        if at >= self.count {
            return 0;
        }
        // SAFETY: `at` is within the words that are mapped. The programs change the word meanwhile, so
        // the read is volatile.
        unsafe { self.words.add(at).read_volatile() }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: `new` mapped this range, and nothing else refers to it.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.count * size_of::<u64>()) };
    }
}

/// The counters ([`counter`](remap_common::counter)) and the losses ([`loss`]) of all CPUs.
#[derive(Debug)]
pub struct CounterMap {
    counters: Words,
    losses: Words,
    cpus: u32,
}

impl CounterMap {
    /// Maps both arrays for `cpus` CPUs: all possible CPUs of the machine.
    ///
    /// # Errors
    /// If mmap(2) fails.
    pub fn new(counters: BorrowedFd<'_>, losses: BorrowedFd<'_>, cpus: u32) -> io::Result<Self> {
        Ok(Self {
            counters: Words::new(counters, cpus * STRIDE)?,
            losses: Words::new(losses, loss::words(cpus))?,
            cpus,
        })
    }

    /// The sum of a counter over all CPUs.
    pub fn sum(&self, counter: Counter) -> u64 {
        let of_cpu = |cpu| self.counters.get(cpu * STRIDE + counter as u32);
        (0..self.cpus).map(of_cpu).sum()
    }

    /// The losses, placed.
    pub fn losses(&self) -> LossTable {
        LossTable::read(self.cpus, |at| self.losses.get(at))
    }
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
        let mut losses = tempfile::tempfile().unwrap();
        losses
            .write_all(&vec![1; loss::words(3) as usize * 8])
            .unwrap();
        let map = CounterMap::new(file.as_fd(), losses.as_fd(), 3).unwrap();
        let stride = u64::from(STRIDE);
        assert_eq!(map.sum(Counter::Seen), stride + 2 * stride);
        assert_eq!(
            map.sum(Counter::RingFull),
            2 + (stride + 2) + (2 * stride + 2)
        );
    }
}
