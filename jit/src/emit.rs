//! The one walk over [`Code`], whatever the machine: blocks, and how control gets from one to
//! the next. What lies inside a block is emitted by [`straight`](crate::straight).

use crate::blocks::{Block, BlockId, Blocks, End};
use crate::layout::Layout;
use crate::liveness::Liveness;
use crate::masm::{Charge, Condition, Frame, MacroAssembler, Plan};
use crate::meter::Meter;
use crate::narrow::Narrow;
use crate::operands::{defs, uses};
use crate::values::{Value, Values};
use crate::window::Places;
use ubpf_isa::{CmpOp, Operand, Reg, RegSet, Width};
use ubpf_vm::code::{Code, MemMode, Op, OpIndex, Subprog};

/// Compiles a program.
pub(crate) fn emit<M: MacroAssembler>(
    code: &Code,
    mode: MemMode,
    metered: bool,
    marks: bool,
) -> (M::Output, Meter) {
    let blocks = Blocks::of(code);
    let meter = Meter::plan(&blocks);
    let images_change = code.ops().contains(&Op::TailCall);
    let plan = Plan { mode, metered, images_change, marks };
    let trusted = mode != MemMode::Checked;
    let mut masm = M::new(plan, code.ops().len());
    let entries: Vec<M::Label> = code.subprogs().iter().map(|_| masm.label()).collect();
    let tail_entry = masm.label();
    let mut walk = Walk {
        code,
        plan,
        trusted,
        blocks: &blocks,
        meter: &meter,
        liveness: Liveness::of(code, &blocks, trusted),
        facts: Narrow::of(code, &blocks),
        layout: if metered { Layout::as_written(&blocks) } else { Layout::by_loops(&blocks) },
        framed: framed(code),
        live: Vec::new(),
        values: Values::own(),
        narrow: RegSet::EMPTY,
        needed: RegSet::EMPTY,
        labels: vec![None; blocks.len()],
        entries: &entries,
        places: Places::default(),
        masm,
    };
    walk.all(tail_entry);
    let Walk { masm, .. } = walk;
    (masm.finish(&entries, tail_entry), meter)
}

/// The ops of each function.
fn functions(code: &Code) -> impl Iterator<Item = (&Subprog, &[Op])> {
    let subprogs = code.subprogs();
    let ends = subprogs.iter().skip(1).map(|next| next.start.index());
    let ends = ends.chain(core::iter::once(code.ops().len()));
    subprogs.iter().zip(ends).map(|(s, end)| (s, &code.ops()[s.start.index()..end]))
}

/// Of each function, whether it needs `r10` of its own: because it uses it, or because something
/// that it calls may.
fn framed(code: &Code) -> Vec<bool> {
    let mut framed: Vec<bool> = functions(code)
        .map(|(subprog, ops)| {
            subprog.stack_bytes > 0
                || ops.iter().any(|op| {
                    let calls =
                        matches!(op, Op::CallHelper { .. } | Op::CallReg { .. } | Op::TailCall);
                    calls || !matches!(op, Op::CallSubprog { .. }) && uses(op).contains(Reg::FP)
                })
        })
        .collect();
    // Calls chains are short; what is not known by then is taken to be framed.
    for _ in 0..ubpf_abi::limits::MAX_CALL_FRAMES {
        let calls_framed = |ops: &[Op]| {
            ops.iter().any(|op| match op {
                Op::CallSubprog { subprog } => {
                    framed.get(subprog.0 as usize).copied().unwrap_or(true)
                }
                _ => false,
            })
        };
        let next: Vec<bool> = functions(code)
            .zip(&framed)
            .map(|((_, ops), &framed)| framed || calls_framed(ops))
            .collect();
        if next == framed {
            break;
        }
        framed = next;
    }
    framed
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
        stack_bytes: if subprog.clear { subprog.stack_bytes } else { 0 },
    }
}

