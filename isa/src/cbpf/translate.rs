//! Filters as eBPF programs.
//!
//! ```text
//!   A = w0     X = w7     context = r6     scratch = r8     memory words = stack, fp-64 to fp-4
//! ```
//!
//! `w0` holds `A` because that is where packet loads put their value and what is returned.
//! The scratch register is one that packet loads preserve.

use alloc::vec::Vec;

use super::check::SECCOMP_DATA_BYTES;
use super::{Acc, ClassicError, ClassicErrorKind, Extension, Filter, Insn as Classic, Src, Word};
use crate::insn::{
    AluOp, CallTarget, CmpOp, Insn, JumpForm, Operand, Reg, Size, SwapOp, SwapWidth, Width,
};

const A: Reg = Reg::R0;
const X: Reg = Reg::R7;
const CTX: Reg = Reg::R6;
const SCRATCH: Reg = Reg::R8;

/// What a translated filter runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A program on `struct __sk_buff` that bpf(2) loads, such as a socket filter.
    SkBuff,
    /// The same, on a host that has the [helpers](helper) which only classic filters call.
    Classic,
    /// A program on `struct seccomp_data`.
    Seccomp,
}

/// A filter as an eBPF program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Its instructions, each one slot.
    pub insns: Vec<Insn>,
    /// For each classic instruction, the first slot of what it became. Those that no path reaches
    /// became nothing.
    pub starts: Vec<u32>,
}

impl Filter {
    /// The eBPF program that computes the same, for a `struct __sk_buff` context.
    ///
    /// Instructions that no path reaches are left out, because eBPF's rules refuse them.
    ///
    /// ```
    /// use ubpf_isa::cbpf::{Filter, parse_text};
    /// let ip_only = parse_text("4,40 0 0 12,21 0 1 2048,6 0 0 65535,6 0 0 0")?;
    /// let program = Filter::check(&ip_only)?.to_insns()?;
    /// let text: Vec<String> = program.iter().map(ToString::to_string).collect();
    /// assert_eq!(text[3..6], [
    ///     "r0 = *(u16 *)skb[12]",
    ///     "if r0 != 0x800 goto pc+2",
    ///     "w0 = 65535",
    /// ]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClassicErrorKind::NoEbpfForm`] for extensions whose values neither the context nor a
    /// helper gives.
    pub fn to_insns(&self) -> Result<Vec<Insn>, ClassicError> {
        self.translate(Target::SkBuff).map(|translation| translation.insns)
    }

    /// The eBPF program that computes the same, and where each instruction went.
    ///
    /// # Errors
    /// Extensions and instructions that the target does not have.
    pub fn translate(&self, target: Target) -> Result<Translation, ClassicError> {
        if target == Target::Seccomp {
            self.check_seccomp()?;
        }
        let reachable = self.reachable();
        let live = |at: usize| reachable.get(at).copied().unwrap_or(false);
        // No instruction is wide, so that an index into these is a slot. Jumps carry the
        // classic instruction they go to until all positions are known.
        let mut insns: Vec<Pending> = prologue().map(Pending::Done).to_vec();
        let mut starts = Vec::with_capacity(self.len());
        for (at, classic) in self.insns().iter().enumerate() {
            starts.push(insns.len());
            if live(at) {
                translate(at, *classic, target, &mut insns)
                    .map_err(|kind| ClassicError { at, kind })?;
            }
        }
        let resolve = |(slot, pending): (usize, Pending)| match pending {
            Pending::Done(insn) => insn,
            Pending::Jump { insn, to } => {
                let target = starts.get(to).copied().unwrap_or(insns.len());
                let off = target as i64 - (slot as i64 + 1);
                with_offset(insn, off)
            }
        };
        Ok(Translation {
            insns: insns.iter().copied().enumerate().map(resolve).collect(),
            // A filter has 4096 instructions at most, each of which becomes fewer than ten.
            starts: starts.into_iter().map(|start| start as u32).collect(),
        })
    }
}

/// An instruction, or a jump that still needs its offset.
#[derive(Clone, Copy)]
enum Pending {
    Done(Insn),
    Jump { insn: Insn, to: usize },
}

/// Filters begin with `A` and `X` zero.
fn prologue() -> [Insn; 3] {
    [
        mov32(A, Operand::Imm(0)),
        mov32(X, Operand::Imm(0)),
        Insn::Mov { width: Width::W64, dst: CTX, src: Operand::Reg(Reg::R1) },
    ]
}

/// Sets the offset of a jump. Classic conditions reach 255 instructions, each of which becomes
/// fewer than ten: that fits.
fn with_offset(insn: Insn, slots: i64) -> Insn {
    match insn {
        Insn::Branch { op, width, dst, src, .. } => {
            Insn::Branch { op, width, dst, src, off: slots as i16 }
        }
        _ => Insn::Jump { form: JumpForm::Short, off: slots as i32 },
    }
}

