//! In which order blocks lie in memory.
//!
//! The program's, for compilers put blocks in order, but that what lies outside a loop does not
//! stand in its way. Jumps to jumps lead to their end.

use crate::blocks::{Block, BlockId, Blocks, End};

/// The order of a program's blocks.
pub(crate) struct Layout {
    pub(crate) order: Vec<BlockId>,
    loops: Loops,
}

/// The loops of a program.
struct Loops {
    /// Around each block.
    depth: Vec<u8>,
    /// Blocks in the loop that each block begins, or 0.
    size: Vec<u32>,
}

impl Layout {
    /// The program's own order.
    pub(crate) fn as_written(blocks: &Blocks) -> Self {
        let order = blocks.iter().map(|(id, _)| id).collect();
        let loops = Loops { depth: vec![0; blocks.len()], size: vec![0; blocks.len()] };
        Self { order, loops }
    }

    /// An order by loops. The blocks of a function stay together, its entry first; those that
    /// only jump are left out.
    pub(crate) fn by_loops(blocks: &Blocks) -> Self {
        let order = Vec::with_capacity(blocks.len());
        let mut layout = Self { order, loops: Loops::of(blocks) };
        let left_out = |(id, block): (BlockId, &Block)| {
            blocks.only_jumps(id) && !block.follows_call && !in_circle(blocks, id)
        };
        let mut placed: Vec<bool> = blocks.iter().map(left_out).collect();
        for (id, _) in blocks.iter() {
            let mut next = (!placed[id.index()]).then_some(id);
            while let Some(at) = next {
                placed[at.index()] = true;
                layout.order.push(at);
                next = layout.follower(blocks, at, &placed);
            }
        }
        layout
    }

    /// The block to put behind another one: what followed it in the program, unless the jump at
    /// its end leads deeper into loops.
    fn follower(&self, blocks: &Blocks, at: BlockId, placed: &[bool]) -> Option<BlockId> {
        let unplaced = |id: BlockId| {
            let free = placed.get(id.index()).is_some_and(|placed| !placed);
            (free && !blocks.get(id).is_entry).then_some(id)
        };
        let end = blocks.get(at).end;
        let next = match end {
            End::Fall | End::Branch(_) => unplaced(blocks.destination(at.next())),
            End::Call | End::Jump(_) | End::Leave => unplaced(at.next()),
        };
        let to = match end {
            End::Branch(to) | End::Jump(to) => unplaced(blocks.destination(to)),
            End::Fall | End::Call | End::Leave => None,
        };
        match (next, to) {
            (Some(next), Some(to)) if self.depth(to) > self.depth(next) => Some(to),
            (next, to) => next.or(to),
        }
    }

    fn depth(&self, id: BlockId) -> u8 {
        self.loops.depth[id.index()]
    }

    /// Whether a block begins a tight loop: of those it matters where in memory they begin, while
    /// others only get longer.
    pub(crate) fn begins_tight_loop(&self, id: BlockId) -> bool {
        /// The body, and a few conditions in it.
        const MOST_BLOCKS: u32 = 8;
        (1..=MOST_BLOCKS).contains(&self.loops.size[id.index()])
    }
}

/// Whether jumps from a block that only jumps never get anywhere else.
fn in_circle(blocks: &Blocks, id: BlockId) -> bool {
    blocks.only_jumps(blocks.destination(id))
}

impl Loops {
    /// A block lies in the loops of those jumps back that can be reached from it without passing
    /// in front of their target. Where loops are nested too deeply for that to be cheap, some are
    /// missing.
    fn of(blocks: &Blocks) -> Self {
        let before = predecessors(blocks);
        // Jumps back to one block make one loop.
        let mut back: Vec<(BlockId, BlockId)> = blocks
            .iter()
            .filter_map(|(id, block)| match block.end {
                End::Jump(to) | End::Branch(to) if to <= id => Some((to, id)),
                _ => None,
            })
            .collect();
        back.sort_unstable();
        let mut loops = Self { depth: vec![0; blocks.len()], size: vec![0; blocks.len()] };
        // Behind the head of the last loop that each block was found in.
        let mut seen = vec![BlockId(0); blocks.len()];
        let mut steps = 16 * blocks.len() + 64;
        for jumps in back.chunk_by(|one, other| one.0 == other.0) {
            let Some(&(head, _)) = jumps.first() else { continue };
            let mut pending: Vec<BlockId> = jumps.iter().map(|&(_, from)| from).collect();
            while let Some(id) = pending.pop() {
                if id < head || seen[id.index()] == head.next() || steps == 0 {
                    continue;
                }
                steps -= 1;
                seen[id.index()] = head.next();
                loops.size[head.index()] += 1;
                loops.depth[id.index()] = loops.depth[id.index()].saturating_add(1);
                if id != head {
                    pending.extend(before.of(id));
                }
            }
        }
        loops
    }
}

/// From where control gets to each block.
struct Predecessors {
    starts: Vec<u32>,
    list: Vec<BlockId>,
}

impl Predecessors {
    fn of(&self, id: BlockId) -> impl Iterator<Item = BlockId> {
        let (from, to) = (self.starts[id.index()], self.starts[id.index() + 1]);
        self.list[from as usize..to as usize].iter().copied()
    }
}

fn predecessors(blocks: &Blocks) -> Predecessors {
    let edges = |each: &mut dyn FnMut(BlockId, BlockId)| {
        for (id, block) in blocks.iter() {
            if let End::Jump(to) | End::Branch(to) = block.end {
                each(id, to);
            }
            if let End::Fall | End::Branch(_) | End::Call = block.end
                && id.next().index() < blocks.len()
            {
                each(id, id.next());
            }
        }
    };
    let mut starts = vec![0_u32; blocks.len() + 1];
    edges(&mut |_, to| starts[to.index() + 1] += 1);
    for index in 0..blocks.len() {
        starts[index + 1] += starts[index];
    }
    let mut next = starts.clone();
    let mut list = vec![BlockId(0); starts[blocks.len()] as usize];
    edges(&mut |from, to| {
        list[next[to.index()] as usize] = from;
        next[to.index()] += 1;
    });
    Predecessors { starts, list }
}
