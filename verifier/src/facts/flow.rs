//! Ranges of registers before each instruction: a forward data-flow analysis over basic blocks.
//!
//! It starts from nothing but the code and the walk's [`Seen`], so it holds on every execution.
//! Loops are widened at their heads: first to the next number that the program compares with,
//! then, if that does not settle it, to any number. So each head changes a fixed number of times
//! and the analysis takes linear time. Where something was widened, one more round takes back
//! what was too much.
//!
//! What is stored on the stack is known until the end of its block, which is as far as keys of
//! maps and most spills go.

use super::range;
use super::seen::Seen;
use crate::text::Text;
use ubpf_abi::verified::{Range, Region};
use ubpf_isa::{AtomicOp, CallTarget, Imm64, Insn, Operand, Pc, Reg, RegSet, Width};

/// Registers at a point of the code.
pub(super) type Regs = [Range; Reg::COUNT];

const UNKNOWN: Regs = [Range::ANY; Reg::COUNT];

/// Changes of a loop's head after which what still changes is any number.
const MAX_CHANGES: u8 = 6;

/// Addresses are 32-bit numbers.
const ADDRESS: Range = Range::up_to(u32::MAX as u64);

/// What the analysis works on.
pub(super) struct Flow<'a> {
    text: &'a Text,
    seen: &'a Seen,
    reached: &'a [bool],
    /// By slot: the block that begins there.
    begins: Vec<Option<u32>>,
    blocks: Vec<Block>,
    /// Numbers that comparisons separate, ascending.
    landmarks: Vec<u64>,
    widened: bool,
    /// The entry is entered by nobody but the host, with the context in `r1`.
    entered_by_host: bool,
}

struct Block {
    start: Pc,
    /// Behind its last instruction.
    end: Pc,
    entry: bool,
    /// Some edge leads back to it.
    head: bool,
    changes: u8,
    regs: Option<Regs>,
    dirty: bool,
}

/// A block of reached code.
pub(super) struct Stretch {
    /// Its first instruction, and the slot behind its last.
    pub(super) extent: (Pc, Pc),
    /// Registers at its start.
    pub(super) regs: Regs,
}

/// Analyses the code that was `reached`.
pub(super) fn analyse(text: &Text, seen: &Seen, reached: &[bool]) -> Vec<Stretch> {
    let mut flow = Flow {
        text,
        seen,
        reached,
        begins: vec![None; text.len()],
        blocks: Vec::new(),
        landmarks: Vec::new(),
        widened: false,
        entered_by_host: true,
    };
    flow.find_blocks();
    flow.find_landmarks();
    flow.settle();
    if flow.widened {
        flow.narrow();
    }
    let stretch = |b: Block| Some(Stretch { extent: (b.start, b.end), regs: b.regs? });
    flow.blocks.into_iter().filter_map(stretch).collect()
}

