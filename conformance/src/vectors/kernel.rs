//! Vectors on the running kernel.
//!
//! A `syscall` program takes a context of any size that it may read and write, so it can stand
//! for "`r1` points to memory". The vector becomes a subprogram of one that stores all 64 bits
//! of its result behind the memory, because test runs report only 32:
//!
//! ```text
//!   r6 = r1;  r2 = len;  call vector;  *(u64 *)(r6 + len) = r0;  r0 = 0;  exit
//! ```
//!
//! Legacy packet loads need a packet: such vectors run as socket filters, as they are.

use super::{Memory, Row};
use crate::kernel::{Loaded, LogLevel, ProgLoad, Refused, TestInput};
use std::fmt;
use ubpf_abi::Errno;
use ubpf_abi::prog_type::ProgType;
use ubpf_isa::Slot;

/// What came of running a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `r0`, of packet vectors the low half.
    pub result: u64,
    /// The memory afterwards; empty for packets.
    pub after: Vec<u64>,
}

impl Outcome {
    /// Whether it is what the row says.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        let after = match (&row.after, &row.input) {
            (Some(after), _) | (None, Memory::Words(after)) => after.as_slice(),
            (None, Memory::Packet(_)) => &[],
        };
        self.result == row.result && self.after == after
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} |", self.result)?;
        self.after.iter().try_for_each(|w| write!(f, " {w:#x}"))
    }
}

/// Why a vector did not run.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The kernel does not load it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The kernel does not run it.
    #[error("test run: {0}")]
    Run(Errno),
}

/// Runs the program on a row's input.
///
/// # Errors
/// [`VectorError`] when the kernel refuses the program or its input.
pub fn run(slots: &[Slot], row: &Row) -> Result<Outcome, VectorError> {
    match &row.input {
        Memory::Words(words) => run_on_memory(slots, words),
        Memory::Packet(packet) => run_on_packet(slots, packet),
    }
}

/// Whether the kernel refuses the program whatever it works on.
#[must_use]
pub fn refuses(slots: &[Slot]) -> bool {
    load(ProgType::Syscall, &wrapped(slots, 64)).is_err()
        && load(ProgType::SocketFilter, slots).is_err()
}

fn load(prog_type: ProgType, slots: &[Slot]) -> Result<Loaded, Refused> {
    const F_SLEEPABLE: u32 = 1 << 4;
    let spec = ProgLoad {
        prog_type: prog_type.id(),
        prog_flags: if prog_type == ProgType::Syscall { F_SLEEPABLE } else { 0 },
        license: "GPL",
        slots,
        ..ProgLoad::default()
    };
    Loaded::load(&spec, LogLevel::None).or_else(|_| Loaded::load(&spec, LogLevel::Brief))
}

fn run_on_memory(slots: &[Slot], words: &[u64]) -> Result<Outcome, VectorError> {
    let bytes = words.len() * 8;
    let program = load(ProgType::Syscall, &wrapped(slots, bytes as i16))?;
    let mut ctx = Memory::Words(words.to_vec()).bytes();
    ctx.extend([0; 8]);
    let input = TestInput { ctx: &ctx, ..TestInput::default() };
    let output = program.test_run(&input).map_err(VectorError::Run)?;
    let (chunks, _) = output.ctx.as_chunks::<8>();
    let mut after: Vec<u64> = chunks.iter().map(|&b| u64::from_le_bytes(b)).collect();
    let result = after.pop().unwrap_or_default();
    Ok(Outcome { result, after })
}

fn run_on_packet(slots: &[Slot], packet: &[u8]) -> Result<Outcome, VectorError> {
    let program = load(ProgType::SocketFilter, slots)?;
    let input = TestInput { data: packet, ..TestInput::default() };
    let output = program.test_run(&input).map_err(VectorError::Run)?;
    Ok(Outcome { result: u64::from(output.retval), after: Vec::new() })
}

/// The vector as a subprogram of one that keeps its whole result.
fn wrapped(slots: &[Slot], bytes: i16) -> Vec<Slot> {
    const CALL_SUBPROG: u8 = 1;
    let slot = |opcode, dst, src, off, imm| Slot { opcode, dst, src, off, imm };
    let mut program = vec![
        slot(0xbf, 6, 1, 0, 0),
        slot(0xb7, 2, 0, 0, i32::from(bytes)),
        slot(0x85, 0, CALL_SUBPROG, 0, 3),
        slot(0x7b, 6, 0, bytes, 0),
        slot(0xb7, 0, 0, 0, 0),
        slot(0x95, 0, 0, 0, 0),
    ];
    program.extend(slots);
    program
}
