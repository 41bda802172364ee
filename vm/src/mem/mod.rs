//! Guest memory: the cage, its regions, and addresses in it.

/// An address inside the cage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u32);

/// Placeholder for the cage.
#[derive(Debug)]
pub struct Cage {}
