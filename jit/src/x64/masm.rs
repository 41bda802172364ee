//! Moves, conversions, jumps and calls: the trait's methods.

use super::asm::{Assembler, CMP, Detour, MOV, Opcode, TEST, XOR};
use super::memory::host;
use super::regs::{R10, R11, native};
use crate::image::Assembled;
use crate::masm::{Access, Charge, Condition, Frame, MacroAssembler, Plan};
use crate::run::layout;
use crate::values::Sum;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, dynasm};
use std::error::Error;
use ubpf_abi::TrapKind;
use ubpf_isa::{
    AluOp, AtomicOp, AtomicSize, CmpOp, Operand, Pc, Reg, SignExtend, Size, SwapOp, SwapWidth,
    Width,
};
use ubpf_vm::call::NativeFn;
use ubpf_vm::code::OpIndex;
use ubpf_vm::map::MapLayout;

/// Where tight loops start: at multiples of so many bytes.
const LOOP_ALIGNMENT: u8 = 32;

/// Jumps when a condition of the flags holds.
macro_rules! jump_if {
    ($masm:expr, $when:expr, $target:expr) => {
        match $when {
            When::Equal => dynasm!($masm.ops ; .arch x64 ; je =>$target),
            When::NotEqual => dynasm!($masm.ops ; .arch x64 ; jne =>$target),
            When::Above => dynasm!($masm.ops ; .arch x64 ; ja =>$target),
            When::AboveEqual => dynasm!($masm.ops ; .arch x64 ; jae =>$target),
            When::Below => dynasm!($masm.ops ; .arch x64 ; jb =>$target),
            When::BelowEqual => dynasm!($masm.ops ; .arch x64 ; jbe =>$target),
            When::Greater => dynasm!($masm.ops ; .arch x64 ; jg =>$target),
            When::GreaterEqual => dynasm!($masm.ops ; .arch x64 ; jge =>$target),
            When::Less => dynasm!($masm.ops ; .arch x64 ; jl =>$target),
            When::LessEqual => dynasm!($masm.ops ; .arch x64 ; jle =>$target),
        }
    };
}

/// A condition of the flags after a comparison.
#[derive(Clone, Copy)]
enum When {
    Equal,
    NotEqual,
    Above,
    AboveEqual,
    Below,
    BelowEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl When {
    /// What says that the comparison holds.
    const fn holds(op: CmpOp) -> Self {
        match op {
            CmpOp::Eq => Self::Equal,
            CmpOp::Ne | CmpOp::Set => Self::NotEqual,
            CmpOp::Gt => Self::Above,
            CmpOp::Ge => Self::AboveEqual,
            CmpOp::Lt => Self::Below,
            CmpOp::Le => Self::BelowEqual,
            CmpOp::Sgt => Self::Greater,
            CmpOp::Sge => Self::GreaterEqual,
            CmpOp::Slt => Self::Less,
            CmpOp::Sle => Self::LessEqual,
        }
    }

    const fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Above => Self::BelowEqual,
            Self::AboveEqual => Self::Below,
            Self::Below => Self::AboveEqual,
            Self::BelowEqual => Self::Above,
            Self::Greater => Self::LessEqual,
            Self::GreaterEqual => Self::Less,
            Self::Less => Self::GreaterEqual,
            Self::LessEqual => Self::Greater,
        }
    }
}

impl Assembler {
    pub(super) fn new_label(&mut self) -> DynamicLabel {
        self.ops.new_dynamic_label()
    }

    /// Takes ops off the counter, and leaves the flags of what is left.
    pub(super) fn emit_charge(&mut self, ops: i32) {
        if self.counter_in_register() {
            match i8::try_from(ops) {
                Ok(ops) => dynasm!(self.ops ; .arch x64 ; sub r9, BYTE ops),
                Err(_) => dynasm!(self.ops ; .arch x64 ; sub r9, DWORD ops),
            }
        } else {
            dynasm!(self.ops ; .arch x64 ; sub QWORD [r12 + layout::COUNTER], DWORD ops);
        }
    }

    /// Charges, and jumps unless the budget is spent.
    fn jump_back(&mut self, target: DynamicLabel, cost: i32, op: OpIndex) {
        self.emit_charge(cost);
        let spent = self.detour(Detour::Raise(TrapKind::BudgetExhausted, op), target);
        dynasm!(self.ops ; .arch x64 ; jge =>target ; jmp =>spent);
    }

