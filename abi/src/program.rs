//! One program with everything it reaches, ready to be verified or lowered.
//!
//! References stay symbolic inside the slots, in the places where the kernel has file
//! descriptors and ids: a map's `imm` is its [`MapId`](crate::map::MapId), a kfunc's and a typed
//! variable's its [`ExternId`](crate::object::ExternId). Handing the program to a real
//! kernel means replacing those numbers, nothing else.

use crate::btf::{Btf, BtfId};
use crate::map::MapDef;
use crate::object::{Extern, FailedRelo, SectionInfo};
use crate::prog_type::ProgType;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use ubpf_isa::{Pc, Slot};

/// A linked program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name of the entry function; empty for raw bytes.
    pub name: String,
    /// Its type.
    pub prog_type: ProgType,
    /// Attach type, target and flags.
    pub section: SectionInfo,
    /// Licence, as in the object.
    pub license: String,
    /// Code: the entry function first, then its subprograms.
    pub slots: Vec<Slot>,
    /// Functions in the order of their code; the first is the entry, at 0. Together they
    /// cover all slots.
    pub subprogs: Vec<Subprog>,
    /// Maps that [`MapId`](crate::map::MapId)s index: all of the object's.
    pub maps: Arc<[MapDef]>,
    /// Externs that [`ExternId`](crate::object::ExternId)s index: all of the object's.
    pub externs: Arc<[Extern]>,
    /// Source lines by ascending slot; each holds until the next one.
    pub lines: Vec<LineInfo>,
    /// CO-RE relocations that found no match, with slots of this program.
    pub failed_relos: Vec<FailedRelo>,
    /// The object's BTF.
    pub btf: Option<Arc<Btf>>,
    /// The kernel's BTF.
    pub target_btf: Option<Arc<Btf>>,
}

impl Program {
    /// A program of bare code: no maps, no BTF.
    #[must_use]
    pub fn from_slots(prog_type: ProgType, slots: Vec<Slot>) -> Self {
        Self {
            name: String::new(),
            prog_type,
            section: SectionInfo::default(),
            license: String::from("GPL"),
            slots,
            subprogs: Vec::from([Subprog {
                name: String::new(),
                start: Pc(0),
                global: true,
                btf_func: None,
            }]),
            maps: Arc::from([]),
            externs: Arc::from([]),
            lines: Vec::new(),
            failed_relos: Vec::new(),
            btf: None,
            target_btf: None,
        }
    }

    /// The source line that the instruction at `pc` belongs to.
    #[must_use]
    pub fn line_at(&self, pc: Pc) -> Option<&LineInfo> {
        let after = self.lines.partition_point(|l| l.slot <= pc.0);
        self.lines.get(after.checked_sub(1)?)
    }

    /// The subprogram whose code covers `pc`.
    #[must_use]
    pub fn subprog_at(&self, pc: Pc) -> Option<SubprogId> {
        let after = self.subprogs.partition_point(|s| s.start <= pc);
        u32::try_from(after.checked_sub(1)?).ok().map(SubprogId)
    }

    /// Whether the licence is compatible with the GPL, by the kernel's list.
    #[must_use]
    pub fn is_gpl_compatible(&self) -> bool {
        [
            "GPL",
            "GPL v2",
            "GPL and additional rights",
            "Dual BSD/GPL",
            "Dual MIT/GPL",
            "Dual MPL/GPL",
        ]
        .contains(&self.license.as_str())
    }
}

/// Index of a subprogram in its program; 0 is the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubprogId(pub u32);

/// One function of a linked program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subprog {
    /// Symbol name.
    pub name: String,
    /// First slot; it ends where the next one starts.
    pub start: Pc,
    /// Verified on its own, by its prototype.
    pub global: bool,
    /// `FUNC` in the object's BTF.
    pub btf_func: Option<BtfId>,
}

/// Where a run of instructions comes from. Strings lie in the object's BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LineInfo {
    /// First slot.
    pub slot: u32,
    /// Offset of the file's name in the BTF strings.
    pub file_off: u32,
    /// Offset of the line's text in the BTF strings.
    pub line_off: u32,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 where unknown.
    pub column: u32,
}
