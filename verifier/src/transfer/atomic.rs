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
        let p = self.atomic_memory(base, "stores into")?;
        let old = op.old_value_to(src);
        if old == Some(Name::FP) {
            self.set(Name::FP, Reg::UNKNOWN)?;
        }
        let at = Place { base, off: off.into(), size: size.size().bytes() };
        if let Some(p) = &p {
            self.check_alignment(p, at, true)?;
        }
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
        self.read(base)?;
        let p = self.atomic_memory(base, "loads from")?;
        let at = Place { base, off: off.into(), size: size.bytes() };
        if let Some(p) = &p {
            self.check_alignment(p, at, true)?;
        }
        self.load(size, false, dst, base, off)
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
        self.read(base)?;
        let p = self.atomic_memory(base, "stores into")?;
        let at = Place { base, off: off.into(), size: size.bytes() };
        if let Some(p) = &p {
            self.check_alignment(p, at, true)?;
        }
        self.store(size, base, off, Operand::Reg(src))
    }

    /// A value that an atomic operation puts into memory: no pointer, without privileges.
    fn operand_of_atomic(&mut self, reg: Name) -> Result<(), Reason> {
        let value = self.read(reg)?;
        if value.pointer().is_some() && self.cx.options.privilege == Privilege::Unprivileged {
            return Err(MemoryReason::Leak { reg: R(reg), into: "mem" }.into());
        }
        Ok(())
    }

    /// The address, where its memory has atomic operations at all.
    fn atomic_memory(&mut self, base: Name, verb: &'static str) -> Result<Option<Pointer>, Reason> {
        let Reg::Pointer(p) = self.read(base)? else { return Ok(None) };
        match p.to {
            PtrTo::Ctx
            | PtrTo::Packet(_)
            | PtrTo::PacketMeta(_)
            | PtrTo::FlowKeys
            | PtrTo::Sock(_) => {
                let to = p.type_name();
                Err(MemoryReason::NotAtomic { verb, reg: R(base), to }.into())
            }
            _ => Ok(Some(p)),
        }
    }
}
