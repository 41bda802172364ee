//! Addresses, their checks, loads, stores and atomics.
//!
//! Three ways from a guest address to a memory operand, decided in [`Assembler::locate`] alone:
//!
//! | access | operand | in front of it |
//! | --- | --- | --- |
//! | checked | `[r11]` | the window is tried; else a detour makes the access |
//! | caged | `[r9 + r11 + off]` | `mov r11d, base` |
//! | proved | `[r9 + base + off]` | nothing |
//!
//! What was not proved is checked in code of every mode. Accesses relative to `r10` need none of
//! this: the register holds a host address, and that they stay in the frame is seen here.

use super::asm::{Assembler, CMP, Detour, MOV, Mem, Opcode, with_mem};
use super::regs::{R10, R11, RAX, RBP, any_native, native};
use crate::masm;
use crate::run::layout;
use crate::values::Sum;
use crate::window::{Window, Windows, limit_index};
use core::mem::offset_of;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};
use ubpf_abi::Access;
use ubpf_abi::limits::STACK_BYTES;
use ubpf_isa::{AtomicOp, AtomicSize, Operand, Reg, Size, Width};
use ubpf_vm::code::{MemAccess, MemMode, OpIndex};
use ubpf_vm::map::MapLayout;

/// Where an access goes.
enum Located {
    /// To memory.
    At(Mem),
    /// To memory, and comes back here from the detour.
    Checked(Mem, DynamicLabel),
    /// Nowhere: the detour traps.
    Never(DynamicLabel),
}

/// Whether an access relative to `r10` stays in the frame.
fn in_frame(off: i32, size: Size) -> bool {
    let size = size.bytes().cast_signed();
    off >= -STACK_BYTES.cast_signed() && off.saturating_add(size) <= 0
}

/// A sum as a memory operand, where `r10` stands for the host address that its register holds.
pub(super) fn host(sum: Sum) -> Mem {
    let base = sum.base.map_or(RBP, any_native);
    Mem { base, index: sum.index.map(|(reg, scale)| (native(reg), scale)), disp: sum.disp }
}

impl Assembler {
    fn locate(&mut self, access: &masm::Access, size: Size, kind: Access, what: Detour) -> Located {
        let masm::Access { at, narrow, place, .. } = *access;
        let (base, disp) = (at.base.unwrap_or(Reg::FP), at.disp);
        let atomic = matches!(what, Detour::Atomic(..));
        let aligned = disp % size.bytes().cast_signed() == 0;
        let direct = in_frame(disp, size) && (aligned || !atomic);
        let checked = access.trusted != MemAccess::Trusted;
        let in_place = match self.plan.mode {
            MemMode::Proved if !checked => true,
            _ => direct && at.index.is_none(),
        };
        if base == Reg::FP && in_place {
            return Located::At(host(at));
        }
        match self.plan.mode {
            // There are no windows, for what this is about would not be in them.
            MemMode::Proved | MemMode::Caged if checked => {
                let back = self.ops.new_dynamic_label();
                let detour = self.detour(what, back);
                dynasm!(self.ops ; .arch x64 ; jmp =>detour);
                Located::Never(back)
            }
            MemMode::Proved => Located::At(Mem::guest(native(base), disp)),
            MemMode::Caged if narrow => Located::At(Mem::guest(native(base), disp)),
            MemMode::Caged => {
                let base = self.value_of(base, R11);
                self.with_register(MOV, base, R11);
                Located::At(Mem::guest(R11, disp))
            }
            MemMode::Checked => {
                let back = self.ops.new_dynamic_label();
                let detour = self.detour(what, back);
                if base == Reg::FP && what.is_plain() {
                    dynasm!(self.ops ; .arch x64 ; jmp =>detour);
                    return Located::Never(back);
                }
                self.emit_guest_address(at);
                if atomic {
                    dynasm!(self.ops ; .arch x64
                        ; test r11b, (size.bytes() - 1) as i8
                        ; jnz =>detour
                    );
                }
                let window = Windows::offset(kind, place) as i32;
                let start = window + offset_of!(Window, start) as i32;
                let host = window + offset_of!(Window, host) as i32;
                let limits = window + offset_of!(Window, limits) as i32;
                let limit = limits + 8 * limit_index(size) as i32;
                dynasm!(self.ops ; .arch x64
                    ; mov r10, [r12 + layout::WINDOWS]
                    ; sub r11, [r10 + start]
                    ; cmp r11, [r10 + limit]
                    ; jae =>detour
                    ; add r11, [r10 + host]
                );
                Located::Checked(Mem::CHECKED, back)
            }
        }
    }

    /// Puts the guest address of an access into `r11`.
    pub(super) fn emit_guest_address(&mut self, at: Sum) {
        self.emit_sum(R11, at);
    }

