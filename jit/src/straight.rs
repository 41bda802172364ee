//! Straight code: the ops inside a block, with what they compute put off for as long as it may be
//! ([`values`](crate::values)).

use crate::emit::Walk;
use crate::liveness::computes;
use crate::masm::{Access, MacroAssembler};
use crate::narrow;
use crate::operands::uses;
use crate::values::{Sum, Value};
use ubpf_abi::TrapKind;
use ubpf_abi::helper::HelperId;
use ubpf_isa::{AluOp, AtomicOp, Operand, Reg, RegSet, SignExtend, Size, Width};
use ubpf_vm::code::{MemAccess, MemMode, Op, OpIndex};

/// Putting values where they belong.
impl<M: MacroAssembler> Walk<'_, M> {
    /// Puts a register's value into its machine register.
    pub(crate) fn force(&mut self, reg: Reg) {
        let value = self.values.get(reg);
        if value == Value::Own {
            return;
        }
        self.release(reg);
        self.values.set_own(reg);
        let masm = &mut self.masm;
        match value {
            Value::Own => {}
            Value::Const(value) => masm.constant(reg, value),
            Value::Copy { src, width } => masm.mov(width, reg, Operand::Reg(src)),
            Value::SignExtended { src } => {
                masm.mov_sx(Width::W64, reg, src, SignExtend::From32);
            }
            Value::Sum(sum) => masm.sum(reg, sum),
            Value::Shift(shift) => {
                let by = Operand::Imm(shift.by.cast_signed());
                masm.alu(shift.op, shift.width, reg, shift.src, by);
            }
            Value::Mask { width, src, imm } => {
                masm.alu(AluOp::And, width, reg, src, Operand::Imm(imm));
            }
        }
    }

    /// Makes a machine register free to be overwritten: what others know of themselves only
    /// through it is computed first.
    fn release(&mut self, reg: Reg) {
        for other in (self.values.pending() - RegSet::of(reg)).iter() {
            if self.values.get(other).regs().contains(reg) {
                if self.needed.contains(other) {
                    self.force(other);
                } else {
                    self.values.set_own(other);
                }
            }
        }
    }

    /// Computes everything that is live, and forgets the rest.
    pub(crate) fn flush(&mut self, live: RegSet) {
        self.flush_all(self.values.pending(), live);
    }

    /// The same but for a register whose value is wanted later.
    pub(crate) fn flush_but(&mut self, live: RegSet, reg: Reg) {
        let reg = RegSet::of(reg);
        self.flush_all(self.values.pending() - reg, live | reg);
    }

    fn flush_all(&mut self, pending: RegSet, live: RegSet) {
        self.needed = live;
        for reg in pending.iter() {
            if live.contains(reg) {
                self.force(reg);
            } else {
                self.values.set_own(reg);
            }
        }
    }

    /// The machine register with a register's value, or its low half.
    fn read(&mut self, reg: Reg, width: Width) -> Reg {
        self.values.holder(reg, width).unwrap_or_else(|| {
            self.force(reg);
            reg
        })
    }

    fn operand(&mut self, operand: Operand, width: Width) -> Operand {
        let Operand::Reg(reg) = operand else { return operand };
        match self.values.get(reg) {
            Value::Const(value) if width == Width::W32 => Operand::Imm(value as i32),
            Value::Const(value) if i32::try_from(value.cast_signed()).is_ok() => {
                Operand::Imm(value as i32)
            }
            _ => Operand::Reg(self.read(reg, width)),
        }
    }

    /// An operand that is known.
    fn constant(&self, operand: Operand) -> Option<u64> {
        match operand {
            Operand::Imm(imm) => Some(i64::from(imm).cast_unsigned()),
            Operand::Reg(reg) => match self.values.get(reg) {
                Value::Const(value) => Some(value),
                _ => None,
            },
        }
    }

    /// An op is about to overwrite a machine register, having looked at its operands.
    fn define(&mut self, dst: Reg, live: RegSet) {
        self.needed = live - RegSet::of(dst);
        self.release(dst);
        self.values.set_own(dst);
    }

    /// Puts off what `dst` becomes. Where it may not be said in terms of the operands' values,
    /// they are computed first.
    fn put_off(&mut self, dst: Reg, operands: &[Reg], value: impl Fn(&Self) -> Option<Value>) {
        let put_off = |walk: &mut Self| value(walk).is_some_and(|v| walk.values.set(dst, v));
        if put_off(self) {
            return;
        }
        for &reg in operands {
            self.force(reg);
        }
        let done = put_off(self);
        debug_assert!(done, "values of registers' own can be spoken of");
    }
}

