//! The trampoline, frames on the host's stack, and the ways out to Rust.
//!
//! ```text
//!  Rust ─▶ trampoline ─▶ function ─▶ subprogram …        each: return address, saved r6-r9,
//!            │               │                            iterations, padding to 16 bytes
//!            │               ├─▶ helper thunk             (r1-r5 are its arguments)
//!            │               └─▶ routine ─▶ other thunks  (all registers saved)
//!            ◀── over ◀──────┴─── when a thunk says that the run is over
//! ```

use super::asm::{Assembler, Cold, Detour, Routines};
use super::regs::{R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, native};
use crate::image::FRAME_STRIDE;
use crate::masm::Frame;
use crate::run::{CX_PC, layout};
use crate::thunks::{self, CallThunk, SlowThunk};
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};
use ubpf_abi::limits::MAX_LOOPS;
use ubpf_abi::{Errno, TrapKind};
use ubpf_isa::{AtomicOp, Operand, Pc, Reg, RegSet};
use ubpf_vm::call::NativeFn;
use ubpf_vm::code::{MemMode, OpIndex};

/// What the current function keeps on the host's stack.
#[derive(Clone, Copy)]
pub(super) struct NativeFrame {
    saved: RegSet,
    iterates: bool,
    padded: bool,
}

impl NativeFrame {
    /// Nothing.
    pub(super) const EMPTY: Self = Self { saved: RegSet::EMPTY, iterates: false, padded: false };

    fn new(frame: &Frame, saved: RegSet) -> Self {
        let words = saved.len() + u32::from(frame.iterates);
        // On entry the stack is 8 bytes off; calls want it aligned.
        Self { saved, iterates: frame.iterates, padded: frame.calls && words.is_multiple_of(2) }
    }

    fn saved(self) -> impl DoubleEndedIterator<Item = u8> {
        let regs = [Reg::R6, Reg::R7, Reg::R8, Reg::R9].into_iter();
        regs.filter(move |reg| self.saved.contains(*reg)).map(native)
    }

    /// Offset from the stack pointer of the iterations that are left.
    pub(super) const fn iterations(self) -> i32 {
        if self.padded { 8 } else { 0 }
    }
}

/// Frames.
impl Assembler {
    pub(super) fn enter_frame(
        &mut self,
        frame: &Frame,
        entry: DynamicLabel,
        tail_entry: Option<DynamicLabel>,
    ) {
        // Both entries save the same registers, so that there is one way to leave.
        let saved = if tail_entry.is_some() { frame.used } else { frame.changed };
        self.frame = NativeFrame::new(frame, saved);
        let frame_saves = self.frame.saved();
        self.saved.extend(frame_saves);
        let body = self.ops.new_dynamic_label();
        if let Some(tail_entry) = tail_entry {
            dynasm!(self.ops ; .arch x64 ; =>tail_entry);
            if !frame.used.is_empty() && self.plan.mode == MemMode::Checked {
                self.push_frame();
                for reg in self.frame.saved() {
                    dynasm!(self.ops ; .arch x64 ; xor Rd(reg), Rd(reg));
                }
                dynasm!(self.ops ; .arch x64 ; jmp =>body);
            }
        }
        dynasm!(self.ops ; .arch x64 ; =>entry);
        self.push_frame();
        dynasm!(self.ops ; .arch x64 ; =>body);
        self.clear_stack(frame.stack_bytes);
    }

    fn push_frame(&mut self) {
        for reg in self.frame.saved() {
            dynasm!(self.ops ; .arch x64 ; push Rq(reg));
        }
        if self.frame.iterates {
            dynasm!(self.ops ; .arch x64 ; push DWORD MAX_LOOPS.cast_signed());
        }
        if self.frame.padded {
            dynasm!(self.ops ; .arch x64 ; push rax);
        }
    }

    pub(super) fn pop_frame(&mut self) {
        let words = i32::from(self.frame.iterates) + i32::from(self.frame.padded);
        if words > 0 {
            dynasm!(self.ops ; .arch x64 ; add rsp, BYTE (8 * words) as i8);
        }
        for reg in self.frame.saved().rev() {
            dynasm!(self.ops ; .arch x64 ; pop Rq(reg));
        }
    }

