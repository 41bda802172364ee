//! The one walk over [`Code`], whatever the machine.

use crate::blocks::{Block, BlockId, Blocks, End};
use crate::liveness::{Liveness, computes};
use crate::masm::{Access, Charge, Condition, Frame, MacroAssembler};
use crate::meter::Meter;
use crate::operands::{defs, uses};
use crate::select::{Selected, select};
use crate::window::Places;
use ubpf_abi::TrapKind;
use ubpf_isa::{Operand, Reg, RegSet, SignExtend, Width};
use ubpf_vm::code::{Code, MemAccess, MemMode, Op, OpIndex, Subprog};

/// Compiles a program.
pub(crate) fn emit<M: MacroAssembler>(code: &Code, mode: MemMode) -> (M::Output, Meter) {
    let blocks = Blocks::of(code);
    let meter = Meter::plan(&blocks);
    let liveness = Liveness::of(code, &blocks);
    let mut masm = M::new(mode, code.ops().len());
    let targets = blocks.iter().map(|(_, block)| block.is_target.then(|| masm.label())).collect();
    let entries: Vec<M::Label> = code.subprogs().iter().map(|_| masm.label()).collect();
    let tail_entry = masm.label();
    let mut walk = Walk {
        code,
        blocks: &blocks,
        meter: &meter,
        liveness: &liveness,
        live: Vec::new(),
        targets,
        entries: &entries,
        images_change: code.ops().contains(&Op::TailCall),
        places: Places::default(),
        masm,
    };
    let mut subprogs = code.subprogs().iter().enumerate().peekable();
    for (id, block) in blocks.iter() {
        if let Some((number, subprog)) = subprogs.next_if(|(_, s)| s.start == block.start) {
            let end = subprogs.peek().map_or(code.ops().len(), |(_, next)| next.start.index());
            let frame = frame(subprog, &code.ops()[subprog.start.index()..end]);
            walk.masm.enter(frame, entries[number], (number == 0).then_some(tail_entry));
            walk.places.enter();
        }
        walk.block(id, block);
    }
    let Walk { masm, .. } = walk;
    (masm.finish(&entries, tail_entry), meter)
}

/// What a function needs of its frame.
fn frame(subprog: &Subprog, ops: &[Op]) -> Frame {
    let (mut changed, mut used) = (RegSet::EMPTY, RegSet::EMPTY);
    for op in ops {
        changed |= defs(op);
        used |= uses(op);
    }
    let saved = RegSet::from_iter([Reg::R6, Reg::R7, Reg::R8, Reg::R9]);
    Frame {
        changed: changed & saved,
        used: (changed | used) & saved,
        calls: ops.iter().any(|op| {
            matches!(op, Op::CallHelper { .. } | Op::CallSubprog { .. } | Op::CallReg { .. })
        }),
        iterates: ops.iter().any(|op| matches!(op, Op::MayGoto { .. })),
        stack_bytes: subprog.stack_bytes,
    }
}

struct Walk<'a, M: MacroAssembler> {
    code: &'a Code,
    blocks: &'a Blocks,
    meter: &'a Meter,
    liveness: &'a Liveness,
    /// Of the block at hand, the registers that are live behind each op, last op first.
    live: Vec<RegSet>,
    /// Where jumps to a block lead; for those that have any.
    targets: Vec<Option<M::Label>>,
    /// Where calls of a function lead.
    entries: &'a [M::Label],
    /// Whether another program may have run when a call returns.
    images_change: bool,
    places: Places,
    masm: M,
}

