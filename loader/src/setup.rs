//! What fails all programs of an object together, before any of them is looked at.
//!
//! libbpf finds every symbol that an object names, and every struct whose operations it
//! implements, before it loads the first program. What is missing then fails all programs, also
//! those that have nothing to do with it.

use ubpf_abi::btf::{Btf, Kind, essential_name};
use ubpf_abi::map::{MapDef, MapType};
use ubpf_abi::object::{Extern, ExternKind, Object};

/// Why libbpf would load none of an object's programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A symbol that is not weak does not exist.
    #[error("the kernel has no {what} {name}")]
    MissingSymbol {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The kernel has no struct of operations of this name.
    #[error("the kernel has no operations called struct {0}")]
    MissingOperations(String),
}

/// Checks that the kernel whose types the object was loaded against has what the object needs.
/// Without such types nothing is known to be missing.
///
/// # Errors
/// What libbpf would give up on.
pub fn check(object: &Object) -> Result<(), SetupError> {
    let Some(target) = object.target_btf.as_deref() else { return Ok(()) };
    object.externs.iter().filter(|e| !e.weak).try_for_each(check_extern)?;
    let operations = |map: &&MapDef| map.map_type == Ok(MapType::StructOps);
    let maps = object.maps.iter().filter(operations);
    maps.zip(object.btf.iter().cycle())
        .try_for_each(|(map, own)| check_operations(map, own, target))
}

fn check_extern(symbol: &Extern) -> Result<(), SetupError> {
    let what = match symbol.kind {
        ExternKind::Kfunc { target: None, .. } => "function",
        ExternKind::Var { target: None, .. } => "variable",
        // Whether an address exists is not written in types.
        ExternKind::Address | ExternKind::Kfunc { .. } | ExternKind::Var { .. } => return Ok(()),
    };
    Err(SetupError::MissingSymbol { what, name: symbol.name.clone() })
}

fn check_operations(map: &MapDef, own: &Btf, target: &Btf) -> Result<(), SetupError> {
    let name = map.value_type.map_or("", |id| own.name_of(id));
    let name = str::from_utf8(essential_name(name.as_bytes())).unwrap_or(name);
    let wrapped = format!("bpf_struct_ops_{name}");
    let known = [name, wrapped.as_str()].iter().all(|n| target.find(Kind::Struct, n).is_some());
    if known { Ok(()) } else { Err(SetupError::MissingOperations(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use ubpf_abi::btf::BtfId;

    fn object(weak: bool) -> Object {
        let kind = ExternKind::Kfunc { local: BtfId(1), target: None };
        let symbol = Extern { name: String::from("bpf_absent"), weak, kind };
        Object {
            externs: [symbol].into(),
            target_btf: Some(Arc::new(Btf::default())),
            ..Object::default()
        }
    }

    #[test]
    fn missing_symbols_fail_the_object_unless_they_are_weak() {
        assert_eq!(check(&object(true)), Ok(()));
        let error = check(&object(false)).expect_err("the function is missing");
        assert_eq!(error.to_string(), "the kernel has no function bpf_absent");
        assert_eq!(check(&Object { target_btf: None, ..object(false) }), Ok(()));
    }
}
