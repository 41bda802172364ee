//! The opcode byte taken apart: class, source, size and width as small types.

use crate::insn::{Size, Width};

/// An opcode byte. Any byte is one; the [table](crate::table) says which are instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opcode(pub u8);

/// Instruction class, the low three bits (RFC 9669 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Loads outside the memory mode.
    Ld = 0,
    /// Loads from memory into a register.
    Ldx = 1,
    /// Stores of an immediate.
    St = 2,
    /// Stores of a register; atomics.
    Stx = 3,
    /// 32-bit arithmetic.
    Alu = 4,
    /// 64-bit jumps and calls.
    Jmp = 5,
    /// 32-bit jumps.
    Jmp32 = 6,
    /// 64-bit arithmetic.
    Alu64 = 7,
}

/// Where the second operand of arithmetic and conditional jumps is, bit 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// In `imm`; "K" in the kernel's headers.
    Imm,
    /// In the `src` register; "X".
    Reg,
}

/// Which bits of the opcode byte a row of the table leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// None: a single opcode byte.
    One,
    /// The class says 32 or 64 bits.
    Width,
    /// The class says 32 or 64 bits, bit 3 says register or immediate.
    WidthSource,
    /// Bits 3 and 4 say 1, 2, 4 or 8 bytes.
    AnySize,
    /// Bits 3 and 4 say 1, 2 or 4 bytes.
    UpToWord,
    /// Bits 3 and 4 say 4 or 8 bytes.
    WordOrDouble,
}

/// Differs between ALU (4) and ALU64 (7), and between JMP (5) and JMP32 (6).
const WIDTH_BITS: u8 = 0x03;
const SOURCE_BIT: u8 = 0x08;
const SIZE_BITS: u8 = 0x18;

impl Opcode {
    /// The class.
    #[must_use]
    pub const fn class(self) -> Class {
        match self.0 & 0x07 {
            0 => Class::Ld,
            1 => Class::Ldx,
            2 => Class::St,
            3 => Class::Stx,
            4 => Class::Alu,
            5 => Class::Jmp,
            6 => Class::Jmp32,
            _ => Class::Alu64,
        }
    }

    /// Width of the operation in arithmetic and jump classes.
    #[must_use]
    pub const fn width(self) -> Width {
        match self.class() {
            Class::Alu | Class::Jmp32 => Width::W32,
            _ => Width::W64,
        }
    }

    /// Source of the second operand in arithmetic and jump classes.
    #[must_use]
    pub const fn source(self) -> Source {
        if self.0 & SOURCE_BIT == 0 { Source::Imm } else { Source::Reg }
    }

    /// Bytes accessed in load and store classes.
    #[must_use]
    pub const fn size(self) -> Size {
        match self.0 & SIZE_BITS {
            0x00 => Size::W,
            0x08 => Size::H,
            0x10 => Size::B,
            _ => Size::Dw,
        }
    }

    pub(crate) const fn with_width(self, width: Width) -> Self {
        match (self.width(), width) {
            (Width::W32, Width::W64) | (Width::W64, Width::W32) => Self(self.0 ^ WIDTH_BITS),
            (Width::W32, Width::W32) | (Width::W64, Width::W64) => self,
        }
    }

    pub(crate) const fn with_source(self, source: Source) -> Self {
        match source {
            Source::Imm => Self(self.0 & !SOURCE_BIT),
            Source::Reg => Self(self.0 | SOURCE_BIT),
        }
    }

    pub(crate) const fn with_size(self, size: Size) -> Self {
        let bits = match size {
            Size::W => 0x00,
            Size::H => 0x08,
            Size::B => 0x10,
            Size::Dw => 0x18,
        };
        Self(self.0 & !SIZE_BITS | bits)
    }
}

impl Span {
    /// Whether `opcode` is a form of the row whose lowest form is `code`.
    pub(crate) const fn covers(self, code: Opcode, opcode: Opcode) -> bool {
        let differ = code.0 ^ opcode.0;
        match self {
            Self::One => differ == 0,
            Self::Width => matches!(differ, 0 | WIDTH_BITS),
            Self::WidthSource => matches!(differ & !SOURCE_BIT, 0 | WIDTH_BITS),
            Self::AnySize => differ & !SIZE_BITS == 0,
            Self::UpToWord => differ & !SIZE_BITS == 0 && differ != SIZE_BITS,
            Self::WordOrDouble => matches!(differ, 0 | SIZE_BITS),
        }
    }

    /// Whether this form works on at most 32 bits.
    pub(crate) const fn is_narrow(self, opcode: Opcode) -> bool {
        match self {
            Self::One | Self::Width | Self::WidthSource => matches!(opcode.width(), Width::W32),
            Self::AnySize | Self::UpToWord | Self::WordOrDouble => {
                !matches!(opcode.size(), Size::Dw)
            }
        }
    }
}
