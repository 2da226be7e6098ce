//! Builds the bytes of a kernel's answer, right or wrong.

use remap_common::uapi::{VFIO_PCI_OFFSET_SHIFT, VFIO_REGION_INFO_FLAG_CAPS};
use remap_core::parse::uapi::{REMAP_IRQ_INFO_CAP_REGIONS, VFIO_IRQ_INFO_FLAG_CAPS};

/// Bytes of an answer that grows at its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub bytes: Vec<u8>,
    last: Option<usize>,
    cap_offset: usize,
    flags: u32,
}

const FLAGS: usize = 4;

impl Answer {
    /// `struct vfio_region_info` of region `index`.
    pub fn region(index: u32, flags: u32, size: u64) -> Self {
        let mut bytes = Vec::new();
        for word in [0, flags, index, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(size.to_ne_bytes());
        bytes.extend((u64::from(index) << VFIO_PCI_OFFSET_SHIFT).to_ne_bytes());
        Self {
            bytes,
            last: None,
            cap_offset: 12,
            flags: VFIO_REGION_INFO_FLAG_CAPS,
        }
        .sized()
    }

    /// `struct remap_irq_info` of IRQ `index`.
    pub fn irq(index: u32, flags: u32, count: u32) -> Self {
        let bytes = [0, flags, index, count, 0]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        Self {
            bytes,
            last: None,
            cap_offset: 16,
            flags: VFIO_IRQ_INFO_FLAG_CAPS,
        }
        .sized()
    }

    /// Appends a capability and links it into the chain.
    pub fn cap(mut self, id: u16, version: u16, body: &[u8]) -> Self {
        let at = self.bytes.len();
        self.bytes.extend(id.to_ne_bytes());
        self.bytes.extend(version.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend(body);
        let link = self.last.map_or(self.cap_offset, |last| last + 4);
        self.last = Some(at);
        let flags = u32::from_ne_bytes(self.bytes[FLAGS..FLAGS + 4].try_into().unwrap());
        let flags = flags | self.flags;
        self.put(FLAGS, flags)
            .put(link, at.try_into().unwrap())
            .sized()
    }

    /// Appends a sparse mmap capability.
    pub fn sparse(self, areas: &[(u64, u64)]) -> Self {
        let count = u32::try_from(areas.len()).unwrap();
        self.sparse_of(count, areas)
    }

    /// Appends a sparse mmap capability that claims to have `count` areas.
    pub fn sparse_of(self, count: u32, areas: &[(u64, u64)]) -> Self {
        let mut body = Vec::new();
        body.extend(count.to_ne_bytes());
        body.extend(0_u32.to_ne_bytes());
        for (offset, size) in areas {
            body.extend(offset.to_ne_bytes());
            body.extend(size.to_ne_bytes());
        }
        self.cap(1, 1, &body)
    }

    /// Appends a type capability (`id`: 2 for a region, 3 for an IRQ).
    pub fn kind(self, id: u16, kind: u32, subtype: u32) -> Self {
        self.cap(id, 1, &[kind.to_ne_bytes(), subtype.to_ne_bytes()].concat())
    }

    /// Appends the capability with base and mask.
    pub fn regions(self, base: u32, mask: u64) -> Self {
        let head = [base.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
        self.cap(
            REMAP_IRQ_INFO_CAP_REGIONS,
            1,
            &[head, mask.to_ne_bytes().to_vec()].concat(),
        )
    }

    /// Overwrites the word at `at`.
    pub fn put(mut self, at: usize, word: u32) -> Self {
        self.bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        self
    }

    /// Where the last capability begins.
    pub fn last(&self) -> usize {
        self.last.unwrap()
    }

    fn sized(self) -> Self {
        let size = u32::try_from(self.bytes.len()).unwrap();
        self.put(0, size)
    }
}