/// Appends what one classic instruction becomes.
fn translate(
    at: usize,
    classic: Classic,
    target: Target,
    out: &mut Vec<Pending>,
) -> Result<(), ClassicErrorKind> {
    let mut emit = |insn| out.push(Pending::Done(insn));
    match classic {
        Classic::LdAbs { k, .. } if target == Target::Seccomp => {
            let off = i16::try_from(k).map_err(|_| ClassicErrorKind::SeccompData(k))?;
            emit(ctx_field(A, off));
        }
        Classic::Len(acc) if target == Target::Seccomp => {
            emit(mov32(register(acc), Operand::Imm(SECCOMP_DATA_BYTES.cast_signed())));
        }
        Classic::LdAbs { size, k } => emit(Insn::LdAbs { size, imm: k.cast_signed() }),
        Classic::LdInd { size, k } => {
            emit(Insn::LdInd { size, src: X, imm: k.cast_signed() });
        }
        Classic::LdExtension(extension) => return translate_extension(extension, target, out),
        Classic::LdxMsh { k } => {
            emit(mov32(SCRATCH, Operand::Reg(A)));
            emit(Insn::LdAbs { size: Size::B, imm: k.cast_signed() });
            emit(alu32(AluOp::And, A, Operand::Imm(0xf)));
            emit(alu32(AluOp::Lsh, A, Operand::Imm(2)));
            emit(mov32(X, Operand::Reg(A)));
            emit(mov32(A, Operand::Reg(SCRATCH)));
        }
        Classic::Len(acc) => emit(ctx_field(register(acc), ctx::LEN)),
        Classic::Imm(acc, k) => emit(mov32(register(acc), Operand::Imm(k.cast_signed()))),
        Classic::Load(acc, word) => emit(Insn::Load {
            size: Size::W,
            signed: false,
            dst: register(acc),
            base: Reg::FP,
            off: stack(word),
        }),
        Classic::Store(acc, word) => emit(Insn::Store {
            size: Size::W,
            base: Reg::FP,
            off: stack(word),
            src: Operand::Reg(register(acc)),
        }),
        Classic::Alu { op, src } => {
            if matches!(op, AluOp::Div | AluOp::Mod) && src == Src::X {
                // Where eBPF goes on with 0, classic BPF returns it.
                emit(branch(CmpOp::Ne, Operand::Imm(0), X, 2));
                emit(mov32(A, Operand::Imm(0)));
                emit(Insn::Exit);
            }
            let src = match src {
                Src::K(k) => Operand::Imm(k.cast_signed()),
                Src::X => Operand::Reg(X),
            };
            emit(alu32(op, A, src));
        }
        Classic::Neg => emit(Insn::Neg { width: Width::W32, dst: A }),
        Classic::Tax => emit(mov32(X, Operand::Reg(A))),
        Classic::Txa => emit(mov32(A, Operand::Reg(X))),
        Classic::Jump(skip) => goto(at, skip as usize, out),
        Classic::Branch { op, src, jt, jf } => translate_branch(at, (op, src), (jt, jf), out),
        Classic::RetK(k) => {
            emit(mov32(A, Operand::Imm(k.cast_signed())));
            emit(Insn::Exit);
        }
        Classic::RetA => emit(Insn::Exit),
    }
    Ok(())
}

/// A condition with two targets becomes one jump where one of them is the next instruction.
fn translate_branch(
    at: usize,
    (op, src): (CmpOp, Src),
    (jt, jf): (u8, u8),
    out: &mut Vec<Pending>,
) {
    if jt == jf {
        return goto(at, jt.into(), out);
    }
    let src = match src {
        Src::X => Operand::Reg(X),
        Src::K(k) => match i32::try_from(k) {
            Ok(imm) => Operand::Imm(imm),
            // Immediates of 64-bit compares are sign-extended, `A` is not.
            Err(_) => {
                out.push(Pending::Done(mov32(SCRATCH, Operand::Imm(k.cast_signed()))));
                Operand::Reg(SCRATCH)
            }
        },
    };
    let mut jump = |op, skip: u8| {
        out.push(Pending::Jump { insn: branch(op, src, A, 0), to: at + 1 + usize::from(skip) });
    };
    match op.negated() {
        Some(negated) if jt == 0 => jump(negated, jf),
        _ => {
            jump(op, jt);
            if jf != 0 {
                goto(at, jf.into(), out);
            }
        }
    }
}

/// A jump over `skip` classic instructions, nothing when it would go to the next.
fn goto(at: usize, skip: usize, out: &mut Vec<Pending>) {
    if skip != 0 {
        let insn = Insn::Jump { form: JumpForm::Short, off: 0 };
        out.push(Pending::Jump { insn, to: at.saturating_add(1).saturating_add(skip) });
    }
}

/// Offsets of fields in `struct __sk_buff` (linux/bpf.h), each of 32 bits.
mod ctx {
    pub(super) const LEN: i16 = 0;
    pub(super) const PKT_TYPE: i16 = 4;
    pub(super) const MARK: i16 = 8;
    pub(super) const QUEUE_MAPPING: i16 = 12;
    pub(super) const PROTOCOL: i16 = 16;
    pub(super) const VLAN_PRESENT: i16 = 20;
    pub(super) const VLAN_TCI: i16 = 24;
    pub(super) const VLAN_PROTO: i16 = 28;
    pub(super) const IFINDEX: i16 = 40;
    pub(super) const HASH: i16 = 68;
}

