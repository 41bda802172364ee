//! The assembler itself, and choices between encodings.

use super::abi::NativeFrame;
use super::arith::Division;
use super::buffer::{Buffer, Unreachable};
use super::regs::{R9, R11, native};
use crate::image::{Assembled, Needs};
use crate::masm::{Access, Plan};
use crate::run::layout;
use dynasmrt::{AssemblyOffset, DynamicLabel, DynasmApi, dynasm};
use ubpf_abi::TrapKind;
use ubpf_isa::{AtomicOp, Operand, Reg, Width};
use ubpf_vm::code::{MemMode, OpIndex};

/// Bytes of code that an op takes, roughly.
const BYTES_PER_OP: usize = 12;

/// An assembler for x86-64.
pub(crate) struct Assembler {
    pub(super) ops: Buffer,
    pub(super) plan: Plan,
    pub(super) has_bmi2: bool,
    pub(super) frame: NativeFrame,
    pub(super) routines: Routines,
    pub(super) cold: Vec<Cold>,
    /// Where accesses begin that nothing checks.
    pub(super) accesses: Vec<(DynamicLabel, OpIndex)>,
    /// Where ops begin, where that is wanted.
    pub(super) marks: Vec<(DynamicLabel, OpIndex)>,
    /// Whether the code uses its run.
    pub(super) uses_run: bool,
    /// Whether it uses `r10` or the cage's address, other than for accesses.
    pub(super) uses_frame: bool,
    /// Whether the flags say something of a register: which, in what width, and up to where in
    /// the code nothing changes them.
    pub(super) flags: Option<(u8, Width, AssemblyOffset)>,
    /// Registers that some function saves because it changes them.
    pub(super) saved: Vec<u8>,
}

/// What all functions of a program share, at its start.
#[derive(Clone, Copy)]
pub(super) struct Routines {
    pub(super) trampoline: DynamicLabel,
    /// The way in for code that needs no run.
    pub(super) leaf: DynamicLabel,
    /// The run is over: leaves generated code from any depth.
    pub(super) over: DynamicLabel,
    /// Where faults land.
    pub(super) landing: DynamicLabel,
    pub(super) raise: DynamicLabel,
    pub(super) load: DynamicLabel,
    pub(super) store: DynamicLabel,
    pub(super) atomic: DynamicLabel,
    pub(super) load_packet: DynamicLabel,
    pub(super) resolve: DynamicLabel,
    pub(super) tail_call: DynamicLabel,
}

/// Code that is seldom executed, put behind everything else.
pub(super) struct Cold {
    /// Where it is entered.
    pub(super) at: DynamicLabel,
    /// Where it goes on.
    pub(super) back: DynamicLabel,
    pub(super) what: Detour,
}

/// What is done out of line.
#[derive(Clone, Copy)]
pub(super) enum Detour {
    /// A charge on the way to a jump's target.
    Charge(i32),
    /// The end of the run.
    Raise(TrapKind, OpIndex),
    /// A division by zero, or of the number that has no negative.
    DivByZero(Division, u8),
    DivByMinusOne(Division, u8),
    /// A register becomes 0.
    Zero(u8),
    /// `r0` becomes the error of a loop that is too long.
    TooManyLoops,
    /// Accesses that their windows do not cover; of loads and stores, whether they are ordered.
    Load(Access, Reg, bool),
    Store(Access, Operand, bool),
    Atomic(Access, AtomicOp, Reg),
}

impl Detour {
    /// Whether it is a load or store that orders nothing.
    pub(super) const fn is_plain(self) -> bool {
        matches!(self, Self::Load(_, _, false) | Self::Store(_, _, false))
    }
}

