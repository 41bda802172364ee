//! Symbols that the object leaves to its host: `.ksyms` and `.kconfig`.
//!
//! ```c
//! extern const void schedule __ksym;            // untyped: an address
//! extern const struct rq runqueues __ksym;      // typed variable, by BTF id
//! extern void bpf_rcu_read_lock(void) __ksym;   // kernel function, by BTF id
//! extern int CONFIG_HZ __kconfig;               // becomes data, see `kconfig`
//! ```

mod kconfig;

use crate::LoadOptions;
use crate::btf::core_relo::types_are_compatible;
use crate::elf::{Binding, Elf, Place, Symbol, SymbolKind};
use crate::error::{KconfigError, LoadError, LoadErrorKind as Kind};
use crate::maps::Maps;
use crate::types::{KCONFIG, KSYMS, Types};
use std::collections::HashMap;
use ubpf_abi::btf::{Btf, BtfId, Def, Kind as BtfKind, Linkage, SecVar, essential_name};
use ubpf_abi::map::MapId;
use ubpf_abi::object::{Extern, ExternId, ExternKind};

/// The object's externs, by the index of their symbol.
#[derive(Debug, Default)]
pub(crate) struct Externs {
    pub(crate) list: Vec<Extern>,
    by_symbol: HashMap<u32, ExternPlace>,
}

/// What stands for an extern in the loaded object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExternPlace {
    /// A symbol of the kernel.
    Ksym(ExternId),
    /// A byte of the `.kconfig` map.
    Kconfig { map: MapId, off: u32 },
}

impl Externs {
    /// Collects the externs; those in `.kconfig` become a map.
    pub(crate) fn collect(
        elf: &Elf<'_>,
        types: &mut Types,
        maps: &mut Maps,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let mut externs = Self::default();
        // Without type information nothing says what an undefined symbol is; that is an error
        // once an instruction refers to it.
        let Some(btf) = &types.btf else {
            return Ok(externs);
        };
        let declared = ExternTypes::new(btf);
        let mut configs = Vec::new();
        for (symbol, index) in elf.symbols().iter().zip(0u32..).filter(|(s, _)| is_extern(s)) {
            let Some(&(id, section)) = declared.by_name.get(symbol.name) else {
                continue;
            };
            let weak = symbol.binding == Binding::Weak;
            match (section, btf.ty(id).map(|t| t.def)) {
                (ExternSection::Ksyms, Some(def)) => {
                    let ext = ksym(btf, id, def, weak, options.target_btf.as_deref());
                    let at = ExternId(u32::try_from(externs.list.len()).unwrap_or(u32::MAX));
                    externs.list.push(ext);
                    externs.by_symbol.insert(index, ExternPlace::Ksym(at));
                }
                (ExternSection::Kconfig, Some(Def::Var(var))) => {
                    let name = symbol.name.to_owned();
                    let config = kconfig::Config::new(btf, name, index, id, var.ty, weak)
                        .map_err(|e| kconfig_error(e, symbol.name))?;
                    configs.push(config);
                }
                (ExternSection::Kconfig, _) => {
                    return Err(kconfig_error(KconfigError::Function, symbol.name));
                }
                (ExternSection::Ksyms, None) => {}
            }
        }
        externs.add_kconfig(configs, types, maps, options)?;
        Ok(externs)
    }

    /// What stands for the extern with this symbol.
    pub(crate) fn place(&self, symbol: u32) -> Option<ExternPlace> {
        self.by_symbol.get(&symbol).copied()
    }

    /// Makes the `.kconfig` map.
    fn add_kconfig(
        &mut self,
        configs: Vec<kconfig::Config>,
        types: &mut Types,
        maps: &mut Maps,
        options: &LoadOptions,
    ) -> Result<(), LoadError> {
        if configs.is_empty() {
            return Ok(());
        }
        let data = kconfig::Layout::new(configs);
        let bytes = data
            .values(options.kconfig.as_deref(), options.kernel)
            .map_err(|(e, name)| kconfig_error(e, &name))?;
        if let (Some(datasec), Some(btf)) = (types.datasec(KCONFIG), types.btf.as_mut()) {
            let placed = data.offs();
            let off = |v: &SecVar| placed.get(&v.ty).copied().unwrap_or(v.off);
            let offs: Vec<_> = btf.vars(datasec).iter().map(off).collect();
            let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            btf.place_vars(datasec, size, &offs);
        }
        let map = maps.add_kconfig(bytes, types);
        for (symbol, off) in data.symbols() {
            self.by_symbol.insert(symbol, ExternPlace::Kconfig { map, off });
        }
        Ok(())
    }
}