    /// Clears the bytes below `r10`: 16 at a time, and 8 at the far end.
    fn clear_stack(&mut self, bytes: u32) {
        let bytes = bytes.cast_signed();
        self.uses_frame |= bytes > 0;
        if bytes >= 16 {
            dynasm!(self.ops ; .arch x64 ; xorps xmm0, xmm0);
        }
        for off in (1..=bytes / 16).map(|n| -16 * n) {
            if let Ok(off) = i8::try_from(off) {
                dynasm!(self.ops ; .arch x64 ; movups [BYTE rbp + off], xmm0);
            } else {
                dynasm!(self.ops ; .arch x64 ; movups [DWORD rbp + off], xmm0);
            }
        }
        if bytes % 16 != 0 {
            dynasm!(self.ops ; .arch x64 ; mov QWORD [DWORD rbp - bytes], 0);
        }
    }
}

/// Calls.
impl Assembler {
    /// Calls a helper, whose arguments are in place. Checked code takes the way through a thunk
    /// that looks after its windows.
    pub(super) fn call_thunk(&mut self, op: OpIndex, pc: Pc, native: Option<NativeFn>) {
        let native = native.filter(|_| self.plan.mode != MemMode::Checked);
        self.uses_run = true;
        self.spill_counter();
        dynasm!(self.ops ; .arch x64
            ; mov [r12 + layout::FP], rbp
            ; mov r9, [r12 + layout::CX]
        );
        if let Some(native) = native {
            dynasm!(self.ops ; .arch x64 ; mov DWORD [r9 + CX_PC], pc.0.cast_signed());
            self.load_constant(RAX, address(native as *const ()).cast_unsigned());
            dynasm!(self.ops ; .arch x64 ; call rax);
        } else {
            let thunk: CallThunk = thunks::helper;
            dynasm!(self.ops ; .arch x64
                ; mov DWORD [r12 + layout::OP], op.0.cast_signed()
                ; push rax
                ; push r12
                ; mov rax, QWORD address(thunk as *const ())
                ; call rax
                ; add rsp, 16
            );
        }
        self.reload_r9();
        let over = self.routines.over;
        dynasm!(self.ops ; .arch x64 ; test edx, edx ; jnz =>over);
    }

    /// Calls a routine: operands in `r11` and `r10`, the value comes back in `r11`.
    pub(super) fn call_routine(&mut self, routine: DynamicLabel, op: OpIndex) {
        self.uses_run = true;
        dynasm!(self.ops ; .arch x64
            ; mov DWORD [r12 + layout::OP], op.0.cast_signed()
            ; call =>routine
        );
    }

    /// What has to be done in front of a call into a new frame. Programs that a verifier has
    /// accepted have no more frames than there may be.
    fn push_callee(&mut self, op: OpIndex, framed: bool) {
        if self.plan.metered {
            let back = self.ops.new_dynamic_label();
            let exhausted = self.detour(Detour::Raise(TrapKind::BudgetExhausted, op), back);
            if self.counter_in_register() {
                dynasm!(self.ops ; .arch x64 ; test r9, r9);
            } else {
                dynasm!(self.ops ; .arch x64 ; cmp QWORD [r12 + layout::COUNTER], 0);
            }
            dynasm!(self.ops ; .arch x64 ; js =>exhausted ; =>back);
        }
        if self.plan.mode == MemMode::Checked {
            let back = self.ops.new_dynamic_label();
            let too_deep = self.detour(Detour::Raise(TrapKind::CallDepth, op), back);
            dynasm!(self.ops ; .arch x64
                ; cmp rbp, [r12 + layout::LAST_FP]
                ; jbe =>too_deep
                ; =>back
            );
        }
        if framed {
            dynasm!(self.ops ; .arch x64 ; sub rbp, FRAME_STRIDE.cast_signed());
        }
        if self.plan.images_change {
            dynasm!(self.ops ; .arch x64 ; push QWORD [r12 + layout::IMAGE] ; push rax);
        }
    }

