//! Making a [`Btf`] piece by piece: what the parser does, and what tests do by hand.
//!
//! ```
//! use ubpf_abi::btf::{Builder, Int, IntEncoding, Member, Kind};
//!
//! let mut b = Builder::new();
//! let (u32_name, stats, packets) = (b.str("unsigned int"), b.str("stats"), b.str("packets"));
//! let u32_ = b.int(u32_name, Int { bytes: 4, bits: 32, bit_off: 0, encoding: IntEncoding::Unsigned });
//! let member = Member { name: packets, ty: u32_, bit_off: 0, bitfield_bits: 0 };
//! let stats = b.structure(stats, 4, false, [member]);
//! let btf = b.finish();
//! assert_eq!(btf.find(Kind::Struct, "stats"), Some(stats));
//! assert_eq!(btf.size_of(stats), Ok(4));
//! ```

use super::Btf;
use super::types::{
    Array, BtfId, Composite, Datasec, DeclTag, Def, Enumeration, Enumerator, Func, FuncProto,
    FwdKind, Int, List, Member, Param, SecVar, StrOff, Type, Var,
};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Collects types; ids are given out in order.
///
/// Nothing is checked: a type may refer to ids that come later, or never.
#[derive(Debug)]
pub struct Builder {
    btf: Btf,
    /// Offsets of strings added by [`Builder::str`], so that each is stored once.
    known: BTreeMap<String, StrOff>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty BTF: `void` and the empty string.
    #[must_use]
    pub fn new() -> Self {
        Self::with_strings(Vec::from([0]))
    }

    /// An empty BTF over a string section that exists already. It should begin and end with a
    /// zero byte; strings are looked up in it by the offsets given to types.
    #[must_use]
    pub fn with_strings(strings: Vec<u8>) -> Self {
        let btf = Btf { types: Vec::from([Type::VOID]), strings, ..Btf::default() };
        Self { btf, known: BTreeMap::new() }
    }

    /// A split BTF that continues `base`, with its own part of the string section.
    #[must_use]
    pub fn split(base: Arc<Btf>, strings: Vec<u8>) -> Self {
        let btf = Btf {
            first_id: base.end_id().0,
            first_off: base.end_off().0,
            strings,
            base: Some(base),
            ..Btf::default()
        };
        Self { btf, known: BTreeMap::new() }
    }

    /// Reserves room for about this many types.
    pub fn reserve(&mut self, types: usize) {
        self.btf.types.reserve(types);
    }

    /// The offset of a string, which is added unless [`Builder::str`] added it before.
    pub fn str(&mut self, s: &str) -> StrOff {
        if s.is_empty() {
            return StrOff::EMPTY;
        }
        if let Some(&off) = self.known.get(s) {
            return off;
        }
        let off = self.btf.end_off();
        self.btf.strings.extend_from_slice(s.as_bytes());
        self.btf.strings.push(0);
        self.known.insert(String::from(s), off);
        off
    }

    /// The id that the next type will get.
    #[must_use]
    pub fn next_id(&self) -> BtfId {
        self.btf.end_id()
    }

    /// The types so far.
    #[must_use]
    pub const fn btf(&self) -> &Btf {
        &self.btf
    }

    /// Done.
    #[must_use]
    pub fn finish(self) -> Btf {
        self.btf
    }

    /// Adds a type whose definition has no list, or a copy of one from the same BTF.
    pub fn push(&mut self, name: StrOff, def: Def) -> BtfId {
        let id = self.btf.end_id();
        self.btf.types.push(Type { name, def });
        id
    }

    /// Adds an integer.
    pub fn int(&mut self, name: StrOff, int: Int) -> BtfId {
        self.push(name, Def::Int(int))
    }

    /// Adds a pointer.
    pub fn ptr(&mut self, to: BtfId) -> BtfId {
        self.push(StrOff::EMPTY, Def::Ptr(to))
    }

    /// Adds an array.
    pub fn array(&mut self, elem: BtfId, index: BtfId, len: u32) -> BtfId {
        self.push(StrOff::EMPTY, Def::Array(Array { elem, index, len }))
    }

    /// Adds a structure; `kind_flag` says that members state their bitfield sizes.
    pub fn structure(
        &mut self,
        name: StrOff,
        bytes: u32,
        kind_flag: bool,
        members: impl IntoIterator<Item = Member>,
    ) -> BtfId {
        let members = append(&mut self.btf.members, members);
        self.push(name, Def::Struct(Composite { bytes, kind_flag, members }))
    }

    /// Adds a union.
    pub fn union(
        &mut self,
        name: StrOff,
        bytes: u32,
        kind_flag: bool,
        members: impl IntoIterator<Item = Member>,
    ) -> BtfId {
        let members = append(&mut self.btf.members, members);
        self.push(name, Def::Union(Composite { bytes, kind_flag, members }))
    }

    /// Adds an enumeration with values of up to 32 bits.
    pub fn enumeration(
        &mut self,
        name: StrOff,
        bytes: u32,
        signed: bool,
        enumerators: impl IntoIterator<Item = Enumerator>,
    ) -> BtfId {
        let enumerators = append(&mut self.btf.enumerators, enumerators);
        self.push(name, Def::Enum(Enumeration { bytes, signed, enumerators }))
    }

    /// Adds an enumeration with values of up to 64 bits.
    pub fn enumeration64(
        &mut self,
        name: StrOff,
        bytes: u32,
        signed: bool,
        enumerators: impl IntoIterator<Item = Enumerator>,
    ) -> BtfId {
        let enumerators = append(&mut self.btf.enumerators, enumerators);
        self.push(name, Def::Enum64(Enumeration { bytes, signed, enumerators }))
    }

    /// Adds a forward declaration.
    pub fn fwd(&mut self, name: StrOff, kind: FwdKind) -> BtfId {
        self.push(name, Def::Fwd(kind))
    }

    /// Adds a typedef.
    pub fn typedef(&mut self, name: StrOff, to: BtfId) -> BtfId {
        self.push(name, Def::Typedef(to))
    }

    /// Adds a function.
    pub fn func(&mut self, name: StrOff, func: Func) -> BtfId {
        self.push(name, Def::Func(func))
    }

    /// Adds a prototype.
    pub fn func_proto(&mut self, ret: BtfId, params: impl IntoIterator<Item = Param>) -> BtfId {
        let params = append(&mut self.btf.params, params);
        self.push(StrOff::EMPTY, Def::FuncProto(FuncProto { ret, params }))
    }

    /// Adds a variable.
    pub fn var(&mut self, name: StrOff, var: Var) -> BtfId {
        self.push(name, Def::Var(var))
    }

    /// Adds a section.
    pub fn datasec(
        &mut self,
        name: StrOff,
        bytes: u32,
        vars: impl IntoIterator<Item = SecVar>,
    ) -> BtfId {
        let vars = append(&mut self.btf.vars, vars);
        self.push(name, Def::Datasec(Datasec { bytes, vars }))
    }

    /// Adds a tag of a declaration.
    pub fn decl_tag(&mut self, tag: StrOff, of: DeclTag) -> BtfId {
        self.push(tag, Def::DeclTag(of))
    }
}

/// Moves items to the end of an arena.
fn append<T>(arena: &mut Vec<T>, items: impl IntoIterator<Item = T>) -> List<T> {
    let start = arena.len();
    arena.extend(items);
    List::since(start, arena)
}
