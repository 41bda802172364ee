//! The decoded instruction: a small sum type with fields, not a hundred flat opcodes.
//!
//! [`Insn`] is what every later stage works on. It is produced from 8-byte [slots](crate::Slot)
//! by [`decode`](crate::decode) and goes back through [`encode`](crate::encode); both read the
//! one table in [`table`](crate::table). An `Insn` cannot hold a combination of fields that the
//! ISA does not define, so nothing downstream has to check for one.

use core::fmt;

/// A register number, `r0` to `r10`.
///
/// `r0` holds results, `r1`–`r5` are arguments and are clobbered by calls, `r6`–`r9` survive
/// calls, `r10` is the read-only frame pointer (RFC 9669 section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

impl Reg {
    /// Result of calls and of the program.
    pub const R0: Self = Self(0);
    /// First argument; on entry, the context.
    pub const R1: Self = Self(1);
    /// Second argument.
    pub const R2: Self = Self(2);
    /// Third argument.
    pub const R3: Self = Self(3);
    /// Fourth argument.
    pub const R4: Self = Self(4);
    /// Fifth argument.
    pub const R5: Self = Self(5);
    /// First register that calls preserve.
    pub const R6: Self = Self(6);
    /// Preserved by calls.
    pub const R7: Self = Self(7);
    /// Preserved by calls.
    pub const R8: Self = Self(8);
    /// Last register that calls preserve.
    pub const R9: Self = Self(9);
    /// The read-only frame pointer, `r10`.
    pub const FP: Self = Self(10);
    /// Number of registers a program can name.
    pub const COUNT: usize = 11;

    /// The register with this number, or `None` above 10.
    #[must_use]
    pub const fn parse(number: u8) -> Option<Self> {
        if number < Self::COUNT as u8 { Some(Self(number)) } else { None }
    }

    /// The number as it stands in an encoded instruction, 0 to 10.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The number as an array index, below [`Reg::COUNT`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All registers in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..Self::COUNT as u8).map(Self)
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Width of an arithmetic or compare operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low 32 bits; arithmetic zero-extends its result into the upper half.
    W32,
    /// All 64 bits.
    W64,
}

impl Width {
    /// 32 or 64.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::W32 => 32,
            Self::W64 => 64,
        }
    }
}

/// Size of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    Dw,
}

impl Size {
    /// 1, 2, 4 or 8.
    #[inline]
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::Dw => 8,
        }
    }
}

/// A register or a 32-bit immediate, which 64-bit operations sign-extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// `src`.
    Reg(Reg),
    /// `imm`.
    Imm(i32),
}

/// Two-operand arithmetic, `dst = dst op src` (RFC 9669 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AluOp {
    /// Wrapping addition.
    Add,
    /// Wrapping subtraction.
    Sub,
    /// Wrapping multiplication.
    Mul,
    /// Unsigned division; by zero gives 0.
    Div,
    /// Signed division; by zero gives 0, `MIN / -1` gives `MIN`.
    SDiv,
    /// Bitwise or.
    Or,
    /// Bitwise and.
    And,
    /// Shift left; the count is taken modulo the width.
    Lsh,
    /// Logical shift right; the count is taken modulo the width.
    Rsh,
    /// Unsigned remainder; by zero leaves `dst` (its low half, zero-extended, in 32 bits).
    Mod,
    /// Signed remainder; by zero leaves `dst`, `MIN % -1` gives 0.
    SMod,
    /// Bitwise exclusive or.
    Xor,
    /// Arithmetic shift right; the count is taken modulo the width.
    Arsh,
}

/// How many low bits of the source a sign-extending move keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignExtend {
    /// From 8 bits.
    From8,
    /// From 16 bits.
    From16,
    /// From 32 bits; 64-bit moves only.
    From32,
}

impl SignExtend {
    /// 8, 16 or 32.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::From8 => 8,
            Self::From16 => 16,
            Self::From32 => 32,
        }
    }
}

/// Byte-order conversion (RFC 9669 section 4.2). The target machine is little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SwapOp {
    /// To little-endian: truncates to the width.
    ToLe,
    /// To big-endian: swaps the bytes of the low part, truncates to the width.
    ToBe,
    /// Unconditional swap, whatever the host's order.
    Bswap,
}

/// How much of the register a byte-order conversion covers; the rest becomes zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SwapWidth {
    /// 16 bits.
    W16,
    /// 32 bits.
    W32,
    /// 64 bits.
    W64,
}

