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
//! What was not proved is checked in code of every mode. Accesses relative to `r10` need none of this: the register holds a host address, and that
//! they stay in the frame is seen here.

use super::asm::{Assembler, Detour, Mem, with_mem};
use super::regs::{R10, R11, RAX, native};
use crate::masm;
use crate::run::layout;
use crate::window::{Window, Windows, limit_index};
use core::mem::offset_of;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};
use ubpf_abi::Access;
use ubpf_abi::limits::STACK_BYTES;
use ubpf_isa::{AtomicOp, AtomicSize, Operand, Reg, Size};
use ubpf_vm::code::{MemMode, OpIndex};

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
fn in_frame(off: i16, size: Size) -> bool {
    let (off, size) = (i32::from(off), size.bytes().cast_signed());
    off >= -STACK_BYTES.cast_signed() && off + size <= 0
}

impl Assembler {
    fn locate(&mut self, access: &masm::Access, size: Size, kind: Access, what: Detour) -> Located {
        let masm::Access { base, off, place, .. } = *access;
        let disp = i32::from(off);
        let atomic = matches!(what, Detour::Atomic(..));
        let aligned = disp % size.bytes().cast_signed() == 0;
        let direct = in_frame(off, size) && (aligned || !atomic);
        let mode = if access.trusted { self.mode } else { MemMode::Checked };
        if base == Reg::FP && (mode != MemMode::Checked || direct) {
            return Located::At(Mem::frame(disp));
        }
        match mode {
            MemMode::Proved => Located::At(Mem::guest(native(base), disp)),
            MemMode::Caged => {
                dynasm!(self.ops ; .arch x64 ; mov r11d, Rd(native(base)));
                Located::At(Mem::guest(R11, disp))
            }
            MemMode::Checked => {
                let back = self.ops.new_dynamic_label();
                let detour = self.detour(what, back);
                if base == Reg::FP && what.is_plain() {
                    dynasm!(self.ops ; .arch x64 ; jmp =>detour);
                    return Located::Never(back);
                }
                self.emit_guest_address(base, off);
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
    pub(super) fn emit_guest_address(&mut self, base: Reg, off: i16) {
        let base = self.value_of(base, R11);
        if off == 0 {
            self.copy(R11, base);
        } else {
            with_mem!(self, Mem::at(base, off.into()); (lea r11,) ());
        }
    }

    /// Makes an access where it was located.
    fn access(&mut self, op: OpIndex, located: Located, emit: impl FnOnce(&mut Self, Mem)) {
        match located {
            Located::At(mem) => {
                if self.mode != MemMode::Checked {
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
        self.access(access.op, located, |masm, mem| match (size, signed) {
            (Size::B, false) => with_mem!(masm, mem; (movzx Rd(dst), BYTE) ()),
            (Size::H, false) => with_mem!(masm, mem; (movzx Rd(dst), WORD) ()),
            (Size::W, false) => with_mem!(masm, mem; (mov Rd(dst),) ()),
            (Size::B, true) => with_mem!(masm, mem; (movsx Rq(dst), BYTE) ()),
            (Size::H, true) => with_mem!(masm, mem; (movsx Rq(dst), WORD) ()),
            (Size::W, true) => with_mem!(masm, mem; (movsxd Rq(dst), DWORD) ()),
            (Size::Dw, _) => with_mem!(masm, mem; (mov Rq(dst),) ()),
        });
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
                match size {
                    Size::B => with_mem!(masm, mem; (mov) (, Rb(src))),
                    Size::H => with_mem!(masm, mem; (mov) (, Rw(src))),
                    Size::W => with_mem!(masm, mem; (mov) (, Rd(src))),
                    Size::Dw => with_mem!(masm, mem; (mov) (, Rq(src))),
                }
            }
            Operand::Imm(imm) => match size {
                Size::B => with_mem!(masm, mem; (mov BYTE) (, imm as i8)),
                Size::H => with_mem!(masm, mem; (mov WORD) (, imm as i16)),
                Size::W => with_mem!(masm, mem; (mov DWORD) (, imm)),
                Size::Dw => with_mem!(masm, mem; (mov QWORD) (, imm)),
            },
        });
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
            with_mem!(self, mem; (lea r11,) ());
        }
        if self.counter_in_register() {
            dynasm!(self.ops ; .arch x64 ; mov [r12 + layout::COUNTER], r9);
        }
        dynasm!(self.ops ; .arch x64 ; mov r10, rax);
        let operand = if src == RAX { R10 } else { src };
        macro_rules! exchange {
            ($name:tt, $family:ident, $acc:ident, $new:ident) => {
                dynasm!(self.ops ; .arch x64
                    ; mov $acc, [r11]
                    ; again:
                    ; mov $new, $acc
                    ; $name $new, $family(operand)
                    ; lock cmpxchg [r11], $new
                    ; jne <again
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
