//! PREEMPT_RT: kernels in which a spinlock may sleep.

use super::btf::Btf;

/// What a PREEMPT_RT kernel means for a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realtime {
    /// A program of fentry or fexit may lose its processor, and devices' interrupts are threads.
    Traceable,
    /// The lock of the ring may sleep, which a program of a kprobe must not do. Since 6.12
    /// (8b62645b09f8) it is one that does not.
    SleepingRing,
}

impl Realtime {
    /// By the types of the core kernel; `None` if this is no PREEMPT_RT kernel.
    pub fn of(core: &Btf) -> Option<Self> {
        may_sleep(core, "spinlock").then(|| {
            if may_sleep(core, "bpf_ringbuf.spinlock") {
                Self::SleepingRing
            } else {
                Self::Traceable
            }
        })
    }
}

/// Whether a spinlock is made of a mutex, which lists who waits for it (`struct rt_mutex_base`).
fn may_sleep(core: &Btf, lock: &str) -> bool {
    core.member_offset(&format!("{lock}.lock.waiters"))
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::tests::locks;

    #[test]
    fn the_locks_of_a_kernel_are_distinguished() {
        let realtime =
            |spinlock, ring| Realtime::of(&Btf::parse(locks(spinlock, ring), None).unwrap());
        assert_eq!(realtime(false, false), None);
        assert_eq!(realtime(true, false), Some(Realtime::Traceable));
        assert_eq!(realtime(true, true), Some(Realtime::SleepingRing));
    }
}