/// Helpers by number. Those from [`NLATTR`](helper::NLATTR) on are functions inside the kernel that
/// bpf(2) gives no program: only classic filters get to them. They take the context, `A` and `X`.
pub mod helper {
    pub(super) const GET_PRANDOM_U32: u32 = 7;
    pub(super) const GET_SMP_PROCESSOR_ID: u32 = 8;

    /// Offset of the netlink attribute of type `X`, from `A` on; 0 where there is none.
    pub const NLATTR: u32 = 0x00c1_a500;
    /// The same, inside the attribute at `A`.
    pub const NLATTR_NEST: u32 = NLATTR + 1;
    /// Offset of the payload behind the transport header.
    pub const PAY_OFFSET: u32 = NLATTR + 2;
    /// Hardware type of the device (`ARPHRD_*`).
    pub const HATYPE: u32 = NLATTR + 3;
}

fn translate_extension(
    extension: Extension,
    target: Target,
    out: &mut Vec<Pending>,
) -> Result<(), ClassicErrorKind> {
    let mut emit = |insn| out.push(Pending::Done(insn));
    // The context has these as they are on the wire.
    let to_host = Insn::Swap { op: SwapOp::ToBe, width: SwapWidth::W16, dst: A };
    match extension {
        Extension::Protocol => {
            emit(ctx_field(A, ctx::PROTOCOL));
            emit(to_host);
        }
        Extension::VlanTpid => {
            emit(ctx_field(A, ctx::VLAN_PROTO));
            emit(to_host);
        }
        Extension::IfIndex | Extension::HaType => {
            // Without a device, which no index is 0 of, filters end with `A` as it is.
            emit(ctx_field(SCRATCH, ctx::IFINDEX));
            emit(branch(CmpOp::Ne, Operand::Imm(0), SCRATCH, 1));
            emit(Insn::Exit);
            if extension == Extension::IfIndex {
                emit(mov32(A, Operand::Reg(SCRATCH)));
            } else {
                return call_own(extension, helper::HATYPE, target, out);
            }
        }
        Extension::PktType => emit(ctx_field(A, ctx::PKT_TYPE)),
        Extension::Mark => emit(ctx_field(A, ctx::MARK)),
        Extension::Queue => emit(ctx_field(A, ctx::QUEUE_MAPPING)),
        Extension::RxHash => emit(ctx_field(A, ctx::HASH)),
        Extension::VlanTag => emit(ctx_field(A, ctx::VLAN_TCI)),
        Extension::VlanTagPresent => emit(ctx_field(A, ctx::VLAN_PRESENT)),
        Extension::Cpu => emit(Insn::Call(CallTarget::Helper(helper::GET_SMP_PROCESSOR_ID))),
        Extension::Random => emit(Insn::Call(CallTarget::Helper(helper::GET_PRANDOM_U32))),
        Extension::AluXorX => emit(alu32(AluOp::Xor, A, Operand::Reg(X))),
        Extension::Nlattr => return call_own(extension, helper::NLATTR, target, out),
        Extension::NlattrNest => return call_own(extension, helper::NLATTR_NEST, target, out),
        Extension::PayOffset => return call_own(extension, helper::PAY_OFFSET, target, out),
    }
    Ok(())
}

/// Calls a helper that only classic filters have.
fn call_own(
    extension: Extension,
    id: u32,
    target: Target,
    out: &mut Vec<Pending>,
) -> Result<(), ClassicErrorKind> {
    if target != Target::Classic {
        return Err(ClassicErrorKind::NoEbpfForm(extension));
    }
    let args = [(Reg::R1, CTX), (Reg::R2, A), (Reg::R3, X)];
    let moved = args.map(|(dst, src)| Insn::Mov { width: Width::W64, dst, src: Operand::Reg(src) });
    out.extend(moved.map(Pending::Done));
    out.push(Pending::Done(Insn::Call(CallTarget::Helper(id))));
    Ok(())
}

const fn register(acc: Acc) -> Reg {
    match acc {
        Acc::A => A,
        Acc::X => X,
    }
}

/// The words fill the 64 bytes below the frame pointer.
const fn stack(word: Word) -> i16 {
    (word.number() as i16 - Word::COUNT as i16) * 4
}

const fn mov32(dst: Reg, src: Operand) -> Insn {
    Insn::Mov { width: Width::W32, dst, src }
}

const fn alu32(op: AluOp, dst: Reg, src: Operand) -> Insn {
    Insn::Alu { op, width: Width::W32, dst, src }
}

/// A compare of whole registers, whose upper halves are zero: older than 32-bit compares.
const fn branch(op: CmpOp, src: Operand, dst: Reg, off: i16) -> Insn {
    Insn::Branch { op, width: Width::W64, dst, src, off }
}

const fn ctx_field(dst: Reg, off: i16) -> Insn {
    Insn::Load { size: Size::W, signed: false, dst, base: CTX, off }
}
