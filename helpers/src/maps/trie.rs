//! Prefixes of bit strings in a binary trie: the look-up structure behind LPM maps.
//!
//! A node stands for a prefix; its children continue it with a 0 or a 1. Nodes without a value
//! exist only where two prefixes part, so there are fewer than twice as many nodes as values.

/// A prefix: a number of bits at the start of some bytes. Bits behind them are kept, and do not
/// count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) bits: u32,
    pub(super) bytes: Box<[u8]>,
}

impl Prefix {
    /// The bit at an index, the most significant of the first byte being number 0.
    fn bit(bytes: &[u8], index: u32) -> usize {
        let byte = bytes.get(index as usize / 8).copied().unwrap_or(0);
        usize::from(byte >> (7 - index % 8) & 1)
    }

    /// How many bits it has in common with `bits` bits of `bytes`.
    fn common(&self, bits: u32, bytes: &[u8]) -> u32 {
        let limit = self.bits.min(bits);
        let mut common = 0;
        for (a, b) in self.bytes.iter().zip(bytes) {
            let equal = (a ^ b).leading_zeros();
            common += equal;
            if equal < 8 || common >= limit {
                break;
            }
        }
        common.min(limit)
    }
}

/// Index of a node.
type NodeId = u32;

struct Node {
    prefix: Prefix,
    value: Option<u32>,
    children: [Option<NodeId>; 2],
}

/// Where a reference to a node lies.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Child(NodeId, usize),
}

/// A set of prefixes, each with the number of its value.
#[derive(Default)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    unused: Vec<NodeId>,
    root: Option<NodeId>,
}

impl Trie {
    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    fn at(&self, place: Place) -> Option<NodeId> {
        match place {
            Place::Root => self.root,
            Place::Child(parent, side) => *self.node(parent)?.children.get(side)?,
        }
    }

    fn put(&mut self, place: Place, id: Option<NodeId>) {
        let slot = match place {
            Place::Root => Some(&mut self.root),
            Place::Child(parent, side) => {
                self.nodes.get_mut(parent as usize).and_then(|node| node.children.get_mut(side))
            }
        };
        if let Some(slot) = slot {
            *slot = id;
        }
    }

    fn make(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.unused.pop()
            && let Some(slot) = self.nodes.get_mut(id as usize)
        {
            *slot = node;
            return id;
        }
        self.nodes.push(node);
        self.nodes.len() as NodeId - 1
    }

    /// Value of the longest prefix of `bits` bits of `bytes`.
    pub(super) fn longest(&self, bits: u32, bytes: &[u8]) -> Option<u32> {
        let mut found = None;
        let mut next = self.root;
        while let Some(node) = next.and_then(|id| self.node(id)) {
            if node.prefix.common(bits, bytes) < node.prefix.bits {
                break;
            }
            found = node.value.or(found);
            next = *node.children.get(Prefix::bit(bytes, node.prefix.bits))?;
        }
        found
    }

    /// Where the prefix is or would be attached, and how many bits the node there shares with it.
    fn descend(&self, bits: u32, bytes: &[u8]) -> (Place, u32) {
        let mut place = Place::Root;
        while let Some((id, node)) = self.at(place).and_then(|id| Some((id, self.node(id)?))) {
            let common = node.prefix.common(bits, bytes);
            if common < node.prefix.bits || node.prefix.bits == bits {
                return (place, common);
            }
            place = Place::Child(id, Prefix::bit(bytes, node.prefix.bits));
        }
        (place, 0)
    }

    /// The node of exactly this prefix, with or without a value.
    fn exact_node(&self, bits: u32, bytes: &[u8]) -> Option<(Place, &Node)> {
        let (place, common) = self.descend(bits, bytes);
        let node = self.node(self.at(place)?)?;
        (common == bits && node.prefix.bits == bits).then_some((place, node))
    }

    /// Value of exactly this prefix.
    pub(super) fn exact(&self, bits: u32, bytes: &[u8]) -> Option<u32> {
        self.exact_node(bits, bytes)?.1.value
    }

    /// Adds a prefix or gives it another value.
    pub(super) fn insert(&mut self, prefix: Prefix, value: u32) {
        let (place, common) = self.descend(prefix.bits, &prefix.bytes);
        let leaf = |prefix| Node { prefix, value: Some(value), children: [None; 2] };
        let Some(old) = self.at(place) else {
            let new = self.make(leaf(prefix));
            return self.put(place, Some(new));
        };
        let Some(there) = self.nodes.get_mut(old as usize) else {
            return;
        };
        if there.prefix.bits == common && prefix.bits == common {
            (there.prefix, there.value) = (prefix, Some(value));
            return;
        }
        let old_side = Prefix::bit(&there.prefix.bytes, common);
        let (bits, bytes) = (prefix.bits, prefix.bytes.clone());
        let new = self.make(leaf(prefix));
        if bits == common {
            self.put(Place::Child(new, old_side), Some(old));
            return self.put(place, Some(new));
        }
        let fork = Prefix { bits: common, bytes };
        let fork = self.make(Node { prefix: fork, value: None, children: [None; 2] });
        self.put(Place::Child(fork, old_side), Some(old));
        self.put(Place::Child(fork, 1 - old_side), Some(new));
        self.put(place, Some(fork));
    }

