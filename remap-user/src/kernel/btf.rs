//! BTF, as far as offsets, parameters and enumerators need it (Documentation/bpf/btf.rst).
//!
//! The well-kept parsers cost 90 to 180 ms at every start, or bring a licence that a static
//! binary cannot carry; this one reads what the layout needs in a few milliseconds.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

/// Why bytes cannot be read as BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The magic number or the version is another one.
    #[error("no BTF of version 1 in this machine's byte order")]
    Magic,
    /// A section or a type reaches beyond the end.
    #[error("BTF is cut off at byte {0}")]
    Truncated(usize),
    /// A kind of type that is newer than this code, so that its length is not known.
    #[error("unknown BTF kind {0}")]
    Kind(u32),
}

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_POINTER: u32 = 2;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_TYPE_TAG: u32 = 18;

/// The longest chain of pointers and qualifiers that is followed: a longer one is a loop.
const DEPTH: u32 = 8;

/// One type, as a place in the bytes.
#[derive(Clone, Copy, Debug)]
struct Type {
    name: u32,
    info: u32,
    /// Size, or the type that this one refers to.
    refers: u32,
    /// Where the data behind the common part begins.
    data: usize,
}

impl Type {
    fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    fn count(self) -> usize {
        (self.info & 0xffff) as usize
    }

    fn is_bitfield_layout(self) -> bool {
        self.info >> 31 != 0
    }

    /// Bytes behind the common part.
    fn data_len(self) -> Result<usize, BtfError> {
        let count = self.count();
        Ok(match self.kind() {
            KIND_INT | 14 | 17 => 4,
            KIND_POINTER | 7 | 8..=12 | 16 | KIND_TYPE_TAG => 0,
            3 => 12,
            KIND_STRUCT | KIND_UNION | 15 | 19 => count * 12,
            KIND_ENUM | 13 => count * 8,
            other => return Err(BtfError::Kind(other)),
        })
    }
}

/// The types of a kernel, or of a module on top of a kernel's.
#[derive(Clone, Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    string_bytes: usize,
    types: Vec<Type>,
    /// Hash of name and kind → id: a kernel has tens of thousands of names, too many to copy.
    names: HashMap<u64, u32>,
    hasher: RandomState,
    base: Option<Arc<Btf>>,
}

impl Btf {
    /// Parses BTF; `base` is the kernel's for a module's (split BTF).
    ///
    /// # Errors
    /// If the bytes are not BTF of version 1, are cut off, or hold an unknown kind.
    pub fn parse(bytes: Vec<u8>, base: Option<&Arc<Self>>) -> Result<Self, BtfError> {
        let word = |at: usize| word(&bytes, at);
        let magic = word(0)?;
        if magic & 0xffff != u32::from(MAGIC) || (magic >> 16) & 0xff != 1 {
            return Err(BtfError::Magic);
        }
        let header = word(4)? as usize;
        let (type_at, type_len) = (header + word(8)? as usize, word(12)? as usize);
        let strings = header + word(16)? as usize;
        let string_bytes = word(20)? as usize;
        let end = type_at + type_len;
        if end > bytes.len() || strings + string_bytes > bytes.len() {
            return Err(BtfError::Truncated(bytes.len()));
        }
        let first = base.map_or(1, |base| base.next_id());
        let mut types = Vec::new();
        let mut at = type_at;
        while at < end {
            let entry = Type {
                name: word(at)?,
                info: word(at + 4)?,
                refers: word(at + 8)?,
                data: at + 12,
            };
            at += 12 + entry.data_len()?;
            if at > end {
                return Err(BtfError::Truncated(end));
            }
            types.push(entry);
        }
        let mut btf = Self {
            bytes,
            strings,
            string_bytes,
            types,
            names: HashMap::new(),
            hasher: RandomState::new(),
            base: base.cloned(),
        };
        btf.names = btf.index(first);
        Ok(btf)
    }