    fn pop_callee(&mut self, framed: bool) {
        if self.plan.images_change {
            dynasm!(self.ops ; .arch x64 ; pop r11 ; pop QWORD [r12 + layout::IMAGE]);
        }
        if framed {
            dynasm!(self.ops ; .arch x64 ; add rbp, FRAME_STRIDE.cast_signed());
        }
    }

    pub(super) fn call_function(&mut self, op: OpIndex, target: DynamicLabel, framed: bool) {
        self.push_callee(op, framed);
        dynasm!(self.ops ; .arch x64 ; call =>target);
        self.pop_callee(framed);
    }

    /// The count, the index and the function's context lie on the stack meanwhile.
    pub(super) fn emit_call_loop(&mut self, op: OpIndex, target: DynamicLabel, framed: bool) {
        let [again, done, out] = core::array::from_fn(|_| self.ops.new_dynamic_label());
        let too_many = self.detour(Detour::TooManyLoops, out);
        dynasm!(self.ops ; .arch x64
            ; mov edi, edi
            ; cmp edi, MAX_LOOPS.cast_signed()
            ; ja =>too_many
            ; push rax
            ; push rdi
            ; push rdx
            ; push 0
            ; test edi, edi
            ; jz =>done
            ; =>again
            ; mov rdi, [rsp]
            ; mov rsi, [rsp + 8]
        );
        self.call_function(op, target, framed);
        dynasm!(self.ops ; .arch x64
            ; mov rdi, [rsp]
            ; inc rdi
            ; mov [rsp], rdi
            ; test rax, rax
            ; jnz =>done
            ; cmp rdi, [rsp + 16]
            ; jb =>again
            ; =>done
            ; mov rax, [rsp]
            ; add rsp, 32
            ; =>out
        );
    }

    pub(super) fn call_through(&mut self, op: OpIndex, target: Reg) {
        let target = self.value_of(target, R11);
        self.copy(R11, target);
        self.call_routine(self.routines.resolve, op);
        self.push_callee(op, true);
        dynasm!(self.ops ; .arch x64 ; call r11);
        self.pop_callee(true);
    }

    pub(super) fn replace_frame(&mut self, op: OpIndex) {
        let next = self.ops.new_dynamic_label();
        self.copy(R11, native(Reg::R2));
        self.copy(R10, native(Reg::R3));
        self.call_routine(self.routines.tail_call, op);
        dynasm!(self.ops ; .arch x64 ; test r11, r11 ; jz =>next);
        self.pop_frame();
        for reg in [Reg::R0, Reg::R2, Reg::R3, Reg::R4, Reg::R5].map(native) {
            dynasm!(self.ops ; .arch x64 ; xor Rd(reg), Rd(reg));
        }
        dynasm!(self.ops ; .arch x64 ; jmp r11 ; =>next);
    }

    pub(super) fn spill_counter(&mut self) {
        if self.counter_in_register() {
            dynasm!(self.ops ; .arch x64 ; mov [r12 + layout::COUNTER], r9);
        }
    }

    /// Puts into `r9` what belongs there.
    pub(super) fn reload_r9(&mut self) {
        if self.counter_in_register() {
            dynasm!(self.ops ; .arch x64 ; mov r9, [r12 + layout::COUNTER]);
        } else {
            dynasm!(self.ops ; .arch x64 ; mov r9, [r12 + layout::HOST_BASE]);
        }
    }
}

/// Absolute address of a function of this process.
fn address(function: *const ()) -> i64 {
    function.addr() as i64
}

/// What stands at the start.
impl Assembler {
    pub(super) fn emit_routines(&mut self) {
        let Routines { raise, load, store, atomic, load_packet, resolve, tail_call, .. } =
            self.routines;
        let routines: [(DynamicLabel, SlowThunk); 7] = [
            (raise, thunks::raise),
            (load, thunks::load),
            (store, thunks::store),
            (atomic, thunks::atomic),
            (load_packet, thunks::load_packet),
            (resolve, thunks::resolve),
            (tail_call, thunks::tail_call),
        ];
        for (label, thunk) in routines {
            self.emit_routine(label, thunk);
        }
    }

