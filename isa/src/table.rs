//! The table: every instruction form, its encoding, its fields and how it is written.
//!
//! [`decode`](crate::decode()), [`encode`](crate::encode()), [the assembler](crate::asm) and
//! [the disassembler](crate::disasm) read these rows and hold no opcode of their own. A new
//! instruction is a new [`Kind`] and a row here; the compiler then asks for the rest, because
//! nothing matches on kinds with a wildcard.
//!
//! An opcode byte is built from orthogonal parts (RFC 9669 section 3.1), so one row covers all
//! widths, sources or sizes of its operation:
//!
//! ```text
//!   arithmetic, jumps           memory
//!    7     4  3  2   0          7    5 4  3 2   0
//!   ┌───────┬───┬─────┐        ┌──────┬────┬─────┐
//!   │  op   │src│class│        │ mode │size│class│
//!   └───────┴───┴─────┘        └──────┴────┴─────┘
//!    imm 0, reg 1               W 0, H 1, B 2, DW 3
//! ```
//!
//! Rows that share an opcode byte are told apart by the fields that [`Use::Is`] marks: `off` (division, moves), `imm` (atomics, swaps) or `src` (calls,
//! wide loads).

use crate::insn::{AddrSpaceCast, AluOp, AtomicOp, CmpOp, JumpForm, SignExtend, SwapOp, SwapWidth};
use crate::kind::{Callee, Kind, Kind as K, Pseudo};
use crate::opcode::{Class, Opcode, Span};

/// How an instruction uses one of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Reserved: must be zero.
    Zero,
    /// Holds this value, which tells the row from others with the same opcode byte.
    Is(i32),
    /// Holds an operand.
    Operand,
    /// `src` and `imm` of two-operand forms: the one that the opcode's source bit names is the
    /// operand, the other is reserved.
    BySource,
}

impl Use {
    /// What the field holds when it is no operand.
    pub(crate) const fn fixed(self) -> i32 {
        match self {
            Self::Is(value) => value,
            Self::Zero | Self::Operand | Self::BySource => 0,
        }
    }
}

/// The kernel's grouping of instructions, by which its verifier words its complaints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum Family {
    Alu,
    Neg,
    End,
    Mov,
    AddrSpaceCast,
    Ldx,
    St,
    Stx,
    Atomic,
    LdImm64,
    LdAbsInd,
    Ja,
    Jmp,
    MayGoto,
    Call,
    Exit,
}

/// Conformance group (RFC 9669 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the RFC's")]
pub enum Group {
    Base32,
    Base64,
    Divmul32,
    Divmul64,
    Atomic32,
    Atomic64,
    Packet,
    /// Outside the RFC: added by Linux or by compilers.
    Extension,
}

/// A kernel version as (major, minor); `None` is no kernel so far.
pub type Since = Option<(u8, u8)>;

const NEVER: Since = None;
/// The first kernel with bpf(2).
const V3_18: Since = Some((3, 18));
const V3_19: Since = Some((3, 19));
const V4_14: Since = Some((4, 14));
const V4_16: Since = Some((4, 16));
const V5_1: Since = Some((5, 1));
const V5_2: Since = Some((5, 2));
const V5_10: Since = Some((5, 10));
const V5_12: Since = Some((5, 12));
const V5_13: Since = Some((5, 13));
const V5_14: Since = Some((5, 14));
const V6_6: Since = Some((6, 6));
const V6_9: Since = Some((6, 9));
const V6_15: Since = Some((6, 15));

/// The groups of a row's 32-bit (or narrower) and of its 64-bit forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Of forms up to 32 bits.
    pub narrow: Group,
    /// Of forms of 64 bits.
    pub wide: Group,
}

impl Groups {
    const BASE: Self = Self { narrow: Group::Base32, wide: Group::Base64 };
    const DIVMUL: Self = Self { narrow: Group::Divmul32, wide: Group::Divmul64 };
    const ATOMIC: Self = Self { narrow: Group::Atomic32, wide: Group::Atomic64 };
    const BASE32: Self = Self::only(Group::Base32);
    const BASE64: Self = Self::only(Group::Base64);
    const PACKET: Self = Self::only(Group::Packet);
    const EXTENSION: Self = Self::only(Group::Extension);

