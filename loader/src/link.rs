//! One entry program joined with the subprograms it reaches.
//!
//! Subprograms follow in the order in which libbpf appends them: depth first, each at the first
//! call or address that reaches it, every one once. An exception callback named by a BTF tag
//! comes last. The order is visible to the program's user (instruction numbers in logs) and
//! so part of what must be equal.

use crate::error::{LoadError, LoadErrorKind as Kind};
use crate::sections::resembling;
use std::sync::Arc;
use ubpf_abi::object::{
    Extern, ExternId, ExternKind, FailedRelo, Function, Object, Ref, RefTarget,
};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{LineInfo, Program, Subprog};
use ubpf_isa::{Pc, Slot};

/// Slots of one program. No kernel takes more than a million instructions, and offsets in
/// instructions must fit 32 bits.
const MAX_SLOTS: usize = 1 << 24;

/// `src` of wide loads by what they load.
mod pseudo {
    pub(super) const MAP_FD: u8 = 1;
    pub(super) const MAP_VALUE: u8 = 2;
    pub(super) const BTF_ID: u8 = 3;
    pub(super) const FUNC: u8 = 4;
    /// `src` of a call of a kernel function.
    pub(super) const KFUNC_CALL: u8 = 2;
}

/// The index in [`Object::functions`] of the program with this name; without a name, of the
/// object's only program.
///
/// # Errors
/// No such program, or several to choose from; both list what there is.
pub fn find_program(object: &Object, name: Option<&str>) -> Result<usize, LoadError> {
    let have = || object.programs().map(|(_, f)| f.name.clone()).collect();
    if object.programs().next().is_none() {
        return Err(Kind::NoProgram.into());
    }
    match name {
        Some(name) => {
            object.programs().find(|(_, f)| f.name == name).map(|(at, _)| at).ok_or_else(|| {
                let name = name.to_owned();
                Kind::UnknownProgram { name, have: have() }.into()
            })
        }
        None => {
            let mut programs = object.programs();
            match (programs.next(), programs.next()) {
                (Some((at, _)), None) => Ok(at),
                _ => Err(Kind::AmbiguousProgram(have()).into()),
            }
        }
    }
}

/// Links the program at index `entry` of [`Object::functions`]. `prog_type` is for
/// sections whose names give none, and overrides those that do.
///
/// # Errors
/// A section name without type, references that lead nowhere, or a program past 16 million
/// instructions.
pub fn link(
    object: &Object,
    entry: usize,
    prog_type: Option<ProgType>,
) -> Result<Program, LoadError> {
    let function = object.functions.get(entry).ok_or_else(|| LoadError::from(Kind::NoProgram))?;
    let locate = |e: LoadError| e.in_section(&function.section).of_symbol(&function.name);
    let section = function.entry.clone().unwrap_or_default();
    let prog_type = prog_type.or(section.prog_type).ok_or_else(|| {
        let resembles = resembling(&function.section);
        locate(Kind::UnknownType { resembles }.into())
    })?;
    if let Some(insns) = &function.classic {
        return crate::classic::link(object, function, insns, prog_type);
    }
    let mut linker = Linker::new(object);
    linker.append_reachable(entry).map_err(locate)?;
    if let Some(callback) = exception_callback(object, function).map_err(locate)? {
        linker.append_reachable(callback).map_err(locate)?;
    }
    let order = std::mem::take(&mut linker.order);
    for &at in &order {
        linker.patch(at)?;
    }
    Ok(Program {
        name: function.name.clone(),
        prog_type,
        section,
        license: object.license.clone(),
        slots: linker.slots,
        subprogs: linker.subprogs,
        maps: Arc::clone(&object.maps),
        externs: Arc::clone(&object.externs),
        lines: linker.lines,
        failed_relos: linker.failed_relos,
        btf: object.btf.clone(),
        target_btf: object.target_btf.clone(),
    })
}

/// A program under construction.
struct Linker<'a> {
    object: &'a Object,
    /// First slot of each function that is in the program.
    starts: Vec<Option<u32>>,
    /// Functions of the program by their first slot.
    order: Vec<usize>,
    slots: Vec<Slot>,
    subprogs: Vec<Subprog>,
    lines: Vec<LineInfo>,
    failed_relos: Vec<FailedRelo>,
}

impl<'a> Linker<'a> {
    fn new(object: &'a Object) -> Self {
        Self {
            object,
            starts: vec![None; object.functions.len()],
            order: Vec::new(),
            slots: Vec::new(),
            subprogs: Vec::new(),
            lines: Vec::new(),
            failed_relos: Vec::new(),
        }
    }

    /// Appends a function and, depth first, what it reaches, unless it is there already.
    fn append_reachable(&mut self, root: usize) -> Result<(), LoadError> {
        let Some(refs) = self.append(root)? else {
            return Ok(());
        };
        // An explicit stack: how deep calls nest is up to the object.
        let mut pending = vec![refs.iter()];
        while let Some(refs) = pending.last_mut() {
            let Some(next) = refs.next() else {
                pending.pop();
                continue;
            };
            let (RefTarget::Call(at) | RefTarget::FuncAddr(at)) = next.target else {
                continue;
            };
            if let Some(refs) = self.append(at)? {
                pending.push(refs.iter());
            }
        }
        Ok(())
    }

