//! The numbers of BTF's file format (kernel `include/uapi/linux/btf.h`, as of 6.18) and a
//! little-endian cursor. The parsers and the encoder read the layout from here.
//!
//! ```text
//!   .BTF      header ┬─ types: { name_off, info, size_or_type, data by kind }…
//!                    └─ strings, each ended by a zero byte
//!   info      31 kind_flag │ 28..24 kind │ 15..0 vlen
//!   .BTF.ext  header ┬─ func_info: record_size, { sec_name_off, count, records }…
//!                    ├─ line_info
//!                    └─ core_relo
//! ```

/// First two bytes of both sections.
pub(super) const MAGIC: u16 = 0xeb9f;
/// The only version there is.
pub(super) const VERSION: u8 = 1;
/// Bytes of `.BTF`'s header, without what later versions may append.
pub(super) const HEADER_BYTES: usize = 24;
/// Bytes of `.BTF.ext`'s header without the part for CO-RE, and with it.
pub(super) const EXT_HEADER_BYTES: usize = 24;
pub(super) const EXT_HEADER_CORE_BYTES: usize = 32;

/// Bytes of a type's fixed part.
pub(super) const TYPE_BYTES: usize = 12;
/// Bytes of one item of the lists behind it.
pub(super) const MEMBER_BYTES: usize = 12;
pub(super) const PARAM_BYTES: usize = 8;
pub(super) const ENUM_BYTES: usize = 8;
pub(super) const ENUM64_BYTES: usize = 12;
pub(super) const SEC_VAR_BYTES: usize = 12;

/// `info` word of a type.
#[derive(Clone, Copy)]
pub(super) struct Info(pub(super) u32);

impl Info {
    pub(super) const fn new(kind: u8, vlen: u16, kind_flag: bool) -> Self {
        Self((kind_flag as u32) << 31 | ((kind as u32) & 0x1f) << 24 | vlen as u32)
    }

    pub(super) const fn kind(self) -> u32 {
        (self.0 >> 24) & 0x1f
    }

    pub(super) const fn vlen(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    pub(super) const fn kind_flag(self) -> bool {
        self.0 >> 31 != 0
    }
}

/// Encoding bits of an integer.
pub(super) const INT_SIGNED: u32 = 1;
pub(super) const INT_CHAR: u32 = 2;
pub(super) const INT_BOOL: u32 = 4;

/// `component_idx` of a tag that means the whole declaration.
pub(super) const WHOLE_DECL: i32 = -1;

/// Takes little-endian words off the front of a slice.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// Bytes taken so far.
    pub(super) const fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `count` bytes, or none at all when there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes `count` items of `N` bytes, or none at all when there are fewer.
    pub(super) fn items<const N: usize>(&mut self, count: usize) -> Option<&'a [[u8; N]]> {
        let bytes = self.take(count.checked_mul(N)?)?;
        Some(bytes.as_chunks::<N>().0)
    }
}

/// The little-endian words of an item.
pub(super) fn words2([a, b, c, d, e, f, g, h]: &[u8; 8]) -> [u32; 2] {
    [u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h])]
}

/// The little-endian words of an item.
pub(super) fn words3([a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; 12]) -> [u32; 3] {
    [
        u32::from_le_bytes([*a, *b, *c, *d]),
        u32::from_le_bytes([*e, *f, *g, *h]),
        u32::from_le_bytes([*i, *j, *k, *l]),
    ]
}