    /// Sets flags.
    fn compare(&mut self, condition: Condition) -> When {
        match condition {
            Condition::Compare { op: CmpOp::Set, width, dst, src } => {
                self.test(width, dst, src);
                When::NotEqual
            }
            Condition::Compare { op, width, dst, src: Operand::Imm(0) } if dst != Reg::FP => {
                let dst = native(dst);
                if matches!(op, CmpOp::Eq | CmpOp::Ne) && self.flags_tell(dst, width) {
                    return When::holds(op);
                }
                self.with_register(TEST.of(width), dst, dst);
                When::holds(op)
            }
            Condition::Compare { op, width, dst, src } => {
                let left = self.value_of(dst, R10);
                match (width, src) {
                    (width, Operand::Reg(src)) => {
                        let src = self.value_of(src, R11);
                        self.with_register(Opcode::new(CMP.code).of(width), src, left);
                    }
                    (width, Operand::Imm(imm)) => self.with_immediate(CMP.number, width, left, imm),
                }
                When::holds(op)
            }
            Condition::Masked { width, reg, imm, zero } => {
                self.test(width, reg, Operand::Imm(imm));
                if zero { When::Equal } else { When::NotEqual }
            }
            Condition::Exhausted => {
                let iterations = self.frame.iterations();
                dynasm!(self.ops ; .arch x64 ; cmp DWORD [rsp + iterations], BYTE 0);
                When::Equal
            }
        }
    }

    fn test(&mut self, width: Width, dst: Reg, src: Operand) {
        let left = self.value_of(dst, R10);
        match (width, src) {
            (width, Operand::Reg(src)) => {
                let src = self.value_of(src, R11);
                self.with_register(TEST.of(width), src, left);
            }
            (Width::W32, Operand::Imm(imm)) => {
                dynasm!(self.ops ; .arch x64 ; test Rd(left), DWORD imm);
            }
            (Width::W64, Operand::Imm(imm)) => {
                dynasm!(self.ops ; .arch x64 ; test Rq(left), DWORD imm);
            }
        }
    }
}

impl MacroAssembler for Assembler {
    type Label = DynamicLabel;
    type Output = Result<Assembled, Box<dyn Error + Send + Sync>>;

    fn new(plan: Plan, ops: usize) -> Self {
        Self::with_plan(plan, ops)
    }

    fn finish(self, entries: &[DynamicLabel], tail_entry: DynamicLabel) -> Self::Output {
        self.assembled(entries, tail_entry)
    }

    fn label(&mut self) -> DynamicLabel {
        self.new_label()
    }

    fn bind(&mut self, label: DynamicLabel) {
        self.flags = None;
        dynasm!(self.ops ; .arch x64 ; =>label);
    }

    fn align(&mut self) {
        self.ops.pad(LOOP_ALIGNMENT);
    }

    fn mark(&mut self, op: OpIndex) {
        let here = self.ops.new_dynamic_label();
        dynasm!(self.ops ; .arch x64 ; =>here);
        self.marks.push((here, op));
    }

    fn enter(&mut self, frame: Frame, entry: DynamicLabel, tail_entry: Option<DynamicLabel>) {
        self.enter_frame(&frame, entry, tail_entry);
    }

    fn leave(&mut self) {
        self.pop_frame();
        dynasm!(self.ops ; .arch x64 ; ret);
    }

    fn alu(&mut self, op: AluOp, width: Width, dst: Reg, left: Reg, right: Operand) {
        self.emit_alu(op, width, dst, left, right);
    }

    fn neg(&mut self, width: Width, dst: Reg) {
        let dst = native(dst);
        match width {
            Width::W32 => dynasm!(self.ops ; .arch x64 ; neg Rd(dst)),
            Width::W64 => dynasm!(self.ops ; .arch x64 ; neg Rq(dst)),
        }
    }