impl Assembler {
    pub(super) fn with_plan(plan: Plan, ops: usize) -> Self {
        let labels = ops / 4 + 32;
        let mut asm = Buffer::with_capacity(ops * BYTES_PER_OP + 1024, labels);
        let mut label = || asm.new_dynamic_label();
        let routines = Routines {
            trampoline: label(),
            leaf: label(),
            over: label(),
            landing: label(),
            raise: label(),
            load: label(),
            store: label(),
            atomic: label(),
            load_packet: label(),
            resolve: label(),
            tail_call: label(),
        };
        let mut masm = Self {
            ops: asm,
            plan,
            has_bmi2: std::arch::is_x86_feature_detected!("bmi2"),
            frame: NativeFrame::EMPTY,
            routines,
            cold: Vec::new(),
            accesses: Vec::new(),
            uses_run: plan.metered || plan.images_change || plan.mode == MemMode::Checked,
            marks: Vec::new(),
            uses_frame: false,
            flags: None,
            saved: Vec::new(),
        };
        masm.emit_routines();
        masm
    }

    /// Puts what is out of line behind everything, and resolves labels.
    pub(super) fn assembled(
        mut self,
        entries: &[DynamicLabel],
        tail_entry: DynamicLabel,
    ) -> Result<Assembled, Box<dyn std::error::Error + Send + Sync>> {
        for cold in std::mem::take(&mut self.cold) {
            self.emit_cold(&cold);
        }
        self.emit_trampoline();
        let finished = self.ops.finish()?;
        let entries: Result<_, _> = entries.iter().map(|&label| finished.offset(label)).collect();
        let (entries, tail_entry) = (entries?, finished.offset(tail_entry)?);
        let trampoline = finished.offset(self.routines.trampoline)?;
        let landing = finished.offset(self.routines.landing)?;
        let accesses = self.accesses.iter().map(|&(at, op)| Ok((finished.offset(at)?, op)));
        let mut accesses = accesses.collect::<Result<Vec<_>, Unreachable>>()?;
        // Blocks may lie in another order than their ops.
        accesses.sort_unstable();
        let marks = self.marks.iter().map(|&(at, op)| Ok((finished.offset(at)?, op)));
        let marks = marks.collect::<Result<Vec<_>, Unreachable>>()?;
        let needs = if self.uses_run {
            Needs::Run
        } else if self.uses_frame || !accesses.is_empty() {
            Needs::Memory(finished.offset(self.routines.leaf)?)
        } else {
            Needs::Nothing
        };
        let code = finished.code;
        Ok(Assembled { code, trampoline, entries, tail_entry, landing, accesses, needs, marks })
    }

    /// Sends something out of line, to come back to `back`.
    pub(super) fn detour(&mut self, what: Detour, back: DynamicLabel) -> DynamicLabel {
        // Who knows what it does to the flags.
        self.flags = None;
        let at = self.ops.new_dynamic_label();
        self.cold.push(Cold { at, back, what });
        at
    }

    /// Moves a whole register, unless it is the same.
    pub(super) fn copy(&mut self, dst: u8, src: u8) {
        if dst != src {
            let before = self.ops.offset();
            self.with_register(MOV.wide(), src, dst);
            self.keep_flags(dst, before);
        }
    }

    /// The flags are those of an operation's result in a register from here on.
    pub(super) fn set_flags(&mut self, dst: u8, width: Width) {
        self.flags = Some((dst, width, self.ops.offset()));
    }

    /// What was emitted since `before` changed a register and no flags.
    pub(super) fn keep_flags(&mut self, dst: u8, before: AssemblyOffset) {
        self.flags = match self.flags {
            Some((reg, width, end)) if end == before && reg != dst => {
                Some((reg, width, self.ops.offset()))
            }
            _ => None,
        };
    }

    /// Whether the flags tell 0 from other values of a register already.
    pub(super) fn flags_tell(&self, reg: u8, width: Width) -> bool {
        self.flags == Some((reg, width, self.ops.offset()))
    }

    /// Whether the counter is in `r9`, rather than in the run.
    pub(super) fn counter_in_register(&self) -> bool {
        self.plan.mode == MemMode::Checked
    }

    /// The register that holds an operand's value: its own, or `scratch` for `r10`.
    pub(super) fn value_of(&mut self, reg: Reg, scratch: u8) -> u8 {
        if reg != Reg::FP {
            return native(reg);
        }
        dynasm!(self.ops ; .arch x64 ; mov Rq(scratch), rbp);
        self.host_to_guest(scratch);
        scratch
    }