    /// Removes a prefix and gives its value.
    pub(super) fn remove(&mut self, bits: u32, bytes: &[u8]) -> Option<u32> {
        let (place, node) = self.exact_node(bits, bytes)?;
        let (value, children) = (node.value?, node.children);
        let id = self.at(place)?;
        match children {
            [Some(_), Some(_)] => {
                // Two prefixes part here: it stays, without a value.
                self.nodes.get_mut(id as usize)?.value = None;
            }
            [child, None] | [None, child] => {
                self.put(place, child);
                self.unused.push(id);
                if child.is_none() {
                    self.contract(place);
                }
            }
        }
        Some(value)
    }

    /// After a child was removed: a parent that has no value of its own stands for nothing now.
    fn contract(&mut self, place: Place) {
        let Place::Child(parent, side) = place else {
            return;
        };
        let Some(node) = self.node(parent).filter(|node| node.value.is_none()) else {
            return;
        };
        let other = node.children.get(1 - side).copied().flatten();
        let above = self.descend(node.prefix.bits, &node.prefix.bytes).0;
        self.put(above, other);
        self.unused.push(parent);
    }

    /// The prefix after this one, longer ones before those they continue and 0 before 1; the
    /// first for none or one that is not there.
    pub(super) fn next(&self, after: Option<(u32, &[u8])>) -> Option<&Prefix> {
        let Some((bits, bytes)) = after.filter(|&(bits, bytes)| self.exact(bits, bytes).is_some())
        else {
            return self.first_below(self.root?);
        };
        // On the way down to the prefix: the last place where something follows it.
        let mut follower = None;
        let mut place = Place::Root;
        while let Some((id, node)) = self.at(place).and_then(|id| Some((id, self.node(id)?))) {
            if node.prefix.bits == bits {
                break;
            }
            let side = Prefix::bit(bytes, node.prefix.bits);
            match node.children {
                [_, Some(right)] if side == 0 => follower = self.first_below(right),
                _ if node.value.is_some() => follower = Some(&node.prefix),
                _ => {}
            }
            place = Place::Child(id, side);
        }
        follower
    }

    /// The first prefix with a value at or below a node.
    fn first_below(&self, top: NodeId) -> Option<&Prefix> {
        let mut node = self.node(top)?;
        while let [Some(next), _] | [None, Some(next)] = node.children {
            node = self.node(next)?;
        }
        Some(&node.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::{Prefix, Trie};

    fn trie(prefixes: &[(u32, u8)]) -> Trie {
        let mut trie = Trie::default();
        for (n, &(bits, byte)) in prefixes.iter().enumerate() {
            trie.insert(Prefix { bits, bytes: [byte].into() }, n as u32);
        }
        trie
    }

    fn walk(trie: &Trie) -> Vec<(u32, u8)> {
        let mut all = Vec::new();
        let mut next = trie.next(None);
        while let Some(prefix) = next {
            all.push((prefix.bits, prefix.bytes[0]));
            next = trie.next(Some((prefix.bits, &prefix.bytes)));
        }
        all
    }

    #[test]
    fn the_longest_prefix_wins() {
        let trie = trie(&[(0, 0), (2, 0b1000_0000), (4, 0b1010_0000), (8, 0b1010_1111)]);
        assert_eq!(trie.longest(8, &[0b0100_0000]), Some(0));
        assert_eq!(trie.longest(8, &[0b1001_0000]), Some(1));
        assert_eq!(trie.longest(8, &[0b1010_0001]), Some(2));
        assert_eq!(trie.longest(8, &[0b1010_1111]), Some(3));
        assert_eq!(trie.longest(3, &[0b1010_1111]), Some(1));
    }

    #[test]
    fn longer_prefixes_come_first() {
        let all = [(1, 0x80), (2, 0x80), (2, 0xc0), (0, 0), (3, 0x40)];
        let mut trie = trie(&all);
        assert_eq!(walk(&trie), [(3, 0x40), (2, 0x80), (2, 0xc0), (1, 0x80), (0, 0)]);
        assert_eq!(trie.remove(1, &[0x80]), Some(0));
        assert_eq!(trie.remove(1, &[0x80]), None);
        assert_eq!(trie.remove(2, &[0x80]), Some(1));
        assert_eq!(walk(&trie), [(3, 0x40), (2, 0xc0), (0, 0)]);
    }

    #[test]
    fn removing_everything_leaves_nothing() {
        let all: Vec<_> = (0..=8).flat_map(|bits| [(bits, 0x55), (bits, 0xaa)]).collect();
        let mut trie = trie(&all);
        for &(bits, byte) in &all {
            trie.remove(bits, &[byte]);
        }
        assert!(trie.root.is_none());
        assert_eq!(trie.unused.len(), trie.nodes.len());
    }
}