    fn mov(&mut self, width: Width, dst: Reg, src: Operand) {
        let dst = native(dst);
        match (width, src) {
            (Width::W32, Operand::Imm(imm)) => self.load_constant(dst, imm.cast_unsigned().into()),
            (Width::W64, Operand::Imm(imm)) => {
                self.load_constant(dst, i64::from(imm).cast_unsigned());
            }
            (Width::W32, Operand::Reg(src)) => {
                let src = self.value_of(src, R11);
                self.with_register(MOV, src, dst);
            }
            (Width::W64, Operand::Reg(src)) => {
                let src = self.value_of(src, dst);
                self.copy(dst, src);
            }
        }
    }

    fn mov_sx(&mut self, width: Width, dst: Reg, src: Reg, from: SignExtend) {
        let dst = native(dst);
        let src = self.value_of(src, R11);
        match (width, from) {
            (Width::W32, SignExtend::From8) => {
                dynasm!(self.ops ; .arch x64 ; movsx Rd(dst), Rb(src))
            }
            (Width::W32, SignExtend::From16) => {
                dynasm!(self.ops ; .arch x64 ; movsx Rd(dst), Rw(src))
            }
            (Width::W32, SignExtend::From32) => {
                dynasm!(self.ops ; .arch x64 ; mov Rd(dst), Rd(src))
            }
            (Width::W64, SignExtend::From8) => {
                dynasm!(self.ops ; .arch x64 ; movsx Rq(dst), Rb(src))
            }
            (Width::W64, SignExtend::From16) => {
                dynasm!(self.ops ; .arch x64 ; movsx Rq(dst), Rw(src))
            }
            (Width::W64, SignExtend::From32) => {
                dynasm!(self.ops ; .arch x64 ; movsxd Rq(dst), Rd(src))
            }
        }
    }

    fn swap(&mut self, op: SwapOp, width: SwapWidth, dst: Reg) {
        let dst = native(dst);
        match (op, width) {
            (SwapOp::ToLe, SwapWidth::W16) => {
                dynasm!(self.ops ; .arch x64 ; movzx Rd(dst), Rw(dst))
            }
            (SwapOp::ToLe, SwapWidth::W32) => dynasm!(self.ops ; .arch x64 ; mov Rd(dst), Rd(dst)),
            (SwapOp::ToLe, SwapWidth::W64) => {}
            (SwapOp::ToBe | SwapOp::Bswap, SwapWidth::W16) => {
                dynasm!(self.ops ; .arch x64 ; rol Rw(dst), BYTE 8 ; movzx Rd(dst), Rw(dst));
            }
            (SwapOp::ToBe | SwapOp::Bswap, SwapWidth::W32) => {
                dynasm!(self.ops ; .arch x64 ; bswap Rd(dst));
            }
            (SwapOp::ToBe | SwapOp::Bswap, SwapWidth::W64) => {
                dynasm!(self.ops ; .arch x64 ; bswap Rq(dst));
            }
        }
    }

    fn constant(&mut self, dst: Reg, value: u64) {
        let dst = native(dst);
        if value == 0 {
            self.with_register(Opcode::new(XOR.code), dst, dst);
        } else {
            self.load_constant(dst, value);
        }
    }

    fn sum(&mut self, dst: Reg, sum: Sum) {
        self.emit_sum(native(dst), sum);
    }

    fn narrow_sum(&mut self, dst: Reg, sum: Sum) {
        match sum.base {
            Some(_) => self.with_memory(Opcode::new(0x8d), native(dst), host(sum)),
            None => {
                let dst = native(dst);
                self.emit_sum(dst, sum);
                self.with_register(MOV, dst, dst);
            }
        }
    }

    fn rotate(&mut self, width: Width, dst: Reg, src: Reg, by: u32) {
        let (dst, src) = (native(dst), native(src));
        let (left, right) = (by as i8, (width.bits() - by) as i8);
        match width {
            Width::W32 if dst == src => dynasm!(self.ops ; .arch x64 ; rol Rd(dst), BYTE left),
            Width::W64 if dst == src => dynasm!(self.ops ; .arch x64 ; rol Rq(dst), BYTE left),
            Width::W32 if self.has_bmi2 => {
                dynasm!(self.ops ; .arch x64 ; rorx Rd(dst), Rd(src), BYTE right);
            }
            Width::W64 if self.has_bmi2 => {
                dynasm!(self.ops ; .arch x64 ; rorx Rq(dst), Rq(src), BYTE right);
            }
            Width::W32 => {
                dynasm!(self.ops ; .arch x64 ; mov Rd(dst), Rd(src) ; rol Rd(dst), BYTE left);
            }
            Width::W64 => {
                dynasm!(self.ops ; .arch x64 ; mov Rq(dst), Rq(src) ; rol Rq(dst), BYTE left);
            }
        }
    }