    /// The bytes that it was parsed from.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first type of each name, of the kinds that can be looked up.
    fn index(&self, first: u32) -> HashMap<u64, u32> {
        let mut names = HashMap::new();
        for (id, entry) in (first..).zip(&self.types) {
            if matches!(entry.kind(), KIND_STRUCT | KIND_ENUM | KIND_FUNC)
                && let Some(name) = self.string(entry.name)
                && !name.is_empty()
            {
                names.entry(self.hash(name, entry.kind())).or_insert(id);
            }
        }
        names
    }

    fn hash(&self, name: &str, kind: u32) -> u64 {
        self.hasher.hash_one((name, kind))
    }

    /// Byte offset of a member, by the struct's name and the path in it: `device.kobj.name`.
    /// Members of unnamed structs and unions count as the outer struct's own. `None` if there is
    /// no such struct or member, or if it is a bit field.
    pub fn member_offset(&self, path: &str) -> Option<u32> {
        let mut names = path.split('.');
        let mut id = self.find(names.next()?, KIND_STRUCT)?;
        let mut offset = 0;
        for member in names {
            let (bits, next) = self.member(id, member)?;
            if bits % 8 != 0 {
                return None;
            }
            offset += bits / 8;
            id = next;
        }
        Some(offset)
    }

    /// The names of a function's parameters; `None` if the function is not described.
    pub fn parameters(&self, function: &str) -> Option<Vec<String>> {
        let (btf, func) = self.resolve(self.find(function, KIND_FUNC)?)?;
        let (owner, proto) = btf.resolve(func.refers)?;
        (0..proto.count())
            .map(|n| {
                let name = word(&owner.bytes, proto.data + n * 8).ok()?;
                btf.string(name).map(str::to_owned)
            })
            .collect()
    }

    /// The size of a struct, bytes.
    pub fn struct_size(&self, name: &str) -> Option<u32> {
        let (_, found) = self.resolve(self.find(name, KIND_STRUCT)?)?;
        Some(found.refers)
    }

    /// The functions that these types describe themselves, not the kernel below a module: name
    /// and prototype in C's notation without names, as in `long int (struct file *, unsigned int)`.
    pub fn prototypes(&self) -> impl Iterator<Item = (&str, String)> {
        let functions = self.types.iter().filter(|entry| entry.kind() == KIND_FUNC);
        functions.filter_map(|entry| Some((self.string(entry.name)?, self.prototype(*entry)?)))
    }

    fn prototype(&self, function: Type) -> Option<String> {
        let (owner, proto) = self.resolve(function.refers)?;
        let parameters: Option<Vec<String>> = (0..proto.count())
            .map(|n| self.type_name(word(&owner.bytes, proto.data + n * 8 + 4).ok()?, DEPTH))
            .collect();
        let returns = self.type_name(proto.refers, DEPTH)?;
        Some(format!("{returns} ({})", parameters?.join(", ")))
    }

    /// A type as C writes it; `None` for one that no prototype of interest holds (an array, a
    /// pointer to a function), and for a chain of more than `depth` links.
    fn type_name(&self, id: u32, depth: u32) -> Option<String> {
        if id == 0 {
            return Some("void".to_owned());
        }
        let (owner, found) = self.resolve(id)?;
        let inner = || self.type_name(found.refers, depth.checked_sub(1)?);
        let name = || owner.string(found.name);
        match found.kind() {
            KIND_INT | KIND_TYPEDEF => name().map(str::to_owned),
            KIND_STRUCT => Some(format!("struct {}", name()?)),
            KIND_UNION => Some(format!("union {}", name()?)),
            KIND_ENUM => Some(format!("enum {}", name()?)),
            KIND_CONST => Some(format!("const {}", inner()?)),
            KIND_VOLATILE | KIND_RESTRICT | KIND_TYPE_TAG => inner(),
            KIND_POINTER => {
                let target = inner()?;
                let space = if target.ends_with('*') { "" } else { " " };
                Some(format!("{target}{space}*"))
            }
            _ => None,
        }
    }

