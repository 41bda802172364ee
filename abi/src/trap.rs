//! Why a run ended without a result: one table of codes, names and texts.
//!
//! A trap is neither a verdict (the program's answer) nor a rejection (the verifier's). It is
//! `Copy` and small because native code hands it back in registers; everything readable about it
//! (region names, C lines, disassembly) is added by whoever prints it.

use core::fmt;
use ubpf_isa::Pc;

/// The kind of access that was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
}

macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// What went wrong, without its operands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum TrapKind { $($(#[$doc])* $name = $code,)* }

        impl TrapKind {
            /// The kind with this code, the inverse of `kind as u8`.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// What happened, as a phrase.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

traps! {
    /// A load outside every readable region; `info` is the address.
    LoadFault = 1, "load from unmapped memory";
    /// A store outside every writable region; `info` is the address.
    StoreFault = 2, "store to unmapped or read-only memory";
    /// An atomic operation on an address that is not naturally aligned; `info` is the address.
    Misaligned = 3, "misaligned atomic access";
    /// The instruction budget ran out.
    BudgetExhausted = 4, "instruction budget exhausted";
    /// More than eight frames.
    CallDepth = 5, "call stack deeper than 8 frames";
    /// The stack grew past its region.
    StackOverflow = 6, "stack exhausted";
    /// A call to a helper the world does not have; `info` is its id.
    UnknownHelper = 7, "call to a helper that does not exist here";
    /// A call through a register that holds no subprogram's address; `info` is the value.
    BadCallTarget = 8, "call through a register that holds no function address";
    /// A helper was given an argument its declaration forbids; `info` is the argument's number,
    /// 1 to 5, in the low byte and the helper's id above it.
    BadArgument = 9, "argument not allowed by the helper's declaration";
    /// The program ran off its end or into the middle of a wide load.
    BadPc = 10, "execution left the program";
    /// An instruction which only verified programs may use, or which has no meaning here.
    Unsupported = 11, "instruction not supported in this mode";
    /// The program threw an exception; `info` is the cookie.
    Thrown = 12, "exception thrown";
    /// The host refused to go on, for instance at its deadline or memory limit.
    HostLimit = 13, "limit set by the host reached";
    /// A field of the context was accessed in a way its layout does not allow; `info` is the
    /// address.
    CtxAccess = 14, "access not allowed by the context's layout";
    /// What the verifier proved does not hold; `size` is the number of the register, `info` its
    /// value. Where no path was to reach the instruction, `size` is `u32::MAX`.
    Disproved = 15, "the verifier was wrong";
    /// A helper of the host gave up; the world has its error.
    HostError = 16, "a helper of the host failed";
    /// An access that was taken for proved, to an address so far outside of memory that the
    /// machine does not even say which.
    WildAccess = 17, "access to an address that no memory has";
}

/// A run-time fault: what, where, and one operand whose meaning [`TrapKind`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trap {
    /// What happened.
    pub kind: TrapKind,
    /// Bytes accessed, for memory faults and wild accesses; a register's number, for disproved claims; otherwise 0.
    pub size: u32,
    /// Instruction that faulted, in the linked program's slots.
    pub pc: Pc,
    /// Address, helper id or value, by kind.
    pub info: u64,
}

const _: () = assert!(size_of::<Trap>() <= 24);

impl Trap {
    /// A trap of this kind at `pc`, without operands.
    #[must_use]
    pub const fn new(kind: TrapKind, pc: Pc) -> Self {
        Self { kind, size: 0, pc, info: 0 }
    }

    /// A memory fault.
    #[must_use]
    pub const fn memory(access: Access, pc: Pc, addr: u64, size: u32) -> Self {
        let kind = match access {
            Access::Read => TrapKind::LoadFault,
            Access::Write => TrapKind::StoreFault,
        };
        Self { kind, size, pc, info: addr }
    }

    /// The address that was accessed, for the kinds of trap that have one.
    #[must_use]
    pub const fn addr(&self) -> Option<u64> {
        match self.kind {
            TrapKind::LoadFault
            | TrapKind::StoreFault
            | TrapKind::Misaligned
            | TrapKind::CtxAccess => Some(self.info),
            _ => None,
        }
    }

    /// The same with its operand.
    #[must_use]
    pub const fn with_info(mut self, info: u64) -> Self {
        self.info = info;
        self
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.kind.text();
        match self.kind {
            TrapKind::LoadFault
            | TrapKind::StoreFault
            | TrapKind::Misaligned
            | TrapKind::CtxAccess => {
                write!(f, "{text}: {} bytes at {:#x}, insn {}", self.size, self.info, self.pc)
            }
            TrapKind::WildAccess => write!(f, "{text}: {} bytes, insn {}", self.size, self.pc),
            TrapKind::UnknownHelper => write!(f, "{text}: #{}, insn {}", self.info, self.pc),
            TrapKind::BadArgument => write!(
                f,
                "{text}: argument {} of helper #{}, insn {}",
                self.info & 0xff,
                self.info >> 8,
                self.pc
            ),
            TrapKind::Disproved if self.size == u32::MAX => {
                write!(f, "{text}: insn {} is reached", self.pc)
            }
            TrapKind::Disproved => {
                write!(f, "{text}: r{} is {:#x}, insn {}", self.size, self.info, self.pc)
            }
            TrapKind::BadCallTarget | TrapKind::Thrown => {
                write!(f, "{text}: {:#x}, insn {}", self.info, self.pc)
            }
            _ => write!(f, "{text}, insn {}", self.pc),
        }
    }
}

impl core::error::Error for Trap {}