    /// Puts a sum into a register.
    pub(super) fn emit_sum(&mut self, dst: u8, sum: Sum) {
        match sum {
            Sum { base: Some(_), .. } => {
                self.lea(dst, host(sum));
                if sum.base == Some(Reg::FP) {
                    self.host_to_guest(dst);
                }
            }
            Sum { base: None, index: Some((index, scale)), disp } => {
                let index = native(index);
                self.copy(dst, index);
                if scale > 0 {
                    dynasm!(self.ops ; .arch x64 ; shl Rq(dst), BYTE scale as i8);
                }
                self.lea(dst, Mem::at(dst, disp));
            }
            Sum { base: None, index: None, disp } => {
                self.load_constant(dst, i64::from(disp).cast_unsigned());
            }
        }
    }

    /// Makes an access where it was located.
    fn access(&mut self, op: OpIndex, located: Located, emit: impl FnOnce(&mut Self, Mem)) {
        match located {
            Located::At(mem) => {
                if self.plan.mode != MemMode::Checked {
                    let here = self.ops.new_dynamic_label();
                    dynasm!(self.ops ; .arch x64 ; =>here);
                    self.accesses.push((here, op));
                }
                emit(self, mem);
            }
            Located::Checked(mem, back) => {
                emit(self, mem);
                dynasm!(self.ops ; .arch x64 ; =>back);
            }
            Located::Never(back) => dynasm!(self.ops ; .arch x64 ; =>back),
        }
    }

    pub(super) fn emit_load(
        &mut self,
        access: &masm::Access,
        size: Size,
        signed: bool,
        dst: Reg,
        ordered: bool,
    ) {
        let what = Detour::Load(*access, dst, ordered);
        let located = self.locate(access, size, Access::Read, what);
        let dst = native(dst);
        let opcode = match (size, signed) {
            (Size::B, false) => Opcode::new(0xb6).escaped(),
            (Size::H, false) => Opcode::new(0xb7).escaped(),
            (Size::W, false) => Opcode::new(0x8b),
            (Size::B, true) => Opcode::new(0xbe).escaped().wide(),
            (Size::H, true) => Opcode::new(0xbf).escaped().wide(),
            (Size::W, true) => Opcode::new(0x63).wide(),
            (Size::Dw, _) => Opcode::new(0x8b).wide(),
        };
        self.access(access.op, located, |masm, mem| masm.with_memory(opcode, dst, mem));
    }

    pub(super) fn emit_store(
        &mut self,
        access: &masm::Access,
        size: Size,
        src: Operand,
        ordered: bool,
    ) {
        let located =
            self.locate(access, size, Access::Write, Detour::Store(*access, src, ordered));
        self.access(access.op, located, |masm, mem| match src {
            Operand::Reg(src) => {
                let src = masm.value_of(src, R10);
                let opcode = match size {
                    Size::B => Opcode::new(0x88).byte(),
                    Size::H => Opcode::new(0x89).short(),
                    Size::W => Opcode::new(0x89),
                    Size::Dw => Opcode::new(0x89).wide(),
                };
                masm.with_memory(opcode, src, mem);
            }
            Operand::Imm(imm) => match size {
                Size::B => {
                    masm.with_memory(Opcode::new(0xc6), 0, mem);
                    masm.ops.push_i8(imm as i8);
                }
                Size::H => {
                    masm.with_memory(Opcode::new(0xc7).short(), 0, mem);
                    masm.ops.push_i16(imm as i16);
                }
                Size::W => {
                    masm.with_memory(Opcode::new(0xc7), 0, mem);
                    masm.ops.push_i32(imm);
                }
                Size::Dw => {
                    masm.with_memory(Opcode::new(0xc7).wide(), 0, mem);
                    masm.ops.push_i32(imm);
                }
            },
        });
    }

