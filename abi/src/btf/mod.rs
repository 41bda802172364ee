//! BTF: types of a program or of the kernel, by id.

/// A type's number; 0 is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BtfId(pub u32);

/// Placeholder model.
#[derive(Debug, Default)]
pub struct Btf {}
