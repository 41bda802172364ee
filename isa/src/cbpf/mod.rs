//! Classic BPF: the filters of `tcpdump -ddd` and `SO_ATTACH_FILTER`, and their way to eBPF.
//!
//! ```text
//!   bytes or text ─ parse ─▶ [SockFilter] ─ Filter::check ─▶ Filter ─ to_insns ─▶ [Insn]
//! ```
//!
//! A classic machine has an accumulator `A`, an index register `X` and sixteen 32-bit memory
//! words; it looks at a packet and returns how many bytes of it to keep. The rules are those of
//! Linux, which knows more than the original: `mod`, `xor`, and the [extensions](Extension).
//!
//! Filters of system calls (seccomp) are the same machine on a struct in place of the packet, with
//! fewer instructions: [`Filter::check_seccomp`].

mod check;
mod listing;
mod read;
mod text;
mod translate;

use alloc::vec::Vec;

pub use check::Filter;
pub use listing::parse_listing;
pub use read::{ReadError, parse};
pub use text::{TextError, parse_text};
pub use translate::{Target, Translation, helper};

use crate::insn::{AluOp, CmpOp, Size};
use crate::slot::SlotsError;

/// One raw instruction, the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SockFilter {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Constant.
    pub k: u32,
}

impl SockFilter {
    /// Bytes of an instruction.
    pub const BYTES: usize = 8;

    /// An instruction.
    #[must_use]
    pub const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Self {
        Self { code, jt, jf, k }
    }

    /// Reads an instruction as a little-endian machine stores it.
    #[must_use]
    pub const fn from_le_bytes(b: [u8; 8]) -> Self {
        Self {
            code: u16::from_le_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }
}

/// Reads a filter from memory: a whole number of little-endian instructions.
///
/// # Errors
/// [`SlotsError`] when the length is no multiple of [`SockFilter::BYTES`].
pub fn parse_bytes(bytes: &[u8]) -> Result<Vec<SockFilter>, SlotsError> {
    let (insns, rest) = bytes.as_chunks::<{ SockFilter::BYTES }>();
    if !rest.is_empty() {
        return Err(SlotsError { len_bytes: bytes.len(), left_bytes: rest.len() });
    }
    Ok(insns.iter().copied().map(SockFilter::from_le_bytes).collect())
}

/// A decoded instruction, valid by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Insn {
    /// `A = packet[k]` in network byte order; a read outside of the packet returns 0.
    LdAbs {
        /// Bytes read, not 8.
        size: Size,
        /// Offset; from 0xffe0_0000 on relative to the link layer, from 0xfff0_0000 to the
        /// network header.
        k: u32,
    },
    /// `A = packet[X + k]`.
    LdInd {
        /// Bytes read, not 8.
        size: Size,
        /// Offset.
        k: u32,
    },
    /// `A` = something else than packet bytes.
    LdExtension(Extension),
    /// `X = 4 * (packet[k] & 0xf)`: the length of an IPv4 header at `k`.
    LdxMsh {
        /// Offset.
        k: u32,
    },
    /// `A` or `X` = length of the packet.
    Len(Acc),
    /// `A` or `X` = `k`.
    Imm(Acc, u32),
    /// `A` or `X` = memory word.
    Load(Acc, Word),
    /// Memory word = `A` or `X`.
    Store(Acc, Word),
    /// `A = A op src` in 32 bits; division by an `X` of 0 returns 0.
    Alu {
        /// Operation.
        op: AluOp,
        /// Right operand.
        src: Src,
    },
    /// `A = -A`.
    Neg,
    /// `X = A`.
    Tax,
    /// `A = X`.
    Txa,
    /// Skips this many instructions.
    Jump(u32),
    /// Skips `jt` instructions if `A op src`, else `jf`.
    Branch {
        /// Unsigned condition.
        op: CmpOp,
        /// Right operand.
        src: Src,
        /// Instructions to skip if it holds.
        jt: u8,
        /// Instructions to skip if not.
        jf: u8,
    },
    /// Ends with this constant.
    RetK(u32),
    /// Ends with `A`.
    RetA,
}

/// One of the two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acc {
    /// The accumulator.
    A,
    /// The index register.
    X,
}

/// Right operand of arithmetic and comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Src {
    /// The constant of the instruction.
    K(u32),
    /// The index register.
    X,
}

/// A word of scratch memory, 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word(u8);

impl Word {
    /// How many words there are.
    pub const COUNT: u8 = 16;

    /// The word with this number, or `None` above 15.
    #[must_use]
    pub fn parse(number: u32) -> Option<Self> {
        u8::try_from(number).ok().filter(|&n| n < Self::COUNT).map(Self)
    }