impl SwapWidth {
    /// 16, 32 or 64.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::W16 => 16,
            Self::W32 => 32,
            Self::W64 => 64,
        }
    }
}

/// Condition of a conditional jump (RFC 9669 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Unsigned greater.
    Gt,
    /// Unsigned greater or equal.
    Ge,
    /// Unsigned less.
    Lt,
    /// Unsigned less or equal.
    Le,
    /// `dst & src` is not zero.
    Set,
    /// Signed greater.
    Sgt,
    /// Signed greater or equal.
    Sge,
    /// Signed less.
    Slt,
    /// Signed less or equal.
    Sle,
}

/// Size of an atomic read-modify-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicSize {
    /// Four bytes, naturally aligned.
    W,
    /// Eight bytes, naturally aligned.
    Dw,
}

impl AtomicSize {
    /// The same as a plain access size.
    #[inline]
    #[must_use]
    pub const fn size(self) -> Size {
        match self {
            Self::W => Size::W,
            Self::Dw => Size::Dw,
        }
    }
}

/// Atomic read-modify-write (RFC 9669 section 5.3).
///
/// `Add` to `Xor` without `fetch` return nothing; with it `src` receives the old value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AtomicOp {
    /// `*addr += src`.
    Add {
        /// `src` receives the old value.
        fetch: bool,
    },
    /// `*addr |= src`.
    Or {
        /// `src` receives the old value.
        fetch: bool,
    },
    /// `*addr &= src`.
    And {
        /// `src` receives the old value.
        fetch: bool,
    },
    /// `*addr ^= src`.
    Xor {
        /// `src` receives the old value.
        fetch: bool,
    },
    /// `src = swap(addr, src)`.
    Xchg,
    /// `r0 = compare_and_swap(addr, r0, src)`.
    Cmpxchg,
}

/// What the 64 bits of a wide load stand for (RFC 9669 section 5.4; kernel `BPF_PSEUDO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Imm64 {
    /// A plain constant.
    Value(u64),
    /// `src_reg` 1: the map with this file descriptor.
    MapFd(i32),
    /// `src_reg` 2: the address `off` bytes into the value of a one-element array map.
    MapValue {
        /// Map file descriptor.
        fd: i32,
        /// Byte offset into the value.
        off: u32,
    },
    /// `src_reg` 3: the address of a kernel variable: BTF id, and the fd of the module's BTF.
    BtfId {
        /// BTF id of a `VAR`.
        id: u32,
        /// Module BTF file descriptor; 0 is the kernel's own BTF.
        btf_fd: i32,
    },
    /// `src_reg` 4: the address of a subprogram, in slots relative to the next instruction
    /// after this one's first slot, as in a call.
    Func(i32),
    /// `src_reg` 5: the map at this index of the load's fd array.
    MapIdx(i32),
    /// `src_reg` 6: like [`Imm64::MapValue`] by index.
    MapIdxValue {
        /// Index into the fd array.
        idx: i32,
        /// Byte offset into the value.
        off: u32,
    },
}

/// Address-space conversion between arena (1) and kernel (0) pointers, kernel 6.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddrSpaceCast {
    /// `imm` 1: from the arena's address space 1 to 0, where it can be accessed.
    ToKernel,
    /// `imm` 0x10000: from address space 0 to 1, as user space sees it.
    ToUser,
}

/// Target of a `call` instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallTarget {
    /// `src_reg` 0: the helper with this number.
    Helper(u32),
    /// `src_reg` 1: the subprogram this many slots from the next instruction.
    Subprog(i32),
    /// `src_reg` 2: the kernel function with this BTF id, in the BTF that `off` selects from
    /// the load's fd array (0 = the kernel's own).
    Kfunc {
        /// BTF id of a `FUNC`.
        btf_id: i32,
        /// Index into the fd array; 0 is the kernel's own BTF.
        btf_off: i16,
    },
}

/// Encoding of an unconditional jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JumpForm {
    /// `goto`, 16-bit offset in `off`.
    Short,
    /// `gotol`, 32-bit offset in `imm`.
    Long,
}

