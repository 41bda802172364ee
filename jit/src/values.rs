//! What registers hold that has not been computed yet.
//!
//! Moves, constants, additions, shifts and masks are not emitted where they stand. Their result
//! is kept as an expression until somebody wants it in its register, by when it has often become
//! part of something better: an address in a load, a rotate, a three-operand instruction, or
//! nothing because nobody reads it.
//!
//! An expression speaks of what *machine registers* hold, so a register must not be overwritten
//! while expressions of others speak of it. They must never speak of each other in a circle
//! either, hence the rule of [`Values::settled`]: an expression speaks only of registers that hold
//! their own value, or whose own expression speaks of nothing but themselves.

use ubpf_isa::{AluOp, Reg, RegSet, Width};

/// What a BPF register holds, in terms of what machine registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Its machine register holds it.
    Own,
    /// A number.
    Const(u64),
    /// What another register holds; of its low half, with zeros above.
    Copy { src: Reg, width: Width },
    /// The low half of a register, sign-extended.
    SignExtended { src: Reg },
    /// A sum in 64 bits.
    Sum(Sum),
    /// A register shifted by a constant from 1 on.
    Shift(Shift),
    /// A register masked.
    Mask { width: Width, src: Reg, imm: i32 },
}

/// `base + (index << scale) + disp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) base: Option<Reg>,
    /// A register and a scale below 4.
    pub(crate) index: Option<(Reg, u8)>,
    pub(crate) disp: i32,
}

/// A register shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) op: AluOp,
    pub(crate) width: Width,
    pub(crate) src: Reg,
    pub(crate) by: u32,
}

impl Sum {
    /// A register.
    pub(crate) const fn of(base: Reg) -> Self {
        Self { base: Some(base), index: None, disp: 0 }
    }

    /// A register and a displacement.
    pub(crate) const fn at(base: Reg, disp: i32) -> Self {
        Self { base: Some(base), index: None, disp }
    }

    /// Something further.
    pub(crate) fn plus(self, disp: i32) -> Option<Self> {
        Some(Self { disp: self.disp.checked_add(disp)?, ..self })
    }

    /// Both together, where that is one sum still.
    pub(crate) fn add(self, other: Self) -> Option<Self> {
        let disp = self.disp.checked_add(other.disp)?;
        let (base, index) = match (self.base, self.index, other.base, other.index) {
            (base, index, None, None) | (None, None, base, index) => (base, index),
            (Some(base), None, Some(index), None) if index != Reg::FP => {
                (Some(base), Some((index, 0)))
            }
            (Some(index), None, Some(base), None) if index != Reg::FP => {
                (Some(base), Some((index, 0)))
            }
            (base, None, None, index) | (None, index, base, None) => (base, index),
            _ => return None,
        };
        Some(Self { base, index, disp })
    }

    /// The registers that it speaks of.
    pub(crate) const fn regs(self) -> RegSet {
        let mut regs = RegSet::EMPTY;
        if let Some(base) = self.base {
            regs.insert(base);
        }
        if let Some((index, _)) = self.index {
            regs.insert(index);
        }
        regs
    }
}

impl Value {
    /// The registers that it speaks of.
    pub(crate) const fn regs(self) -> RegSet {
        match self {
            Self::Own | Self::Const(_) => RegSet::EMPTY,
            Self::Copy { src, .. } | Self::SignExtended { src } | Self::Mask { src, .. } => {
                RegSet::of(src)
            }
            Self::Shift(shift) => RegSet::of(shift.src),
            Self::Sum(sum) => sum.regs(),
        }
    }
}

/// What all registers hold.
#[derive(Debug)]
pub(crate) struct Values {
    of_reg: [Value; Reg::COUNT],
    /// Those that do not hold their own value.
    pending: RegSet,
}

impl Values {
    /// Every register holds its own value.
    pub(crate) const fn own() -> Self {
        Self { of_reg: [Value::Own; Reg::COUNT], pending: RegSet::EMPTY }
    }

    pub(crate) const fn get(&self, reg: Reg) -> Value {
        self.of_reg[reg.index()]
    }

    /// Those that do not hold their own value.
    pub(crate) const fn pending(&self) -> RegSet {
        self.pending
    }

    /// From now on the machine register holds it, or nobody wants it.
    pub(crate) const fn set_own(&mut self, reg: Reg) {
        self.of_reg[reg.index()] = Value::Own;
        self.pending.remove(reg);
    }

    /// Makes an expression a register's value, if it may be.
    pub(crate) fn set(&mut self, reg: Reg, value: Value) -> bool {
        let allowed = value.regs().iter().all(|other| other == reg || self.settled(other));
        if allowed {
            // A copy of what it holds anyway.
            let own = matches!(value, Value::Own)
                || value == Value::Copy { src: reg, width: Width::W64 }
                || value == Value::Sum(Sum::of(reg));
            if own {
                self.set_own(reg);
            } else {
                self.of_reg[reg.index()] = value;
                self.pending.insert(reg);
            }
        }
        allowed
    }

    /// Whether expressions may speak of what its machine register holds.
    pub(crate) fn settled(&self, reg: Reg) -> bool {
        !self.pending.contains(reg) || (self.get(reg).regs() - RegSet::of(reg)).is_empty()
    }

    /// The machine register that holds its value.
    pub(crate) fn holder(&self, reg: Reg, width: Width) -> Option<Reg> {
        match self.get(reg) {
            Value::Own => Some(reg),
            Value::Copy { src, width: copied } if copied == Width::W64 || width == Width::W32 => {
                self.settled(src).then_some(src)
            }
            _ => None,
        }
    }