impl<M: MacroAssembler> Walk<'_, M> {
    fn block(&mut self, id: BlockId, block: &Block) {
        if let Some(label) = self.targets[id.index()] {
            self.masm.bind(label);
        }
        let code = self.code;
        let start = block.start.index();
        let last = start + block.len as usize - 1;
        self.straight(id, start, &code.ops()[start..=last], block.end);
        let last = OpIndex(last as u32);
        let op = &code.ops()[last.index()];
        match block.end {
            End::Fall => self.charge(id, id.next()),
            End::Jump(to) => {
                let charge = self.charge_of_jump(id, to, last);
                let target = self.target(to);
                self.masm.jump(target, charge);
            }
            End::Branch(to) => {
                let charge = self.charge_of_jump(id, to, last);
                let target = self.target(to);
                let condition = match *op {
                    Op::Branch { op, width, dst, src, .. } => {
                        Condition::Compare { op, width, dst, src }
                    }
                    _ => Condition::Exhausted,
                };
                self.masm.branch(condition, target, charge);
                self.charge(id, id.next());
            }
            End::Call | End::Leave => {
                self.settle(id);
                self.op(last, op);
                self.places.follow(op);
            }
        }
    }

    /// The ops of a block but for the jump, call or exit at its end: in sequences where there
    /// are any, without those whose results nobody reads.
    fn straight(&mut self, id: BlockId, start: usize, ops: &[Op], end: End) {
        let mut live = self.liveness.behind(id);
        self.live.clear();
        self.live.extend(ops.iter().rev().map(|op| {
            let behind = live;
            live = Liveness::before(op, behind);
            behind
        }));
        let plain = if end == End::Fall { ops } else { &ops[..ops.len() - 1] };
        let mut index = 0;
        let mut rest = plain;
        while let [op, ..] = rest {
            let (selected, len) = match select(rest) {
                Some((selected, len)) => (Some(selected), len),
                None => (None, 1),
            };
            let live = self.live[ops.len() - index - len];
            match selected {
                Some(selected) => self.sequence(selected, live),
                None if computes(op).is_some_and(|reg| !live.contains(reg)) => {}
                None => self.op(OpIndex((start + index) as u32), op),
            }
            let (done, behind) = rest.split_at(len);
            done.iter().for_each(|op| self.places.follow(op));
            rest = behind;
            index += len;
        }
    }

    fn sequence(&mut self, selected: Selected, live: RegSet) {
        let masm = &mut self.masm;
        match selected {
            Selected::ZeroExtend { dst, src } => masm.mov(Width::W32, dst, Operand::Reg(src)),
            Selected::SignExtend { dst, src } => {
                masm.mov_sx(Width::W64, dst, src, SignExtend::From32);
            }
            Selected::Sum { dst, base, addend } => masm.sum(dst, base, addend),
            Selected::Rotate { width, src, copy, result, by, other } => {
                let needed = live.contains(other.reg);
                if needed || result == copy {
                    masm.mov(width, copy, Operand::Reg(src));
                }
                masm.rotate(width, result, by);
                if needed {
                    masm.alu(other.op, width, other.reg, Operand::Imm(other.by));
                }
            }
        }
    }

    /// The label of a block that a jump leads to.
    fn target(&mut self, block: BlockId) -> M::Label {
        let masm = &mut self.masm;
        *self.targets[block.index()].get_or_insert_with(|| masm.label())
    }

    fn cost(&self, from: BlockId, to: BlockId) -> i32 {
        let len = self.blocks.get(from).len as i32;
        self.meter.credit(to) - self.meter.credit(from) + len
    }

    fn charge_of_jump(&self, from: BlockId, to: BlockId, op: OpIndex) -> Charge {
        let cost = self.cost(from, to);
        if to <= from { Charge::Back(cost, op) } else { Charge::Ahead(cost) }
    }

    fn charge(&mut self, from: BlockId, to: BlockId) {
        let cost = self.cost(from, to);
        self.masm.charge(cost);
    }

    /// Makes the counter exact at the end of a block.
    fn settle(&mut self, block: BlockId) {
        let cost = self.blocks.get(block).len as i32 - self.meter.credit(block);
        self.masm.charge(cost);
    }

    fn op(&mut self, index: OpIndex, op: &Op) {
        let trusted = self.code.access(index) == MemAccess::Trusted;
        let access = |places: &Places, base, off| Access {
            op: index,
            trusted,
            base,
            off,
            place: places.of(base),
        };
        let masm = &mut self.masm;
        match *op {
            Op::Alu { op, width, dst, src } => masm.alu(op, width, dst, src),
            Op::Neg { width, dst } => masm.neg(width, dst),
            Op::Mov { width, dst, src } => masm.mov(width, dst, src),
            Op::MovSx { width, dst, src, from } => masm.mov_sx(width, dst, src, from),
            Op::Swap { op, width, dst } => masm.swap(op, width, dst),
            Op::Const { dst, value } => masm.constant(dst, value),
            Op::Load { size, signed, dst, base, off } => {
                masm.load(access(&self.places, base, off), size, signed, dst);
            }
            Op::Store { size, base, off, src } => {
                masm.store(access(&self.places, base, off), size, src);
            }
            Op::Atomic { op, size, base, off, src } => {
                masm.atomic(access(&self.places, base, off), op, size, src);
            }
            Op::LoadAcquire { size, dst, base, off } => {
                masm.load_acquire(access(&self.places, base, off), size, dst);
            }
            Op::StoreRelease { size, base, off, src } => {
                masm.store_release(access(&self.places, base, off), size, src);
            }
            Op::LoadPacket { index: base, imm, .. } => masm.load_packet(index, base, imm),
            Op::CallHelper { helper } => match self.code.helper(helper) {
                Some(target) => masm.call_helper(index, target.body),
                None => masm.trap(index, TrapKind::UnknownHelper),
            },
            Op::CallSubprog { subprog } => match self.entries.get(subprog.0 as usize) {
                Some(&entry) => masm.call_subprog(index, entry, self.images_change),
                None => masm.trap(index, TrapKind::BadCallTarget),
            },
            Op::CallReg { target } => masm.call_reg(index, target, self.images_change),
            Op::TailCall => masm.tail_call(index),
            Op::Exit => masm.leave(),
            Op::Trap { kind } => masm.trap(index, kind),
            // They end blocks.
            Op::Jump { .. } | Op::Branch { .. } | Op::MayGoto { .. } => {}
        }
    }
}
