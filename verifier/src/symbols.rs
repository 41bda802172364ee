//! Symbols of the kernel whose addresses a program loads.

use crate::Options;
use crate::reason::{KfuncReason, Reason, TypedReason};
use crate::state::{MemKind, Pointer, PtrTo, Reg, Space, Trust};
use ubpf_abi::btf::{Def, Kind};
use ubpf_abi::object::ExternKind;
use ubpf_abi::program::Program;

/// The address of a kernel variable or function, or just a number.
///
/// # Errors
/// The kernel does not have it, or not for programs.
pub fn address(program: &Program, options: &Options, id: u32) -> Result<Reg, Reason> {
    let symbol = program.externs.get(id as usize);
    let symbol = symbol.ok_or(Reason::Unsupported("kernel symbols by number"))?;
    let target = match symbol.kind {
        // Just a number, whatever it is.
        ExternKind::Address => return Ok(Reg::UNKNOWN),
        ExternKind::Var { target, .. } => target,
        // Memory of no size: its address can be compared.
        ExternKind::Kfunc { target: Some(_), .. } => {
            let to = PtrTo::Mem { size: 0, kind: MemKind::ReadOnly };
            return Ok(Reg::Pointer(Pointer::new(to)));
        }
        ExternKind::Kfunc { target: None, .. } => {
            return Err(KfuncReason::Missing(symbol.name.clone()).into());
        }
    };
    let name = || symbol.name.clone();
    let var = target.ok_or_else(|| TypedReason::NoVariable(name()))?;
    if !options.variables {
        return Err(TypedReason::NoAddress(name()).into());
    }
    let btf = program.target_btf.as_deref();
    let btf = btf.ok_or(Reason::Unsupported("kernel objects without the kernel's types"))?;
    let Some(Def::Var(var_def)) = btf.ty(var).map(|ty| ty.def) else {
        return Err(TypedReason::NoVariable(name()).into());
    };
    let section = btf.find(Kind::Datasec, ".data..percpu");
    let percpu = section.is_some_and(|s| btf.vars(s).iter().any(|v| v.ty == var));
    let broken = |_| Reason::Unsupported("broken kernel types");
    let (id, ty) = btf.resolve(var_def.ty).map_err(broken)?;
    let is_struct = ty.def.composite().is_some();
    let to = if percpu || is_struct {
        let space = if percpu { Space::Percpu } else { Space::Kernel };
        PtrTo::Btf { id, trust: Trust::Plain, space }
    } else {
        PtrTo::Mem { size: btf.size_of(id).map_err(broken)?, kind: MemKind::ReadOnly }
    };
    Ok(Reg::Pointer(Pointer::new(to)))
}
