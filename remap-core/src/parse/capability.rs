//! Bytes → capability chain: the optional parts that VFIO appends to an answer.
//!
//! ```text
//!  0            fixed        cap_offset       header.next          argsz
//!  ├─ the struct ─┤ …         ├ header, body ─ … ├ header, body ─ … ─┤
//! ```
//! Pure. The bytes come from a driver, which may be wrong, or from a capture, which may be cut off:
//! every offset is checked before it is used.

use std::mem::offset_of;

use thiserror::Error;
use vfio_bindings::bindings::vfio::vfio_info_cap_header;

/// The most capabilities that a chain may hold. Real ones hold up to three.
pub const MAX_CAPABILITIES: usize = 32;

/// The page size that areas are measured by (x86_64), bytes.
pub const PAGE_SIZE: u64 = 4096;

/// Why an answer is rejected.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChainError {
    /// The captured bytes end before a part that the answer has.
    #[error("the answer is cut off: {needed} bytes needed, {have} captured")]
    Truncated {
        /// Bytes needed, at least.
        needed: u64,
        /// Bytes captured.
        have: u64,
    },
    /// The caller's buffer was too small for the chain. Ordinary for the first of two calls.
    #[error("the buffer has no room for the capability chain; the kernel asks for {argsz} bytes")]
    NotGiven {
        /// Bytes that the kernel asks for (`argsz` of the answer).
        argsz: u32,
    },
    /// A capability lies before the end of the fixed part, or runs past `argsz`.
    #[error("the capability at offset {offset} is not inside the answer of {argsz} bytes")]
    Outside {
        /// Where it begins, bytes from the start of the answer.
        offset: u64,
        /// Size of the answer, bytes.
        argsz: u32,
    },
    /// A capability does not begin at a multiple of four.
    #[error("a capability at offset {offset} is not aligned to 4 bytes")]
    Unaligned {
        /// Where it begins, bytes from the start of the answer.
        offset: u64,
    },
    /// The chain points back to an earlier capability.
    #[error("the capability chain loops back to offset {offset}")]
    Loop {
        /// Offset that occurs twice, bytes from the start of the answer.
        offset: u64,
    },
    /// The chain has more than [`MAX_CAPABILITIES`].
    #[error("the chain has more than {MAX_CAPABILITIES} capabilities")]
    TooMany,
    /// A capability that may occur once occurs twice.
    #[error("capability {id:#x} occurs twice")]
    Repeated {
        /// Its id.
        id: u16,
    },
    /// A capability that remap needs has an unsupported version.
    #[error("capability {id:#x} has version {version}; remap supports version 1")]
    Version {
        /// Its id.
        id: u16,
        /// Its version.
        version: u16,
    },
    /// A sparse area has no size.
    #[error("the sparse area at {offset:#x} is empty")]
    AreaEmpty {
        /// Its offset within the region, bytes.
        offset: u64,
    },
    /// A sparse area does not consist of whole pages.
    #[error("the sparse area {offset:#x}+{size:#x} is not aligned to pages of {PAGE_SIZE} bytes")]
    AreaUnaligned {
        /// Its offset within the region, bytes.
        offset: u64,
        /// Its length, bytes.
        size: u64,
    },
    /// A sparse area ends after the end of the region.
    #[error("the sparse area {offset:#x}+{size:#x} ends beyond the region's {region:#x} bytes")]
    AreaOutside {
        /// Its offset within the region, bytes.
        offset: u64,
        /// Its length, bytes.
        size: u64,
        /// Size of the region, bytes.
        region: u64,
    },
    /// Two sparse areas share bytes.
    #[error("the sparse areas at {first:#x} and {second:#x} overlap")]
    AreaOverlap {
        /// Offset of the lower one, bytes.
        first: u64,
        /// Offset of the upper one, bytes.
        second: u64,
    },
    /// A mask names a region whose index does not fit 32 bits.
    #[error("region base {base} and mask {mask:#x} name a region beyond 32 bits")]
    RegionBeyond {
        /// Region index of bit 0.
        base: u32,
        /// The mask.
        mask: u64,
    },
}

/// An answer of the kernel: its captured bytes, and its full size.
#[derive(Clone, Copy, Debug)]
pub struct Buffer<'a> {
    bytes: &'a [u8],
    fixed: usize,
    argsz: u32,
}

impl<'a> Buffer<'a> {
    /// The answer in `bytes`. Its fixed part of `fixed` bytes begins with `argsz` and must be
    /// complete.
    pub fn new(bytes: &'a [u8], fixed: usize) -> Result<Self, ChainError> {
        let short = ChainError::Truncated {
            needed: fixed as u64,
            have: bytes.len() as u64,
        };
        if bytes.len() < fixed {
            return Err(short);
        }
        let argsz = u32::from_ne_bytes(*bytes.first_chunk().ok_or(short)?);
        Ok(Self {
            bytes,
            fixed,
            argsz,
        })
    }

    /// `argsz` of the answer: its size, or the size that the kernel asks for.
    pub fn argsz(&self) -> u32 {
        self.argsz
    }

