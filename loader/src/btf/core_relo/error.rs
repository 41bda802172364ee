//! Why a relocation cannot be carried out at all.

use ubpf_abi::btf::{BtfId, TypeError};

/// A relocation that cannot be carried out: which, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CO-RE relocation {what} at byte {insn_off:#x} of its section: {kind}")]
pub struct CoreReloError {
    /// What is relocated, in the object's types: `byte_off of struct iphdr.daddr (0:9)`.
    pub what: String,
    /// Byte offset of the instruction in its section.
    pub insn_off: u32,
    /// Why it fails.
    pub kind: CoreReloErrorKind,
}

/// Why a relocation fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreReloErrorKind {
    /// The access string is not a list of numbers, or one that leads nowhere.
    #[error("the access string {0:?} does not fit the type")]
    Access(String),
    /// More levels than libbpf's limit of 64.
    #[error("more than 64 levels of members")]
    TooDeep,
    /// The searches of all relocations together have no end in sight.
    #[error("the types of these names are too many or too intricate to search")]
    TooComplex,
    /// The root type has no name to search for.
    #[error("a type without a name cannot be searched for in the target")]
    Anonymous,
    /// Two target types match, with different results.
    #[error("ambiguous: target types {first} and {second} give different results")]
    Ambiguous {
        /// The first match.
        first: BtfId,
        /// Another one.
        second: BtfId,
    },
    /// A type cannot answer.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// An offset beyond 512 MiB.
    #[error("the field's offset is beyond 512 MiB")]
    OffsetTooLarge,
    /// A question that cannot be asked of array elements.
    #[error("this cannot be asked of an array element")]
    ArrayElement,
    /// A bitfield that no load of up to 8 bytes covers.
    #[error("no load of up to 8 bytes covers the bitfield")]
    Bitfield,
    /// The slots end before the instruction does.
    #[error("there is no instruction")]
    NoInsn,
    /// Not an instruction that holds a value to patch.
    #[error("instruction with opcode {opcode:#04x} cannot be relocated")]
    Insn {
        /// Its opcode.
        opcode: u8,
    },
    /// The instruction does not hold the value that the object's types give.
    #[error("the instruction holds {found}, but by the object's types it should be {expected}")]
    Unexpected {
        /// What it holds, sign-extended.
        found: i64,
        /// What it should hold.
        expected: u64,
    },
    /// The target's offset does not fit into an instruction.
    #[error("offset {0} on the target does not fit into 16 bits")]
    OffsetRange(u64),
    /// The access has a size for which there is no instruction, or not the field's.
    #[error("the access has {found} bytes, the field has {local} here and {target} on the target")]
    AccessSize {
        /// Bytes that the instruction accesses.
        found: u32,
        /// Bytes of the field by the object's types.
        local: u32,
        /// Bytes of the field by the target's types.
        target: u32,
    },
}
