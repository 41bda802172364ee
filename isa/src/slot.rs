//! The 8-byte unit that programs are made of, and positions counted in it.
//!
//! ```text
//!   byte 0      1           2   3      4   5   6   7
//!  ┌────────┬─────┬─────┬────────────┬──────────────────┐
//!  │ opcode │ src │ dst │ off  (i16) │    imm   (i32)   │   little-endian
//!  └────────┴─────┴─────┴────────────┴──────────────────┘
//!             high  low nibble
//! ```
//!
//! A slot is the *raw* view: any 8 bytes make one, nothing about it is checked. The checked
//! view is [`Insn`](crate::Insn).

use alloc::vec::Vec;
use core::fmt;

/// One raw 8-byte instruction slot (RFC 9669 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Opcode byte: class in the low three bits, the rest depends on it.
    pub opcode: u8,
    /// Destination register nibble, 0 to 15, unchecked.
    pub dst: u8,
    /// Source register nibble, 0 to 15, unchecked.
    pub src: u8,
    /// Signed offset.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Slot {
    /// Bytes in a slot.
    pub const BYTES: usize = 8;

    /// Reads a little-endian slot. Never fails: every bit pattern is a slot.
    #[must_use]
    pub const fn from_le_bytes(b: [u8; 8]) -> Self {
        Self {
            opcode: b[0],
            dst: b[1] & 0x0f,
            src: b[1] >> 4,
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// The inverse of [`Slot::from_le_bytes`]. Register fields keep their low four bits.
    #[must_use]
    pub const fn to_le_bytes(self) -> [u8; 8] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        let regs = (self.dst & 0x0f) | (self.src << 4);
        [self.opcode, regs, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
    }
}

/// Reads a program: a whole number of little-endian slots.
///
/// # Errors
/// [`SlotsError`] when the length is no multiple of [`Slot::BYTES`].
pub fn parse_slots(bytes: &[u8]) -> Result<Vec<Slot>, SlotsError> {
    let (slots, rest) = bytes.as_chunks::<{ Slot::BYTES }>();
    if !rest.is_empty() {
        return Err(SlotsError { len_bytes: bytes.len(), left_bytes: rest.len() });
    }
    Ok(slots.iter().copied().map(Slot::from_le_bytes).collect())
}

/// Bytes that are no whole number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len_bytes} bytes are no whole number of 8-byte slots: {left_bytes} left over")]
pub struct SlotsError {
    /// Length of the input.
    pub len_bytes: usize,
    /// What is left after the last whole slot, 1 to 7.
    pub left_bytes: usize,
}

/// A program counter: an index counted in slots, never in bytes or instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pc(pub u32);

impl Pc {
    /// As an index into a slice of slots.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The position `off` slots after the instruction that follows a one-slot instruction here:
    /// where a jump or call with that offset goes. `None` when it leaves the 32-bit range.
    #[must_use]
    pub const fn target(self, off: i32) -> Option<Self> {
        match (self.0 as i64 + 1).checked_add(off as i64) {
            Some(t) if t >= 0 && t <= u32::MAX as i64 => Some(Self(t as u32)),
            _ => None,
        }
    }
}

impl fmt::Display for Pc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip_and_nibbles_are_split() {
        let bytes = [0x7b, 0x1a, 0xf8, 0xff, 0x01, 0x02, 0x03, 0x84];
        let slot = Slot::from_le_bytes(bytes);
        assert_eq!((slot.dst, slot.src, slot.off), (10, 1, -8));
        assert_eq!(slot.to_le_bytes(), bytes);
    }

    #[test]
    fn a_program_is_a_whole_number_of_slots() {
        let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse_slots(&exit), Ok([Slot::from_le_bytes(exit)].to_vec()));
        assert_eq!(parse_slots(&[]), Ok(Vec::new()));
        assert_eq!(parse_slots(&exit[..5]), Err(SlotsError { len_bytes: 5, left_bytes: 5 }));
    }

    #[test]
    fn targets_count_from_the_next_slot_and_do_not_wrap() {
        assert_eq!(Pc(4).target(-5), Some(Pc(0)));
        assert_eq!(Pc(4).target(-6), None);
        assert_eq!(Pc(u32::MAX).target(0), None);
    }
}
