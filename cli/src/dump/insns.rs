//! Disassembly between the C lines it comes from.
//!
//! ```text
//! ; if (data + sizeof(*eth) > data_end) @ drop.c:18
//!    3: (2d) if r4 > r3 goto pc+2                        → 6
//! ```

use crate::listing::Listing;
use crate::style::{DIM, HEADING, NAME, SOURCE};
use std::io::{self, Write};
use ubpf::abi::program::Program;

/// Column at which targets of jumps stand, where the instruction leaves room.
const TARGET_COLUMN: usize = 48;

/// Writes the listing of one program.
///
/// # Errors
/// The stream's.
pub fn print(out: &mut dyn Write, program: &Program) -> io::Result<()> {
    let listing = Listing::new(program);
    let mut sources = listing.sources();
    for (pc, insn) in listing.insns() {
        if let Some(subprog) = listing.subprog_starting_at(pc) {
            // The title above the listing names the first one.
            if pc.0 > 0 {
                writeln!(out, "\n{HEADING}{}:{HEADING:#}", subprog.name)?;
            }
        }
        if let Some(source) = sources.above(pc) {
            let place = source.place();
            writeln!(out, "{SOURCE}; {}{SOURCE:#} {DIM}@ {place}{DIM:#}", source.text)?;
        }
        let Some(insn) = insn else {
            let slot = program.slots.get(pc.index()).copied().unwrap_or_default();
            let bytes = crate::input::hex::encode(&slot.to_le_bytes());
            writeln!(out, "{pc:4}: {bytes} is no instruction")?;
            continue;
        };
        let text = listing.text(pc, &insn);
        match listing.jump_target(pc, &insn) {
            Some(target) => {
                writeln!(out, "{DIM}{pc:4}:{DIM:#} {text:TARGET_COLUMN$}{NAME}→ {target}{NAME:#}")?
            }
            None => writeln!(out, "{DIM}{pc:4}:{DIM:#} {text}")?,
        }
    }
    Ok(())
}