    fn load(&mut self, access: Access, size: Size, signed: bool, dst: Reg) {
        self.emit_load(&access, size, signed, dst, false);
    }

    fn store(&mut self, access: Access, size: Size, src: Operand) {
        self.emit_store(&access, size, src, false);
    }

    // On x86-64 every load acquires and every store releases.
    fn load_acquire(&mut self, access: Access, size: Size, dst: Reg) {
        self.emit_load(&access, size, false, dst, true);
    }

    fn store_release(&mut self, access: Access, size: Size, src: Reg) {
        self.emit_store(&access, size, Operand::Reg(src), true);
    }

    fn atomic(&mut self, access: Access, op: AtomicOp, size: AtomicSize, src: Reg) {
        self.emit_atomic(&access, op, size, src);
    }

    fn charge(&mut self, ops: i32) {
        if ops != 0 {
            self.emit_charge(ops);
        }
    }

    fn jump(&mut self, target: DynamicLabel, charge: Charge) {
        match charge {
            Charge::Ahead(cost) => {
                self.charge(cost);
                dynasm!(self.ops ; .arch x64 ; jmp =>target);
            }
            Charge::Back(cost, op) => self.jump_back(target, cost, op),
        }
    }

    fn branch(&mut self, condition: Condition, holds: bool, target: DynamicLabel, charge: Charge) {
        let when = self.compare(condition);
        let when = if holds { when } else { when.negated() };
        match charge {
            Charge::Ahead(0) => jump_if!(self, when, target),
            Charge::Ahead(cost) => {
                let detour = self.detour(Detour::Charge(cost), target);
                jump_if!(self, when, detour);
            }
            Charge::Back(cost, op) => {
                let on = self.new_label();
                jump_if!(self, when.negated(), on);
                self.jump_back(target, cost, op);
                self.bind(on);
            }
        }
        if let Condition::Exhausted = condition {
            let iterations = self.frame.iterations();
            dynasm!(self.ops ; .arch x64 ; dec DWORD [rsp + iterations]);
        }
    }

    fn call_helper(&mut self, op: OpIndex, pc: Pc, native: Option<NativeFn>) {
        self.call_thunk(op, pc, native);
    }

    fn lookup(&mut self, layout: MapLayout, key: Access) {
        self.emit_lookup(layout, &key);
    }

    fn call_loop(&mut self, op: OpIndex, target: DynamicLabel, framed: bool) {
        self.emit_call_loop(op, target, framed);
    }

    fn cpu(&mut self) {
        self.uses_run = true;
        dynasm!(self.ops ; .arch x64 ; mov eax, [r12 + layout::CPU]);
    }

    fn call_subprog(&mut self, op: OpIndex, target: DynamicLabel, framed: bool) {
        self.call_function(op, target, framed);
    }

    fn call_reg(&mut self, op: OpIndex, target: Reg) {
        self.call_through(op, target);
    }

    fn tail_call(&mut self, op: OpIndex) {
        self.replace_frame(op);
    }

    fn load_packet(&mut self, op: OpIndex, index: Option<Reg>, imm: i32) {
        match index {
            None => dynasm!(self.ops ; .arch x64 ; mov r11d, DWORD imm),
            Some(index) => {
                let index = self.value_of(index, R11);
                dynasm!(self.ops ; .arch x64 ; lea r11d, [DWORD Rq(index) + imm]);
            }
        }
        let (routine, next) = (self.routines.load_packet, self.new_label());
        self.call_routine(routine, op);
        dynasm!(self.ops ; .arch x64
            ; mov rax, r11
            ; shr r11, BYTE 32
            ; jz =>next
            ; xor eax, eax
        );
        self.leave();
        self.bind(next);
    }

    fn trap(&mut self, op: OpIndex, kind: TrapKind) {
        let next = self.new_label();
        let raise = self.detour(Detour::Raise(kind, op), next);
        dynasm!(self.ops ; .arch x64 ; jmp =>raise);
        self.bind(next);
    }
}
