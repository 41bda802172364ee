//! What the walk saw of each instruction, on all paths together.
//!
//! A pruned path was not walked, so only what states are compared by holds on it too: the kinds
//! and offsets of pointers, and which ways a jump takes, as numbers that decide one are compared.
//! Of other numbers the walk knows more than holds; those are left to [`flow`](super::flow).

use crate::state::{MapRef, MemKind, Pointer, PtrTo};
use ubpf_abi::map::MapId;
use ubpf_abi::verified::Region;
use ubpf_isa::Pc;

/// What was seen of every slot.
#[derive(Debug, Default)]
pub struct Seen {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    access: One<Region>,
    map: One<Option<MapId>>,
    key: One<Region>,
    jumped: bool,
    fell_through: bool,
}

/// Something that was seen, or not yet.
#[derive(Clone, Copy, Debug, Default)]
enum One<T> {
    #[default]
    Nothing,
    Thing(T),
}

impl<T: Copy> One<T> {
    fn add(&mut self, new: T, join: impl Fn(T, T) -> T) {
        *self = Self::Thing(match *self {
            Self::Nothing => new,
            Self::Thing(old) => join(old, new),
        });
    }

    fn thing(self) -> Option<T> {
        match self {
            Self::Nothing => None,
            Self::Thing(thing) => Some(thing),
        }
    }
}

impl Seen {
    /// Nothing yet, of `slots` slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { slots: vec![Slot::default(); slots] }
    }

    /// Memory was accessed.
    pub fn access(&mut self, pc: Pc, region: Region) {
        if let Some(slot) = self.slots.get_mut(pc.index()) {
            slot.access.add(region, Region::join);
        }
    }

    /// A helper was called for a map, with a key that lies somewhere.
    pub fn map_call(&mut self, pc: Pc, map: MapRef, key: Region) {
        if let Some(slot) = self.slots.get_mut(pc.index()) {
            let map = (!map.inner).then_some(map.map);
            slot.map.add(map, |old, new| old.filter(|_| old == new));
            slot.key.add(key, Region::join);
        }
    }

    /// A conditional jump went both ways, or only one.
    pub fn branch(&mut self, pc: Pc, only: Option<bool>) {
        if let Some(slot) = self.slots.get_mut(pc.index()) {
            slot.jumped |= only != Some(false);
            slot.fell_through |= only != Some(true);
        }
    }

    /// The memory that the instruction accesses.
    #[must_use]
    pub fn region(&self, pc: Pc) -> Region {
        let slot = self.slots.get(pc.index());
        slot.and_then(|slot| slot.access.thing()).unwrap_or_default()
    }

    /// The map that the helper call is for, where it is always the same of the program's.
    #[must_use]
    pub fn known_map(&self, pc: Pc) -> Option<MapId> {
        self.slots.get(pc.index())?.map.thing()?
    }

    /// Where on the running subprogram's stack the key of that call always lies.
    #[must_use]
    pub fn key_at(&self, pc: Pc) -> Option<i16> {
        match self.slots.get(pc.index())?.key.thing()? {
            Region::Stack { off } => off,
            _ => None,
        }
    }

    /// The only way that the conditional jump ever takes.
    #[must_use]
    pub fn only_way(&self, pc: Pc) -> Option<bool> {
        let slot = self.slots.get(pc.index())?;
        (slot.jumped != slot.fell_through).then_some(slot.jumped)
    }
}

/// What memory a pointer means to engines, seen from the frame at `depth`, `off` bytes further.
#[must_use]
pub fn region(p: &Pointer, off: i32, depth: usize) -> Region {
    match p.to {
        PtrTo::Ctx => Region::Ctx,
        PtrTo::Stack(at) if usize::from(at) + 1 == depth => {
            let off = p.const_off().map(|base| base + i64::from(off));
            Region::Stack { off: off.and_then(|off| i16::try_from(off).ok()) }
        }
        PtrTo::Stack(_) => Region::CallerStack,
        PtrTo::Packet(_) | PtrTo::PacketMeta(_) => Region::Packet,
        PtrTo::MapValue(map) if !map.inner => Region::MapValue(map.map),
        PtrTo::MapValue(_) | PtrTo::MapKey(_) => Region::Memory,
        PtrTo::Mem { kind: MemKind::Untrusted, .. } | PtrTo::Btf { .. } => Region::Object,
        PtrTo::Mem { .. } => Region::Memory,
        // Sockets are emulated as far as somebody fills them in, and the size of buffers is
        // known when something is attached.
        PtrTo::Sock(_)
        | PtrTo::FlowKeys
        | PtrTo::Own { .. }
        | PtrTo::Dynptr(_)
        | PtrTo::Buf { .. }
        | PtrTo::Map(_)
        | PtrTo::PacketEnd
        | PtrTo::TpBuffer
        | PtrTo::Arena
        | PtrTo::Func(_) => Region::Unknown,
    }
}
