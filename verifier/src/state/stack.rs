//! A frame's stack: what each byte holds, and the registers spilled to it.
//!
//! ```text
//!        fp-16                    fp-8                     fp
//!   ──────┼────────────────────────┼────────────────────────┤
//!         │        slot 1          │        slot 0          │   byte 0 of a slot is its lowest
//! ```

use super::object::Object;
use super::reg::{Number, Reg};
use crate::domain::Scalar;
use std::rc::Rc;
use ubpf_abi::limits::STACK_BYTES;

/// Bytes in a slot.
pub const SLOT_BYTES: u32 = 8;

/// What one byte of the stack holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Byte {
    /// Never written.
    #[default]
    Invalid,
    /// Part of the slot's spilled register: byte `n` of the slot is byte `n` of its value.
    Spill,
    /// Data of which nothing is known.
    Misc,
    /// Zero.
    Zero,
    /// Part of a dynptr.
    Dynptr,
    /// Part of an iterator.
    Iter,
    /// Part of saved interrupt flags.
    IrqFlag,
}

impl Byte {
    /// Part of an object, whole or broken, which is never read as data.
    #[must_use]
    pub const fn is_object(self) -> bool {
        matches!(self, Self::Dynptr | Self::Iter | Self::IrqFlag)
    }
}

/// Eight aligned bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The register spilled here; [`Reg::Uninit`] where the bytes say nothing of one.
    pub reg: Reg,
    /// Its bytes, from the lowest address.
    pub bytes: [Byte; SLOT_BYTES as usize],
}

impl Slot {
    /// Bytes that hold the spilled register, which always begins at the lowest one; 0 when no
    /// register is spilled.
    #[must_use]
    pub fn spill_bytes(&self) -> u32 {
        self.bytes.iter().take_while(|b| **b == Byte::Spill).count() as u32
    }

    /// The spilled number, when there is one.
    #[must_use]
    pub fn spilled_number(&self) -> Option<&Number> {
        if self.bytes[0] == Byte::Spill { self.reg.number() } else { None }
    }

    /// Holds more than data: a spilled register or part of an object.
    fn is_special(&self) -> bool {
        self.bytes.iter().any(|b| *b == Byte::Spill || b.is_object())
    }

    /// Ends what is partly overwritten; nothing is known of what was written here then.
    fn scrub(&mut self) {
        self.reg = Reg::Uninit;
        for b in self.bytes.iter_mut().filter(|b| **b != Byte::Invalid) {
            *b = Byte::Misc;
        }
    }
}

/// A byte range of the stack, by its offset from the frame pointer (negative) and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the lowest byte, -512 to -1.
    pub off: i32,
    /// Bytes.
    pub len: u32,
}

impl Span {
    /// The span, if it lies on the stack.
    #[must_use]
    pub fn checked(off: i64, len: u32) -> Option<Self> {
        let fits = off >= -i64::from(STACK_BYTES) && off.checked_add(len.into())? <= 0;
        fits.then_some(Self { off: off as i32, len })
    }

    /// Slot and byte within it of the `n`th byte.
    #[must_use]
    pub const fn place(self, n: u32) -> (usize, usize) {
        let below = (-self.off) as u32 - n - 1;
        ((below / SLOT_BYTES) as usize, (SLOT_BYTES - 1 - below % SLOT_BYTES) as usize)
    }

    /// The slots that it has bytes in, from the frame pointer downwards.
    #[must_use]
    pub const fn slots(self) -> core::ops::Range<usize> {
        if self.len == 0 {
            return 0..0;
        }
        self.place(self.len - 1).0..self.place(0).0 + 1
    }

    /// Begins at a slot's lowest byte.
    #[must_use]
    pub const fn starts_slot(self) -> bool {
        self.off % SLOT_BYTES as i32 == 0
    }
}

/// What a read of the stack gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// A register as it was spilled, or its low bytes, to be cut to the size read.
    Spilled(Reg),
    /// Zero bytes only.
    Zero,
    /// Data of which nothing is known.
    Unknown,
}

/// Why a read of the stack is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillError {
    /// Byte `n` of the span was never written, or belongs to an object.
    Invalid {
        /// Which byte, counted from the span's lowest.
        n: u32,
    },
    /// Part of a spilled pointer.
    PartOfPointer,
}