    /// 0 to 15.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// What Linux lets an absolute load read at offsets from `SKF_AD_OFF`, 0xffff_f000, on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// Ethertype.
    Protocol,
    /// `PACKET_HOST` and its kin.
    PktType,
    /// Index of the receiving device.
    IfIndex,
    /// Finds a netlink attribute.
    Nlattr,
    /// Finds a nested netlink attribute.
    NlattrNest,
    /// The socket buffer's mark.
    Mark,
    /// Receive queue.
    Queue,
    /// Hardware type of the device.
    HaType,
    /// Flow hash.
    RxHash,
    /// Number of the processor.
    Cpu,
    /// `A ^ X`, from before classic BPF could say it.
    AluXorX,
    /// VLAN tag.
    VlanTag,
    /// Whether there is a VLAN tag.
    VlanTagPresent,
    /// Offset of the payload behind the transport header.
    PayOffset,
    /// A random number.
    Random,
    /// Ethertype of the VLAN tag.
    VlanTpid,
}

impl Extension {
    /// Offset of the first extension.
    pub const BASE: u32 = 0xffff_f000;

    /// All extensions, in the order of their offsets, which are 4 apart.
    const ALL: [Self; 16] = [
        Self::Protocol,
        Self::PktType,
        Self::IfIndex,
        Self::Nlattr,
        Self::NlattrNest,
        Self::Mark,
        Self::Queue,
        Self::HaType,
        Self::RxHash,
        Self::Cpu,
        Self::AluXorX,
        Self::VlanTag,
        Self::VlanTagPresent,
        Self::PayOffset,
        Self::Random,
        Self::VlanTpid,
    ];

    /// The name that tcpdump's listings have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol => "proto",
            Self::PktType => "type",
            Self::IfIndex => "ifidx",
            Self::Nlattr => "nla",
            Self::NlattrNest => "nlan",
            Self::Mark => "mark",
            Self::Queue => "queue",
            Self::HaType => "hatype",
            Self::RxHash => "rxhash",
            Self::Cpu => "cpu",
            Self::AluXorX => "xor_x",
            Self::VlanTag => "vlan_tci",
            Self::VlanTagPresent => "vlanp",
            Self::PayOffset => "poff",
            Self::Random => "random",
            Self::VlanTpid => "vlan_tpid",
        }
    }

    /// Where it is, counted from [`Extension::BASE`].
    #[must_use]
    pub const fn offset(self) -> u32 {
        self as u32 * 4
    }

    /// The extension with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.name() == name)
    }

    /// The extension at this offset from [`Extension::BASE`].
    #[must_use]
    pub fn at(offset: u32) -> Option<Self> {
        let index = usize::try_from(offset / 4).ok().filter(|_| offset.is_multiple_of(4))?;
        Self::ALL.get(index).copied()
    }
}

/// Where and why a filter is refused, or has no eBPF form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("classic instruction {at}: {kind}")]
pub struct ClassicError {
    /// Index of the instruction.
    pub at: usize,
    /// What is wrong.
    pub kind: ClassicErrorKind,
}

/// What is wrong with a filter. The kernel's answer to all but
/// [`NoEbpfForm`](ClassicErrorKind::NoEbpfForm) is `EINVAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassicErrorKind {
    /// No instructions, or more than 4096.
    #[error("a filter has 1 to 4096 instructions, this one {0}")]
    Length(usize),
    /// No instruction has this code.
    #[error("unknown code {0:#04x}")]
    UnknownCode(u16),
    /// Division or remainder by the constant 0.
    #[error("division by zero")]
    DivisionByZero,
    /// Shift by a constant of 32 or more.
    #[error("shift by {0}, the accumulator has 32 bits")]
    Shift(u32),
    /// No such memory word.
    #[error("memory word {0}, the last is 15")]
    Word(u32),
    /// A load at an offset where no extension is.
    #[error("no extension at offset {0:#x}")]
    UnknownExtension(u32),
    /// A jump past the last instruction.
    #[error("jump past the last instruction")]
    JumpOut,
    /// The last instruction does not return.
    #[error("the last instruction is no return")]
    NoReturn,
    /// A memory word is read that some path has not written.
    #[error("memory word {0} is read before it is written")]
    Unwritten(u8),
    /// Filters of system calls do not have this instruction.
    #[error("filters of system calls have no `{0:#}`")]
    NotSeccomp(Insn),
    /// A filter of system calls loads from where no 32-bit part of `struct seccomp_data` begins.
    #[error("no 32-bit part of struct seccomp_data begins at {0}")]
    SeccompData(u32),
    /// The filter is valid, but eBPF programs cannot ask for this.
    #[error("extension {0:?} has no eBPF form")]
    NoEbpfForm(Extension),
}
