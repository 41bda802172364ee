//! What arithmetic, comparisons, conversions and atomics compute, as pure functions.
//!
//! The reference for every engine and for the verifier's abstract operations: their tests
//! compare with these. Registers are `u64`; a 32-bit operation reads the low half of its inputs
//! and leaves the upper half of its result zero.

use crate::insn::{
    AluOp, AtomicOp, AtomicSize, CmpOp, Operand, Reg, SignExtend, Size, SwapOp, SwapWidth, Width,
};

impl Width {
    /// The part of a register that the operation sees, zero-extended.
    #[inline]
    #[must_use]
    pub const fn truncate(self, value: u64) -> u64 {
        match self {
            Self::W32 => value as u32 as u64,
            Self::W64 => value,
        }
    }

    /// The part of a register that the operation sees, as a signed number.
    #[inline]
    #[must_use]
    pub const fn signed(self, value: u64) -> i64 {
        match self {
            Self::W32 => value as i32 as i64,
            Self::W64 => value.cast_signed(),
        }
    }

    /// `-value` (RFC 9669 section 4.1).
    #[inline]
    #[must_use]
    pub const fn negate(self, value: u64) -> u64 {
        self.truncate(value.wrapping_neg())
    }
}

impl Operand {
    /// The operand as a 64-bit value: the register's, or the sign-extended immediate.
    pub fn value(self, register: impl FnOnce(Reg) -> u64) -> u64 {
        match self {
            Self::Reg(reg) => register(reg),
            Self::Imm(imm) => i64::from(imm).cast_unsigned(),
        }
    }
}

impl AluOp {
    /// `dst op src` (RFC 9669 section 4.1).
    ///
    /// Nothing is undefined: division by zero gives 0, a remainder by zero gives `dst` (its low
    /// half in 32 bits), shift counts are taken modulo the width, overflow wraps.
    ///
    /// ```
    /// use ubpf_isa::{AluOp, Width};
    /// assert_eq!(AluOp::Add.eval(Width::W32, 0xffff_ffff_ffff_ffff, 2), 1);
    /// assert_eq!(AluOp::Mod.eval(Width::W64, 7, 0), 7);
    /// ```
    #[inline]
    #[must_use]
    pub const fn eval(self, width: Width, dst: u64, src: u64) -> u64 {
        let (x, y) = (width.truncate(dst), width.truncate(src));
        let (sx, sy) = (width.signed(dst), width.signed(src));
        let count = (y % width.bits() as u64) as u32;
        width.truncate(match self {
            Self::Add => x.wrapping_add(y),
            Self::Sub => x.wrapping_sub(y),
            Self::Mul => x.wrapping_mul(y),
            Self::Div if y == 0 => 0,
            Self::Div => x / y,
            Self::SDiv if y == 0 => 0,
            // The one quotient that does not fit wraps back to MIN.
            Self::SDiv => sx.wrapping_div(sy).cast_unsigned(),
            Self::Or => x | y,
            Self::And => x & y,
            Self::Lsh => x << count,
            Self::Rsh => x >> count,
            Self::Mod | Self::SMod if y == 0 => x,
            Self::Mod => x % y,
            Self::SMod => sx.wrapping_rem(sy).cast_unsigned(),
            Self::Xor => x ^ y,
            Self::Arsh => (sx >> count).cast_unsigned(),
        })
    }
}

impl CmpOp {
    /// Whether the branch is taken (RFC 9669 section 4.3).
    #[inline]
    #[must_use]
    pub const fn eval(self, width: Width, dst: u64, src: u64) -> bool {
        let (x, y) = (width.truncate(dst), width.truncate(src));
        let (sx, sy) = (width.signed(dst), width.signed(src));
        match self {
            Self::Eq => x == y,
            Self::Ne => x != y,
            Self::Gt => x > y,
            Self::Ge => x >= y,
            Self::Lt => x < y,
            Self::Le => x <= y,
            Self::Set => x & y != 0,
            Self::Sgt => sx > sy,
            Self::Sge => sx >= sy,
            Self::Slt => sx < sy,
            Self::Sle => sx <= sy,
        }
    }

    /// The condition that holds exactly when this one does not; none for [`CmpOp::Set`].
    #[must_use]
    pub const fn negated(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Sgt => Self::Sle,
            Self::Sle => Self::Sgt,
            Self::Sge => Self::Slt,
            Self::Slt => Self::Sge,
            Self::Set => return None,
        })
    }

    /// The condition that says the same with its operands exchanged.
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Eq | Self::Ne | Self::Set => self,
            Self::Gt => Self::Lt,
            Self::Lt => Self::Gt,
            Self::Ge => Self::Le,
            Self::Le => Self::Ge,
            Self::Sgt => Self::Slt,
            Self::Slt => Self::Sgt,
            Self::Sge => Self::Sle,
            Self::Sle => Self::Sge,
        }
    }
}