/// A frame's stack, as deep as it has been used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Shared until they are written: most steps change registers only.
    slots: Rc<Vec<Slot>>,
    /// Objects by the offset of their lowest byte; all of their bytes are whole.
    objects: Vec<(i32, Object)>,
}

impl Stack {
    /// The slots in use, from the frame pointer downwards.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The same, to be refined.
    pub fn slots_mut(&mut self) -> &mut [Slot] {
        Rc::make_mut(&mut self.slots).as_mut_slice()
    }

    /// Those of the slots, by bit, that hold a spilled number.
    #[must_use]
    pub fn numbers_among(&self, slots: u64) -> u64 {
        let number =
            |n: &u32| self.slots.get(*n as usize).is_some_and(|s| s.spilled_number().is_some());
        (0..u64::BITS).filter(|n| slots & 1 << n != 0).filter(number).fold(0, |set, n| set | 1 << n)
    }

    /// The slot that the span begins in, where it is in use.
    #[must_use]
    pub fn slot(&self, span: Span) -> Option<&Slot> {
        self.slots.get(span.place(0).0)
    }

    /// The objects on it, with the offset of their lowest byte.
    pub fn objects(&self) -> impl Iterator<Item = (i32, &Object)> {
        self.objects.iter().map(|(off, object)| (*off, object))
    }

    /// The object that begins at `off`.
    #[must_use]
    pub fn object(&self, off: i32) -> Option<&Object> {
        self.objects().find(|(at, _)| *at == off).map(|(_, object)| object)
    }

    /// The same, to be changed. What it is must stay.
    pub fn object_mut(&mut self, off: i32) -> Option<&mut Object> {
        self.objects.iter_mut().find(|(at, _)| *at == off).map(|(_, object)| object)
    }

    /// The objects that have bytes in the slots of the span.
    pub fn objects_in(&self, span: Span) -> impl Iterator<Item = (i32, &Object)> {
        let slots = span.slots();
        self.objects().filter(move |(off, object)| {
            Span { off: *off, len: object.bytes() }.slots().any(|n| slots.contains(&n))
        })
    }

    /// Puts an object at `off`, the lowest byte of a slot. What was there is gone.
    ///
    /// Whether it lies on the stack is for the caller to have checked.
    pub fn place(&mut self, off: i32, object: Object) {
        let span = Span { off, len: object.bytes() };
        self.fill(span, object.byte());
        self.objects.push((off, object));
    }

    /// Ends the object that begins at `off`: its bytes are as if never written.
    pub fn remove(&mut self, off: i32) -> Option<Object> {
        let at = self.objects.iter().position(|(at, _)| *at == off)?;
        let (_, object) = self.objects.remove(at);
        self.fill(Span { off, len: object.bytes() }, Byte::Invalid);
        Some(object)
    }

    /// Makes whole slots hold one kind of byte.
    fn fill(&mut self, span: Span, byte: Byte) {
        self.grow(span);
        self.break_objects(span);
        if let Some(slots) = self.slots_mut().get_mut(span.slots()) {
            slots.fill(Slot { reg: Reg::Uninit, bytes: [byte; SLOT_BYTES as usize] });
        }
    }

    /// Objects that are partly overwritten are none any more.
    fn break_objects(&mut self, span: Span) {
        if !self.objects.is_empty() {
            let broken: Vec<i32> = self.objects_in(span).map(|(off, _)| off).collect();
            self.objects.retain(|(off, _)| !broken.contains(off));
        }
    }

    fn grow(&mut self, span: Span) {
        let deepest = span.place(0).0;
        if self.slots.len() <= deepest {
            Rc::make_mut(&mut self.slots).resize(deepest + 1, Slot::default());
        }
    }

    /// Spills a register to the low bytes of a slot; bytes above keep what they hold, as far as
    /// it is not of an older spill.
    pub fn spill(&mut self, span: Span, reg: Reg, privileged: bool) {
        self.grow(span);
        self.break_objects(span);
        let slot = &mut self.slots_mut()[span.place(0).0];
        slot.reg = reg;
        for (n, byte) in (0..).zip(&mut slot.bytes) {
            if n < span.len {
                *byte = Byte::Spill;
            } else if *byte != Byte::Zero && !(privileged && *byte == Byte::Invalid) {
                *byte = Byte::Misc;
            }
        }
    }