    /// Appends one function and returns its references; `None` when it is there already.
    fn append(&mut self, at: usize) -> Result<Option<&'a [Ref]>, LoadError> {
        let (Some(function), Some(place)) =
            (self.object.functions.get(at), self.starts.get_mut(at))
        else {
            return Err(Kind::BadRef(0).into());
        };
        if place.is_some() {
            return Ok(None);
        }
        let too_large = || LoadError::from(Kind::ProgramTooLarge { limit: MAX_SLOTS });
        if self.slots.len().saturating_add(function.slots.len()) > MAX_SLOTS {
            return Err(too_large());
        }
        let start = u32::try_from(self.slots.len()).map_err(|_| too_large())?;
        *place = Some(start);
        self.order.push(at);
        self.slots.extend_from_slice(&function.slots);
        self.subprogs.push(Subprog {
            name: function.name.clone(),
            start: Pc(start),
            global: function.global,
            btf_func: function.btf_func,
        });
        self.lines.extend(
            function
                .lines
                .iter()
                .map(|line| LineInfo { slot: line.slot.saturating_add(start), ..*line }),
        );
        let failed = function
            .failed_relos
            .iter()
            .map(|f| FailedRelo { slot: f.slot.saturating_add(start), reason: f.reason.clone() });
        self.failed_relos.extend(failed);
        Ok(Some(&function.refs))
    }

    /// Writes what the references of one function mean into its instructions.
    fn patch(&mut self, at: usize) -> Result<(), LoadError> {
        let (Some(function), Some(&Some(start))) =
            (self.object.functions.get(at), self.starts.get(at))
        else {
            return Ok(());
        };
        for reference in &function.refs {
            self.patch_one(start, reference)
                .map_err(|e| e.in_section(&function.section).of_symbol(&function.name))?;
        }
        Ok(())
    }

    fn patch_one(&mut self, start: u32, reference: &Ref) -> Result<(), LoadError> {
        let bad = || LoadError::from(Kind::BadRef(reference.slot));
        let pc = Pc(start.checked_add(reference.slot).ok_or_else(bad)?);
        let target_of = |linker: &Self, at: usize| {
            let target = linker.starts.get(at).copied().flatten().ok_or_else(bad)?;
            let off = i64::from(target) - i64::from(pc.0) - 1;
            i32::try_from(off).map_err(|_| bad())
        };
        let (src, imm, second) = match reference.target {
            RefTarget::Map(map) => (pseudo::MAP_FD, map.0.cast_signed(), None),
            RefTarget::MapValue { map, off } => {
                let off = Some(off.cast_signed());
                (pseudo::MAP_VALUE, map.0.cast_signed(), off)
            }
            RefTarget::Call(at) => (crate::refs::PSEUDO_CALL, target_of(self, at)?, None),
            RefTarget::FuncAddr(at) => (pseudo::FUNC, target_of(self, at)?, None),
            RefTarget::Extern(id) => {
                let ext = self.object.externs.get(id.0 as usize).ok_or_else(bad)?;
                let is_call = self.slots.get(pc.index()).ok_or_else(bad)?.opcode;
                let is_call = is_call == crate::refs::CALL;
                extern_operands(ext, id, is_call, self.object.target_btf.is_some())
            }
        };
        let slot = self.slots.get_mut(pc.index()).ok_or_else(bad)?;
        slot.src = src;
        slot.imm = imm;
        if let Some(off) = second {
            let next = pc.index().checked_add(1).ok_or_else(bad)?;
            self.slots.get_mut(next).ok_or_else(bad)?.imm = off;
        }
        Ok(())
    }
}

/// `src`, `imm` and second `imm` of an instruction that refers to an extern.
///
/// A weak symbol that the target is known not to have becomes the constant 0, so that the
/// branch which asks for it is dead, as after libbpf.
fn extern_operands(
    ext: &Extern,
    id: ExternId,
    is_call: bool,
    target_known: bool,
) -> (u8, i32, Option<i32>) {
    let found = match ext.kind {
        ExternKind::Kfunc { target, .. } | ExternKind::Var { target, .. } => target.is_some(),
        ExternKind::Address => true,
    };
    let symbolic = id.0.cast_signed();
    if is_call {
        (pseudo::KFUNC_CALL, symbolic, None)
    } else if ext.weak && target_known && !found {
        (0, 0, Some(0))
    } else {
        (pseudo::BTF_ID, symbolic, Some(0))
    }
}

/// The function that a tag `exception_callback:NAME` of the entry's BTF names.
fn exception_callback(object: &Object, entry: &Function) -> Result<Option<usize>, LoadError> {
    let (Some(btf), Some(func)) = (&object.btf, entry.btf_func) else {
        return Ok(None);
    };
    let mut names =
        btf.decl_tags(func, None).filter_map(|tag| tag.strip_prefix("exception_callback:"));
    // With several of them none is appended, and the verifier refuses the program.
    let (Some(name), None) = (names.next(), names.next()) else {
        return Ok(None);
    };
    let found =
        object.functions.iter().position(|f| f.name == name && f.entry.is_none() && f.global);
    match found {
        Some(at) => Ok(Some(at)),
        None => Err(Kind::ExceptionCallback(name.to_owned()).into()),
    }
}
