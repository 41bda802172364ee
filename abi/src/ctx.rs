//! Contexts: the struct that `r1` points to on entry, one row a field.

use crate::kernel::Version;
use crate::prog_type::AttachType;

/// What a context field holds, which decides the type a load gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CtxFieldKind {
    /// A number.
    Scalar,
    /// Start of the packet, as a whole guest pointer in 32 bits.
    PacketData,
    /// End of the packet.
    PacketEnd,
    /// Start of the metadata in front of the packet.
    PacketMeta,
    /// A socket that may be absent.
    SockOrNull,
    /// `struct bpf_flow_keys`.
    FlowKeys,
    /// A typed pointer to this kernel struct, or null where the field says so.
    Pointer(&'static str),
}

/// Which accesses a field allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CtxAccess {
    /// Neither; the field exists in the struct but programs of this type may not touch it.
    None,
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
    /// Stores only.
    Write,
}

/// How wide an access to a field may be. Accesses are aligned to their own size in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CtxWidth {
    /// One whole element.
    Whole,
    /// One whole element; loads may be narrower.
    NarrowLoads,
    /// 1, 2, 4 or 8 bytes anywhere inside the field: it is scratch memory.
    Any,
}

/// One field of a context struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtxField {
    /// Its C name; array elements are one field of the array's size.
    pub name: &'static str,
    /// Byte offset in the UAPI struct.
    pub off: u32,
    /// Bytes, the whole array for arrays.
    pub size: u32,
    /// Bytes of one element, at which wide stores must be made; equals `size` but for arrays.
    pub elem_size: u32,
    /// What a load gives.
    pub kind: CtxFieldKind,
    /// Which accesses are allowed.
    pub access: CtxAccess,
    /// How wide these accesses may be.
    pub width: CtxWidth,
    /// The attach types that have the field at all; empty where all have it.
    pub attach_types: &'static [AttachType],
    /// The kernel that brought it.
    pub since: Version,
}

/// The UAPI layout of a program type's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtxLayout {
    /// The C struct's name, such as `xdp_md`.
    pub name: &'static str,
    /// Bytes of the whole struct.
    pub size: u32,
    /// Its fields by ascending offset, without overlaps.
    pub fields: &'static [CtxField],
}

impl CtxLayout {
    /// The field that covers the byte at `off`.
    #[must_use]
    pub fn field_at(&self, off: u32) -> Option<&'static CtxField> {
        let after = self.fields.partition_point(|f| f.off <= off);
        let field = &self.fields[after.checked_sub(1)?];
        (off < field.off + field.size).then_some(field)
    }

    /// The field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static CtxField> {
        self.fields.iter().find(|f| f.name == name)
    }
}
