//! The order of instructions for data-flow analyses, and the loops they are part of.
//!
//! Programs have up to a million slots, so nothing here recurses. Calls lead to the next
//! instruction only: neither loops nor orders cross subprograms.

use super::Mark;
use crate::text::Text;
use ubpf_abi::program::SubprogId;
use ubpf_isa::Pc;

/// Instructions in postorder, subprogram by subprogram.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pcs: Vec<Pc>,
    /// Where each subprogram begins, and the end of the last.
    starts: Vec<usize>,
}

impl Order {
    /// Orders the instructions of each subprogram from its start.
    pub fn of(text: &Text) -> Self {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Seen {
            No,
            Found,
            Expanded,
        }
        let mut order = Self { pcs: Vec::with_capacity(text.len()), starts: Vec::new() };
        let mut seen = vec![Seen::No; text.len()];
        let mut stack = Vec::new();
        for subprog in (0..text.subprogs() as u32).map(SubprogId) {
            order.starts.push(order.pcs.len());
            stack.push(text.extent(subprog).0);
            while let Some(&top) = stack.last() {
                if seen[top.index()] == Seen::Expanded {
                    order.pcs.push(top);
                    stack.pop();
                    continue;
                }
                seen[top.index()] = Seen::Expanded;
                for next in successors(text, top) {
                    if seen[next.index()] == Seen::No {
                        seen[next.index()] = Seen::Found;
                        stack.push(next);
                    }
                }
            }
        }
        order.starts.push(order.pcs.len());
        order
    }

    pub fn of_subprog(&self, subprog: SubprogId) -> &[Pc] {
        let at = |i: usize| self.starts.get(i).copied().unwrap_or(self.pcs.len());
        &self.pcs[at(subprog.0 as usize)..at(subprog.0 as usize + 1)]
    }

    pub fn all(&self) -> &[Pc] {
        &self.pcs
    }
}

/// The instructions that can follow, inside the program: what comes next, then the target.
pub fn successors(text: &Text, pc: Pc) -> impl Iterator<Item = Pc> {
    let len = text.len();
    let insn = text.insn(pc);
    insn.into_iter()
        .flat_map(move |insn| insn.successors(pc))
        .flatten()
        .filter(move |to| to.index() < len)
}

/// Numbers the loops, from 1: strongly connected components of more than one instruction, or
/// with an edge to themselves (Tarjan's algorithm).
pub fn number_loops(text: &Text, marks: &mut [Mark]) {
    const DONE: u32 = u32::MAX;
    let mut pre = vec![0_u32; text.len()];
    let mut low = vec![0_u32; text.len()];
    let (mut open, mut path) = (Vec::new(), Vec::new());
    let (mut order, mut loops) = (0, 0);
    for root in (0..text.len() as u32).map(Pc) {
        if pre[root.index()] != 0 {
            continue;
        }
        path.push(root);
        'path: while let Some(&at) = path.last() {
            let i = at.index();
            if pre[i] == 0 {
                order += 1;
                (pre[i], low[i]) = (order, order);
                open.push(at);
            }
            for next in successors(text, at) {
                if pre[next.index()] == 0 {
                    path.push(next);
                    continue 'path;
                }
                low[i] = low[i].min(low[next.index()]);
            }
            path.pop();
            if low[i] < pre[i] {
                continue;
            }
            let is_loop = open.last() != Some(&at) || successors(text, at).any(|to| to == at);
            loops += u32::from(is_loop);
            while let Some(member) = open.pop() {
                low[member.index()] = DONE;
                marks[member.index()].scc = if is_loop { loops } else { 0 };
                if member == at {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ubpf_isa::asm;

    fn text(source: &str) -> Text {
        Text::new(&asm::assemble(source).expect("it assembles"), vec![Pc(0)])
    }

    #[test]
    fn what_follows_comes_first() {
        let order = Order::of(&text("r0 = 0\nif r0 == 1 goto +1\nr0 = 2\nexit"));
        assert_eq!(order.all(), [Pc(3), Pc(2), Pc(1), Pc(0)]);
    }

    #[test]
    fn loops_are_numbered_from_the_innermost_found() {
        let text = text("r0 = 0\nr0 += 1\nif r0 < 5 goto -2\nif r0 < 9 goto -1\nexit");
        let mut marks = vec![Mark::default(); text.len()];
        number_loops(&text, &mut marks);
        let loops: Vec<_> = marks.iter().map(|m| m.scc).collect();
        assert_eq!(loops, [0, 2, 2, 1, 0]);
    }
}