/// The walk.
pub(crate) struct Walk<'a, M: MacroAssembler> {
    pub(crate) code: &'a Code,
    pub(crate) plan: Plan,
    /// Whether a verifier has accepted the program.
    pub(crate) trusted: bool,
    blocks: &'a Blocks,
    meter: &'a Meter,
    pub(crate) liveness: Liveness,
    facts: Narrow,
    layout: Layout,
    /// Of each function, whether it has an `r10` of its own.
    pub(crate) framed: Vec<bool>,
    /// Of the block at hand, the registers that are live behind each op, last op first.
    live: Vec<RegSet>,
    pub(crate) values: Values,
    /// Registers whose values have zeros in their upper half.
    pub(crate) narrow: RegSet,
    /// Registers whose values somebody still reads.
    pub(crate) needed: RegSet,
    /// Where jumps to a block lead; for those that have any.
    labels: Vec<Option<M::Label>>,
    /// Where calls of a function lead.
    pub(crate) entries: &'a [M::Label],
    pub(crate) places: Places,
    pub(crate) masm: M,
}

impl<M: MacroAssembler> Walk<'_, M> {
    fn all(&mut self, tail_entry: M::Label) {
        let code = self.code;
        let functions: Vec<_> = functions(code).collect();
        let order = core::mem::take(&mut self.layout.order);
        for (index, &id) in order.iter().enumerate() {
            let block = *self.blocks.get(id);
            if block.is_entry {
                let found = functions.binary_search_by_key(&block.start, |(s, _)| s.start);
                let number = found.unwrap_or_else(|next| next.saturating_sub(1));
                let (subprog, ops) = functions[number];
                let tail_entry = (number == 0).then_some(tail_entry);
                self.masm.enter(frame(subprog, ops), self.entries[number], tail_entry);
                self.places.enter();
            }
            if self.layout.begins_tight_loop(id) {
                self.masm.align();
            }
            let label = self.label(id);
            self.masm.bind(label);
            self.block(id, &block, order.get(index + 1).copied());
        }
        if self.plan.marks {
            // Where the last one's code ends.
            self.masm.mark(OpIndex(code.ops().len() as u32));
        }
    }

    fn block(&mut self, id: BlockId, block: &Block, next: Option<BlockId>) {
        self.narrow = self.facts.at_start(id);
        self.values = Values::own();
        let start = block.start.index();
        let ops = &self.code.ops()[start..start + block.len as usize];
        let behind = self.liveness.behind(id);
        let mut live = behind;
        self.live.clear();
        self.live.extend(ops.iter().rev().map(|op| {
            let behind = live;
            live = self.liveness.before(op, behind);
            behind
        }));
        let plain = if block.end == End::Fall { ops } else { &ops[..ops.len() - 1] };
        for (index, op) in plain.iter().enumerate() {
            let live = self.live[ops.len() - index - 1];
            if self.plan.marks {
                self.masm.mark(OpIndex((start + index) as u32));
            }
            self.op(OpIndex((start + index) as u32), op, live);
            self.places.follow(op);
        }
        let last = OpIndex((start + ops.len() - 1) as u32);
        if self.plan.marks && block.end != End::Fall {
            self.masm.mark(last);
        }
        self.end(id, block, last, next, behind);
    }

    /// How control leaves a block.
    fn end(
        &mut self,
        id: BlockId,
        block: &Block,
        last: OpIndex,
        next: Option<BlockId>,
        behind: RegSet,
    ) {
        let op = &self.code.ops()[last.index()];
        match block.end {
            End::Fall => {
                self.flush(behind);
                self.go_on(id, id.next(), last, next);
            }
            End::Jump(to) => {
                self.flush(behind);
                self.go_on(id, to, last, next);
            }
            End::Branch(to) => {
                let condition = self.condition(op, behind);
                let (to, on) = (self.destination(to), self.destination(id.next()));
                if next == Some(to) && !self.plan.metered {
                    let target = self.label(on);
                    self.masm.branch(condition, false, target, Charge::NONE);
                } else {
                    let charge = self.charge_of_jump(id, to, last);
                    let target = self.label(to);
                    self.masm.branch(condition, true, target, charge);
                    self.go_on(id, on, last, next);
                }
            }
            End::Call => {
                self.settle(id);
                if !self.inlined(last, op, behind) {
                    self.flush(behind | self.liveness.reads(op));
                    self.call(last, op);
                }
                self.places.follow(op);
                if next != Some(id.next()) {
                    let target = self.label(id.next());
                    self.masm.jump(target, Charge::NONE);
                }
            }
            End::Leave => {
                self.flush(self.liveness.reads(op));
                self.settle(id);
                self.call(last, op);
            }
        }
    }

    /// From the end of a block to another one.
    fn go_on(&mut self, from: BlockId, to: BlockId, op: OpIndex, next: Option<BlockId>) {
        let to = self.destination(to);
        if next == Some(to) && to == from.next() {
            let cost = self.cost(from, to);
            self.masm.charge(cost);
        } else if next != Some(to) || self.plan.metered {
            let charge = self.charge_of_jump(from, to, op);
            let target = self.label(to);
            self.masm.jump(target, charge);
        }
    }

    /// Where a jump to a block leads in the end. Where ops are counted jumps count, too.
    fn destination(&self, block: BlockId) -> BlockId {
        if self.plan.metered { block } else { self.blocks.destination(block) }
    }

    /// Where jumps to a block lead.
    fn label(&mut self, block: BlockId) -> M::Label {
        let masm = &mut self.masm;
        *self.labels[block.index()].get_or_insert_with(|| masm.label())
    }

    /// What a branch asks. Every value that is live behind it is in its register then.
    fn condition(&mut self, op: &Op, behind: RegSet) -> Condition {
        let Op::Branch { op, width, dst, src, .. } = *op else {
            self.flush(behind);
            return Condition::Exhausted;
        };
        if let (Value::Mask { width: masked, src: reg, imm }, Operand::Imm(0)) =
            (self.values.get(dst), src)
            && matches!(op, CmpOp::Eq | CmpOp::Ne)
            && (width == Width::W64 || masked == Width::W32)
            && !behind.contains(dst)
            && !(self.values.pending() & behind).contains(reg)
        {
            self.flush(behind);
            return Condition::Masked { width: masked, reg, imm, zero: op == CmpOp::Eq };
        }
        if let (Value::Sum(_), Operand::Imm(0)) = (self.values.get(dst), src) {
            // Last, for the flags may tell then.
            self.flush_but(behind, dst);
            self.force(dst);
            return Condition::Compare { op, width, dst, src };
        }
        let dst = self.compared(dst, width, behind);
        let src = match src {
            Operand::Imm(imm) => Operand::Imm(imm),
            Operand::Reg(reg) => match (self.values.get(reg), op) {
                (Value::Const(value), _) if i32::try_from(value.cast_signed()).is_ok() => {
                    Operand::Imm(value as i32)
                }
                _ => Operand::Reg(self.compared(reg, width, behind)),
            },
        };
        let regs = match src {
            Operand::Reg(src) => RegSet::of(dst).union(RegSet::of(src)),
            Operand::Imm(_) => RegSet::of(dst),
        };
        self.flush(behind | regs);
        Condition::Compare { op, width, dst, src }
    }

    /// The register that holds an operand of a comparison, and does so behind a flush.
    fn compared(&mut self, reg: Reg, width: Width, behind: RegSet) -> Reg {
        match self.values.holder(reg, width) {
            Some(holder) if !behind.contains(reg) && !self.values.pending().contains(holder) => {
                holder
            }
            _ => {
                self.force(reg);
                reg
            }
        }
    }

    fn cost(&self, from: BlockId, to: BlockId) -> i32 {
        if !self.plan.metered {
            return 0;
        }
        let len = self.blocks.get(from).len as i32;
        self.meter.credit(to) - self.meter.credit(from) + len
    }

    fn charge_of_jump(&self, from: BlockId, to: BlockId, op: OpIndex) -> Charge {
        let cost = self.cost(from, to);
        if to <= from && self.plan.metered { Charge::Back(cost, op) } else { Charge::Ahead(cost) }
    }

    /// Makes the counter exact at the end of a block.
    fn settle(&mut self, block: BlockId) {
        if self.plan.metered {
            let cost = self.blocks.get(block).len as i32 - self.meter.credit(block);
            self.masm.charge(cost);
        }
    }
}
