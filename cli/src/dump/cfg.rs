//! Control flow of a program in Graphviz's language: one box a basic block, one frame a
//! subprogram. Calls are not edges.

use crate::listing::Listing;
use std::collections::BTreeSet;
use std::io::{self, Write};
use ubpf::abi::program::Program;
use ubpf::isa::{Flow, Insn, Pc};

/// A run of instructions that is entered at its first and left at its last.
struct Block {
    insns: Vec<(Pc, Option<Insn>)>,
}

/// Writes the graph of one program.
///
/// # Errors
/// The stream's.
pub fn print(out: &mut dyn Write, program: &Program) -> io::Result<()> {
    let listing = Listing::new(program);
    let blocks = blocks(listing);
    writeln!(out, "digraph {} {{", quoted(&program.name))?;
    writeln!(out, "  node [shape=box, fontname=monospace, fontsize=10];")?;
    let mut frames = 0;
    for block in &blocks {
        let Some(&(first, _)) = block.insns.first() else {
            continue;
        };
        if let Some(subprog) = listing.subprog_starting_at(first) {
            if frames > 0 {
                writeln!(out, "  }}")?;
            }
            writeln!(out, "  subgraph cluster_{frames} {{")?;
            writeln!(out, "    label={};", quoted(&subprog.name))?;
            frames += 1;
        }
        writeln!(out, "    b{first} [label={}];", label(listing, block))?;
    }
    if frames > 0 {
        writeln!(out, "  }}")?;
    }
    for block in &blocks {
        edges(out, block)?;
    }
    writeln!(out, "}}")
}

/// Cuts a program at jumps and their targets.
fn blocks(listing: Listing<'_>) -> Vec<Block> {
    let mut leaders = BTreeSet::new();
    for (pc, insn) in listing.insns() {
        if listing.subprog_starting_at(pc).is_some() {
            leaders.insert(pc);
        }
        if let Some(insn) = insn.filter(|insn| insn.flow().ends_block()) {
            leaders.extend(listing.jump_target(pc, &insn));
            leaders.extend(pc.0.checked_add(insn.slots()).map(Pc));
        }
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (pc, insn) in listing.insns() {
        match blocks.last_mut() {
            Some(block) if !leaders.contains(&pc) => block.insns.push((pc, insn)),
            _ => blocks.push(Block { insns: vec![(pc, insn)] }),
        }
    }
    blocks
}

/// The text of a block, in quotes, lines flush left.
fn label(listing: Listing<'_>, block: &Block) -> String {
    let mut lines = String::new();
    let mut sources = listing.sources();
    for (pc, insn) in &block.insns {
        if let Some(source) = sources.above(*pc) {
            lines.push_str(&escaped(&format!("; {} @ {}", source.text, source.place())));
            lines.push_str("\\l");
        }
        let text = match insn {
            Some(insn) => listing.text(*pc, insn),
            None => "no instruction".to_owned(),
        };
        lines.push_str(&escaped(&format!("{pc}: {text}")));
        lines.push_str("\\l");
    }
    format!("\"{lines}\"")
}

/// Edges out of a block; those of a conditional jump say which is which.
fn edges(out: &mut dyn Write, block: &Block) -> io::Result<()> {
    let (Some(&(first, _)), Some(&(last, Some(insn)))) = (block.insns.first(), block.insns.last())
    else {
        return Ok(());
    };
    let branches = matches!(insn.flow(), Flow::Branch(_));
    let labels = if branches { ["no", "yes"] } else { ["", ""] };
    for (to, label) in insn.successors(last).zip(labels) {
        match (to, label) {
            (None, _) => {}
            (Some(to), "") => writeln!(out, "  b{first} -> b{to};")?,
            (Some(to), label) => writeln!(out, "  b{first} -> b{to} [label={label}];")?,
        }
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
