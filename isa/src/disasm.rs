//! Instructions as text, in the syntax of the kernel verifier's log.
//!
//! [`Insn`]'s `Display` is that syntax without the opcode prefix (wide constants are then marked
//! by LLVM's suffix, `r1 = 0x5 ll`); [`Disassembler`] adds names of helpers and kernel
//! functions, and the prefix:
//!
//! ```
//! use ubpf_isa::{CallTarget, Insn, disasm::{Disassembler, Names}};
//!
//! struct Known;
//! impl Names for Known {
//!     fn helper(&self, id: u32) -> Option<&str> {
//!         (id == 1).then_some("bpf_map_lookup_elem")
//!     }
//! }
//!
//! let call = Insn::Call(CallTarget::Helper(1));
//! assert_eq!(call.to_string(), "call 1");
//! let log = Disassembler::new().names(Known).opcodes(true);
//! assert_eq!(log.insn(&call).to_string(), "(85) call bpf_map_lookup_elem#1");
//! ```
//!
//! Where the log prints what only the running kernel knows (the address behind a map's file
//! descriptor), the text here names the reference instead, as `map[fd:3]`, so that
//! [`assemble`](crate::assemble) can read everything back.

use alloc::string::String;
use core::fmt::{self, Display, Formatter, Write as _};

use crate::decode::{DecodeError, decode_all};
use crate::encode::encode;
use crate::insn::{
    AddrSpaceCast, AtomicOp, AtomicSize, CallTarget, Imm64, Insn, JumpForm, Operand, Reg, Size,
    Width,
};
use crate::slot::{Pc, Slot};

/// Looks names up for what instructions refer to by number. Every method may say `None`.
pub trait Names {
    /// Name of a helper, such as `bpf_map_lookup_elem` for 1.
    fn helper(&self, _id: u32) -> Option<&str> {
        None
    }

    /// Name of the kernel function with this BTF id, in the BTF that `btf_off` selects.
    fn kfunc(&self, _btf_id: i32, _btf_off: i16) -> Option<&str> {
        None
    }
}

/// No names.
impl Names for () {}

/// How to print instructions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disassembler<N = ()> {
    names: N,
    opcodes: bool,
}

impl Disassembler {
    /// Plain text: no names, no opcodes.
    #[must_use]
    pub const fn new() -> Self {
        Self { names: (), opcodes: false }
    }
}

impl<N: Names> Disassembler<N> {
    /// Uses names where `names` knows them.
    #[must_use]
    pub fn names<M: Names>(self, names: M) -> Disassembler<M> {
        Disassembler { names, opcodes: self.opcodes }
    }

    /// Whether each instruction is preceded by its opcode byte, `(bf) r6 = r1`, as in the log.
    #[must_use]
    pub fn opcodes(self, opcodes: bool) -> Self {
        Self { opcodes, ..self }
    }

    /// One instruction.
    pub fn insn<'a>(&'a self, insn: &'a Insn) -> impl Display + use<'a, N> {
        Text { disassembler: self, insn }
    }
}

/// A slot that is no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slot {pc} is no instruction")]
pub struct DisasmError {
    /// The slot.
    pub pc: Pc,
    /// What is wrong with it.
    #[source]
    pub cause: DecodeError,
}

/// The text of a program, one line an instruction, in the form that
/// [`assemble`](crate::assemble) reads back.
///
/// ```
/// use ubpf_isa::{assemble, disassemble};
/// let slots = assemble("w0 = 1\nif w0 != 0x0 goto pc+1\nr0 = 7\nexit\n")?;
/// assert_eq!(disassemble(&slots)?, "w0 = 1\nif w0 != 0x0 goto pc+1\nr0 = 7\nexit\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`DisasmError`] at the first slot that is no instruction.
pub fn disassemble(slots: &[Slot]) -> Result<String, DisasmError> {
    let mut text = String::new();
    for (pc, decoded) in decode_all(slots) {
        let insn = decoded.map_err(|cause| DisasmError { pc, cause })?;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{insn}");
    }
    Ok(text)
}

impl Display for Insn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_insn(f, self, &Disassembler::new())
    }
}

struct Text<'a, N> {
    disassembler: &'a Disassembler<N>,
    insn: &'a Insn,
}

impl<N: Names> Display for Text<'_, N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.disassembler.opcodes {
            write!(f, "({:02x}) ", encode(self.insn).0.opcode)?;
        }
        write_insn(f, self.insn, self.disassembler)
    }
}

