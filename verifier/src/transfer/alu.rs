//! Arithmetic on numbers and on pointers.

use super::Step;
use crate::Privilege;
use crate::domain::{Bounds, Scalar};
use crate::reason::{Operator, R, Reason, ValueReason};
use crate::state::reg::{Extent, TypeName};
use crate::state::{Delta, Link, MemKind, Number, Pointer, PtrTo, Reg};
use ubpf_isa::{AluOp, Operand, Reg as Name, SignExtend, Width};

/// Offsets from pointers stay below this, so that sums of a few of them cannot wrap.
const MAX_OFF: i64 = 1 << 29;

impl Step<'_> {
    /// `dst = src`.
    pub(super) fn mov(&mut self, width: Width, dst: Name, src: Operand) -> Result<(), Reason> {
        let value = match src {
            Operand::Imm(imm) => Reg::constant(match width {
                Width::W64 => i64::from(imm) as u64,
                Width::W32 => u64::from(imm as u32),
            }),
            Operand::Reg(src) => {
                self.read(src)?;
                self.check_writable(dst)?;
                self.moved(width, src)?
            }
        };
        self.set(dst, value)
    }

    fn moved(&mut self, width: Width, src: Name) -> Result<Reg, Reason> {
        match (self.read(src)?, width) {
            (Reg::Number(n), Width::W64) => {
                self.link(src);
                Ok(self.frame().regs[src.index()]
                    .number()
                    .map_or(Reg::Number(n), |n| Reg::Number(*n)))
            }
            (Reg::Number(n), Width::W32) => {
                // Only a number that fits stays the same number.
                let fits = n.value.full.umax <= u64::from(u32::MAX);
                if fits {
                    self.link(src);
                }
                let link =
                    self.frame().regs[src.index()].number().and_then(|n| n.link).filter(|_| fits);
                Ok(Reg::Number(Number { value: n.value.zero_extend_low(), link }))
            }
            (other, Width::W64) => Ok(other),
            (_, Width::W32) if self.cx.options.privilege == Privilege::Unprivileged => {
                Err(ValueReason::PartialCopy(R(src)).into())
            }
            (_, Width::W32) => Ok(Reg::Number(Number::new(Scalar::UNKNOWN.zero_extend_low()))),
        }
    }

    /// `dst = (sN)src`.
    pub(super) fn mov_sx(
        &mut self,
        width: Width,
        dst: Name,
        src: Name,
        from: SignExtend,
    ) -> Result<(), Reason> {
        let given = self.read(src)?;
        self.check_writable(dst)?;
        let value = match given {
            Reg::Number(n) => {
                let limit = match width {
                    Width::W64 => n.value.full.umax,
                    Width::W32 => n.value.low.umax,
                };
                let same = limit < 1 << (from.bits() - 1);
                if same {
                    self.link(src);
                }
                let link =
                    self.frame().regs[src.index()].number().and_then(|n| n.link).filter(|_| same);
                Reg::Number(Number { value: n.value.sign_extend(from, width), link })
            }
            _ if self.cx.options.privilege == Privilege::Unprivileged => {
                return Err(ValueReason::SignExtendPointer(R(src)).into());
            }
            _ => Reg::UNKNOWN,
        };
        self.set(dst, value)
    }

    /// `dst = -dst` and byte swaps, which pointers do not take.
    pub(super) fn unary(
        &mut self,
        dst: Name,
        op: impl FnOnce(&Scalar) -> Scalar,
    ) -> Result<(), Reason> {
        let value = match self.read(dst)? {
            Reg::Number(n) => Reg::Number(Number::new(op(&n.value))),
            _ if self.cx.options.privilege == Privilege::Unprivileged => {
                return Err(ValueReason::UnaryArithmetic(R(dst)).into());
            }
            _ => Reg::UNKNOWN,
        };
        self.set(dst, value)
    }

    /// `dst = dst op src`.
    pub(super) fn alu(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Name,
        src: Operand,
    ) -> Result<(), Reason> {
        let rhs = match src {
            Operand::Reg(src) => self.read(src)?,
            Operand::Imm(imm) => Reg::constant(i64::from(imm) as u64),
        };
        let lhs = self.read(dst)?;
        check_immediate(op, width, src)?;
        self.check_writable(dst)?;
        let value = match (lhs, rhs) {
            // Wherever in the arena it points to.
            (Reg::Pointer(Pointer { to: PtrTo::Arena, .. }), _) => lhs,
            (Reg::Number(a), Reg::Number(b)) => {
                let sum = add_linked(op, width, &a, &b);
                // Twice a number is no constant away from it.
                let link = sum.link.filter(|_| src != Operand::Reg(dst));
                Reg::Number(Number { link, ..sum })
            }
            (Reg::Pointer(_), Reg::Pointer(_)) => {
                if op != AluOp::Sub || self.cx.options.privilege == Privilege::Unprivileged {
                    return Err(ValueReason::TwoPointers { reg: R(dst), op: Operator(op) }.into());
                }
                Reg::UNKNOWN
            }
            (Reg::Pointer(p), Reg::Number(n)) => {
                if let Operand::Reg(src) = src {
                    self.demand(src);
                }
                self.pointer_alu(op, width, dst, Side::Left, &p, &n)?
            }
            (Reg::Number(n), Reg::Pointer(p)) => {
                self.demand(dst);
                self.pointer_alu(op, width, dst, Side::Right, &p, &n)?
            }
            (Reg::Uninit, _) | (_, Reg::Uninit) => Reg::Uninit,
        };
        self.set(dst, value)
    }

    fn pointer_alu(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Name,
        side: Side,
        p: &Pointer,
        n: &Number,
    ) -> Result<Reg, Reason> {
        let off = &n.value;
        if off.is_contradiction() || off.as_const().is_some() && off.full.as_const().is_none() {
            return Ok(Reg::UNKNOWN);
        }
        if width == Width::W32 {
            if op == AluOp::Sub && self.cx.options.privilege == Privilege::Privileged {
                return Ok(Reg::UNKNOWN);
            }
            return Err(ValueReason::Arithmetic32(R(dst)).into());
        }
        let to = p.type_name();
        if p.nullable {
            return Err(ValueReason::NullArithmetic { reg: R(dst), to }.into());
        }
        // Loads through it cannot fault, so nothing is known of its offset either.
        if let PtrTo::Mem { kind: MemKind::Untrusted, .. } = p.to {
            return if side == Side::Left {
                Ok(Reg::Pointer(*p))
            } else {
                Err(Reason::Unsupported("numbers plus untrusted pointers"))
            };
        }
        let adds_zero = op == AluOp::Add && off.as_const() == Some(0);
        match p.to {
            PtrTo::Map(_) if adds_zero => {}
            PtrTo::FlowKeys if off.as_const().is_some() => {}
            PtrTo::Map(_) | PtrTo::FlowKeys | PtrTo::PacketEnd | PtrTo::Arena | PtrTo::Sock(_) => {
                return Err(ValueReason::Arithmetic { reg: R(dst), to }.into());
            }
            PtrTo::Ctx
            | PtrTo::Stack(_)
            | PtrTo::MapValue(_)
            | PtrTo::MapKey(_)
            | PtrTo::Packet(_)
            | PtrTo::PacketMeta(_)
            | PtrTo::Mem { .. }
            | PtrTo::Buf { .. }
            | PtrTo::TpBuffer
            | PtrTo::Func(_)
            | PtrTo::Own { .. }
            | PtrTo::Dynptr(_)
            | PtrTo::Btf { .. } => {}
        }
        // The kernel keeps what was added to a number's origin where pointers have their offset, and
        // judges it as if it were one.
        let delta = n.link.map_or(0, |link| link.by());
        check_sane(to, delta, off)?;
        check_sane(to, p.off, &p.var)?;
        let moved = match op {
            AluOp::Add => self.add(p, off),
            AluOp::Sub if side == Side::Right => {
                return Err(ValueReason::SubtractPointer(R(dst)).into());
            }
            AluOp::Sub if matches!(p.to, PtrTo::Stack(_)) => {
                return Err(ValueReason::SubtractFromStack(R(dst)).into());
            }
            AluOp::Sub => self.sub(p, off),
            AluOp::And | AluOp::Or | AluOp::Xor => {
                return Err(ValueReason::Bitwise { reg: R(dst), op: Operator(op) }.into());
            }
            _ => return Err(ValueReason::PointerOperator { reg: R(dst), op: Operator(op) }.into()),
        };
        check_sane(to, moved.off, &moved.var)?;
        Ok(Reg::Pointer(moved))
    }

    fn add(&mut self, p: &Pointer, off: &Scalar) -> Pointer {
        if let Some(sum) = const_off(p.off, off, i64::checked_add) {
            return Pointer { off: sum, ..*p };
        }
        let var = Scalar {
            bits: p.var.bits + off.bits,
            full: p.var.full + off.full,
            low: Bounds::UNBOUNDED,
        };
        self.with_new_base(Pointer { var: var.sync(), ..*p }, true)
    }

    fn sub(&mut self, p: &Pointer, off: &Scalar) -> Pointer {
        if let Some(difference) = const_off(p.off, off, i64::checked_sub) {
            return Pointer { off: difference, ..*p };
        }
        let var = Scalar {
            bits: p.var.bits - off.bits,
            full: p.var.full - off.full,
            low: Bounds::UNBOUNDED,
        };
        // Subtracting what may be negative goes forward, past what was checked.
        self.with_new_base(Pointer { var: var.sync(), ..*p }, off.full.smin < 0)
    }

    /// A packet pointer moved by an unknown distance is a new pointer; what was checked of the
    /// old one may not hold for it.
    fn with_new_base(&mut self, mut p: Pointer, forget_range: bool) -> Pointer {
        match &mut p.to {
            PtrTo::Packet(extent) | PtrTo::PacketMeta(extent) => {
                if forget_range {
                    *extent = Extent::UNKNOWN;
                }
                p.id = Some(self.ids.pointer());
            }
            _ => {}
        }
        p
    }
}

