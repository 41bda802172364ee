//! Where the budget is charged.
//!
//! Charging every block would cost an instruction in each. Instead every block gets a *credit*:
//! how many ops fewer have been executed on entry than the counter says. Going from one block to
//! another then costs nothing wherever the credits differ by just the length of the block, and
//! the credits can be chosen so that this holds on all edges of a spanning tree of the graph
//! (Knuth's placement of counters). What is left is about one charge in a loop.
//!
//! ```text
//!    budget left on entry to a block = counter + credit(block)
//!    charge on an edge from b to t   = credit(t) - credit(b) + length(b)
//! ```
//!
//! Credits are 0 where the budget is looked at (loop heads) and where others rely on the counter
//! (entries of functions, behind calls).

use crate::blocks::{BlockId, Blocks, End};
use ubpf_vm::code::OpIndex;

/// The credits of a program's blocks.
#[derive(Debug)]
pub(crate) struct Meter {
    /// By first op, with the credit.
    blocks: Vec<(OpIndex, i32)>,
}

impl Meter {
    /// Chooses credits.
    pub(crate) fn plan(blocks: &Blocks) -> Self {
        let mut tree = Tree::new(blocks.len());
        for (id, block) in blocks.iter() {
            if block.is_entry || block.follows_call || block.is_loop_head {
                tree.tie(tree.ground(), id.0, 0);
            }
        }
        // Branches taken forwards come first: charging them takes a detour. Then what leads on,
        // where a charge stands in line. Ways back are charged in any case.
        for (id, block) in blocks.iter() {
            if let End::Branch(to) = block.end
                && to > id
            {
                tree.tie(id.0, to.0, block.len as i32);
            }
        }
        for (id, block) in blocks.iter() {
            let len = block.len as i32;
            match block.end {
                End::Fall | End::Branch(_) => tree.tie(id.0, id.next().0, len),
                End::Jump(to) if to > id => tree.tie(id.0, to.0, len),
                End::Jump(_) => {}
                End::Call | End::Leave => tree.tie(id.0, tree.ground(), len),
            }
        }
        let (_, ground) = tree.root(tree.ground());
        let credits = blocks.iter().map(|(id, block)| {
            let (_, credit) = tree.root(id.0);
            (block.start, credit - ground)
        });
        Self { blocks: credits.collect() }
    }

    /// What the counter is ahead by on entry to a block.
    pub(crate) fn credit(&self, block: BlockId) -> i32 {
        self.blocks[block.index()].1
    }

    /// What to add to the counter to get the budget left after an op: negative or 0 but for the
    /// credit.
    pub(crate) fn after(&self, op: OpIndex) -> i64 {
        let block = self.blocks.partition_point(|&(start, _)| start <= op).saturating_sub(1);
        let (start, credit) = self.blocks.get(block).copied().unwrap_or((op, 0));
        i64::from(credit) - i64::from(op.0 - start.0 + 1)
    }
}

/// A spanning tree in the making: a union-find structure whose nodes know their credit relative
/// to their parent's.
struct Tree {
    nodes: Vec<(u32, i32)>,
}

impl Tree {
    fn new(blocks: usize) -> Self {
        Self { nodes: (0..=blocks as u32).map(|node| (node, 0)).collect() }
    }

    /// The node of everything whose credit is 0.
    const fn ground(&self) -> u32 {
        self.nodes.len() as u32 - 1
    }

    /// A node's root and its credit relative to the root's.
    fn root(&mut self, node: u32) -> (u32, i32) {
        let mut node = node;
        let mut credit = 0;
        loop {
            let (parent, step) = self.nodes[node as usize];
            if parent == node {
                return (node, credit);
            }
            // Halve the path on the way.
            let (grandparent, more) = self.nodes[parent as usize];
            if grandparent != parent {
                self.nodes[node as usize] = (grandparent, step + more);
            }
            credit += self.nodes[node as usize].1;
            node = self.nodes[node as usize].0;
        }
    }

    /// Makes the way from one node to another free, of which `len` ops are executed, unless
    /// their credits are tied already.
    fn tie(&mut self, from: u32, to: u32, len: i32) {
        let ((from_root, from_credit), (to_root, to_credit)) = (self.root(from), self.root(to));
        if from_root != to_root {
            self.nodes[to_root as usize] = (from_root, from_credit - len - to_credit);
        }
    }
}