/// One decoded instruction.
///
/// All jump and call offsets count 8-byte slots from the instruction that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Insn {
    /// `dst = dst op src`.
    Alu {
        /// Operation.
        op: AluOp,
        /// 32 or 64 bits.
        width: Width,
        /// Destination and left operand.
        dst: Reg,
        /// Right operand.
        src: Operand,
    },
    /// `dst = -dst`.
    Neg {
        /// 32 or 64 bits.
        width: Width,
        /// Operand and destination.
        dst: Reg,
    },
    /// `dst = src`.
    Mov {
        /// 32 or 64 bits.
        width: Width,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Operand,
    },
    /// `dst = (s8|s16|s32)src`, sign-extended to `width`; the upper half of 32-bit moves is 0.
    MovSx {
        /// 32 or 64 bits.
        width: Width,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
        /// How much of the source is kept. `From32` goes with 64 bits only.
        from: SignExtend,
    },
    /// Byte-order conversion of `dst`.
    Swap {
        /// Which conversion.
        op: SwapOp,
        /// How many low bits.
        width: SwapWidth,
        /// Operand and destination.
        dst: Reg,
    },
    /// `dst = *(size *)(base + off)`, zero-extended, or sign-extended to 64 bits.
    Load {
        /// Bytes read.
        size: Size,
        /// Sign-extend; not with [`Size::Dw`].
        signed: bool,
        /// Destination.
        dst: Reg,
        /// Address register.
        base: Reg,
        /// Byte offset.
        off: i16,
    },
    /// `*(size *)(base + off) = src`.
    Store {
        /// Bytes written.
        size: Size,
        /// Address register.
        base: Reg,
        /// Byte offset.
        off: i16,
        /// Value; immediates are sign-extended.
        src: Operand,
    },
    /// Atomic read-modify-write of `*(size *)(base + off)`.
    Atomic {
        /// Operation.
        op: AtomicOp,
        /// Bytes.
        size: AtomicSize,
        /// Address register.
        base: Reg,
        /// Byte offset.
        off: i16,
        /// Operand, and where fetching operations put the old value.
        src: Reg,
    },
    /// `dst = load_acquire((size *)(base + off))`, kernel 6.15.
    LoadAcquire {
        /// Bytes read.
        size: Size,
        /// Destination.
        dst: Reg,
        /// Address register.
        base: Reg,
        /// Byte offset.
        off: i16,
    },
    /// `store_release((size *)(base + off), src)`, kernel 6.15.
    StoreRelease {
        /// Bytes written.
        size: Size,
        /// Address register.
        base: Reg,
        /// Byte offset.
        off: i16,
        /// Value.
        src: Reg,
    },
    /// Wide load: two slots.
    LdImm64 {
        /// Destination.
        dst: Reg,
        /// What the 64 bits mean.
        imm: Imm64,
    },
    /// Legacy packet load at a constant offset: `r0 = ntoh(*(size *)skb[imm])`, `r6` = ctx.
    LdAbs {
        /// Bytes read, not 8.
        size: Size,
        /// Packet offset.
        imm: i32,
    },
    /// Legacy packet load: `r0 = ntoh(*(size *)skb[src + imm])`, `r6` = ctx.
    LdInd {
        /// Bytes read, not 8.
        size: Size,
        /// Register added to the offset.
        src: Reg,
        /// Packet offset.
        imm: i32,
    },
    /// Unconditional jump.
    Jump {
        /// Which encoding it came from.
        form: JumpForm,
        /// Slots from the next instruction.
        off: i32,
    },
    /// Conditional jump.
    Branch {
        /// Condition.
        op: CmpOp,
        /// 32 or 64 bits.
        width: Width,
        /// Left operand.
        dst: Reg,
        /// Right operand; immediates are sign-extended to the width.
        src: Operand,
        /// Slots from the next instruction.
        off: i16,
    },
    /// `may_goto`: jumps when the runtime's iteration budget is used up, kernel 6.9.
    MayGoto {
        /// Slots from the next instruction.
        off: i16,
    },
    /// Arena address conversion, kernel 6.9.
    AddrSpaceCast {
        /// Direction.
        cast: AddrSpaceCast,
        /// Destination.
        dst: Reg,
        /// Source.
        src: Reg,
    },
    /// Call of a helper, subprogram or kernel function.
    Call(CallTarget),
    /// Call through a register (`callx`); clang emits it without inlining, the kernel refuses it.
    CallX {
        /// Register that holds the target.
        target: Reg,
    },
    /// Return from the subprogram or the program.
    Exit,
}

impl Insn {
    /// Slots this instruction takes: 2 for wide loads, 1 for all others.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        match self {
            Self::LdImm64 { .. } => 2,
            _ => 1,
        }
    }
}