/// Which operand of an instruction is the pointer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn check_immediate(op: AluOp, width: Width, src: Operand) -> Result<(), Reason> {
    let Operand::Imm(imm) = src else { return Ok(()) };
    match op {
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod if imm == 0 => {
            Err(ValueReason::DivByZero.into())
        }
        AluOp::Lsh | AluOp::Rsh | AluOp::Arsh if imm < 0 || imm as u32 >= width.bits() => {
            Err(ValueReason::Shift(imm).into())
        }
        _ => Ok(()),
    }
}

/// Numbers stay tied to their origin through one addition of a constant.
fn add_linked(op: AluOp, width: Width, a: &Number, b: &Number) -> Number {
    let value = a.value.alu(op, width, &b.value);
    let added = constant_added(op, width, &b.value);
    let link = match (a.link, added) {
        (Some(Link { id, delta: None }), Some(by)) => {
            Some(Link { id, delta: Some(Delta { by, width }) })
        }
        _ => None,
    };
    Number { value, link }
}

/// The constant that the operation adds.
fn constant_added(op: AluOp, width: Width, b: &Scalar) -> Option<i32> {
    let by = match width {
        Width::W64 => i32::try_from(b.as_const()? as i64).ok()?,
        Width::W32 => b.low_bits().as_const()? as u32 as i32,
    };
    match op {
        AluOp::Add => Some(by),
        AluOp::Sub => by.checked_neg(),
        _ => None,
    }
}

/// The pointer's constant offset moved by a constant, as long as it stays one.
fn const_off(off: i32, by: &Scalar, op: impl Fn(i64, i64) -> Option<i64>) -> Option<i32> {
    by.as_const().and_then(|by| i32::try_from(op(off.into(), by as i64)?).ok())
}

fn check_sane(to: TypeName, off: i32, var: &Scalar) -> Result<(), Reason> {
    let too_far = |v: i64| v >= MAX_OFF || v <= -MAX_OFF;
    if let Some(value) = var.as_const().map(|v| v as i64).filter(|&v| too_far(v)) {
        return Err(ValueReason::ConstantTooLarge { to, value }.into());
    }
    if too_far(off.into()) {
        return Err(ValueReason::OffsetTooLarge { to, off }.into());
    }
    if var.full.smin == i64::MIN {
        return Err(ValueReason::Unbounded { to }.into());
    }
    if too_far(var.full.smin) {
        return Err(ValueReason::OutOfBounds { to, value: var.full.smin }.into());
    }
    Ok(())
}
