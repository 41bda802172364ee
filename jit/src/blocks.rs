//! Basic blocks: stretches of ops that are entered at the first and left at the last.

use ubpf_vm::code::{Code, Op, OpIndex};

/// Index of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BlockId(pub(crate) u32);

impl BlockId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The block behind it in program order.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How control leaves a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Into the next block.
    Fall,
    /// Always to a block.
    Jump(BlockId),
    /// To a block, or into the next one.
    Branch(BlockId),
    /// Out of the frame and back, into the next block: the budget must be settled meanwhile.
    Call,
    /// For good.
    Leave,
}

/// A block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// First op.
    pub(crate) start: OpIndex,
    /// Ops in it, at least 1.
    pub(crate) len: u32,
    /// How control leaves it.
    pub(crate) end: End,
    /// Whether a jump leads here.
    pub(crate) is_target: bool,
    /// Whether a jump from further down, or from its own end, leads here.
    pub(crate) is_loop_head: bool,
    /// Whether a function begins here.
    pub(crate) is_entry: bool,
    /// Whether it follows a call, in which the budget was settled.
    pub(crate) follows_call: bool,
}

/// The blocks of a program, in program order.
pub(crate) struct Blocks {
    list: Vec<Block>,
}

impl Blocks {
    /// Cuts a program into blocks.
    pub(crate) fn of(code: &Code) -> Self {
        let ops = code.ops();
        let mut leads = vec![false; ops.len() + 1];
        for subprog in code.subprogs() {
            leads[subprog.start.index()] = true;
        }
        for (index, op) in ops.iter().enumerate() {
            if let Some(target) = target(op) {
                leads[target.index()] = true;
            }
            if !matches!(rough_end(op), End::Fall) {
                leads[index + 1] = true;
            }
        }
        let mut blocks = Self { list: Vec::new() };
        for (index, &lead) in leads[..ops.len()].iter().enumerate() {
            if lead {
                blocks.list.push(Block {
                    start: OpIndex(index as u32),
                    len: 0,
                    end: End::Fall,
                    is_target: false,
                    is_loop_head: false,
                    is_entry: false,
                    follows_call: false,
                });
            }
            if let Some(block) = blocks.list.last_mut() {
                block.len += 1;
            }
        }
        blocks.connect(code);
        blocks
    }

    fn connect(&mut self, code: &Code) {
        for subprog in code.subprogs() {
            let entry = self.at(subprog.start);
            self.list[entry.index()].is_entry = true;
        }
        for index in 0..self.list.len() {
            let id = BlockId(index as u32);
            let block = self.list[index];
            let last = code.ops()[block.start.index() + block.len as usize - 1];
            let end = match (rough_end(&last), target(&last)) {
                (End::Jump(_), Some(target)) => End::Jump(self.at(target)),
                (End::Branch(_), Some(target)) => End::Branch(self.at(target)),
                (end, _) => end,
            };
            self.list[index].end = end;
            match end {
                End::Jump(to) | End::Branch(to) => {
                    let target = &mut self.list[to.index()];
                    target.is_target = true;
                    target.is_loop_head |= to <= id;
                }
                End::Call => {
                    if let Some(next) = self.list.get_mut(index + 1) {
                        next.follows_call = true;
                    }
                }
                End::Fall | End::Leave => {}
            }
        }
    }

    /// The block that an op lies in.
    pub(crate) fn at(&self, op: OpIndex) -> BlockId {
        BlockId(self.list.partition_point(|b| b.start <= op).saturating_sub(1) as u32)
    }

    /// Whether a block does nothing but jump.
    pub(crate) fn only_jumps(&self, id: BlockId) -> bool {
        let block = self.get(id);
        block.len == 1 && matches!(block.end, End::Jump(_)) && !block.is_entry
    }

    /// The block that a jump to this one gets to in the end.
    pub(crate) fn destination(&self, mut id: BlockId) -> BlockId {
        // Jumps may lead in a circle.
        const HOPS: u32 = 8;
        for _ in 0..HOPS {
            match self.get(id).end {
                End::Jump(to) if self.only_jumps(id) => id = to,
                _ => break,
            }
        }
        id
    }

    pub(crate) fn get(&self, id: BlockId) -> &Block {
        &self.list[id.index()]
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (BlockId, &Block)> {
        self.list.iter().enumerate().map(|(index, block)| (BlockId(index as u32), block))
    }
}

/// Where an op may jump to.
const fn target(op: &Op) -> Option<OpIndex> {
    match *op {
        Op::Jump { target } | Op::Branch { target, .. } | Op::MayGoto { target } => Some(target),
        _ => None,
    }
}

/// What an op does to a block; targets are not filled in.
const fn rough_end(op: &Op) -> End {
    match op {
        Op::Alu { .. }
        | Op::Neg { .. }
        | Op::Mov { .. }
        | Op::MovSx { .. }
        | Op::Swap { .. }
        | Op::Const { .. }
        | Op::Load { .. }
        | Op::Store { .. }
        | Op::Atomic { .. }
        | Op::LoadAcquire { .. }
        | Op::StoreRelease { .. } => End::Fall,
        Op::Jump { .. } => End::Jump(BlockId(0)),
        Op::Branch { .. } | Op::MayGoto { .. } => End::Branch(BlockId(0)),
        Op::LoadPacket { .. }
        | Op::CallHelper { .. }
        | Op::CallSubprog { .. }
        | Op::CallReg { .. }
        | Op::TailCall => End::Call,
        Op::Exit | Op::Trap { .. } => End::Leave,
    }
}