    fn u16(&self, at: u64) -> Result<u16, ChainError> {
        self.array(at).map(u16::from_ne_bytes)
    }

    /// The 32-bit word at `at`.
    pub fn u32(&self, at: u64) -> Result<u32, ChainError> {
        self.array(at).map(u32::from_ne_bytes)
    }

    /// The 64-bit word at `at`.
    pub fn u64(&self, at: u64) -> Result<u64, ChainError> {
        self.array(at).map(u64::from_ne_bytes)
    }

    /// Checks that `size` bytes at `at` belong to the answer and are captured.
    pub fn check(&self, at: u64, size: u64) -> Result<(), ChainError> {
        let outside = ChainError::Outside {
            offset: at,
            argsz: self.argsz,
        };
        let end = at.checked_add(size).ok_or(outside)?;
        if end <= self.fixed as u64 {
            return Ok(()); // the caller's struct, whatever argsz is
        }
        if end > u64::from(self.argsz) {
            return Err(outside);
        }
        if end > self.bytes.len() as u64 {
            return Err(ChainError::Truncated {
                needed: end,
                have: self.bytes.len() as u64,
            });
        }
        Ok(())
    }

    fn array<const N: usize>(&self, at: u64) -> Result<[u8; N], ChainError> {
        self.check(at, N as u64)?;
        usize::try_from(at)
            .ok()
            .and_then(|at| self.bytes.get(at..))
            .and_then(<[u8]>::first_chunk)
            .copied()
            .ok_or(ChainError::Outside {
                offset: at,
                argsz: self.argsz,
            })
    }
}

/// One capability of a chain. Its length depends on its id: the reader of each id checks it.
#[derive(Clone, Copy, Debug)]
pub struct Capability<'a> {
    /// `vfio_info_cap_header.id`.
    pub id: u16,
    /// `vfio_info_cap_header.version`.
    pub version: u16,
    /// Where its header begins, bytes from the start of the answer.
    pub offset: u64,
    buffer: Buffer<'a>,
}

impl<'a> Capability<'a> {
    /// The 32-bit word at `field` of this capability's struct.
    pub fn u32(&self, field: u64) -> Result<u32, ChainError> {
        self.check(field.saturating_add(size_of::<u32>() as u64))?;
        self.buffer.u32(self.offset.saturating_add(field))
    }

    /// The 64-bit word at `field` of this capability's struct.
    pub fn u64(&self, field: u64) -> Result<u64, ChainError> {
        self.check(field.saturating_add(size_of::<u64>() as u64))?;
        self.buffer.u64(self.offset.saturating_add(field))
    }

    /// Checks that the first `size` bytes of this capability's struct are captured.
    pub fn check(&self, size: u64) -> Result<(), ChainError> {
        self.buffer.check(self.offset, size)
    }
}

/// The chain of `buffer`, from the first capability at `cap_offset` on. Only for an answer whose
/// flags announce a chain.
///
/// # Errors
/// [`ChainError`]: a chain is accepted as a whole or rejected.
pub fn chain(buffer: Buffer<'_>, cap_offset: u32) -> Result<Vec<Capability<'_>>, ChainError> {
    if cap_offset == 0 {
        return Err(ChainError::NotGiven {
            argsz: buffer.argsz,
        });
    }
    let mut found: Vec<Capability<'_>> = Vec::new();
    let mut next = cap_offset;
    while next != 0 {
        let offset = u64::from(next);
        if found.iter().any(|seen| seen.offset == offset) {
            return Err(ChainError::Loop { offset });
        }
        if found.len() == MAX_CAPABILITIES {
            return Err(ChainError::TooMany);
        }
        if offset < buffer.fixed as u64 {
            return Err(ChainError::Outside {
                offset,
                argsz: buffer.argsz,
            });
        }
        // Kernels before 6.6 (a881b496941f) round capabilities to nothing, and a struct of 20
        // bytes puts the first at 20: four is the most that can be asked.
        if offset % 4 != 0 {
            return Err(ChainError::Unaligned { offset });
        }
        buffer.check(offset, size_of::<vfio_info_cap_header>() as u64)?;
        let field = |field: usize| offset + field as u64;
        found.push(Capability {
            id: buffer.u16(field(offset_of!(vfio_info_cap_header, id)))?,
            version: buffer.u16(field(offset_of!(vfio_info_cap_header, version)))?,
            offset,
            buffer,
        });
        next = buffer.u32(field(offset_of!(vfio_info_cap_header, next)))?;
    }
    Ok(found)
}

/// The one capability with this id, which must have version 1.
///
/// # Errors
/// [`ChainError::Repeated`], [`ChainError::Version`].
pub fn find<'a>(chain: &[Capability<'a>], id: u16) -> Result<Option<Capability<'a>>, ChainError> {
    let mut with_id = chain.iter().filter(|capability| capability.id == id);
    let Some(first) = with_id.next() else {
        return Ok(None);
    };
    if with_id.next().is_some() {
        return Err(ChainError::Repeated { id });
    }
    if first.version != 1 {
        return Err(ChainError::Version {
            id,
            version: first.version,
        });
    }
    Ok(Some(*first))
}