    /// Makes the host address in a register a guest address.
    pub(super) fn host_to_guest(&mut self, reg: u8) {
        self.uses_frame = true;
        if self.counter_in_register() {
            dynasm!(self.ops ; .arch x64 ; sub Rq(reg), [r12 + layout::HOST_BASE]);
        } else {
            dynasm!(self.ops ; .arch x64 ; sub Rq(reg), r9);
        }
    }

    /// A 64-bit constant, in the shortest way that leaves flags alone.
    pub(super) fn load_constant(&mut self, dst: u8, value: u64) {
        let before = self.ops.offset();
        if let Ok(small) = u32::try_from(value) {
            if dst >= 8 {
                self.ops.push(0x41);
            }
            self.ops.push(0xb8 | dst & 7);
            self.ops.push_i32(small.cast_signed());
        } else if let Ok(small) = i32::try_from(value.cast_signed()) {
            dynasm!(self.ops ; .arch x64 ; mov Rq(dst), DWORD small);
        } else {
            dynasm!(self.ops ; .arch x64 ; mov Rq(dst), QWORD value.cast_signed());
        }
        self.keep_flags(dst, before);
    }
}

/// A memory operand: base register, index register shifted by less than 4, and displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mem {
    pub(super) base: u8,
    /// Not `rsp`.
    pub(super) index: Option<(u8, u8)>,
    pub(super) disp: i32,
}

impl Mem {
    /// Bytes from a register's address on.
    pub(super) const fn at(base: u8, disp: i32) -> Self {
        Self { base, index: None, disp }
    }

    /// Guest memory at the offset that a register holds.
    pub(super) const fn guest(index: u8, disp: i32) -> Self {
        Self { base: R9, index: Some((index, 0)), disp }
    }

    /// Where [`R11`] points to.
    pub(super) const CHECKED: Self = Self::at(R11, 0);
}

/// An instruction with a register and a memory operand, up to its immediate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opcode {
    /// `0x66`, for 16-bit operands.
    pub(super) short: bool,
    /// Whether operands have 64 bits.
    pub(super) wide: bool,
    /// Whether the register is one of 8 bits.
    pub(super) byte: bool,
    /// Whether `0x0f` stands before the code.
    pub(super) escaped: bool,
    pub(super) code: u8,
}

impl Opcode {
    /// One with 32-bit operands.
    pub(super) const fn new(code: u8) -> Self {
        Self { short: false, wide: false, byte: false, escaped: false, code }
    }

    pub(super) const fn short(self) -> Self {
        Self { short: true, ..self }
    }

    pub(super) const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    pub(super) const fn of(self, width: Width) -> Self {
        match width {
            Width::W32 => self,
            Width::W64 => self.wide(),
        }
    }

    pub(super) const fn byte(self) -> Self {
        Self { byte: true, ..self }
    }

    pub(super) const fn escaped(self) -> Self {
        Self { escaped: true, ..self }
    }
}

/// An instruction for two operands: its code with two registers, and its number in the group of
/// those with an immediate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binary {
    pub(super) code: u8,
    pub(super) number: u8,
}

pub(super) const ADD: Binary = Binary { code: 0x01, number: 0 };
pub(super) const OR: Binary = Binary { code: 0x09, number: 1 };
pub(super) const AND: Binary = Binary { code: 0x21, number: 4 };
pub(super) const SUB: Binary = Binary { code: 0x29, number: 5 };
pub(super) const XOR: Binary = Binary { code: 0x31, number: 6 };
pub(super) const CMP: Binary = Binary { code: 0x39, number: 7 };
/// Moves, tests and extends.
pub(super) const MOV: Opcode = Opcode::new(0x89);
pub(super) const TEST: Opcode = Opcode::new(0x85);