/// Ops.
impl<M: MacroAssembler> Walk<'_, M> {
    /// Emits an op that does not end its block; `live` are the registers that are read behind it.
    pub(crate) fn op(&mut self, index: OpIndex, op: &Op, live: RegSet) {
        if computes(op).is_none_or(|dst| live.contains(dst)) {
            self.needed = live | uses(op);
            self.live_op(index, op, live);
        }
        self.narrow = narrow::after(op, self.narrow);
    }

    fn live_op(&mut self, index: OpIndex, op: &Op, live: RegSet) {
        match *op {
            Op::Alu { op, width, dst, src } => self.alu(op, width, dst, src, live),
            Op::Neg { width, dst } => {
                self.force(dst);
                self.define(dst, live);
                self.masm.neg(width, dst);
            }
            Op::Mov { width: Width::W64, dst, src: Operand::Imm(imm) } => {
                self.values.set(dst, Value::Const(i64::from(imm).cast_unsigned()));
            }
            Op::Mov { width: Width::W32, dst, src: Operand::Imm(imm) } => {
                self.values.set(dst, Value::Const(imm.cast_unsigned().into()));
            }
            Op::Mov { width, dst, src: Operand::Reg(src) } => self.mov(width, dst, src, live),
            Op::Const { dst, value } => {
                self.values.set(dst, Value::Const(value));
            }
            Op::MovSx { width, dst, src, from } => {
                let src = self.read(src, Width::W32);
                self.define(dst, live);
                self.masm.mov_sx(width, dst, src, from);
            }
            Op::Swap { op, width, dst } => {
                self.force(dst);
                self.define(dst, live);
                self.masm.swap(op, width, dst);
            }
            Op::Load { size, signed, dst, base, off } => {
                let access = self.access(index, base, off, size);
                self.define(dst, live);
                self.masm.load(access, size, signed, dst);
            }
            Op::LoadAcquire { size, dst, base, off } => {
                let access = self.access(index, base, off, size);
                self.define(dst, live);
                self.masm.load_acquire(access, size, dst);
            }
            Op::Store { size, base, off, src } => {
                let width = if size == Size::Dw { Width::W64 } else { Width::W32 };
                // Looking at one operand may overwrite the register that the other was found in,
                // but does not do so again.
                self.operand(src, width);
                let access = self.access(index, base, off, size);
                let src = self.operand(src, width);
                self.masm.store(access, size, src);
            }
            Op::StoreRelease { size, base, off, src } => {
                self.force(src);
                self.force(base);
                let access = self.access(index, base, off, size);
                self.masm.store_release(access, size, src);
            }
            Op::Atomic { op, size, base, off, src } => {
                for reg in uses_of_atomic(op, src).iter() {
                    self.force(reg);
                }
                self.force(base);
                let access = self.access(index, base, off, size.size());
                if let Some(old) = op.old_value_to(src) {
                    self.define(old, live);
                }
                self.masm.atomic(access, op, size, src);
            }
            // They end blocks.
            Op::Jump { .. }
            | Op::Branch { .. }
            | Op::MayGoto { .. }
            | Op::LoadPacket { .. }
            | Op::CallHelper { .. }
            | Op::CallSubprog { .. }
            | Op::CallReg { .. }
            | Op::TailCall
            | Op::Exit
            | Op::Trap { .. } => {}
        }
    }

    const fn mode(&self) -> MemMode {
        self.plan.mode
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Reg, live: RegSet) {
        if src == Reg::FP {
            // Its low half is no part of what expressions can say.
            self.values.set(dst, Value::Sum(Sum::of(Reg::FP)));
            if width == Width::W64 {
                return;
            }
            self.force(dst);
            self.values.set(dst, Value::Copy { src: dst, width });
            return;
        }
        // What takes an instruction is computed once.
        let cheap = match self.values.get(src) {
            Value::Own | Value::Const(_) | Value::Copy { .. } => true,
            Value::Sum(sum) => sum.index.is_none(),
            Value::SignExtended { .. } | Value::Shift(_) | Value::Mask { .. } => false,
        };
        if live.contains(src) && !cheap {
            self.force(src);
        }
        let whole = width == Width::W64 || self.narrow.contains(src);
        self.put_off(dst, &[src], |walk| match (walk.values.get(src), whole) {
            (Value::Own, true) => Some(Value::Copy { src, width: Width::W64 }),
            (value, true) => Some(value),
            (Value::Own, false) => Some(Value::Copy { src, width }),
            (Value::Const(value), false) => Some(Value::Const(value & u64::from(u32::MAX))),
            (Value::Copy { src, .. } | Value::SignExtended { src }, false) => {
                Some(Value::Copy { src, width })
            }
            _ => None,
        });
    }

    fn alu(&mut self, op: AluOp, width: Width, dst: Reg, src: Operand, live: RegSet) {
        if let (Value::Const(left), Some(right)) = (self.values.get(dst), self.constant(src)) {
            self.values.set(dst, Value::Const(op.eval(width, left, right)));
            return;
        }
        let width = if self.divides_narrow(op, dst, src) { Width::W32 } else { width };
        match (op, src) {
            (AluOp::Add | AluOp::Sub, Operand::Imm(imm)) if width == Width::W64 => {
                let addend = if op == AluOp::Add { Some(imm) } else { imm.checked_neg() };
                if let Some(addend) = addend {
                    self.put_off(dst, &[dst], |walk| {
                        Some(Value::Sum(walk.values.as_sum(dst)?.plus(addend)?))
                    });
                    return;
                }
            }
            (AluOp::Add, Operand::Reg(src)) if width == Width::W64 && src != Reg::FP => {
                self.put_off(dst, &[dst, src], |walk| {
                    let (dst, src) = (walk.values.as_sum(dst)?, walk.values.as_sum(src)?);
                    dst.add(src).map(Value::Sum)
                });
                return;
            }
            (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Imm(by)) => {
                let by = by.cast_unsigned() % width.bits();
                if by > 0 {
                    self.put_off(dst, &[dst], |walk| walk.values.shifted(dst, op, width, by));
                    return;
                }
            }
            (AluOp::And, Operand::Imm(imm)) => {
                self.put_off(dst, &[dst], |walk| walk.values.masked(dst, width, imm));
                return;
            }
            (AluOp::Or | AluOp::Xor, Operand::Reg(other)) => {
                if let Some((src, by)) = self.values.rotated(dst, other, width) {
                    self.define(dst, live);
                    self.masm.rotate(width, dst, src, by);
                    return;
                }
            }
            _ => {}
        }
        // As for stores.
        self.operand(src, width);
        let mut left = self.read(dst, width);
        let mut right = self.operand(src, width);
        if left != dst && right == Operand::Reg(dst) {
            self.force(dst);
            (left, right) = (dst, self.operand(src, width));
        }
        self.define(dst, live);
        self.masm.alu(op, width, dst, left, right);
    }

    /// Whether a division's operands, and so its result, fit into 32 bits.
    fn divides_narrow(&self, op: AluOp, dst: Reg, src: Operand) -> bool {
        let fits = match src {
            Operand::Reg(src) => self.narrow.contains(src),
            Operand::Imm(imm) => imm >= 0,
        };
        matches!(op, AluOp::Div | AluOp::Mod) && self.narrow.contains(dst) && fits
    }

    /// The address of an access.
    fn access(&mut self, op: OpIndex, base: Reg, off: i16, size: Size) -> Access {
        let place = self.places.of(base);
        let off = i32::from(off);
        let trusted = self.code.access(op);
        if trusted != MemAccess::Trusted {
            self.force(base);
            return Access { op, at: Sum::at(base, off), narrow: false, trusted, place };
        }
        let at = self.values.as_sum(base).and_then(|sum| sum.plus(off));
        if let Some(at) = at.filter(|at| self.is_address(*at, size)) {
            // What is narrow is the value of the register that the address comes from, not what
            // was added to it.
            let narrow = at
                .base
                .is_some_and(|reg| self.values.get(reg) == Value::Own && self.narrow.contains(reg));
            return Access { op, at, narrow, trusted, place };
        }
        if self.mode() == MemMode::Caged && base != Reg::FP {
            self.force_address(base);
        } else {
            self.force(base);
        }
        let narrow = self.narrow.contains(base);
        Access { op, at: Sum::at(base, off), narrow, trusted, place }
    }

    /// Puts a sum into its register, cut to 32 bits: an address that has more is none, so where the
    /// verifier was right nothing is cut.
    fn force_address(&mut self, reg: Reg) {
        match self.values.get(reg) {
            Value::Sum(sum) if sum.base != Some(Reg::FP) => {
                self.release(reg);
                self.values.set_own(reg);
                self.masm.narrow_sum(reg, sum);
                self.narrow.insert(reg);
            }
            _ => self.force(reg),
        }
    }

    /// Whether an expression can be the address of an access as it is.
    fn is_address(&self, at: Sum, size: Size) -> bool {
        /// Displacements that stay inside the cage's guards.
        const NEAR: core::ops::Range<i32> = -0x8000..0x8000;
        let settled = at.regs().iter().all(|reg| self.values.settled(reg));
        let caged = self.mode() == MemMode::Caged;
        settled
            && match at {
                Sum { base: Some(Reg::FP), index: Some(_), .. } => !caged,
                Sum { base: Some(Reg::FP), index: None, disp } => {
                    let end = disp.saturating_add(size.bytes().cast_signed());
                    !caged || disp >= -(ubpf_abi::limits::STACK_BYTES as i32) && end <= 0
                }
                Sum { base: Some(_), index: None, disp } => NEAR.contains(&disp),
                _ => false,
            }
    }

    /// Emits a helper call as what the helper does, where that is little. `behind` are the
    /// registers that are read behind it.
    pub(crate) fn inlined(&mut self, index: OpIndex, op: &Op, behind: RegSet) -> bool {
        let &Op::CallHelper { helper } = op else { return false };
        let Some(target) = self.code.helper(helper).filter(|_| self.trusted) else { return false };
        match target.id {
            MAP_LOOKUP_ELEM => {
                let known = self.code.known_call(index);
                let Some(layout) = known.and_then(|known| known.layout) else { return false };
                // The key must still be where it is when everything else has been computed.
                let at = self.values.as_sum(Reg::R2);
                let at = at.filter(|at| at.base == Some(Reg::FP) && at.index.is_none());
                let kept = behind - RegSet::CALLER_SAVED;
                let key = if at.is_some() { kept } else { kept | RegSet::of(Reg::R2) };
                self.flush(key);
                let at = at.unwrap_or(Sum::of(Reg::R2));
                let (narrow, trusted) = (false, MemAccess::Trusted);
                let place = self.places.of(Reg::R2);
                self.masm.lookup(layout, Access { op: index, at, narrow, trusted, place });
            }
            LOOP => {
                let (Value::Const(func), Value::Const(0)) =
                    (self.values.get(Reg::R2), self.values.get(Reg::R4))
                else {
                    return false;
                };
                let subprog = self.code.subprog_at(func).map_or(usize::MAX, |id| id.0 as usize);
                let (Some(&entry), Some(&framed)) =
                    (self.entries.get(subprog), self.framed.get(subprog))
                else {
                    return false;
                };
                self.flush(behind | RegSet::of(Reg::R1) | RegSet::of(Reg::R3));
                self.masm.call_loop(index, entry, framed);
            }
            GET_SMP_PROCESSOR_ID => {
                self.flush(behind - RegSet::CALLER_SAVED);
                self.masm.cpu();
            }
            _ => return false,
        }
        true
    }

    /// Emits a call, or what else ends a block and is no jump.
    pub(crate) fn call(&mut self, index: OpIndex, op: &Op) {
        let masm = &mut self.masm;
        match *op {
            Op::LoadPacket { index: base, imm, .. } => masm.load_packet(index, base, imm),
            Op::CallHelper { helper } => match self.code.helper(helper) {
                Some(target) => {
                    masm.call_helper(index, self.code.pc(index), target.native);
                }
                None => masm.trap(index, TrapKind::UnknownHelper),
            },
            Op::CallSubprog { subprog } => match self.entries.get(subprog.0 as usize) {
                Some(&entry) => {
                    let framed = self.framed.get(subprog.0 as usize).copied().unwrap_or(true);
                    masm.call_subprog(index, entry, framed || !self.trusted);
                }
                None => masm.trap(index, TrapKind::BadCallTarget),
            },
            Op::CallReg { target } => masm.call_reg(index, target),
            Op::TailCall => masm.tail_call(index),
            Op::Exit => masm.leave(),
            Op::Trap { kind } => masm.trap(index, kind),
            _ => {}
        }
    }
}

const MAP_LOOKUP_ELEM: HelperId = HelperId(1);
const GET_SMP_PROCESSOR_ID: HelperId = HelperId(8);
const LOOP: HelperId = HelperId(181);

/// The registers that an atomic operation reads besides its address.
fn uses_of_atomic(op: AtomicOp, src: Reg) -> RegSet {
    match op {
        AtomicOp::Cmpxchg => RegSet::of(src).union(RegSet::of(Reg::R0)),
        _ => RegSet::of(src),
    }
}
