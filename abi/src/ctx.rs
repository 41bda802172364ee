//! Contexts: the struct that `r1` points to on entry, one row a field.

use crate::Access;
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
    /// A socket of any kind that may be absent.
    SockOrNull,
    /// A full socket.
    Sock,
    /// A full socket that may be absent.
    FullSockOrNull,
    /// `struct bpf_flow_keys`.
    FlowKeys,
    /// A trusted pointer to this kernel struct.
    Pointer(&'static str),
    /// The buffer of a writable tracepoint.
    TpBuffer,
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
    /// One whole element; loads may be narrower where they begin with the element.
    NarrowFirst,
    /// One whole element; loads may be half of it.
    HalfLoads,
    /// One whole element, of which the first half is the value: loads inside that half may be
    /// narrower.
    Padded,
    /// One whole element; loads may be narrower, and eight bytes at once may be accessed.
    NarrowOrWide,
    /// One whole element at the field's start, and any access behind it.
    WholeFirst,
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
    /// Its fields by ascending offset, without overlaps among those of one attach type.
    pub fields: &'static [CtxField],
}

impl CtxField {
    /// Whether programs of this attach type have the field.
    #[must_use]
    pub fn exists_for(&self, attach_type: AttachType) -> bool {
        self.attach_types.is_empty() || self.attach_types.contains(&attach_type)
    }

    /// Whether the field allows an access of `size` bytes (1, 2, 4 or 8) at `off` of the context.
    #[must_use]
    pub fn allows(&self, access: Access, off: u32, size: u32) -> bool {
        let granted = match access {
            Access::Read => matches!(self.access, CtxAccess::Read | CtxAccess::ReadWrite),
            Access::Write => matches!(self.access, CtxAccess::Write | CtxAccess::ReadWrite),
        };
        let Some(at) = off.checked_sub(self.off) else { return false };
        let inside = at.checked_add(size).is_some_and(|end| end <= self.size);
        if !granted || !inside || size == 0 || !off.is_multiple_of(size) {
            return false;
        }
        let elem = self.elem_size.max(1);
        let in_elem = at % elem;
        let whole = size == elem && in_elem == 0;
        let narrow = access == Access::Read && in_elem + size <= elem;
        match self.width {
            CtxWidth::Whole => whole,
            CtxWidth::NarrowLoads => whole || narrow,
            CtxWidth::NarrowFirst => whole || narrow && in_elem == 0,
            CtxWidth::HalfLoads => whole || narrow && size * 2 >= elem,
            CtxWidth::Padded => whole || narrow && (in_elem + size) * 2 <= elem,
            CtxWidth::NarrowOrWide => whole || narrow || size == 8,
            CtxWidth::WholeFirst => at != 0 || whole,
            CtxWidth::Any => true,
        }
    }
}

impl CtxLayout {
    /// The field that covers the byte at `off` for programs of this attach type.
    #[must_use]
    pub fn field_for(&self, off: u32, attach_type: AttachType) -> Option<&'static CtxField> {
        let covers = |f: &&CtxField| f.off <= off && off - f.off < f.size;
        self.fields.iter().filter(covers).find(|f| f.exists_for(attach_type))
    }

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
