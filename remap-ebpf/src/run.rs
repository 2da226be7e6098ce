//! What the kernel passes to a program, for those helpers that ask for it.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;

/// A run of a program: the context that the kernel has passed to it.
#[derive(Clone, Copy)]
pub struct Run(*mut c_void);

impl Run {
    /// The run with this context.
    #[inline(always)]
    pub fn of(context: &impl EbpfContext) -> Self {
        Self(context.as_ptr())
    }

    /// The same of an iterator.
    #[inline(always)]
    pub const fn at(context: *mut c_void) -> Self {
        Self(context)
    }
}

impl EbpfContext for Run {
    #[inline(always)]
    fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}
