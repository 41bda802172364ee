//! The executable form of a program: what lowering made of its instructions. Jumps name ops, and
//! references are what they were resolved to.

use crate::style::{DIM, HEADING};
use std::io::{self, Write};
use ubpf::isa::{Insn, JumpForm};
use ubpf::vm::code::{Code, Op, OpIndex};

/// Writes the ops of one program, each with the slot that it comes from.
///
/// # Errors
/// The stream's.
pub fn print(out: &mut dyn Write, code: &Code) -> io::Result<()> {
    writeln!(out, "{DIM}{:?} memory accesses; op, slot, operation{DIM:#}", code.mode())?;
    for (index, op) in (0..).map(OpIndex).zip(code.ops()) {
        let subprogs = code.subprogs().iter().enumerate();
        for (n, subprog) in subprogs.filter(|(_, subprog)| subprog.start == index) {
            let name = code.program().subprogs.get(n).map_or("", |s| s.name.as_str());
            let stack = subprog.stack_bytes;
            writeln!(out, "{HEADING}{n} {name}:{HEADING:#} {DIM}{stack} bytes of stack{DIM:#}")?;
        }
        let pc = code.pc(index);
        writeln!(out, "{:4} {DIM}{:5}{DIM:#}  {}", index.0, pc.0, text(code, op))?;
    }
    Ok(())
}

fn text(code: &Code, op: &Op) -> String {
    let plain = |insn: Insn| insn.to_string();
    // Offsets mean nothing here: the text of the jump is kept, and its target replaced.
    let jump = |insn: Insn, target: OpIndex| {
        let text = insn.to_string();
        let condition = text.strip_suffix("goto pc+0").unwrap_or(&text);
        format!("{condition}goto {}", target.0)
    };
    match *op {
        Op::Alu { op, width, dst, src } => plain(Insn::Alu { op, width, dst, src }),
        Op::Neg { width, dst } => plain(Insn::Neg { width, dst }),
        Op::Mov { width, dst, src } => plain(Insn::Mov { width, dst, src }),
        Op::MovSx { width, dst, src, from } => plain(Insn::MovSx { width, dst, src, from }),
        Op::Swap { op, width, dst } => plain(Insn::Swap { op, width, dst }),
        Op::Const { dst, value } => format!("{dst} = {value:#x}"),
        Op::Load { size, signed, dst, base, off } => {
            plain(Insn::Load { size, signed, dst, base, off })
        }
        Op::Store { size, base, off, src } => plain(Insn::Store { size, base, off, src }),
        Op::Atomic { op, size, base, off, src } => plain(Insn::Atomic { op, size, base, off, src }),
        Op::LoadAcquire { size, dst, base, off } => {
            plain(Insn::LoadAcquire { size, dst, base, off })
        }
        Op::StoreRelease { size, base, off, src } => {
            plain(Insn::StoreRelease { size, base, off, src })
        }
        Op::LoadPacket { size, index: None, imm } => plain(Insn::LdAbs { size, imm }),
        Op::LoadPacket { size, index: Some(src), imm } => plain(Insn::LdInd { size, src, imm }),
        Op::Jump { target } => jump(Insn::Jump { form: JumpForm::Short, off: 0 }, target),
        Op::Branch { op, width, dst, src, target } => {
            jump(Insn::Branch { op, width, dst, src, off: 0 }, target)
        }
        Op::MayGoto { target } => format!("may_goto {}", target.0),
        Op::CallHelper { helper } => match code.helper(helper) {
            Some(helper) => format!("call bpf_{}#{}", helper.name, helper.id),
            None => format!("call helper {}", helper.0),
        },
        Op::CallSubprog { subprog } => format!("call subprogram {}", subprog.0),
        Op::CallReg { target } => plain(Insn::CallX { target }),
        Op::TailCall => "tail call r2[r3]".to_owned(),
        Op::Exit => plain(Insn::Exit),
        Op::Trap { kind } => format!("trap: {}", kind.text()),
    }
}