    /// Writes data, which ends the spills it touches.
    pub fn write(&mut self, span: Span, byte: Byte) {
        self.grow(span);
        self.break_objects(span);
        let slots = Rc::make_mut(&mut self.slots);
        for n in 0..span.len {
            let (slot, at) = span.place(n);
            let slot = &mut slots[slot];
            if slot.is_special() {
                slot.scrub();
            }
            slot.reg = Reg::Uninit;
            slot.bytes[at] = byte;
        }
    }

    /// Writes `len` bytes of which nothing is known somewhere inside the span: bytes keep what
    /// they hold where that is no less than nothing known, and zero where zero is written.
    /// Whether such zeroes were kept.
    pub fn write_somewhere(&mut self, span: Span, zero: bool) -> bool {
        self.grow(span);
        self.break_objects(span);
        let mut kept = false;
        let slots = Rc::make_mut(&mut self.slots);
        for n in 0..span.len {
            let (slot, at) = span.place(n);
            let slot = &mut slots[slot];
            let number_zero = slot.spilled_number().is_some_and(|n| n.value.as_const() == Some(0));
            if zero && slot.bytes[at] == Byte::Spill && number_zero {
                kept = true;
                continue;
            }
            if slot.is_special() {
                slot.scrub();
            }
            if zero && slot.bytes[at] == Byte::Zero {
                kept = true;
            } else {
                slot.bytes[at] = Byte::Misc;
            }
        }
        kept
    }

    /// Whether every byte of the span may be read, spilled pointers included: for helpers.
    ///
    /// # Errors
    /// When a byte was never written, and `uninit_ok` is not set, or belongs to an object.
    pub fn readable(&self, span: Span, uninit_ok: bool) -> Result<(), FillError> {
        let invalid = (0..span.len).find(|&n| {
            let (slot, at) = span.place(n);
            match self.slots.get(slot).map(|s| s.bytes[at]).unwrap_or_default() {
                Byte::Invalid => !uninit_ok,
                byte => byte.is_object(),
            }
        });
        invalid.map_or(Ok(()), |n| Err(FillError::Invalid { n }))
    }

    /// Whether all bytes of the span are known to be zero, without looking into spilled numbers.
    #[must_use]
    pub fn is_zero(&self, span: Span) -> bool {
        (0..span.len).all(|n| {
            let (slot, at) = span.place(n);
            self.slots.get(slot).is_some_and(|s| s.bytes[at] == Byte::Zero)
        })
    }

    /// Reads `span`. With `uninit_ok` bytes that were never written read as unknown.
    ///
    /// # Errors
    /// When a byte may not be read, or the span cuts a pointer.
    pub fn read(&self, span: Span, uninit_ok: bool) -> Result<Fill, FillError> {
        if let Some(slot) = self.slot(span).filter(|slot| slot.bytes[0] == Byte::Spill) {
            let spilled = slot.spill_bytes();
            let whole = span.len == SLOT_BYTES && spilled == SLOT_BYTES;
            if !whole && slot.reg.pointer().is_some() {
                return Err(FillError::PartOfPointer);
            }
            if whole || span.starts_slot() && span.len <= spilled {
                return Ok(Fill::Spilled(slot.reg));
            }
        }
        let (mut zeros, mut spills) = (0, 0);
        for n in 0..span.len {
            let (slot, at) = span.place(n);
            match self.slots.get(slot).map(|s| s.bytes[at]).unwrap_or_default() {
                Byte::Spill => spills += 1,
                Byte::Zero => zeros += 1,
                Byte::Misc => {}
                Byte::Invalid if uninit_ok => {}
                Byte::Invalid | Byte::Dynptr | Byte::Iter | Byte::IrqFlag => {
                    return Err(FillError::Invalid { n });
                }
            }
        }
        let zero_spill = || {
            let number = self.slot(span).and_then(Slot::spilled_number);
            number.is_some_and(|n| n.value == Scalar::constant(0))
        };
        if zeros == span.len || spills == span.len && zero_spill() {
            Ok(Fill::Zero)
        } else {
            Ok(Fill::Unknown)
        }
    }