impl SignExtend {
    /// The low bits, sign-extended to `width` (RFC 9669 section 4.1, MOVSX).
    #[inline]
    #[must_use]
    pub const fn eval(self, width: Width, value: u64) -> u64 {
        width.truncate(match self {
            Self::From8 => value as i8 as u64,
            Self::From16 => value as i16 as u64,
            Self::From32 => value as i32 as u64,
        })
    }
}

impl SwapOp {
    /// The conversion of the low `width` bits on a little-endian machine, the rest cleared
    /// (RFC 9669 section 4.2).
    #[inline]
    #[must_use]
    pub const fn eval(self, width: SwapWidth, value: u64) -> u64 {
        match (self, width) {
            (Self::ToLe, SwapWidth::W16) => value as u16 as u64,
            (Self::ToLe, SwapWidth::W32) => value as u32 as u64,
            (Self::ToLe, SwapWidth::W64) => value,
            (Self::ToBe | Self::Bswap, SwapWidth::W16) => (value as u16).swap_bytes() as u64,
            (Self::ToBe | Self::Bswap, SwapWidth::W32) => (value as u32).swap_bytes() as u64,
            (Self::ToBe | Self::Bswap, SwapWidth::W64) => value.swap_bytes(),
        }
    }
}

impl Size {
    /// The low bytes, zero-extended: what a load puts into its register.
    #[inline]
    #[must_use]
    pub const fn zero_extend(self, value: u64) -> u64 {
        match self {
            Self::B => value as u8 as u64,
            Self::H => value as u16 as u64,
            Self::W => value as u32 as u64,
            Self::Dw => value,
        }
    }

    /// The low bytes, sign-extended: what a sign-extending load puts into its register.
    #[inline]
    #[must_use]
    pub const fn sign_extend(self, value: u64) -> u64 {
        match self {
            Self::B => value as i8 as u64,
            Self::H => value as i16 as u64,
            Self::W => value as i32 as u64,
            Self::Dw => value,
        }
    }

    /// The low bytes taken as big-endian: what a legacy packet load puts into `r0`.
    #[inline]
    #[must_use]
    pub const fn from_be(self, value: u64) -> u64 {
        match self {
            Self::B => value as u8 as u64,
            Self::H => SwapOp::ToBe.eval(SwapWidth::W16, value),
            Self::W => SwapOp::ToBe.eval(SwapWidth::W32, value),
            Self::Dw => SwapOp::ToBe.eval(SwapWidth::W64, value),
        }
    }
}

impl AtomicOp {
    /// What is in memory afterwards, when it held `old` (RFC 9669 section 5.3). `r0` counts
    /// only for [`AtomicOp::Cmpxchg`], which leaves `old` there unless it equals `r0`.
    #[inline]
    #[must_use]
    pub const fn eval(self, size: AtomicSize, old: u64, src: u64, r0: u64) -> u64 {
        let size = size.size();
        let old = size.zero_extend(old);
        size.zero_extend(match self {
            Self::Add { .. } => old.wrapping_add(src),
            Self::Or { .. } => old | src,
            Self::And { .. } => old & src,
            Self::Xor { .. } => old ^ src,
            Self::Xchg => src,
            Self::Cmpxchg if old == size.zero_extend(r0) => src,
            Self::Cmpxchg => old,
        })
    }