impl Flow<'_> {
    fn is_reached(&self, pc: Pc) -> bool {
        self.reached.get(pc.index()).copied().unwrap_or(false)
    }

    fn insns(&self) -> impl Iterator<Item = (Pc, Insn)> {
        self.text.insns().filter(|(pc, _)| self.is_reached(*pc))
    }

    fn find_blocks(&mut self) {
        let mut leads = vec![false; self.text.len()];
        let mut heads = vec![false; self.text.len()];
        let mut entries = vec![false; self.text.len()];
        for id in 0..self.text.subprogs() as u32 {
            let (start, _) = self.text.extent(ubpf_abi::program::SubprogId(id));
            if let Some(entry) = entries.get_mut(start.index()) {
                *entry = true;
                leads[start.index()] = true;
            }
        }
        let mut previous_ends = true;
        let mut to_entry = false;
        for (pc, insn) in self.insns() {
            to_entry |= insn.subprog().and_then(|off| pc.target(off)) == Some(Pc(0));
            leads[pc.index()] |= previous_ends;
            previous_ends = insn.flow().ends_block();
            if !previous_ends {
                continue;
            }
            for to in insn.successors(pc).flatten() {
                if let (Some(leads), Some(head)) =
                    (leads.get_mut(to.index()), heads.get_mut(to.index()))
                {
                    *leads = true;
                    *head |= to <= pc;
                }
            }
        }
        self.entered_by_host = !to_entry;
        let mut blocks: Vec<Block> = Vec::new();
        for (pc, insn) in self.insns() {
            let end = Pc(pc.0 + insn.slots());
            match blocks.last_mut() {
                Some(block) if !leads[pc.index()] && block.end == pc => block.end = end,
                _ => {
                    let (head, entry) = (heads[pc.index()], entries[pc.index()]);
                    let (changes, regs) = (0, None);
                    blocks.push(Block { start: pc, end, entry, head, changes, regs, dirty: false });
                }
            }
        }
        for (index, block) in (0..).zip(&blocks) {
            self.begins[block.start.index()] = Some(index);
        }
        self.blocks = blocks;
    }

    fn find_landmarks(&mut self) {
        let mut marks = vec![u64::from(u8::MAX), u64::from(u16::MAX), i32::MAX as u64];
        marks.extend([u64::from(u32::MAX), i64::MAX as u64, u64::MAX]);
        for (_, insn) in self.insns() {
            if let Insn::Branch { src: Operand::Imm(imm), .. } = insn
                && let Ok(imm) = u64::try_from(imm)
            {
                marks.extend([imm.saturating_sub(1), imm, imm + 1]);
            }
        }
        marks.sort_unstable();
        marks.dedup();
        self.landmarks = marks;
    }

    fn entry_regs(&self, start: Pc) -> Regs {
        let mut regs = UNKNOWN;
        regs[Reg::FP.index()] = ADDRESS;
        if start == Pc(0) && self.entered_by_host {
            regs[Reg::R1.index()] = ADDRESS;
        }
        regs
    }

    /// Goes on until nothing changes, always with the first block that may.
    fn settle(&mut self) {
        for at in 0..self.blocks.len() {
            if self.blocks[at].entry {
                self.blocks[at].regs = Some(self.entry_regs(self.blocks[at].start));
                self.blocks[at].dirty = true;
            }
        }
        let mut at = 0;
        while let Some(block) = self.blocks.get_mut(at) {
            if !std::mem::take(&mut block.dirty) {
                at += 1;
                continue;
            }
            let mut next = at + 1;
            for (to, regs) in self.leave(at).into_iter().flatten() {
                if self.enter(to, &regs) {
                    next = next.min(to);
                }
            }
            at = next;
        }
    }

    /// Recomputes every block once from what its predecessors are known to leave.
    fn narrow(&mut self) {
        let entry = |b: &Block| b.entry.then(|| self.entry_regs(b.start));
        let mut narrowed: Vec<Option<Regs>> = self.blocks.iter().map(entry).collect();
        for at in 0..self.blocks.len() {
            if self.blocks[at].regs.is_none() {
                continue;
            }
            for (to, regs) in self.leave(at).into_iter().flatten() {
                match &mut narrowed[to] {
                    Some(old) => old.iter_mut().zip(&regs).for_each(|(a, b)| *a = a.hull(*b)),
                    none => *none = Some(regs),
                }
            }
        }
        for (block, regs) in self.blocks.iter_mut().zip(narrowed) {
            block.regs = regs;
        }
    }

    /// Joins registers into a block; whether it knows less then.
    fn enter(&mut self, to: usize, regs: &Regs) -> bool {
        let block = &mut self.blocks[to];
        let Some(old) = &mut block.regs else {
            block.regs = Some(*regs);
            block.dirty = true;
            return true;
        };
        let widen = block.head && block.changes > 0;
        let any = block.changes >= MAX_CHANGES;
        let mut changed = false;
        for (old, new) in old.iter_mut().zip(regs) {
            let mut joined = old.hull(*new);
            if joined == *old {
                continue;
            }
            changed = true;
            if widen {
                self.widened = true;
                let marks = if any { &[] } else { &self.landmarks[..] };
                if joined.min < old.min {
                    let below = marks.partition_point(|&mark| mark <= joined.min);
                    joined.min = marks[..below].last().copied().unwrap_or(0);
                }
                if joined.max > old.max {
                    let above = marks.partition_point(|&mark| mark < joined.max);
                    joined.max = marks.get(above).copied().unwrap_or(u64::MAX);
                }
            }
            *old = joined;
        }
        if changed {
            block.changes = block.changes.saturating_add(1);
            block.dirty = true;
        }
        changed
    }

    /// What a block leaves to each of those that follow it.
    fn leave(&self, at: usize) -> [Option<(usize, Regs)>; 2] {
        let block = &self.blocks[at];
        let Some(mut regs) = block.regs else { return [None, None] };
        let mut stack = StackValues::default();
        let mut last = None;
        let mut pc = block.start;
        while pc < block.end {
            let Some(insn) = self.text.insn(pc) else { return [None, None] };
            last = Some((pc, insn));
            step(&insn, self.seen.region(pc), &mut regs, &mut stack);
            pc.0 += insn.slots();
        }
        let block_at = |pc: Pc| {
            let index = self.begins.get(pc.index()).copied().flatten()?;
            Some(index as usize)
        };
        let Some((pc, insn)) = last else { return [None, None] };
        let Insn::Branch { op, width, dst, src, off } = insn else {
            let mut ways = insn.successors(pc).flatten();
            let way = |to: Option<Pc>| Some((block_at(to?)?, regs));
            return [way(ways.next()), way(ways.next())];
        };
        let only = self.seen.only_way(pc).or_else(|| decide(&insn, &regs));
        let way = |holds: bool, to: Option<Pc>| {
            if only == Some(!holds) {
                return None;
            }
            let (a, b) = (regs[dst.index()], value(src, &regs));
            let (a, b) = range::refine(op, width, holds, a, b)?;
            let mut regs = regs;
            regs[dst.index()] = a;
            if let Operand::Reg(src) = src {
                regs[src.index()] = b;
            }
            Some((block_at(to?)?, regs))
        };
        [way(false, Some(Pc(pc.0 + insn.slots()))), way(true, pc.target(off.into()))]
    }
}