    const fn only(group: Group) -> Self {
        Self { narrow: group, wide: group }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the instruction does.
    pub kind: Kind,
    /// The opcode byte with the bits that [`span`](Self::span) leaves open at their lowest form.
    pub code: Opcode,
    /// Which other opcode bytes are forms of the same operation.
    pub span: Span,
    /// Use of the destination register field.
    pub dst: Use,
    /// Use of the source register field.
    pub src: Use,
    /// Use of the offset.
    pub off: Use,
    /// Use of the immediate.
    pub imm: Use,
    /// Use of the immediate in the second slot, for the instructions that have one.
    pub next_imm: Option<Use>,
    /// How the kernel's verifier names the instruction in complaints.
    pub family: Family,
    /// RFC conformance groups.
    pub groups: Groups,
    /// The first kernel that took it; see [`Row::since`].
    since: Since,
    /// How it is written in the verifier log's syntax: operator, keyword or function name.
    pub sign: &'static str,
    /// How it is written in the assemblers of GNU and ubpf, less width and size.
    pub name: &'static str,
}

impl Row {
    /// The first mainline kernel, as (major, minor), that took the form with this opcode byte;
    /// `None` when no kernel does.
    #[must_use]
    pub const fn since(&self, opcode: Opcode) -> Since {
        match opcode.class() {
            // All conditions of the 32-bit jump class came together.
            Class::Jmp32 if matches!(self.family, Family::Jmp) => V5_1,
            _ => self.since,
        }
    }

    /// Whether this opcode byte is a form of the row.
    #[must_use]
    pub const fn covers(&self, opcode: Opcode) -> bool {
        self.span.covers(self.code, opcode)
    }

    /// The opcode bytes of all forms of the row.
    pub fn opcodes(&self) -> impl Iterator<Item = Opcode> {
        (0..=u8::MAX).map(Opcode).filter(|&opcode| self.covers(opcode))
    }

    /// The conformance group of the form with this opcode byte.
    #[must_use]
    pub const fn group(&self, opcode: Opcode) -> Group {
        if self.span.is_narrow(opcode) { self.groups.narrow } else { self.groups.wide }
    }
}

macro_rules! table {
    ($(
        [$($kind:tt)+] $code:literal $span:ident
        $dst:tt $src:tt $off:tt $imm:tt $(+ $next:tt)?
        $family:ident $groups:ident $since:ident $sign:literal $name:literal
    )+) => {
        impl Kind {
            /// The row of this kind in the [table](crate::table).
            #[must_use]
            pub const fn row(self) -> &'static Row {
                match self {
                    $($($kind)+ => &Row {
                        kind: $($kind)+,
                        code: Opcode($code),
                        span: Span::$span,
                        dst: table!(@ $dst),
                        src: table!(@ $src),
                        off: table!(@ $off),
                        imm: table!(@ $imm),
                        next_imm: table!(@@ $($next)?),
                        family: Family::$family,
                        groups: Groups::$groups,
                        since: $since,
                        sign: $sign,
                        name: $name,
                    },)+
                }
            }
        }

        /// All rows.
        pub const ROWS: &[&Row] = &[$(($($kind)+).row()),+];
    };
    (@ _) => { Use::Zero };
    (@ o) => { Use::Operand };
    (@ s) => { Use::BySource };
    (@ $value:literal) => { Use::Is($value) };
    (@@) => { None };
    (@@ $next:tt) => { Some(table!(@ $next)) };
}

