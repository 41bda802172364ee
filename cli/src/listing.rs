//! A linked program as text: its instructions with names for what they refer to, and the C lines
//! they come from. Listings, graphs and reports of traps all take their text from here.

use ubpf::abi::btf::StrOff;
use ubpf::abi::helper::HelperId;
use ubpf::abi::program::{Program, Subprog};
use ubpf::isa::disasm::Disassembler;
use ubpf::isa::{CallTarget, Flow, Imm64, Insn, Pc, decode, encode};

/// A program to be written out.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    program: &'a Program,
}

/// A line of C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLine<'a> {
    /// File, as the compiler was given it.
    pub file: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Its text without indentation; empty where the object does not carry it.
    pub text: &'a str,
}

/// C lines in the order of the instructions, each where it differs from the one before.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    listing: Listing<'a>,
    shown: Option<SourceLine<'a>>,
}

impl<'a> Sources<'a> {
    /// The C line to show above the instruction at `pc`.
    pub fn above(&mut self, pc: Pc) -> Option<SourceLine<'a>> {
        let Listing { program } = self.listing;
        let begins_here = program.line_at(pc).filter(|line| line.slot == pc.0);
        let line = self.listing.source(begins_here?).filter(|line| !line.text.is_empty())?;
        (self.shown.replace(line) != Some(line)).then_some(line)
    }
}

impl SourceLine<'_> {
    /// `file.c:12`, without the folders.
    #[must_use]
    pub fn place(&self) -> String {
        let file = self.file.rsplit('/').next().unwrap_or(self.file);
        format!("{file}:{}", self.line)
    }
}

impl<'a> Listing<'a> {
    /// A listing of this program.
    #[must_use]
    pub const fn new(program: &'a Program) -> Self {
        Self { program }
    }

    /// The instructions in order; `None` in the second place for slots that are none.
    pub fn insns(self) -> impl Iterator<Item = (Pc, Option<Insn>)> + 'a {
        let mut at = 0;
        std::iter::from_fn(move || {
            let pc = Pc(at);
            self.program.slots.get(pc.index())?;
            let insn = self.insn_at(pc);
            at = at.checked_add(insn.map_or(1, |insn| insn.slots()))?;
            Some((pc, insn))
        })
    }

    /// The instruction that begins at `pc`.
    #[must_use]
    pub fn insn_at(self, pc: Pc) -> Option<Insn> {
        decode(self.program.slots.get(pc.index()..)?).ok()
    }

    /// The subprogram that begins at `pc`.
    #[must_use]
    pub fn subprog_starting_at(self, pc: Pc) -> Option<&'a Subprog> {
        self.program.subprogs.iter().find(|s| s.start == pc)
    }

    /// The C line of the instruction at `pc`.
    #[must_use]
    pub fn source_at(self, pc: Pc) -> Option<SourceLine<'a>> {
        self.source(self.program.line_at(pc)?)
    }

    /// The C lines to show between its instructions.
    #[must_use]
    pub const fn sources(self) -> Sources<'a> {
        Sources { listing: self, shown: None }
    }

    fn source(self, info: &ubpf::abi::program::LineInfo) -> Option<SourceLine<'a>> {
        let btf = self.program.btf.as_deref()?;
        Some(SourceLine {
            file: btf.name(StrOff(info.file_off)),
            line: info.line,
            text: btf.name(StrOff(info.line_off)).trim(),
        })
    }

    /// An instruction in the syntax of the verifier's log, opcode in front, with names.
    #[must_use]
    pub fn text(self, pc: Pc, insn: &Insn) -> String {
        match self.named(pc, insn) {
            Some(text) => format!("({:02x}) {text}", encode(insn).0.opcode),
            None => Disassembler::new().opcodes(true).insn(insn).to_string(),
        }
    }

    /// The text of an instruction that refers to something with a name.
    fn named(self, pc: Pc, insn: &Insn) -> Option<String> {
        Some(match *insn {
            Insn::LdImm64 { dst, imm: Imm64::MapFd(id) } => {
                format!("{dst} = map[{}]", self.map(id))
            }
            Insn::LdImm64 { dst, imm: Imm64::MapValue { fd, off } } => {
                let variable = self.variable(fd, off).map(|name| format!(" ({name})"));
                let map = self.map(fd);
                format!("{dst} = map[{map}][0]+{off}{}", variable.unwrap_or_default())
            }
            Insn::LdImm64 { dst, imm: Imm64::Func(off) } => {
                format!("{dst} = subprog[{}]", self.subprog(pc, off))
            }
            Insn::LdImm64 { dst, imm: Imm64::BtfId { id, .. } } => {
                format!("{dst} = &{}", self.symbol(id)?)
            }
            Insn::Call(CallTarget::Helper(id)) => {
                format!("call bpf_{}#{id}", HelperId(id).name()?)
            }
            Insn::Call(CallTarget::Subprog(off)) => format!("call {}", self.subprog(pc, off)),
            Insn::Call(CallTarget::Kfunc { btf_id, .. }) => {
                format!("call {}", self.symbol(u32::try_from(btf_id).ok()?)?)
            }
            _ => return None,
        })
    }

    /// The slot that a jump goes to.
    #[must_use]
    pub fn jump_target(self, pc: Pc, insn: &Insn) -> Option<Pc> {
        match insn.flow() {
            Flow::Jump(off) | Flow::Branch(off) => pc.target(off),
            Flow::Next | Flow::Call(_) | Flow::Exit => None,
        }
    }

    fn map(self, id: i32) -> String {
        let map = usize::try_from(id).ok().and_then(|i| self.program.maps.get(i));
        map.map_or_else(|| format!("#{id}"), |map| map.name.clone())
    }

    /// The global variable at `off` in a data section, with what lies behind its start.
    fn variable(self, map: i32, off: u32) -> Option<String> {
        let btf = self.program.btf.as_deref()?;
        let map = self.program.maps.get(usize::try_from(map).ok()?)?;
        let vars = btf.vars(map.value_type?);
        let var = vars.iter().rev().find(|v| v.off <= off && off - v.off < v.bytes)?;
        let name = btf.name_of(var.ty);
        Some(match off - var.off {
            0 => name.to_owned(),
            rest => format!("{name}+{rest}"),
        })
    }

    fn symbol(self, id: u32) -> Option<&'a str> {
        let index = usize::try_from(id).ok()?;
        self.program.externs.get(index).map(|e| e.name.as_str())
    }

    fn subprog(self, pc: Pc, off: i32) -> String {
        let target = pc.target(off);
        match target.and_then(|pc| self.subprog_starting_at(pc)) {
            Some(subprog) if !subprog.name.is_empty() => subprog.name.clone(),
            _ => format!("pc{off:+}"),
        }
    }
}