    /// Looks a value up in an array.
    pub(super) fn emit_lookup(&mut self, map: MapLayout, key: &masm::Access) {
        let MapLayout { values, entries, stride, cpu_stride } = map;
        self.emit_load(key, Size::W, false, Reg::R0, false);
        let done = self.ops.new_dynamic_label();
        let none = self.detour(Detour::Zero(RAX), done);
        self.with_immediate(CMP.number, Width::W32, RAX, entries.cast_signed());
        dynasm!(self.ops ; .arch x64 ; jae =>none);
        if cpu_stride > 0 {
            self.uses_run = true;
            dynasm!(self.ops ; .arch x64
                ; mov r10d, [r12 + layout::CPU]
                ; imul r10, r10, cpu_stride.cast_signed()
            );
            // The values of all CPUs fill one stride.
            self.with_immediate(CMP.number, Width::W64, R10, stride.cast_signed());
            dynasm!(self.ops ; .arch x64 ; jae =>none);
        }
        self.load_constant(R11, values.into());
        let scale = [1, 2, 4, 8].iter().position(|&bytes| bytes == stride);
        let scale = scale.unwrap_or_else(|| {
            if stride.is_power_of_two() {
                let by = stride.trailing_zeros() as i8;
                dynasm!(self.ops ; .arch x64 ; shl rax, by);
            } else {
                dynasm!(self.ops ; .arch x64 ; imul rax, rax, stride.cast_signed());
            }
            0
        });
        self.lea(RAX, Mem { base: R11, index: Some((RAX, scale as u8)), disp: 0 });
        if cpu_stride > 0 {
            dynasm!(self.ops ; .arch x64 ; add rax, r10);
        }
        dynasm!(self.ops ; .arch x64 ; =>done);
    }

    /// Atomic operations are all locked, which orders them fully: more than the kernel promises
    /// for those that fetch nothing, and as its JIT does it.
    pub(super) fn emit_atomic(
        &mut self,
        access: &masm::Access,
        op: AtomicOp,
        size: AtomicSize,
        src: Reg,
    ) {
        let what = Detour::Atomic(*access, op, src);
        let located = self.locate(access, size.size(), Access::Write, what);
        self.access(access.op, located, |masm, mem| match op {
            AtomicOp::Or { fetch: true }
            | AtomicOp::And { fetch: true }
            | AtomicOp::Xor { fetch: true } => {
                masm.emit_compare_exchange_loop(mem, op, size, native(src));
            }
            _ => masm.emit_locked(mem, op, size, src),
        });
    }

    fn emit_locked(&mut self, mem: Mem, op: AtomicOp, size: AtomicSize, src: Reg) {
        let src = self.value_of(src, R10);
        macro_rules! locked {
            ($name:tt) => {
                match size {
                    AtomicSize::W => with_mem!(self, mem; (lock $name) (, Rd(src))),
                    AtomicSize::Dw => with_mem!(self, mem; (lock $name) (, Rq(src))),
                }
            };
        }
        match op {
            AtomicOp::Add { fetch: false } => locked!(add),
            AtomicOp::Or { .. } => locked!(or),
            AtomicOp::And { .. } => locked!(and),
            AtomicOp::Xor { .. } => locked!(xor),
            AtomicOp::Add { fetch: true } => locked!(xadd),
            AtomicOp::Xchg => match size {
                AtomicSize::W => with_mem!(self, mem; (xchg) (, Rd(src))),
                AtomicSize::Dw => with_mem!(self, mem; (xchg) (, Rq(src))),
            },
            AtomicOp::Cmpxchg => {
                locked!(cmpxchg);
                if size == AtomicSize::W {
                    // Success leaves the upper half of rax as it was.
                    dynasm!(self.ops ; .arch x64 ; mov eax, eax);
                }
            }
        }
    }

    /// The operations that the machine cannot do and give the old value back.
    fn emit_compare_exchange_loop(&mut self, mem: Mem, op: AtomicOp, size: AtomicSize, src: u8) {
        if mem != Mem::CHECKED {
            self.lea(R11, mem);
        }
        // It reloads `r9` from there.
        self.uses_run = true;
        self.spill_counter();
        dynasm!(self.ops ; .arch x64 ; mov r10, rax);
        let operand = if src == RAX { R10 } else { src };
        let again = self.ops.new_dynamic_label();
        macro_rules! exchange {
            ($name:tt, $family:ident, $acc:ident, $new:ident) => {
                dynasm!(self.ops ; .arch x64
                    ; mov $acc, [r11]
                    ; =>again
                    ; mov $new, $acc
                    ; $name $new, $family(operand)
                    ; lock cmpxchg [r11], $new
                    ; jne =>again
                )
            };
        }
        match (op, size) {
            (AtomicOp::Or { .. }, AtomicSize::W) => exchange!(or, Rd, eax, r9d),
            (AtomicOp::Or { .. }, AtomicSize::Dw) => exchange!(or, Rq, rax, r9),
            (AtomicOp::And { .. }, AtomicSize::W) => exchange!(and, Rd, eax, r9d),
            (AtomicOp::And { .. }, AtomicSize::Dw) => exchange!(and, Rq, rax, r9),
            (_, AtomicSize::W) => exchange!(xor, Rd, eax, r9d),
            (_, AtomicSize::Dw) => exchange!(xor, Rq, rax, r9),
        }
        if src != RAX {
            dynasm!(self.ops ; .arch x64 ; mov Rq(src), rax ; mov rax, r10);
        }
        self.reload_r9();
    }
}