    /// Whether a function is described by these types themselves, not by the kernel's below.
    pub fn describes(&self, function: &str) -> bool {
        self.names.contains_key(&self.hash(function, KIND_FUNC))
    }

    /// Whether a function is described.
    pub fn has_function(&self, name: &str) -> bool {
        self.find(name, KIND_FUNC).is_some()
    }

    /// Whether a struct is described.
    pub fn has_struct(&self, name: &str) -> bool {
        self.find(name, KIND_STRUCT).is_some()
    }

    /// The value of an enumerator.
    pub fn enumerator(&self, name: &str, variant: &str) -> Option<u32> {
        let (btf, found) = self.resolve(self.find(name, KIND_ENUM)?)?;
        (0..found.count()).find_map(|n| {
            let at = found.data + n * 8;
            let label = word(&btf.bytes, at).ok()?;
            if btf.string(label)? == variant {
                word(&btf.bytes, at + 4).ok()
            } else {
                None
            }
        })
    }

    fn first_id(&self) -> u32 {
        self.base.as_ref().map_or(1, |base| base.next_id())
    }

    fn next_id(&self) -> u32 {
        self.first_id() + u32::try_from(self.types.len()).unwrap_or(u32::MAX)
    }

    fn find(&self, name: &str, kind: u32) -> Option<u32> {
        let found = self.names.get(&self.hash(name, kind)).copied();
        // Two names may share a hash; then the later one is not found and is reported as missing.
        found
            .filter(|id| {
                self.resolve(*id)
                    .is_some_and(|(btf, found)| btf.string(found.name) == Some(name))
            })
            .or_else(|| self.base.as_ref()?.find(name, kind))
    }

    /// A type, and the BTF that holds its bytes.
    fn resolve(&self, id: u32) -> Option<(&Self, Type)> {
        match &self.base {
            Some(base) if id < self.first_id() => base.resolve(id),
            _ => {
                let index = id.checked_sub(self.first_id())?;
                Some((self, *self.types.get(index as usize)?))
            }
        }
    }

    /// Strings of a module continue where the kernel's end.
    fn string(&self, offset: u32) -> Option<&str> {
        let offset = offset as usize;
        let inherited = self.base.as_ref().map_or(0, |base| base.string_end());
        if offset < inherited {
            return self.base.as_ref()?.string(u32::try_from(offset).ok()?);
        }
        let section = self
            .bytes
            .get(self.strings..self.strings + self.string_bytes)?;
        let tail = section.get(offset - inherited..)?;
        let end = tail.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&tail[..end]).ok()
    }

    fn string_end(&self) -> usize {
        self.string_bytes + self.base.as_ref().map_or(0, |base| base.string_end())
    }

    /// A member's offset in bits and its type, looked for in unnamed members too.
    fn member(&self, id: u32, wanted: &str) -> Option<(u32, u32)> {
        let (owner, found) = self.resolve(self.skip_qualifiers(id)?)?;
        if !matches!(found.kind(), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        (0..found.count()).find_map(|n| {
            let at = found.data + n * 12;
            let name = self.string(word(&owner.bytes, at).ok()?)?;
            let inner = word(&owner.bytes, at + 4).ok()?;
            let raw = word(&owner.bytes, at + 8).ok()?;
            let bits = if found.is_bitfield_layout() {
                raw & 0x00ff_ffff
            } else {
                raw
            };
            if name == wanted {
                Some((bits, inner))
            } else if name.is_empty() {
                let (deeper, last) = self.member(inner, wanted)?;
                Some((bits + deeper, last))
            } else {
                None
            }
        })
    }

    fn skip_qualifiers(&self, mut id: u32) -> Option<u32> {
        // A chain of qualifiers longer than this is a loop.
        for _ in 0..16 {
            let (_, found) = self.resolve(id)?;
            if !matches!(found.kind(), KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST) {
                return Some(id);
            }
            id = found.refers;
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(BtfError::Truncated(at))
}

#[cfg(test)]
pub(crate) mod tests;
