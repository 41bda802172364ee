//! Short forms of the rows that context tables consist of.

use ubpf_abi::Version;
use ubpf_abi::ctx::{CtxAccess, CtxField, CtxFieldKind, CtxLayout, CtxWidth};
use ubpf_abi::prog_type::{
    AttachType, InputKind, PacketAccess, ProgType, ProgTypeDecl, RetRange, Verdicts,
};

/// A field of `count` numbers of `elem` bytes, read as a whole.
pub const fn array(name: &'static str, off: u32, elem: u32, count: u32) -> CtxField {
    CtxField {
        name,
        off,
        size: elem * count,
        elem_size: elem,
        kind: CtxFieldKind::Scalar,
        access: CtxAccess::Read,
        width: CtxWidth::Whole,
        attach_types: &[],
        since: Version::new(4, 1),
    }
}

/// A 32-bit number, read as a whole.
pub const fn word(name: &'static str, off: u32) -> CtxField {
    array(name, off, 4, 1)
}

/// A 64-bit number, read as a whole.
pub const fn long(name: &'static str, off: u32) -> CtxField {
    array(name, off, 8, 1)
}

/// A pointer in 64 bits.
pub const fn pointer(name: &'static str, off: u32, kind: CtxFieldKind) -> CtxField {
    CtxField { kind, ..long(name, off) }
}

/// The same field with loads and stores.
pub const fn writable(field: CtxField) -> CtxField {
    CtxField { access: CtxAccess::ReadWrite, ..field }
}

/// The same field with other widths.
pub const fn wide(field: CtxField, width: CtxWidth) -> CtxField {
    CtxField { width, ..field }
}

/// The same field, for these attach types only.
pub const fn only_for(field: CtxField, attach_types: &'static [AttachType]) -> CtxField {
    CtxField { attach_types, ..field }
}

/// The same field, since this kernel.
pub const fn since(field: CtxField, major: u8, minor: u8) -> CtxField {
    CtxField { since: Version::new(major, minor), ..field }
}

/// A type without packets, helpers and rules on what it returns.
pub const fn decl(prog_type: ProgType, doc: &'static str, ctx: CtxLayout) -> ProgTypeDecl {
    ProgTypeDecl {
        prog_type,
        doc,
        ctx,
        input: InputKind::Context,
        packet: PacketAccess::None,
        helpers: &[],
        ret: RetRange::Any,
        verdicts: Verdicts::Numbers,
        legacy_loads: false,
        hooks: &[],
    }
}

/// 0 or 1.
pub const BOOL: RetRange = RetRange::Within { min: 0, max: 1 };
/// 0 alone.
pub const ZERO: RetRange = RetRange::Within { min: 0, max: 0 };
/// 1 alone.
pub const ONE: RetRange = RetRange::Within { min: 1, max: 1 };