/// Which way a conditional jump goes by what is known of its operands.
pub(super) fn decide(insn: &Insn, regs: &Regs) -> Option<bool> {
    let Insn::Branch { op, width, dst, src, .. } = *insn else { return None };
    let (a, b) = (regs[dst.index()], value(src, regs));
    let possible = |holds| range::refine(op, width, holds, a, b).is_some();
    range::decide(op, width, a, b).or_else(|| match (possible(true), possible(false)) {
        (true, true) => None,
        (holds, _) => Some(holds),
    })
}

/// The range of an operand.
pub(super) const fn value(operand: Operand, regs: &Regs) -> Range {
    match operand {
        Operand::Reg(reg) => regs[reg.index()],
        Operand::Imm(imm) => Range::of((imm as i64).cast_unsigned()),
    }
}

/// What one instruction does.
pub(super) fn step(insn: &Insn, region: Region, regs: &mut Regs, stack: &mut StackValues) {
    let of = |reg: Reg| regs[reg.index()];
    let result = match *insn {
        Insn::Alu { op, width, dst, src } => {
            Some((dst, range::alu(op, width, of(dst), value(src, regs))))
        }
        Insn::Neg { width, dst } => Some((dst, range::neg(width, of(dst)))),
        Insn::Mov { width, dst, src } => Some((dst, range::operand(width, value(src, regs)))),
        Insn::MovSx { width, dst, src, from } => {
            Some((dst, range::sign_extend(width, from.bits(), of(src))))
        }
        Insn::Swap { op, width, dst } => Some((dst, range::swap(op, width, of(dst)))),
        Insn::Load { size, signed, dst, .. } => {
            let bits = size.bytes() * 8;
            let all = if signed { Range::ANY } else { range::of_bits(bits) };
            let known = match region {
                Region::Stack { off: Some(off) } => stack.get(off, size.bytes()),
                _ => None,
            };
            Some((dst, known.filter(|range| range.max <= all.max && !signed).unwrap_or(all)))
        }
        Insn::LoadAcquire { size, dst, .. } => Some((dst, range::of_bits(size.bytes() * 8))),
        Insn::LdImm64 { dst, imm } => Some((
            dst,
            match imm {
                Imm64::Value(value) => Range::of(value),
                Imm64::BtfId { .. } => Range::ANY,
                Imm64::MapFd(_)
                | Imm64::MapIdx(_)
                | Imm64::MapValue { .. }
                | Imm64::MapIdxValue { .. }
                | Imm64::Func(_) => ADDRESS,
            },
        )),
        Insn::Store { size, src, .. } => {
            stack.store(region, size.bytes(), value(src, regs));
            None
        }
        Insn::StoreRelease { size, src, .. } => {
            stack.store(region, size.bytes(), of(src));
            None
        }
        Insn::Atomic { op, size, src, .. } => {
            stack.store(region, size.size().bytes(), Range::ANY);
            let old = match op {
                AtomicOp::Cmpxchg => Some(Reg::R0),
                _ => op.old_value_to(src),
            };
            old.map(|old| (old, range::of_bits(size.size().bytes() * 8)))
        }
        Insn::AddrSpaceCast { dst, .. } => Some((dst, Range::ANY)),
        Insn::LdAbs { .. } | Insn::LdInd { .. } | Insn::Call(_) | Insn::CallX { .. } => {
            for reg in RegSet::CALLER_SAVED.iter() {
                regs[reg.index()] = Range::ANY;
            }
            *stack = StackValues::default();
            None
        }
        Insn::Jump { .. } | Insn::Branch { .. } | Insn::MayGoto { .. } | Insn::Exit => None,
    };
    if let Some((reg, range)) = result {
        regs[reg.index()] = range;
    }
}

