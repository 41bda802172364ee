//! Atomic operations: a read and a write of the same memory, in kinds of memory that have them.

use super::Step;
use super::mem::Place;
use crate::Privilege;
use crate::reason::{MemoryReason, R, Reason};
use crate::state::{Pointer, PtrTo, Reg};
use ubpf_isa::{AtomicOp, AtomicSize, Operand, Reg as Name, Size};

impl Step<'_> {
    /// An atomic read-modify-write.
    pub(super) fn atomic(
        &mut self,
        op: AtomicOp,
        size: AtomicSize,
        base: Name,
        off: i16,
        src: Name,
    ) -> Result<(), Reason> {
        self.operand_of_atomic(src)?;
        self.read(base)?;
        if op == AtomicOp::Cmpxchg {
            self.operand_of_atomic(Name::R0)?;
        }
        let address = self.read(base)?;
        self.check_atomic(address, base, "stores into")?;
        let old = op.old_value_to(src);
        if let Some(old) = old {
            self.check_writable(old)?;
        }
        let at = Place { base, off: off.into(), size: size.size().bytes() };
        self.check_alignment(&address, at, true)?;
        let p = self.memory(at)?;
        let loaded = self.loaded(&p, at)?;
        self.stored(&p, at, None)?;
        match old {
            Some(old) => self.set(old, self.widened(loaded, size.size(), false)),
            None => Ok(()),
        }
    }

    /// A load with acquire order.
    pub(super) fn load_acquire(
        &mut self,
        size: Size,
        dst: Name,
        base: Name,
        off: i16,
    ) -> Result<(), Reason> {
        self.ordered_memory(Place { base, off: off.into(), size: size.bytes() })?;
        self.load(size, false, dst, base, off)?;
        // The kernel asks what the register points to when the load has changed it perhaps.
        let address = self.read(base)?;
        self.check_atomic(address, base, "loads from")
    }

    /// A store with release order.
    pub(super) fn store_release(
        &mut self,
        size: Size,
        base: Name,
        off: i16,
        src: Name,
    ) -> Result<(), Reason> {
        self.read(src)?;
        let p = self.ordered_memory(Place { base, off: off.into(), size: size.bytes() })?;
        self.store(size, base, off, Operand::Reg(src))?;
        self.check_atomic(p, base, "stores into")
    }

    /// The address of an access with order, which must be aligned.
    fn ordered_memory(&mut self, at: Place) -> Result<Reg, Reason> {
        let base = self.read(at.base)?;
        self.check_alignment(&base, at, true)?;
        Ok(base)
    }

    /// A value that an atomic operation puts into memory: no pointer, without privileges.
    fn operand_of_atomic(&mut self, reg: Name) -> Result<(), Reason> {
        let value = self.read(reg)?;
        if value.pointer().is_some() && self.cx.options.privilege == Privilege::Unprivileged {
            return Err(MemoryReason::Leak { reg: R(reg), into: "mem" }.into());
        }
        Ok(())
    }

    /// Whether memory of this kind has atomic operations at all.
    fn check_atomic(&self, address: Reg, base: Name, verb: &'static str) -> Result<(), Reason> {
        match address {
            Reg::Pointer(
                p @ Pointer {
                    to:
                        PtrTo::Ctx
                        | PtrTo::Packet(_)
                        | PtrTo::PacketMeta(_)
                        | PtrTo::FlowKeys
                        | PtrTo::Sock(_),
                    ..
                },
            ) => {
                let to = p.type_name();
                Err(MemoryReason::NotAtomic { verb, reg: R(base), to }.into())
            }
            _ => Ok(()),
        }
    }
}
