//! A trap, with all that is known about it: the instruction, the address, what lies near it,
//! and the line of C.

use crate::listing::Listing;
use crate::style::{BAD, NOTE};
use serde_json::json;
use std::io::{self, Write};
use ubpf::Trapped;
use ubpf::abi::Trap;

/// Addresses below this are null pointers, or members of what a null pointer points to.
const NULL_PAGE_BYTES: u64 = 0x1_0000;

/// A trap in words.
#[derive(Clone, Debug)]
pub struct TrapReport {
    trap: Trap,
    message: String,
    program: String,
    insn: Option<String>,
    near: Option<String>,
    claim: Option<String>,
    source: Option<(String, String)>,
}

impl TrapReport {
    /// Describes a trap.
    #[must_use]
    pub fn new(Trapped { trap, program, near, claim }: &Trapped) -> Self {
        let listing = Listing::new(program);
        let insn = listing.insn_at(trap.pc);
        let source = listing.source_at(trap.pc);
        Self {
            message: trap.to_string(),
            program: program.name.clone(),
            insn: insn.map(|insn| listing.text(trap.pc, &insn)),
            near: trap.addr().map(|addr| match near {
                _ if addr < NULL_PAGE_BYTES => "a null pointer".to_owned(),
                Some(near) => near.to_string(),
                None => "near no memory".to_owned(),
            }),
            claim: claim.clone(),
            source: source.map(|line| (line.place(), line.text.to_owned())),
            trap: *trap,
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
            "program": self.program,
            "pc": self.trap.pc.0,
        });
        let mut add = |name: &str, value: Option<serde_json::Value>| {
            if let (Some(object), Some(value)) = (error.as_object_mut(), value) {
                object.insert(name.to_owned(), value);
            }
        };
        add("insn", self.insn.clone().map(Into::into));
        add("address", self.trap.addr().map(Into::into));
        add("near", self.near.clone().map(Into::into));
        add("claim", self.claim.clone().map(Into::into));
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
            line("insn", &format!("{}: {insn}  in {}", self.trap.pc, self.program))?;
        }
        if let Some(near) = &self.near {
            line("address", &format!("{:#x}, {near}", self.trap.info))?;
        }
        if let Some(claim) = &self.claim {
            line("claim", claim)?;
        }
        if let Some((place, text)) = &self.source {
            line("source", &format!("{place}  {text}"))?;
        }
        Ok(())
    }
}