    /// The register that receives the old value, zero-extended: `r0` of a compare-and-exchange,
    /// `src` of the other fetching operations.
    #[must_use]
    pub const fn old_value_to(self, src: Reg) -> Option<Reg> {
        match self {
            Self::Cmpxchg => Some(Reg::R0),
            Self::Xchg
            | Self::Add { fetch: true }
            | Self::Or { fetch: true }
            | Self::And { fetch: true }
            | Self::Xor { fetch: true } => Some(src),
            Self::Add { fetch: false }
            | Self::Or { fetch: false }
            | Self::And { fetch: false }
            | Self::Xor { fetch: false } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN32: u64 = 0x8000_0000;
    const MIN64: u64 = 0x8000_0000_0000_0000;
    const MINUS_1: u64 = u64::MAX;

    #[test]
    fn division_has_no_undefined_case() {
        for width in [Width::W32, Width::W64] {
            assert_eq!(AluOp::Div.eval(width, 7, 0), 0);
            assert_eq!(AluOp::SDiv.eval(width, 7, 0), 0);
        }
        assert_eq!(AluOp::Mod.eval(Width::W64, MINUS_1, 0), MINUS_1);
        assert_eq!(AluOp::Mod.eval(Width::W32, MINUS_1, 0), 0xffff_ffff);
        assert_eq!(AluOp::SMod.eval(Width::W32, MINUS_1, 1 << 32), 0xffff_ffff);
        assert_eq!(AluOp::SDiv.eval(Width::W64, MIN64, MINUS_1), MIN64);
        assert_eq!(AluOp::SDiv.eval(Width::W32, MIN32, MINUS_1), MIN32);
        assert_eq!(AluOp::SMod.eval(Width::W64, MIN64, MINUS_1), 0);
        assert_eq!(AluOp::SMod.eval(Width::W32, MIN32, MINUS_1), 0);
    }

    #[test]
    fn signed_division_truncates_towards_zero_and_clears_the_upper_half() {
        let minus = |n: i64| n.wrapping_neg().cast_unsigned();
        assert_eq!(AluOp::SDiv.eval(Width::W64, minus(13), 3), minus(4));
        assert_eq!(AluOp::SMod.eval(Width::W64, minus(13), 3), minus(1));
        assert_eq!(AluOp::SMod.eval(Width::W64, 13, minus(3)), 1);
        assert_eq!(AluOp::SDiv.eval(Width::W32, minus(13), 3), 0xffff_fffc);
    }

    #[test]
    fn shift_counts_wrap_at_the_width() {
        assert_eq!(AluOp::Lsh.eval(Width::W64, 1, 65), 2);
        assert_eq!(AluOp::Lsh.eval(Width::W32, 1, 33), 2);
        assert_eq!(AluOp::Rsh.eval(Width::W32, MINUS_1, 63), 1);
        assert_eq!(AluOp::Arsh.eval(Width::W32, MIN32, 31), 0xffff_ffff);
        assert_eq!(AluOp::Arsh.eval(Width::W64, MIN64, MINUS_1), MINUS_1);
    }

    #[test]
    fn comparisons_see_only_their_width() {
        assert!(CmpOp::Eq.eval(Width::W32, 1 << 32, 0));
        assert!(!CmpOp::Eq.eval(Width::W64, 1 << 32, 0));
        assert!(CmpOp::Slt.eval(Width::W32, MIN32, 0));
        assert!(!CmpOp::Slt.eval(Width::W64, MIN32, 0));
        assert!(!CmpOp::Set.eval(Width::W32, 1 << 40, MINUS_1));
    }

    #[test]
    fn negated_and_flipped_conditions_agree_with_their_names() {
        use CmpOp::{Eq, Ge, Gt, Le, Lt, Ne, Set, Sge, Sgt, Sle, Slt};
        let values = [0, 1, 2, MIN32, MIN64, MINUS_1, 0xffff_ffff];
        for op in [Eq, Ne, Gt, Ge, Lt, Le, Set, Sgt, Sge, Slt, Sle] {
            for (x, y) in values.iter().flat_map(|&x| values.map(|y| (x, y))) {
                for width in [Width::W32, Width::W64] {
                    assert_eq!(op.eval(width, x, y), op.flipped().eval(width, y, x));
                    if let Some(not) = op.negated() {
                        assert_ne!(op.eval(width, x, y), not.eval(width, x, y), "{op:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn conversions_clear_what_they_do_not_cover() {
        let value = 0x1122_3344_5566_7788;
        assert_eq!(SwapOp::ToLe.eval(SwapWidth::W16, value), 0x7788);
        assert_eq!(SwapOp::ToBe.eval(SwapWidth::W16, value), 0x8877);
        assert_eq!(SwapOp::Bswap.eval(SwapWidth::W32, value), 0x8877_6655);
        assert_eq!(SwapOp::ToBe.eval(SwapWidth::W64, value), 0x8877_6655_4433_2211);
        assert_eq!(SignExtend::From8.eval(Width::W32, 0x80), 0xffff_ff80);
        assert_eq!(SignExtend::From32.eval(Width::W64, MIN32), 0xffff_ffff_8000_0000);
        assert_eq!(Size::H.sign_extend(0x1_8000), 0xffff_ffff_ffff_8000);
        assert_eq!(Size::H.from_be(value), 0x8877);
    }

    #[test]
    fn atomics_work_in_their_size() {
        let add = AtomicOp::Add { fetch: true };
        assert_eq!(add.eval(AtomicSize::W, 0xffff_ffff, 1, 0), 0);
        assert_eq!(add.eval(AtomicSize::Dw, 0xffff_ffff, 1, 0), 1 << 32);
        let cmpxchg = AtomicOp::Cmpxchg;
        assert_eq!(cmpxchg.eval(AtomicSize::W, 5, 9, 5 | 1 << 32), 9);
        assert_eq!(cmpxchg.eval(AtomicSize::Dw, 5, 9, 5 | 1 << 32), 5);
        assert_eq!(AtomicOp::Xchg.eval(AtomicSize::W, 5, MINUS_1, 0), 0xffff_ffff);
    }
}