fn write_insn<N: Names>(
    f: &mut Formatter<'_>,
    insn: &Insn,
    Disassembler { names, opcodes }: &Disassembler<N>,
) -> fmt::Result {
    let sign = insn.kind().row().sign;
    match *insn {
        Insn::Alu { width, dst, src, .. } | Insn::Mov { width, dst, src } => {
            write!(f, "{} {sign} {}", Wide(width, dst), Value(width, src))
        }
        Insn::Neg { width, dst } => {
            let reg = Wide(width, dst);
            write!(f, "{reg} = {sign}{reg}")
        }
        Insn::MovSx { width, dst, src, .. } => {
            write!(f, "{} = ({sign}){}", Wide(width, dst), Wide(width, src))
        }
        Insn::Swap { dst, .. } => write!(f, "{dst} = {sign} {dst}"),
        Insn::Load { size, dst, base, off, .. } => {
            write!(f, "{dst} = *({sign}{} *)({base} {off:+})", bits(size))
        }
        Insn::Store { size, base, off, src } => {
            let value = Value(Width::W64, src);
            write!(f, "*({sign}{} *)({base} {off:+}) = {value}", bits(size))
        }
        Insn::Atomic { op, size, base, off, src } => {
            let place = Place(size.size(), base, off);
            // The kernel's functions on 64 bits have the width in their names.
            let prefix = if size == AtomicSize::Dw { "atomic64" } else { "atomic" };
            match op.old_value_to(src) {
                None => write!(f, "lock *{place} {sign} {src}"),
                Some(old) if op == AtomicOp::Cmpxchg => {
                    write!(f, "{old} = {prefix}_{sign}({place}, {old}, {src})")
                }
                Some(old) => write!(f, "{old} = {prefix}_{sign}({place}, {src})"),
            }
        }
        Insn::LoadAcquire { size, dst, base, off } => {
            write!(f, "{dst} = {sign}({})", Place(size, base, off))
        }
        Insn::StoreRelease { size, base, off, src } => {
            write!(f, "{sign}({}, {src})", Place(size, base, off))
        }
        // The log tells a wide load from a move by its opcode only; without, LLVM's suffix does.
        Insn::LdImm64 { dst, imm: imm @ Imm64::Value(_) } if !opcodes => {
            write!(f, "{dst} = {imm} {sign}")
        }
        Insn::LdImm64 { dst, imm } => write!(f, "{dst} = {imm}"),
        Insn::LdAbs { size, imm } => write!(f, "r0 = *(u{} *){sign}[{imm}]", bits(size)),
        Insn::LdInd { size, src, imm } => {
            write!(f, "r0 = *(u{} *){sign}[{src} + {imm}]", bits(size))
        }
        Insn::Jump { form: JumpForm::Short | JumpForm::Long, off } => {
            write!(f, "{sign} pc{off:+}")
        }
        Insn::Branch { width, dst, src, off, .. } => {
            write!(f, "if {} {sign} ", Wide(width, dst))?;
            match src {
                Operand::Reg(reg) => write!(f, "{}", Wide(width, reg))?,
                // Unlike everywhere else, as the 32 bits of the field.
                Operand::Imm(imm) => write!(f, "{imm:#x}")?,
            }
            write!(f, " goto pc{off:+}")
        }
        Insn::MayGoto { off } => write!(f, "{sign} pc{off:+}"),
        Insn::AddrSpaceCast { cast, dst, src } => {
            let (from, to) = match cast {
                AddrSpaceCast::ToUser => (1, 0),
                AddrSpaceCast::ToKernel => (0, 1),
            };
            write!(f, "{dst} = {sign}({src}, {from}, {to})")
        }
        Insn::Call(CallTarget::Helper(id)) => match names.helper(id) {
            Some(name) => write!(f, "{sign} {name}#{id}"),
            None => write!(f, "{sign} {id}"),
        },
        Insn::Call(CallTarget::Subprog(off)) => write!(f, "{sign} pc{off:+}"),
        Insn::Call(CallTarget::Kfunc { btf_id, btf_off }) => {
            match (names.kfunc(btf_id, btf_off), btf_off) {
                (Some(name), _) => write!(f, "{sign} {name}#{btf_id}"),
                (None, 0) => write!(f, "{sign} kfunc#{btf_id}"),
                (None, _) => write!(f, "{sign} kfunc#{btf_id}@{btf_off}"),
            }
        }
        Insn::CallX { target } => write!(f, "{sign} {target}"),
        Insn::Exit => f.write_str(sign),
    }
}

impl Display for Imm64 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::MapFd(fd) => write!(f, "map[fd:{fd}]"),
            Self::MapValue { fd, off } => write!(f, "map[fd:{fd}][0]+{off}"),
            Self::BtfId { id, btf_fd } => write!(f, "btf[fd:{btf_fd}][id:{id}]"),
            Self::Func(off) => write!(f, "subprog[{off:+}]"),
            Self::MapIdx(idx) => write!(f, "map[idx:{idx}]"),
            Self::MapIdxValue { idx, off } => write!(f, "map[idx:{idx}][0]+{off}"),
        }
    }
}

/// A register by the name of its part: `r1` is all of it, `w1` the low half.
struct Wide(Width, Reg);

impl Display for Wide {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = match self.0 {
            Width::W32 => 'w',
            Width::W64 => 'r',
        };
        write!(f, "{letter}{}", self.1.number())
    }
}

/// The right-hand side of arithmetic and stores: immediates are signed decimal.
struct Value(Width, Operand);

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            Operand::Reg(reg) => Wide(self.0, reg).fmt(f),
            Operand::Imm(imm) => write!(f, "{imm}"),
        }
    }
}

/// The place in memory that an atomic works on.
struct Place(Size, Reg, i16);

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(size, base, off) = *self;
        write!(f, "(u{} *)({base} {off:+})", bits(size))
    }
}

const fn bits(size: Size) -> u32 {
    size.bytes() * 8
}
