//! What an object file holds, before any map exists and before any program is chosen.
//!
//! The same bytes always give the same [`Object`]. Its functions still lie apart, with their
//! references by name; linking one entry program joins what it reaches into a
//! [`Program`](crate::program::Program).

use crate::btf::{Btf, BtfId};
use crate::map::{MapDef, MapId};
use crate::prog_type::{AttachType, ProgType};
use crate::program::LineInfo;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use ubpf_isa::Slot;
use ubpf_isa::cbpf::SockFilter;

/// An object file, parsed.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// `license` section, without its final zero.
    pub license: String,
    /// `version` section.
    pub kernel_version: Option<u32>,
    /// Functions of all sections: entry programs, static and global subprograms.
    pub functions: Vec<Function>,
    /// Maps, data sections included, in libbpf's order of creation.
    pub maps: Arc<[MapDef]>,
    /// Symbols that the host provides.
    pub externs: Arc<[Extern]>,
    /// The object's own BTF.
    pub btf: Option<Arc<Btf>>,
    /// The BTF that CO-RE relocations were resolved against; `None` where that was `btf`.
    pub target_btf: Option<Arc<Btf>>,
}

impl Object {
    /// The entry programs with their indices in [`Object::functions`], in the file's order.
    pub fn programs(&self) -> impl Iterator<Item = (usize, &Function)> {
        self.functions.iter().enumerate().filter(|(_, f)| f.entry.is_some())
    }
}

/// What the section name says about an entry program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionInfo {
    /// Program type, where the section's name gives one.
    pub prog_type: Option<ProgType>,
    /// Expected attach type.
    pub attach_type: AttachType,
    /// What follows the prefix: `sched/sched_switch` in `tp/sched/sched_switch`.
    pub target: Option<String>,
    /// `.s` variants: may sleep.
    pub sleepable: bool,
    /// `xdp.frags`: takes packets in fragments.
    pub frags: bool,
    /// The section begins with `?`: not loaded unless asked for.
    pub optional: bool,
    /// Which operation of a kernel struct the program implements, for the first struct_ops map
    /// that names it.
    pub struct_ops: Option<StructOpsMember>,
}

/// The member of a struct_ops map that a program fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructOpsMember {
    /// The map.
    pub map: MapId,
    /// The kernel's struct, such as `tcp_congestion_ops`, without a `___flavor` suffix.
    pub struct_name: String,
    /// The struct in the target BTF, where it has one.
    pub target: Option<BtfId>,
    /// Member name, such as `cong_avoid`.
    pub member: String,
    /// Its index in the target's struct, else in the object's; also the program's attach type.
    pub index: u32,
}

/// One function symbol with its code.
#[derive(Clone, Debug)]
pub struct Function {
    /// Symbol name.
    pub name: String,
    /// Section name, as written.
    pub section: String,
    /// What the section's name means; `None` for subprograms (in `.text`, or static ones in any section).
    pub entry: Option<SectionInfo>,
    /// The symbol is global (and not hidden), so the function is verified on its own.
    pub global: bool,
    /// Code, as in the file, CO-RE relocations applied.
    pub slots: Vec<Slot>,
    /// In place of code: a classic filter, which linking checks and translates for the type that
    /// it is to run as.
    pub classic: Option<Arc<[SockFilter]>>,
    /// References to other symbols, by ascending slot.
    pub refs: Vec<Ref>,
    /// Source lines, by ascending slot relative to the function's start.
    pub lines: Vec<LineInfo>,
    /// Its `FUNC` in the object's BTF.
    pub btf_func: Option<BtfId>,
    /// CO-RE relocations that found no match: what makes loading this function fail where it is
    /// reached, kept as data because a function that is never linked may fail freely.
    pub failed_relos: Vec<FailedRelo>,
}

/// A CO-RE relocation that could not be applied. As in libbpf, the instruction is replaced by
/// one that no program can execute and that fails only if the verifier reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRelo {
    /// Slot within the function.
    pub slot: u32,
    /// What was looked for and why it was not found.
    pub reason: String,
}

/// A reference from an instruction to a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// Slot within the function, the first one for wide loads.
    pub slot: u32,
    /// What is referred to.
    pub target: RefTarget,
}

/// Target of a [`Ref`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefTarget {
    /// A map's handle.
    Map(MapId),
    /// The address of a byte in a data section's value.
    MapValue {
        /// The data section's map.
        map: MapId,
        /// Byte offset.
        off: u32,
    },
    /// A call of a function of this object, by index into [`Object::functions`].
    Call(usize),
    /// The address of a function of this object, by index into [`Object::functions`].
    FuncAddr(usize),
    /// A call of, or the address of, an [`Extern`], by index into [`Object::externs`].
    Extern(ExternId),
}

/// Index of an extern in its object's (and its programs') list.
///
/// In the slots of a linked program it stands where the kernel expects a BTF id, also for
/// [`ExternKind::Address`]. Wide loads of weak typed symbols that the target is known not to have
/// are plain zeroes instead, so that the branch which tests for them is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternId(pub u32);

/// A symbol that the host provides (`.ksyms`). Externs in `.kconfig` are not here: like libbpf,
/// the loader turns them into a data section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extern {
    /// Symbol name, without a `___flavor` suffix.
    pub name: String,
    /// A missing weak symbol reads as zero, or is a call that is never reached.
    pub weak: bool,
    /// What it is.
    pub kind: ExternKind,
}

/// Kinds of externs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternKind {
    /// A kernel function.
    Kfunc {
        /// `FUNC` in the object's BTF.
        local: BtfId,
        /// `FUNC` in the target BTF, where there is one and it has a compatible function.
        target: Option<BtfId>,
    },
    /// A typed kernel variable.
    Var {
        /// `VAR` in the object's BTF.
        local: BtfId,
        /// `VAR` in the target BTF.
        target: Option<BtfId>,
    },
    /// An untyped symbol (`extern const void name __ksym`): just its address.
    Address,
}