    /// See [`entry`](crate::entry) for its type. It saves what the code changes; where others
    /// may be tail-called, everything.
    pub(super) fn emit_trampoline(&mut self) {
        let trampoline = self.routines.trampoline;
        let (over, out) = (self.routines.over, self.ops.new_dynamic_label());
        let checked = self.plan.mode == MemMode::Checked;
        let all = self.plan.images_change || checked;
        let saved: Vec<u8> = [RBP, RBX, R12, R13, R14, R15]
            .into_iter()
            .filter(|&reg| all || reg == R12 || reg == RBP || self.saved.contains(&reg))
            .collect();
        dynasm!(self.ops ; .arch x64 ; =>trampoline);
        for &reg in &saved {
            dynasm!(self.ops ; .arch x64 ; push Rq(reg));
        }
        // On entry the stack is 8 bytes off, and calls want it aligned.
        let padded = saved.len().is_multiple_of(2);
        if padded {
            dynasm!(self.ops ; .arch x64 ; push rax);
        }
        dynasm!(self.ops ; .arch x64
            ; mov r12, rdi
            ; mov r11, rsi
            ; mov r10, rdx
            ; mov [r12 + layout::CX], rcx
            ; mov [r12 + layout::STACK_POINTER], rsp
            ; mov rbp, [r12 + layout::FP]
            ; mov rdi, [r10]
            ; mov rsi, [r10 + 8]
            ; mov rdx, [r10 + 16]
            ; mov rcx, [r10 + 24]
            ; mov r8, [r10 + 32]
        );
        if checked {
            dynasm!(self.ops ; .arch x64
                ; xor eax, eax
                ; xor ebx, ebx
                ; xor r13d, r13d
                ; xor r14d, r14d
                ; xor r15d, r15d
            );
        }
        self.reload_r9();
        dynasm!(self.ops ; .arch x64 ; call r11);
        self.spill_counter();
        dynasm!(self.ops ; .arch x64 ; xor edx, edx ; =>out);
        if padded {
            dynasm!(self.ops ; .arch x64 ; pop rcx);
        }
        for &reg in saved.iter().rev() {
            dynasm!(self.ops ; .arch x64 ; pop Rq(reg));
        }
        dynasm!(self.ops ; .arch x64
            ; ret
            ; =>over
            ; mov rsp, [r12 + layout::STACK_POINTER]
            ; mov edx, 1
            ; jmp =>out
        );
        let fault = self.emit_leaf_trampoline();
        self.emit_landing(fault);
    }

    /// The way in for code that needs no run: what it needs of memory comes in registers and on
    /// the stack. In place of the run, `r12` holds the stack pointer and, to tell it from a run,
    /// 1. Where the code faults, it goes on at the label.
    fn emit_leaf_trampoline(&mut self) -> DynamicLabel {
        let leaf = self.routines.leaf;
        let [fault, out] = core::array::from_fn(|_| self.ops.new_dynamic_label());
        let saved: Vec<u8> = [RBP, R12, RBX, R13, R14, R15]
            .into_iter()
            .filter(|&reg| reg == R12 || reg == RBP || self.saved.contains(&reg))
            .collect();
        // Behind the saved registers and the return address.
        let args = 8 * saved.len() as i32 + 8;
        dynasm!(self.ops ; .arch x64 ; =>leaf);
        for &reg in &saved {
            dynasm!(self.ops ; .arch x64 ; push Rq(reg));
        }
        dynasm!(self.ops ; .arch x64
            ; lea r12, [rsp + 1]
            ; mov rbp, [rsp + args]
            ; call QWORD [rsp + args + 8]
            ; xor edx, edx
            ; =>out
        );
        for &reg in saved.iter().rev() {
            dynasm!(self.ops ; .arch x64 ; pop Rq(reg));
        }
        dynasm!(self.ops ; .arch x64
            ; ret
            ; =>fault
            ; lea rsp, [r12 - 1]
            ; mov rax, rsi
            ; lea rdx, [rdx + rdx + 1]
            ; jmp =>out
        );
        fault
    }

