//! A trap, with all that is known about it: the instruction, the address, what lies near it,
//! and the line of C.

use crate::listing::Listing;
use crate::style::{BAD, NOTE};
use serde_json::json;
use std::io::{self, Write};
use ubpf::abi::program::Program;
use ubpf::abi::{Trap, TrapKind};
use ubpf::vm::mem::Cage;

/// A trap in words.
#[derive(Clone, Debug)]
pub struct TrapReport {
    trap: Trap,
    message: String,
    insn: Option<String>,
    near: Option<String>,
    source: Option<(String, String)>,
}

impl TrapReport {
    /// Describes a trap of this program, in this memory.
    #[must_use]
    pub fn new(trap: Trap, program: &Program, cage: &Cage) -> Self {
        let listing = Listing::new(program);
        let insn = listing.insn_at(trap.pc);
        let source = listing.source_at(trap.pc);
        Self {
            message: trap.to_string(),
            insn: insn.map(|insn| listing.text(trap.pc, &insn)),
            near: near(&trap, cage),
            source: source.map(|line| (line.place(), line.text.to_owned())),
            trap,
        }
    }

    /// What happened, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// As the value of `"error"` in JSON output.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut error = json!({
            "trap": self.trap.kind.text(),
            "message": self.message,
            "pc": self.trap.pc.0,
        });
        let mut add = |name: &str, value: Option<serde_json::Value>| {
            if let (Some(object), Some(value)) = (error.as_object_mut(), value) {
                object.insert(name.to_owned(), value);
            }
        };
        add("insn", self.insn.clone().map(Into::into));
        add("address", has_address(self.trap.kind).then(|| self.trap.info.into()));
        add("near", self.near.clone().map(Into::into));
        let source = self.source.as_ref();
        add("source", source.map(|(place, text)| json!({"place": place, "text": text})));
        error
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{BAD}trap{BAD:#}  {}", self.message)?;
        let mut line = |name: &str, text: &str| writeln!(out, "  {NOTE}{name:8}{NOTE:#}{text}");
        if let Some(insn) = &self.insn {
            line("insn", &format!("{}: {insn}", self.trap.pc))?;
        }
        if let Some(near) = &self.near {
            line("address", &format!("{:#x}, {near}", self.trap.info))?;
        }
        if let Some((place, text)) = &self.source {
            line("source", &format!("{place}  {text}"))?;
        }
        Ok(())
    }
}

/// Whether the trap's operand is an address.
const fn has_address(kind: TrapKind) -> bool {
    matches!(
        kind,
        TrapKind::LoadFault
            | TrapKind::StoreFault
            | TrapKind::Misaligned
            | TrapKind::CtxAccess
            | TrapKind::BadCallTarget
    )
}

fn near(trap: &Trap, cage: &Cage) -> Option<String> {
    if !has_address(trap.kind) {
        return None;
    }
    Some(match cage.describe(trap.info) {
        Some(near) => near.to_string(),
        None if trap.info < 0x1000 => "a null pointer".to_owned(),
        None => "near no region".to_owned(),
    })
}
