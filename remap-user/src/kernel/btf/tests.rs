//! BTF that is built by hand.

use proptest::prelude::*;

use super::*;

/// Builds BTF by hand: types as (name, kind, vlen, refers, data words), one string table.
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    inherited: u32,
}

impl Builder {
    fn new(inherited: u32) -> Self {
        let strings = if inherited == 0 { vec![0] } else { Vec::new() };
        Self {
            types: Vec::new(),
            strings,
            inherited,
        }
    }

    fn name(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.inherited + u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    fn add(&mut self, name: &str, kind: u32, count: usize, refers: u32, data: &[u32]) {
        let name = self.name(name);
        let info = (kind << 24) | u32::try_from(count).unwrap();
        for value in [name, info, refers].iter().chain(data) {
            self.types.extend(value.to_ne_bytes());
        }
    }

    fn build(&self) -> Vec<u8> {
        let types = u32::try_from(self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        let magic = u32::from(MAGIC) | (1 << 16);
        let mut bytes = Vec::new();
        for value in [magic, 24, 0, types, types, strings] {
            bytes.extend(value.to_ne_bytes());
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

/// A kernel whose spinlock and whose ring's lock may sleep or not: `struct spinlock`, and
/// `struct bpf_ringbuf` with the lock that it names.
pub(in crate::kernel) fn locks(spinlock_sleeps: bool, ring_sleeps: bool) -> Vec<u8> {
    let mut b = Builder::new(0);
    b.add("int", 1, 0, 4, &[0]); // 1
    let (waiters, lock, raw) = (b.name("waiters"), b.name("lock"), b.name("raw_lock"));
    b.add("rt_mutex_base", 4, 1, 4, &[waiters, 1, 0]); // 2
    b.add("raw_spinlock", 4, 1, 4, &[raw, 1, 0]); // 3
    if spinlock_sleeps {
        b.add("spinlock", 4, 1, 4, &[lock, 2, 0]); // 4
    } else {
        b.add("spinlock", 4, 1, 4, &[lock, 3, 0]); // 4
    }
    b.add("spinlock_t", 8, 0, 4, &[]); // 5
    b.add("raw_spinlock_t", 8, 0, 3, &[]); // 6
    let name = b.name("spinlock");
    b.add(
        "bpf_ringbuf",
        4,
        1,
        4,
        &[name, if ring_sleeps { 5 } else { 6 }, 0],
    ); // 7
    b.build()
}

/// A kernel with eventfds: a context with two members, the function that signals, `ITER_UBUF`.
pub(in crate::kernel) fn kernel() -> Vec<u8> {
    let mut b = Builder::new(0);
    b.add("int", 1, 0, 4, &[0]); // 1
    let (count, kref) = (b.name("count"), b.name("kref"));
    b.add("", 5, 1, 8, &[count, 1, 0]); // 2: unnamed union { int count; }
    b.add("eventfd_ctx", 4, 2, 16, &[kref, 1, 0, 0, 2, 64]); // 3
    let (ctx, mask) = (b.name("ctx"), b.name("mask"));
    b.add("", 13, 2, 1, &[ctx, 3, mask, 1]); // 4
    b.add("eventfd_signal_mask", 12, 0, 4, &[]); // 5
    let plain = b.name("ITER_UBUF");
    b.add("iter_type", 6, 1, 4, &[plain, 6]); // 6
    b.build()
}

/// A kernel with a function that reads and one that writes, and a driver with two that read a
/// file: `acme_save`, and `acme_walk`, which gets a pointer to a pointer.
pub(crate) fn vendor() -> (Vec<u8>, Vec<u8>) {
    let mut b = Builder::new(0);
    b.add("char", KIND_INT, 0, 1, &[0]); // 1
    b.add("long int", KIND_INT, 0, 8, &[0]); // 2
    b.add("ssize_t", KIND_TYPEDEF, 0, 2, &[]); // 3
    b.add("size_t", KIND_TYPEDEF, 0, 2, &[]); // 4
    b.add("file", KIND_STRUCT, 0, 8, &[]); // 5
    b.add("", KIND_POINTER, 0, 5, &[]); // 6: struct file *
    b.add("", KIND_CONST, 0, 1, &[]); // 7
    b.add("", KIND_POINTER, 0, 7, &[]); // 8: const char *
    b.add("", KIND_POINTER, 0, 1, &[]); // 9: char *
    b.add("", 13, 3, 3, &[0, 6, 0, 9, 0, 4]); // 10
    b.add("", 13, 3, 3, &[0, 6, 0, 8, 0, 4]); // 11
    b.add("kernel_write", KIND_FUNC, 0, 11, &[]); // 12
    let core = b.build();
    let types = 13;
    let mut b = Builder::new(u32::try_from(b.strings.len()).unwrap());
    b.add("acme_save", KIND_FUNC, 0, 10, &[]);
    b.add("acme_save", KIND_FUNC, 0, 10, &[]);
    b.add("", KIND_POINTER, 0, 6, &[]); // types + 2
    b.add("", 13, 1, 0, &[0, types + 2]);
    b.add("acme_walk", KIND_FUNC, 0, types + 3, &[]);
    (core, b.build())
}

#[test]
fn offsets_parameters_and_enumerators_are_found() {
    let btf = Btf::parse(kernel(), None).unwrap();
    assert_eq!(btf.member_offset("eventfd_ctx.kref"), Some(0));
    assert_eq!(btf.member_offset("eventfd_ctx.count"), Some(8));
    assert_eq!(btf.member_offset("eventfd_ctx.id"), None);
    assert_eq!(btf.member_offset("file.f_op"), None);
    assert_eq!(
        btf.parameters("eventfd_signal_mask").unwrap(),
        ["ctx", "mask"]
    );
    assert_eq!(btf.enumerator("iter_type", "ITER_UBUF"), Some(6));
    assert_eq!(btf.enumerator("iter_type", "ITER_PIPE"), None);
}

#[test]
fn a_module_continues_ids_and_strings_of_the_kernel() {
    let core = Arc::new(Btf::parse(kernel(), None).unwrap());
    let mut b = Builder::new(u32::try_from(core.string_end()).unwrap());
    let context = b.name("context");
    // Member type 3 is the kernel's eventfd_ctx.
    b.add("vfio_device_file", 4, 1, 24, &[context, 3, 64]);
    let module = Btf::parse(b.build(), Some(&core)).unwrap();
    assert_eq!(
        module.member_offset("vfio_device_file.context.count"),
        Some(16)
    );
    assert_eq!(module.member_offset("eventfd_ctx.count"), Some(8));
    assert!(!core.has_struct("vfio_device_file"));
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(at in 0usize..200, value: u8, cut in 0usize..400) {
        let mut bytes = kernel();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(cut);
        if let Ok(btf) = Btf::parse(bytes, None) {
            let _ = btf.member_offset("eventfd_ctx.count");
            let _ = btf.parameters("eventfd_signal_mask");
        }
    }
}