/// Whether a symbol is left to somebody else.
fn is_extern(symbol: &Symbol<'_>) -> bool {
    symbol.place == Place::Undefined
        && symbol.binding != Binding::Local
        && symbol.kind != SymbolKind::Section
        && !symbol.name.is_empty()
}

fn kconfig_error(error: KconfigError, name: &str) -> LoadError {
    LoadError::from(Kind::Kconfig(error)).in_section(KCONFIG).of_symbol(name)
}

/// The two sections of externs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExternSection {
    Ksyms,
    Kconfig,
}

/// The extern variables and functions of an object's BTF.
struct ExternTypes {
    by_name: HashMap<String, (BtfId, ExternSection)>,
}

impl ExternTypes {
    fn new(btf: &Btf) -> Self {
        let mut by_name = HashMap::new();
        for (name, section) in [(KSYMS, ExternSection::Ksyms), (KCONFIG, ExternSection::Kconfig)] {
            let Some(datasec) = btf.find(BtfKind::Datasec, name) else {
                continue;
            };
            for var in btf.vars(datasec) {
                let linkage = match btf.ty(var.ty).map(|t| t.def) {
                    Some(Def::Var(v)) => v.linkage,
                    Some(Def::Func(f)) => f.linkage,
                    _ => continue,
                };
                if linkage == Linkage::Extern {
                    by_name.insert(btf.name_of(var.ty).to_owned(), (var.ty, section));
                }
            }
        }
        Self { by_name }
    }
}

/// One symbol of the kernel, looked up in the target's types.
fn ksym(btf: &Btf, id: BtfId, def: Def, weak: bool, target: Option<&Btf>) -> Extern {
    let full = btf.name_of(id);
    let name = std::str::from_utf8(essential_name(full.as_bytes())).unwrap_or(full);
    let find = |kind| target.and_then(|t| Some((t, t.find(kind, name)?)));
    let kind = match def {
        Def::Func(func) => ExternKind::Kfunc {
            local: id,
            target: find(BtfKind::Func)
                .filter(|&(target, func_id)| same_function(btf, func.proto, target, func_id))
                .map(|(_, id)| id),
        },
        Def::Var(var) if !is_void(btf, var.ty) => ExternKind::Var {
            local: id,
            target: find(BtfKind::Var)
                .filter(|&(target, var_id)| same_variable(btf, var.ty, target, var_id))
                .map(|(_, id)| id),
        },
        _ => ExternKind::Address,
    };
    Extern { name: name.to_owned(), weak, kind }
}

/// `extern const void name __ksym` has no type but its address.
fn is_void(btf: &Btf, id: BtfId) -> bool {
    btf.resolve(id).is_ok_and(|(id, _)| id.is_void())
}

/// Whether the target's function can be called by the local prototype.
fn same_function(local: &Btf, proto: BtfId, target: &Btf, func: BtfId) -> bool {
    match target.ty(func).map(|t| t.def) {
        Some(Def::Func(f)) => types_are_compatible(local, proto, target, f.proto),
        _ => false,
    }
}

/// Whether the target's variable has the local type, qualifiers and typedefs aside.
fn same_variable(local: &Btf, ty: BtfId, target: &Btf, var: BtfId) -> bool {
    let Some(Def::Var(v)) = target.ty(var).map(|t| t.def) else {
        return false;
    };
    match (local.resolve(ty), target.resolve(v.ty)) {
        (Ok((ty, _)), Ok((target_ty, _))) => types_are_compatible(local, ty, target, target_ty),
        _ => false,
    }
}