// Fields in the order dst, src, off, imm (+ imm of the second slot): `_` reserved, `o` operand,
// `s` operand or reserved by the source bit, a number: exactly this.
table! {
    // kind                                     code span         fields         family        groups    since sign              name
    // Arithmetic, RFC 9669 section 4.1: class ALU (4) or ALU64 (7).
    [K::Alu(AluOp::Add)]                        0x04 WidthSource  o s 0  s       Alu           BASE      V3_18 "+="              "add"
    [K::Alu(AluOp::Sub)]                        0x14 WidthSource  o s 0  s       Alu           BASE      V3_18 "-="              "sub"
    [K::Alu(AluOp::Mul)]                        0x24 WidthSource  o s 0  s       Alu           DIVMUL    V3_18 "*="              "mul"
    [K::Alu(AluOp::Div)]                        0x34 WidthSource  o s 0  s       Alu           DIVMUL    V3_18 "/="              "div"
    [K::Alu(AluOp::SDiv)]                       0x34 WidthSource  o s 1  s       Alu           DIVMUL    V6_6  "s/="             "sdiv"
    [K::Alu(AluOp::Or)]                         0x44 WidthSource  o s 0  s       Alu           BASE      V3_18 "|="              "or"
    [K::Alu(AluOp::And)]                        0x54 WidthSource  o s 0  s       Alu           BASE      V3_18 "&="              "and"
    [K::Alu(AluOp::Lsh)]                        0x64 WidthSource  o s 0  s       Alu           BASE      V3_18 "<<="             "lsh"
    [K::Alu(AluOp::Rsh)]                        0x74 WidthSource  o s 0  s       Alu           BASE      V3_18 ">>="             "rsh"
    [K::Alu(AluOp::Mod)]                        0x94 WidthSource  o s 0  s       Alu           DIVMUL    V3_18 "%="              "mod"
    [K::Alu(AluOp::SMod)]                       0x94 WidthSource  o s 1  s       Alu           DIVMUL    V6_6  "s%="             "smod"
    [K::Alu(AluOp::Xor)]                        0xa4 WidthSource  o s 0  s       Alu           BASE      V3_18 "^="              "xor"
    [K::Alu(AluOp::Arsh)]                       0xc4 WidthSource  o s 0  s       Alu           BASE      V3_18 "s>>="            "arsh"
    [K::Neg]                                    0x84 Width        o _ _  _       Neg           BASE      V3_18 "-"               "neg"
    [K::Mov]                                    0xb4 WidthSource  o s 0  s       Mov           BASE      V3_18 "="               "mov"
    [K::MovSx(SignExtend::From8)]               0xbc Width        o o 8  _       Mov           BASE      V6_6  "s8"              "movsx8"
    [K::MovSx(SignExtend::From16)]              0xbc Width        o o 16 _       Mov           BASE      V6_6  "s16"             "movsx16"
    [K::MovSx(SignExtend::From32)]              0xbf One          o o 32 _       Mov           BASE      V6_6  "s32"             "movsx32"
    [K::AddrSpaceCast(AddrSpaceCast::ToKernel)]   0xbf One          o o 1  1       AddrSpaceCast EXTENSION V6_9  "addr_space_cast" "addr_space_cast"
    [K::AddrSpaceCast(AddrSpaceCast::ToUser)] 0xbf One          o o 1  0x10000 AddrSpaceCast EXTENSION V6_9  "addr_space_cast" "addr_space_cast"

    // Byte order, section 4.2.
    [K::Swap(SwapOp::ToLe, SwapWidth::W16)]     0xd4 One          o _ _  16      End           BASE32    V3_18 "le16"            "le16"
    [K::Swap(SwapOp::ToLe, SwapWidth::W32)]     0xd4 One          o _ _  32      End           BASE32    V3_18 "le32"            "le32"
    [K::Swap(SwapOp::ToLe, SwapWidth::W64)]     0xd4 One          o _ _  64      End           BASE64    V3_18 "le64"            "le64"
    [K::Swap(SwapOp::ToBe, SwapWidth::W16)]     0xdc One          o _ _  16      End           BASE32    V3_18 "be16"            "be16"
    [K::Swap(SwapOp::ToBe, SwapWidth::W32)]     0xdc One          o _ _  32      End           BASE32    V3_18 "be32"            "be32"
    [K::Swap(SwapOp::ToBe, SwapWidth::W64)]     0xdc One          o _ _  64      End           BASE64    V3_18 "be64"            "be64"
    [K::Swap(SwapOp::Bswap, SwapWidth::W16)]    0xd7 One          o _ _  16      End           BASE32    V6_6  "bswap16"         "bswap16"
    [K::Swap(SwapOp::Bswap, SwapWidth::W32)]    0xd7 One          o _ _  32      End           BASE32    V6_6  "bswap32"         "bswap32"
    [K::Swap(SwapOp::Bswap, SwapWidth::W64)]    0xd7 One          o _ _  64      End           BASE64    V6_6  "bswap64"         "bswap64"

    // Jumps, section 4.3: class JMP (5) or JMP32 (6).
    [K::Jump(JumpForm::Short)]                  0x05 One          _ _ o  _       Ja            BASE32    V3_18 "goto"            "ja"
    [K::Jump(JumpForm::Long)]                   0x06 One          _ _ _  o       Ja            BASE32    V6_6  "gotol"           "jal"
    [K::Branch(CmpOp::Eq)]                      0x15 WidthSource  o s o  s       Jmp           BASE      V3_18 "=="              "jeq"
    [K::Branch(CmpOp::Gt)]                      0x25 WidthSource  o s o  s       Jmp           BASE      V3_18 ">"               "jgt"
    [K::Branch(CmpOp::Ge)]                      0x35 WidthSource  o s o  s       Jmp           BASE      V3_18 ">="              "jge"
    [K::Branch(CmpOp::Set)]                     0x45 WidthSource  o s o  s       Jmp           BASE      V3_18 "&"               "jset"
    [K::Branch(CmpOp::Ne)]                      0x55 WidthSource  o s o  s       Jmp           BASE      V3_18 "!="              "jne"
    [K::Branch(CmpOp::Sgt)]                     0x65 WidthSource  o s o  s       Jmp           BASE      V3_18 "s>"              "jsgt"
    [K::Branch(CmpOp::Sge)]                     0x75 WidthSource  o s o  s       Jmp           BASE      V3_18 "s>="             "jsge"
    [K::Branch(CmpOp::Lt)]                      0xa5 WidthSource  o s o  s       Jmp           BASE      V4_14 "<"               "jlt"
    [K::Branch(CmpOp::Le)]                      0xb5 WidthSource  o s o  s       Jmp           BASE      V4_14 "<="              "jle"
    [K::Branch(CmpOp::Slt)]                     0xc5 WidthSource  o s o  s       Jmp           BASE      V4_14 "s<"              "jslt"
    [K::Branch(CmpOp::Sle)]                     0xd5 WidthSource  o s o  s       Jmp           BASE      V4_14 "s<="             "jsle"
    [K::Call(Callee::Helper)]                   0x85 One          _ 0 _  o       Call          BASE32    V3_18 "call"            "call"
    [K::Call(Callee::Subprog)]                  0x85 One          _ 1 _  o       Call          BASE32    V4_16 "call"            "call"
    [K::Call(Callee::Kfunc)]                    0x85 One          _ 2 o  o       Call          BASE32    V5_13 "call"            "call"
    [K::CallX]                                  0x8d One          o _ _  _       Call          EXTENSION NEVER "callx"           "callx"
    [K::Exit]                                   0x95 One          _ _ _  _       Exit          BASE32    V3_18 "exit"            "exit"
    [K::MayGoto]                                0xe5 One          _ _ o  _       MayGoto       EXTENSION V6_9  "may_goto"        "may_goto"

    // Wide loads, section 5.4: two slots.
    [K::LdImm64(Pseudo::Value)]                 0x18 One          o 0 _  o + o   LdImm64       BASE64    V3_18 "ll"              "lddw"
    [K::LdImm64(Pseudo::MapFd)]                 0x18 One          o 1 _  o + _   LdImm64       BASE64    V3_18 "ll"              "lddw"
    [K::LdImm64(Pseudo::MapValue)]              0x18 One          o 2 _  o + o   LdImm64       BASE64    V5_2  "ll"              "lddw"
    [K::LdImm64(Pseudo::BtfId)]                 0x18 One          o 3 _  o + o   LdImm64       BASE64    V5_10 "ll"              "lddw"
    [K::LdImm64(Pseudo::Func)]                  0x18 One          o 4 _  o + _   LdImm64       BASE64    V5_13 "ll"              "lddw"
    [K::LdImm64(Pseudo::MapIdx)]                0x18 One          o 5 _  o + _   LdImm64       BASE64    V5_14 "ll"              "lddw"
    [K::LdImm64(Pseudo::MapIdxValue)]           0x18 One          o 6 _  o + o   LdImm64       BASE64    V5_14 "ll"              "lddw"

    // Memory, sections 5.1 and 5.2: mode MEM (3) or MEMSX (4), class LDX (1), ST (2) or STX (3).
    [K::Load]                                   0x61 AnySize      o o o  _       Ldx           BASE      V3_18 "u"               "ldx"
    [K::LoadSx]                                 0x81 UpToWord     o o o  _       Ldx           BASE64    V6_6  "s"               "ldxs"
    [K::StoreImm]                               0x62 AnySize      o _ o  o       St            BASE      V3_18 "u"               "st"
    [K::StoreReg]                               0x63 AnySize      o o o  _       Stx           BASE      V3_18 "u"               "stx"

    // Atomics, section 5.3: mode ATOMIC (6), class STX; `imm` is the operation.
    [K::LoadAcquire]                            0xc3 AnySize      o o o  0x100   Atomic        EXTENSION V6_15 "load_acquire"    "load_acquire"
    [K::StoreRelease]                           0xc3 AnySize      o o o  0x110   Atomic        EXTENSION V6_15 "store_release"   "store_release"
    [K::Atomic(AtomicOp::Add { fetch: false })] 0xc3 WordOrDouble o o o  0x00    Atomic        ATOMIC    V3_18 "+="              "add"
    [K::Atomic(AtomicOp::Add { fetch: true })]  0xc3 WordOrDouble o o o  0x01    Atomic        ATOMIC    V5_12 "fetch_add"       "fetch_add"
    [K::Atomic(AtomicOp::Or { fetch: false })]  0xc3 WordOrDouble o o o  0x40    Atomic        ATOMIC    V5_12 "|="              "or"
    [K::Atomic(AtomicOp::Or { fetch: true })]   0xc3 WordOrDouble o o o  0x41    Atomic        ATOMIC    V5_12 "fetch_or"        "fetch_or"
    [K::Atomic(AtomicOp::And { fetch: false })] 0xc3 WordOrDouble o o o  0x50    Atomic        ATOMIC    V5_12 "&="              "and"
    [K::Atomic(AtomicOp::And { fetch: true })]  0xc3 WordOrDouble o o o  0x51    Atomic        ATOMIC    V5_12 "fetch_and"       "fetch_and"
    [K::Atomic(AtomicOp::Xor { fetch: false })] 0xc3 WordOrDouble o o o  0xa0    Atomic        ATOMIC    V5_12 "^="              "xor"
    [K::Atomic(AtomicOp::Xor { fetch: true })]  0xc3 WordOrDouble o o o  0xa1    Atomic        ATOMIC    V5_12 "fetch_xor"       "fetch_xor"
    [K::Atomic(AtomicOp::Xchg)]                 0xc3 WordOrDouble o o o  0xe1    Atomic        ATOMIC    V5_12 "xchg"            "xchg"
    [K::Atomic(AtomicOp::Cmpxchg)]              0xc3 WordOrDouble o o o  0xf1    Atomic        ATOMIC    V5_12 "cmpxchg"         "cmpxchg"

    // Packet access by classic BPF's rules, section 5.5: mode ABS (1) or IND (2), class LD (0).
    [K::LdAbs]                                  0x20 UpToWord     _ _ _  o       LdAbsInd      PACKET    V3_19 "skb"             "ldabs"
    [K::LdInd]                                  0x40 UpToWord     _ o _  o       LdAbsInd      PACKET    V3_19 "skb"             "ldind"
}
