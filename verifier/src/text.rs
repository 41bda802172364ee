//! The program's code, decoded once, with its subprograms.

use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::{DecodeError, Insn, Pc, Slot, decode};

/// What stands in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// An instruction begins here.
    Insn(Insn),
    /// The second half of a wide load.
    WideTail,
    /// Nothing that decodes. The kernel judges reserved fields only when a path gets there, so
    /// this is no rejection yet.
    Bad(DecodeError),
}

/// Decoded code with the bounds of its subprograms.
#[derive(Clone, Debug)]
pub struct Text {
    at: Vec<At>,
    starts: Vec<Pc>,
}

impl Text {
    /// Decodes `slots`; `starts` are the subprograms' first slots, ascending from 0.
    #[must_use]
    pub fn new(slots: &[Slot], starts: Vec<Pc>) -> Self {
        let mut at = Vec::with_capacity(slots.len());
        while let Some(rest) = slots.get(at.len()..).filter(|rest| !rest.is_empty()) {
            match decode_leniently(rest) {
                Ok(insn) => {
                    at.push(At::Insn(insn));
                    at.extend((1..insn.slots()).map(|_| At::WideTail));
                }
                Err(error) => at.push(At::Bad(error)),
            }
        }
        Self { at, starts }
    }

    /// Slots in the program.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is no code.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// What stands at `pc`; `None` behind the end.
    #[must_use]
    pub fn at(&self, pc: Pc) -> Option<At> {
        self.at.get(pc.index()).copied()
    }

    /// The instruction that begins at `pc`.
    #[must_use]
    pub fn insn(&self, pc: Pc) -> Option<Insn> {
        match self.at(pc)? {
            At::Insn(insn) => Some(insn),
            At::WideTail | At::Bad(_) => None,
        }
    }

    /// All instructions that decode, with their positions.
    pub fn insns(&self) -> impl Iterator<Item = (Pc, Insn)> {
        self.at.iter().zip(0..).filter_map(|(at, pc)| match at {
            At::Insn(insn) => Some((Pc(pc), *insn)),
            At::WideTail | At::Bad(_) => None,
        })
    }

    /// Number of subprograms, the entry included.
    #[must_use]
    pub const fn subprogs(&self) -> usize {
        self.starts.len()
    }

    /// The subprogram whose code covers `pc`.
    #[must_use]
    pub fn subprog_at(&self, pc: Pc) -> SubprogId {
        let after = self.starts.partition_point(|&s| s <= pc);
        SubprogId(after.saturating_sub(1) as u32)
    }

    /// The subprogram that begins at `pc`.
    #[must_use]
    pub fn subprog_starting(&self, pc: Pc) -> Option<SubprogId> {
        self.starts.binary_search(&pc).ok().map(|i| SubprogId(i as u32))
    }

    /// First slot of a subprogram, and the slot behind its last.
    #[must_use]
    pub fn extent(&self, id: SubprogId) -> (Pc, Pc) {
        let end = Pc(self.len() as u32);
        let at = |i: usize| self.starts.get(i).copied().unwrap_or(end);
        (at(id.0 as usize), at(id.0 as usize + 1))
    }
}

/// Decodes an instruction without looking at two fields that the kernel does not look at either.
fn decode_leniently(slots: &[Slot]) -> Result<Insn, DecodeError> {
    decode(slots).or_else(|error| match *slots {
        [exit @ Slot { opcode: EXIT, .. }, ..] => {
            decode(&[Slot { off: 0, ..exit }]).map_err(|_| error)
        }
        [first @ Slot { opcode: LD_IMM64, src: FUNC, .. }, second, ..] => {
            decode(&[first, Slot { imm: 0, ..second }]).map_err(|_| error)
        }
        _ => Err(error),
    })
}

const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const LD_IMM64: u8 = 0x18;
/// `src` of calls of subprograms, and of wide loads of their addresses.
const SUBPROG: u8 = 1;
const FUNC: u8 = 4;

/// The offset of the subprogram that a slot calls or takes the address of, whatever else may be
/// wrong with it.
pub(crate) const fn named_subprog(slot: &Slot) -> Option<i32> {
    match (slot.opcode, slot.src) {
        (CALL, SUBPROG) | (LD_IMM64, FUNC) => Some(slot.imm),
        _ => None,
    }
}

/// The subprograms' starts: slot 0, what the code itself names (targets of calls and of function
/// addresses), and the function that handles exceptions. Targets outside the program
/// are skipped; the shape checks find them.
#[must_use]
pub fn subprog_starts(program: &Program, exception: Option<Pc>) -> Vec<Pc> {
    let len = program.slots.len();
    let mut starts = vec![Pc(0)];
    for (slot, pc) in program.slots.iter().zip((0..).map(Pc)) {
        let target = named_subprog(slot).and_then(|off| pc.target(off));
        starts.extend(target.filter(|t| t.index() < len));
    }
    starts.extend(exception.filter(|start| start.index() < len));
    starts.sort_unstable();
    starts.dedup();
    starts
}