    /// See [`fault`](crate::fault) for what is in which register.
    fn emit_landing(&mut self, leaf: DynamicLabel) {
        let Routines { landing, over, .. } = self.routines;
        dynasm!(self.ops ; .arch x64
            ; =>landing
            ; test r12b, 1
            ; jnz =>leaf
        );
        self.spill_counter();
        dynasm!(self.ops ; .arch x64
            ; mov rsp, [r12 + layout::STACK_POINTER]
            ; mov rdi, r12
            ; mov rax, QWORD address(thunks::fault as *const ())
            ; call rax
            ; jmp =>over
        );
    }

    fn emit_routine(&mut self, label: DynamicLabel, thunk: SlowThunk) {
        dynasm!(self.ops ; .arch x64
            ; =>label
            ; push rax
            ; push rcx
            ; push rdx
            ; push rsi
            ; push rdi
            ; push r8
        );
        self.spill_counter();
        dynasm!(self.ops ; .arch x64
            ; mov [r12 + layout::FP], rbp
            ; push rbp
            ; mov rbp, rsp
            ; and rsp, BYTE -16
            ; mov rdi, r12
            ; mov rsi, r11
            ; mov rdx, r10
            ; mov rcx, rax
            ; mov r8, [r12 + layout::CX]
            ; mov rax, QWORD address(thunk as *const ())
            ; call rax
            ; mov rsp, rbp
            ; pop rbp
            ; mov r11, rax
            ; mov r10, rdx
        );
        self.reload_r9();
        let over = self.routines.over;
        dynasm!(self.ops ; .arch x64
            ; pop r8
            ; pop rdi
            ; pop rsi
            ; pop rdx
            ; pop rcx
            ; pop rax
            ; test r10d, r10d
            ; jnz =>over
            ; ret
        );
    }
}

/// What stands at the end.
impl Assembler {
    pub(super) fn emit_cold(&mut self, cold: &Cold) {
        let Cold { at, back, what } = *cold;
        dynasm!(self.ops ; .arch x64 ; =>at);
        match what {
            Detour::Charge(ops) => self.emit_charge(ops),
            Detour::Raise(kind, op) => {
                dynasm!(self.ops ; .arch x64 ; mov r11d, i32::from(kind as u8));
                self.call_routine(self.routines.raise, op);
                return;
            }
            Detour::TooManyLoops => {
                // By a move of 32 bits, as the kernel's verifier inlines it.
                self.load_constant(RAX, (Errno::E2BIG.to_ret() as u32).into());
            }
            Detour::Zero(dst) => dynasm!(self.ops ; .arch x64 ; xor Rd(dst), Rd(dst)),
            Detour::DivByZero(division, dst) => self.emit_div_by_zero(division, dst),
            Detour::DivByMinusOne(division, dst) => self.emit_div_by_minus_one(division, dst),
            Detour::Load(access, dst, _) => {
                self.emit_guest_address(access.at);
                self.call_access_routine(self.routines.load, &access);
                self.copy(native(dst), R11);
            }
            Detour::Store(access, src, _) => {
                self.emit_guest_address(access.at);
                match src {
                    Operand::Reg(src) => {
                        let src = self.value_of(src, R10);
                        self.copy(R10, src);
                    }
                    Operand::Imm(imm) => {
                        dynasm!(self.ops ; .arch x64 ; mov r10, DWORD imm);
                    }
                }
                self.call_access_routine(self.routines.store, &access);
            }
            Detour::Atomic(access, op, src) => {
                self.emit_guest_address(access.at);
                let operand = self.value_of(src, R10);
                self.copy(R10, operand);
                self.call_access_routine(self.routines.atomic, &access);
                if op == AtomicOp::Cmpxchg {
                    self.copy(native(Reg::R0), R11);
                } else if op.old_value_to(src).is_some() {
                    self.copy(native(src), R11);
                }
            }
        }
        dynasm!(self.ops ; .arch x64 ; jmp =>back);
    }

    fn call_access_routine(&mut self, routine: DynamicLabel, access: &crate::masm::Access) {
        dynasm!(self.ops ; .arch x64 ; mov DWORD [r12 + layout::PLACE], i32::from(access.place));
        self.call_routine(routine, access.op);
    }
}