/// The operands of an instruction before it, as [`InsnFacts`](ubpf_abi::verified::InsnFacts) has
/// them: destination and source.
pub(super) fn operands(insn: &Insn, regs: &Regs) -> (Range, Range) {
    let of = |reg: Reg| regs[reg.index()];
    match *insn {
        Insn::Alu { dst, src, .. } | Insn::Branch { dst, src, .. } => (of(dst), value(src, regs)),
        Insn::Neg { dst, .. } | Insn::Swap { dst, .. } => (of(dst), Range::ANY),
        Insn::Mov { src, .. } => (Range::ANY, value(src, regs)),
        Insn::MovSx { src, .. } => (Range::ANY, of(src)),
        Insn::Load { base, .. } | Insn::LoadAcquire { base, .. } => (Range::ANY, of(base)),
        Insn::Store { base, src, .. } => (of(base), value(src, regs)),
        Insn::StoreRelease { base, src, .. } | Insn::Atomic { base, src, .. } => {
            (of(base), of(src))
        }
        Insn::LdImm64 { .. }
        | Insn::LdAbs { .. }
        | Insn::LdInd { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::Call(CallTarget::Helper(_) | CallTarget::Subprog(_) | CallTarget::Kfunc { .. })
        | Insn::CallX { .. }
        | Insn::Jump { .. }
        | Insn::MayGoto { .. }
        | Insn::Exit => (Range::ANY, Range::ANY),
    }
}

/// Numbers that were stored on the running subprogram's stack since the block began.
#[derive(Default)]
pub(super) struct StackValues {
    values: Vec<StackValue>,
}

struct StackValue {
    off: i16,
    bytes: u32,
    range: Range,
}

impl StackValue {
    const fn covers(&self, off: i32, bytes: u32) -> bool {
        let start = self.off as i32;
        start <= off && off + bytes as i32 <= start + self.bytes as i32
    }

    const fn overlaps(&self, off: i32, bytes: u32) -> bool {
        let start = self.off as i32;
        start < off + bytes as i32 && off < start + self.bytes as i32
    }
}

impl StackValues {
    /// How many are kept.
    const MAX: usize = 16;

    fn get(&self, off: i16, bytes: u32) -> Option<Range> {
        let found = self.values.iter().find(|v| v.off == off && v.bytes == bytes)?;
        Some(found.range)
    }

    fn store(&mut self, region: Region, bytes: u32, range: Range) {
        match region {
            Region::Stack { off: Some(off) } => {
                self.values.retain(|value| !value.overlaps(off.into(), bytes));
                if self.values.len() < Self::MAX {
                    let all = range::of_bits(bytes * 8);
                    let range = match range.as_const() {
                        Some(value) => Range::of(value & all.max),
                        None if range.max <= all.max => range,
                        None => all,
                    };
                    self.values.push(StackValue { off, bytes, range });
                }
            }
            // It may be the running subprogram's stack, on some paths or at some place.
            Region::Stack { off: None } | Region::Unknown | Region::Memory => self.values.clear(),
            Region::CallerStack
            | Region::Ctx
            | Region::Packet
            | Region::MapValue(_)
            | Region::Object => {}
        }
    }

    /// The number of up to 8 bytes at `off`, where every byte of it is known.
    pub(super) fn constant(&self, off: i16, bytes: u32) -> Option<u64> {
        if bytes > 8 {
            return None;
        }
        (0..bytes).try_fold(0, |number, index| {
            let at = i32::from(off) + index as i32;
            let value = self.values.iter().find(|value| value.covers(at, 1))?;
            let byte = value.range.as_const()? >> (8 * (at - i32::from(value.off))) & 0xff;
            Some(number | byte << (8 * index))
        })
    }
}

/// Whether an operation is 32 bits wide.
pub(super) const fn is_narrow(insn: &Insn) -> bool {
    matches!(
        insn,
        Insn::Alu { width: Width::W32, .. }
            | Insn::Neg { width: Width::W32, .. }
            | Insn::Mov { width: Width::W32, .. }
            | Insn::MovSx { width: Width::W32, .. }
    )
}