    /// Reads somewhere in `span`: of numbers that were spilled there nothing is known, whichever
    /// of their bytes it is.
    ///
    /// # Errors
    /// When a byte may not be read.
    pub fn read_somewhere(&self, span: Span, uninit_ok: bool) -> Result<Fill, FillError> {
        self.readable(span, uninit_ok)?;
        let zero = |n| {
            let (slot, at) = span.place(n);
            self.slots.get(slot).is_some_and(|slot| slot.bytes[at] == Byte::Zero)
        };
        Ok(if (0..span.len).all(zero) { Fill::Zero } else { Fill::Unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::object::{Dynptr, IrqClass, IrqFlag};
    use crate::state::reg::{Pointer, PtrId, PtrTo, RefId};
    use ubpf_abi::helper::DynptrKind;

    fn span(off: i64, len: u32) -> Span {
        Span::checked(off, len).unwrap()
    }

    #[test]
    fn spans_stay_on_the_stack() {
        assert_eq!(Span::checked(-8, 9), None);
        assert_eq!(Span::checked(-513, 1), None);
        assert_eq!(Span::checked(i64::MAX, 8), None);
        assert_eq!(span(-12, 8).place(0), (1, 4));
        assert_eq!(span(-12, 8).place(4), (0, 0));
    }

    #[test]
    fn a_spill_comes_back_whole_or_in_its_low_bytes() {
        let mut stack = Stack::default();
        stack.spill(span(-8, 8), Reg::constant(0x1234), true);
        assert_eq!(stack.read(span(-8, 8), false), Ok(Fill::Spilled(Reg::constant(0x1234))));
        assert_eq!(stack.read(span(-8, 2), false), Ok(Fill::Spilled(Reg::constant(0x1234))));
        assert_eq!(stack.read(span(-6, 2), false), Ok(Fill::Unknown));
        assert_eq!(stack.read_somewhere(span(-8, 8), false), Ok(Fill::Unknown));
    }

    #[test]
    fn pointers_come_back_whole_only() {
        let mut stack = Stack::default();
        stack.spill(span(-8, 8), Reg::Pointer(Pointer::new(PtrTo::Ctx)), true);
        assert_eq!(stack.read(span(-8, 4), true), Err(FillError::PartOfPointer));
        stack.write(span(-5, 1), Byte::Misc);
        assert_eq!(stack.read(span(-8, 8), true), Ok(Fill::Unknown));
    }

    #[test]
    fn objects_are_no_data_and_break_where_they_are_overwritten() {
        let flag = Object::IrqFlag(IrqFlag { ref_id: RefId(1), class: IrqClass::Native });
        let dynptr = Object::Dynptr(Dynptr { kind: DynptrKind::Local, id: PtrId(2), ref_id: None });
        let mut stack = Stack::default();
        stack.place(-8, flag);
        stack.place(-24, dynptr);
        assert_eq!(stack.read(span(-16, 8), true), Err(FillError::Invalid { n: 0 }));
        assert_eq!(stack.readable(span(-12, 8), true), Err(FillError::Invalid { n: 0 }));
        assert_eq!(stack.objects_in(span(-12, 8)).count(), 2);
        stack.write(span(-20, 1), Byte::Misc);
        assert_eq!((stack.object(-8), stack.object(-24)), (Some(&flag), None));
        assert_eq!(stack.read(span(-24, 8), true), Ok(Fill::Unknown));
        assert_eq!(stack.read(span(-16, 8), true), Err(FillError::Invalid { n: 0 }));
        assert_eq!(stack.remove(-8), Some(flag));
        assert_eq!(stack.read(span(-8, 8), false), Err(FillError::Invalid { n: 0 }));
    }

    #[test]
    fn unwritten_bytes_are_readable_with_privilege_only() {
        let mut stack = Stack::default();
        stack.write(span(-8, 4), Byte::Zero);
        assert_eq!(stack.read(span(-8, 4), false), Ok(Fill::Zero));
        assert_eq!(stack.read(span(-8, 8), false), Err(FillError::Invalid { n: 4 }));
        assert_eq!(stack.read(span(-8, 8), true), Ok(Fill::Unknown));
    }
}
