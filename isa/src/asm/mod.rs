//! Text to instructions.
//!
//! Two families of syntax are read, and may be mixed from line to line:
//!
//! * infix, as the kernel verifier's log and LLVM write it: `r1 = *(u32 *)(r2 +4)`,
//!   `if w3 s> 0x5 goto pc+7`, `lock *(u64 *)(r1 + 0) += r2`, `r1 = 5 ll`. Lines may carry the
//!   log's prefixes: `12: (bf) r6 = r1`;
//! * mnemonics, as GNU and the public conformance suite write them: `ldxw %r1, [%r2+4]`,
//!   `jsgt32 %r3, 5, +7`, `lock fetch add [%r1], %r2`, `lddw %r1, 5`; the `%` may be left out.
//!
//! One instruction stands on a line. `name:` defines a label, which jumps, calls and
//! `subprog[name]` take in place of an offset; the first `exit` defines a label of that name
//! unless the program does. Comments run from `;`, `#` or `//` to the end of the line.
//!
//! The work is split by stage: `lex` makes tokens, `parse` knows operands, `infix` and
//! `mnemonic` know statements, and this module joins lines to a program and labels to offsets.

mod infix;
mod lex;
mod mnemonic;
mod parse;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::encode::encode_all;
use crate::insn::{CallTarget, Imm64, Insn};
use crate::slot::Slot;
use parse::{Item, Label, Line};

/// Looks numbers up for names that are no label. Every method may say `None`.
pub trait Symbols {
    /// Number of the helper in `call bpf_map_lookup_elem`.
    fn helper(&self, _name: &str) -> Option<u32> {
        None
    }

    /// File descriptor of the map in `lddw %r1, map_by_fd(name)`.
    fn map_fd(&self, _name: &str) -> Option<i32> {
        None
    }
}

/// No symbols.
impl Symbols for () {}

/// Assembles a program that names no helpers or maps.
///
/// ```
/// use ubpf_isa::{Insn, assemble, decode};
/// let program = assemble(
///     "    r0 = *(u32 *)(r1 + 8)
///          if r0 == 0 goto out
///          add32 %r0, 1        ; the other syntax
///      out:
///          exit",
/// )?;
/// assert_eq!(program.len(), 4);
/// assert_eq!(decode(&program[3..]), Ok(Insn::Exit));
///
/// let error = assemble("r0 = *(u32 *)(r11 + 8)").unwrap_err();
/// assert_eq!(error.to_string(), "1:15: expected a register, found `r11`");
/// # Ok::<(), ubpf_isa::AsmError>(())
/// ```
///
/// # Errors
/// [`AsmError`] at the first place that makes no sense.
pub fn assemble(text: &str) -> Result<Vec<Slot>, AsmError> {
    assemble_with(text, &())
}

/// Assembles a program whose names of helpers and maps `symbols` knows.
///
/// # Errors
/// [`AsmError`] at the first place that makes no sense.
pub fn assemble_with(text: &str, symbols: &impl Symbols) -> Result<Vec<Slot>, AsmError> {
    let mut items = Vec::new();
    let mut labels = BTreeMap::new();
    let mut first_exit = None;
    // Slots so far; no text is long enough to make more of them than fit.
    let mut slots = 0i64;
    for (number, line) in (1..).zip(text.lines()) {
        let mut line = Line::lex(number, line)?;
        while let Some((name, at)) = line.label_definition() {
            if labels.insert(name, slots).is_some() {
                return Err(at.error(AsmErrorKind::DuplicateLabel(name.into())));
            }
        }
        if let Some(item) = line.statement(&|name: &str| symbols.map_fd(name))? {
            if item.insn == Insn::Exit {
                first_exit.get_or_insert(slots);
            }
            let start = slots;
            slots += i64::from(item.insn.slots());
            items.push((start, item));
        }
    }
    if let Some(slot) = first_exit {
        labels.entry("exit").or_insert(slot);
    }
    let insns: Result<Vec<Insn>, AsmError> =
        items.into_iter().map(|(slot, item)| resolve(item, slot, &labels, symbols)).collect();
    Ok(encode_all(&insns?))
}

/// Puts the offset of the label into the instruction that refers to one.
fn resolve(
    Item { insn, label }: Item<'_>,
    slot: i64,
    labels: &BTreeMap<&str, i64>,
    symbols: &impl Symbols,
) -> Result<Insn, AsmError> {
    let Some(Label { name, at }) = label else {
        return Ok(insn);
    };
    let Some(target) = labels.get(name) else {
        return match (insn, symbols.helper(name)) {
            (Insn::Call(_), Some(id)) => Ok(Insn::Call(CallTarget::Helper(id))),
            _ => Err(at.error(AsmErrorKind::UnknownName(name.into()))),
        };
    };
    let slots = target - (slot + 1);
    let far = || at.error(AsmErrorKind::TooFar { label: name.into(), slots });
    let short = || i16::try_from(slots).map_err(|_| far());
    let long = || i32::try_from(slots).map_err(|_| far());
    Ok(match insn {
        Insn::Jump { form, .. } => Insn::Jump { form, off: long()? },
        Insn::Branch { op, width, dst, src, .. } => {
            Insn::Branch { op, width, dst, src, off: short()? }
        }
        Insn::MayGoto { .. } => Insn::MayGoto { off: short()? },
        Insn::LdImm64 { dst, .. } => Insn::LdImm64 { dst, imm: Imm64::Func(long()?) },
        _ => Insn::Call(CallTarget::Subprog(long()?)),
    })
}

/// Where and why text is no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {kind}")]
pub struct AsmError {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub kind: AsmErrorKind,
}

/// What is wrong with the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsmErrorKind {
    /// Something else has to stand here.
    #[error("expected {what}, found {found}")]
    Expected {
        /// What was looked for.
        what: String,
        /// What is there, quoted.
        found: String,
    },
    /// The number is too large or too small for its field.
    #[error("{number} does not fit into {what}")]
    Range {
        /// As written.
        number: String,
        /// The field.
        what: &'static str,
    },
    /// The first word of the line is no instruction.
    #[error("unknown mnemonic `{0}`")]
    UnknownMnemonic(String),
    /// A name that neither a label nor a symbol explains.
    #[error("nothing is called `{0}`")]
    UnknownName(String),
    /// The label is already defined.
    #[error("label `{0}` is defined twice")]
    DuplicateLabel(String),
    /// The label is out of reach for the instruction.
    #[error("label `{label}` is {slots} slots away, out of reach")]
    TooFar {
        /// Name of the label.
        label: String,
        /// Its distance from the next instruction.
        slots: i64,
    },
}