    /// As a sum.
    pub(crate) fn as_sum(&self, reg: Reg) -> Option<Sum> {
        match self.get(reg) {
            Value::Own => Some(Sum::of(reg)),
            Value::Const(value) => {
                let disp = i32::try_from(value.cast_signed()).ok()?;
                Some(Sum { disp, ..Sum::default() })
            }
            Value::Copy { src, width: Width::W64 } => Some(Sum::of(src)),
            Value::Sum(sum) => Some(sum),
            Value::Shift(Shift { op: AluOp::Lsh, width: Width::W64, src, by: by @ 1..=3 }) => {
                Some(Sum { index: Some((src, by as u8)), ..Sum::default() })
            }
            _ => None,
        }
    }

    /// What a shift by a constant of a register's value is, where it is an expression still.
    pub(crate) fn shifted(&self, reg: Reg, op: AluOp, width: Width, by: u32) -> Option<Value> {
        let shift = |src| Some(Value::Shift(Shift { op, width, src, by }));
        match (self.get(reg), width) {
            (Value::Own, _) => shift(reg),
            (Value::Copy { src, width: Width::W64 }, _) | (Value::Copy { src, .. }, Width::W32) => {
                shift(src)
            }
            (Value::Copy { src, width: Width::W32 }, Width::W64) if op == AluOp::Rsh && by < 32 => {
                Some(Value::Shift(Shift { op, width: Width::W32, src, by }))
            }
            (Value::Shift(up), Width::W64) => {
                let upwards = (up.op, up.width) == (AluOp::Lsh, Width::W64);
                match (op, by) {
                    _ if !upwards || up.by != by => None,
                    (AluOp::Rsh, 32) => Some(Value::Copy { src: up.src, width: Width::W32 }),
                    (AluOp::Arsh, 32) => Some(Value::SignExtended { src: up.src }),
                    (AluOp::Rsh, 33..) => {
                        let imm = i32::MAX >> (by - 33);
                        Some(Value::Mask { width: Width::W32, src: up.src, imm })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What a register's value masked is, where it is an expression still.
    pub(crate) fn masked(&self, reg: Reg, width: Width, imm: i32) -> Option<Value> {
        // A mask that is not negative cuts to 31 bits in either width.
        let width = if imm >= 0 { Width::W32 } else { width };
        match self.get(reg) {
            Value::Own => Some(Value::Mask { width, src: reg, imm }),
            Value::Copy { src, width: copied } if copied == Width::W64 || width == Width::W32 => {
                Some(Value::Mask { width, src, imm })
            }
            Value::Mask { width: masked, src, imm: mask } if masked == width || mask >= 0 => {
                Some(Value::Mask { width: masked, src, imm: mask & imm })
            }
            _ => None,
        }
    }

    /// The rotate that the join of two registers' values is: source and count to the left.
    pub(crate) fn rotated(&self, one: Reg, other: Reg, width: Width) -> Option<(Reg, u32)> {
        let (Value::Shift(one), Value::Shift(other)) = (self.get(one), self.get(other)) else {
            return None;
        };
        let (left, right) = if one.op == AluOp::Lsh { (one, other) } else { (other, one) };
        let rotates = (left.op, right.op) == (AluOp::Lsh, AluOp::Rsh)
            && left.src == right.src
            && (left.width, right.width) == (width, width)
            && left.by + right.by == width.bits();
        rotates.then_some((left.src, left.by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_never_speak_of_each_other_in_a_circle() {
        let mut values = Values::own();
        assert!(values.set(Reg::R1, Value::Sum(Sum::at(Reg::R2, 8))));
        assert!(values.set(Reg::R2, Value::Sum(Sum::at(Reg::R2, 1))), "of itself only");
        assert!(!values.set(Reg::R2, Value::Copy { src: Reg::R1, width: Width::W64 }));
        assert!(!values.set(Reg::R3, Value::Copy { src: Reg::R1, width: Width::W64 }));
        assert!(values.set(Reg::R3, Value::Sum(Sum::at(Reg::R2, 9))));
    }

    #[test]
    fn halves_of_a_rotate_are_joined_whichever_comes_first() {
        let mut values = Values::own();
        let shift = |op, by| Value::Shift(Shift { op, width: Width::W32, src: Reg::R1, by });
        assert!(values.set(Reg::R1, shift(AluOp::Lsh, 13)));
        assert!(values.set(Reg::R2, shift(AluOp::Rsh, 19)));
        assert_eq!(values.rotated(Reg::R1, Reg::R2, Width::W32), Some((Reg::R1, 13)));
        assert_eq!(values.rotated(Reg::R2, Reg::R1, Width::W32), Some((Reg::R1, 13)));
        assert_eq!(values.rotated(Reg::R1, Reg::R2, Width::W64), None);
        assert!(values.set(Reg::R2, shift(AluOp::Rsh, 18)));
        assert_eq!(values.rotated(Reg::R1, Reg::R2, Width::W32), None);
    }

    #[test]
    fn shifts_up_and_down_are_extensions() {
        let mut values = Values::own();
        let up = values.shifted(Reg::R1, AluOp::Lsh, Width::W64, 48).unwrap();
        assert!(values.set(Reg::R1, up));
        let mask = Value::Mask { width: Width::W32, src: Reg::R1, imm: 0xffff };
        assert_eq!(values.shifted(Reg::R1, AluOp::Rsh, Width::W64, 48), Some(mask));
        assert_eq!(values.shifted(Reg::R1, AluOp::Rsh, Width::W64, 47), None);
    }
}