impl Assembler {
    /// An instruction with a memory operand. dynasm cannot choose scales when it runs.
    pub(super) fn with_memory(&mut self, opcode: Opcode, reg: u8, mem: Mem) {
        let Opcode { short, wide, byte, escaped, code } = opcode;
        let (index, scale) = mem.index.unwrap_or((4, 0));
        if short {
            self.ops.push(0x66);
        }
        let rex = u8::from(wide) << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | mem.base >> 3;
        if rex != 0 || byte {
            self.ops.push(0x40 | rex);
        }
        if escaped {
            self.ops.push(0x0f);
        }
        self.ops.push(code);
        let (reg, index, base) = (reg & 7, index & 7, mem.base & 7);
        let small = i8::try_from(mem.disp).ok();
        let size = match small {
            // With `rbp` and `r13` as base this would mean something else.
            Some(0) if base != 5 => 0,
            Some(_) => 1,
            None => 2,
        };
        if mem.index.is_some() || base == 4 {
            self.ops.push(size << 6 | reg << 3 | 4);
            self.ops.push(scale << 6 | index << 3 | base);
        } else {
            self.ops.push(size << 6 | reg << 3 | base);
        }
        match (size, small) {
            (0, _) => {}
            (_, Some(disp)) => self.ops.push_i8(disp),
            (_, None) => self.ops.push_i32(mem.disp),
        }
    }

    /// An instruction with two registers, the second where others have memory. dynasm spends a
    /// byte more on registers that it does not know.
    pub(super) fn with_register(&mut self, opcode: Opcode, reg: u8, other: u8) {
        let Opcode { short, wide, byte, escaped, code } = opcode;
        if short {
            self.ops.push(0x66);
        }
        let rex = u8::from(wide) << 3 | (reg >> 3) << 2 | other >> 3;
        if rex != 0 || byte {
            self.ops.push(0x40 | rex);
        }
        if escaped {
            self.ops.push(0x0f);
        }
        self.ops.push(code);
        self.ops.push(0b11 << 6 | (reg & 7) << 3 | other & 7);
    }

    /// An instruction of the first group, by its number there, with an immediate.
    pub(super) fn with_immediate(&mut self, number: u8, width: Width, dst: u8, imm: i32) {
        if let Ok(imm) = i8::try_from(imm) {
            self.with_register(Opcode::new(0x83).of(width), number, dst);
            self.ops.push_i8(imm);
        } else {
            self.with_register(Opcode::new(0x81).of(width), number, dst);
            self.ops.push_i32(imm);
        }
    }

    /// The address of a memory operand.
    pub(super) fn lea(&mut self, dst: u8, mem: Mem) {
        match mem {
            Mem { base, index: None, disp: 0 } => self.copy(dst, base),
            Mem { base, index: None, disp } if base == dst => {
                self.with_immediate(ADD.number, Width::W64, dst, disp);
                self.set_flags(dst, Width::W64);
            }
            Mem { base, index: Some((index, 0)), disp: 0 } if base == dst => {
                self.with_register(Opcode::new(ADD.code).wide(), index, dst);
                self.set_flags(dst, Width::W64);
            }
            Mem { base, index: Some((index, 0)), disp: 0 } if index == dst => {
                self.with_register(Opcode::new(ADD.code).wide(), base, dst);
                self.set_flags(dst, Width::W64);
            }
            mem => self.with_memory(Opcode::new(0x8d).wide(), dst, mem),
        }
    }
}

/// An instruction with a memory operand without a scale: what stands before it, the operand, what
/// stands behind.
macro_rules! with_mem {
    ($masm:expr, $mem:expr; ($($before:tt)*) ($($after:tt)*)) => {{
        let Mem { base, index, disp } = $mem;
        match index {
            None => dynasm!($masm.ops ; .arch x64
                ; $($before)* [DWORD Rq(base) + disp] $($after)*),
            Some((index, _)) => dynasm!($masm.ops ; .arch x64
                ; $($before)* [DWORD Rq(base) + Rq(index) + disp] $($after)*),
        }
    }};
}
pub(super) use with_mem;
