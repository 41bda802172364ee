//! What the registry says of helpers and contexts, against what the kernel's verifier says.

use ubpf_abi::ctx::{CtxAccess, CtxLayout, CtxWidth};
use ubpf_abi::helper::HelperDecl;
use ubpf_abi::prog_type::ProgTypeDecl;
use ubpf_conformance::kernel::probe::{self, Admission, Subject};
use ubpf_conformance::skip_without_kernel;

/// What the registry says of a helper and a program type.
fn admission(helper: &HelperDecl, prog_type: &ProgTypeDecl) -> Admission {
    if !helper.groups.iter().any(|group| prog_type.helpers.contains(group)) {
        Admission::Refused
    } else if helper.gpl_only {
        Admission::GplOnly
    } else {
        Admission::Admitted
    }
}

#[test]
fn program_types_admit_the_helpers_that_the_kernel_admits() {
    skip_without_kernel!();
    let registry = ubpf::linux();
    let (mut compared, mut wrong) = (0, Vec::new());
    for prog_type in registry.prog_types().map(|def| &def.decl) {
        let subject = Subject::of(prog_type.prog_type);
        for helper in registry.helpers().filter(|def| def.body.is_some()).map(|def| &def.decl) {
            compared += 1;
            let (kernel, ours) = (subject.admits(helper.id), admission(helper, prog_type));
            if kernel != ours {
                let (name, prog_type) = (helper.name, prog_type.prog_type);
                wrong.push(format!("{prog_type} {name}: kernel {kernel:?}, registry {ours:?}"));
            }
        }
    }
    println!("{compared} helpers x program types compared");
    assert!(compared > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the layout says of an access to a context.
fn allows(layout: &CtxLayout, access: probe::CtxAccess, off: u32, size: u32) -> bool {
    let Some(field) = layout.field_at(off).filter(|f| f.attach_types.is_empty()) else {
        return false;
    };
    let granted = match access {
        probe::CtxAccess::Load => matches!(field.access, CtxAccess::Read | CtxAccess::ReadWrite),
        probe::CtxAccess::Store => matches!(field.access, CtxAccess::Write | CtxAccess::ReadWrite),
    };
    let at = off - field.off;
    let inside = at + size <= field.size && off.is_multiple_of(size);
    let whole = size == field.elem_size && at.is_multiple_of(field.elem_size);
    let narrow = at % field.elem_size + size <= field.elem_size;
    granted
        && inside
        && match field.width {
            CtxWidth::Whole => whole,
            CtxWidth::NarrowLoads => whole || narrow && access == probe::CtxAccess::Load,
            CtxWidth::Any => true,
        }
}

#[test]
fn contexts_allow_the_accesses_that_the_kernel_allows() {
    skip_without_kernel!();
    let registry = ubpf::linux();
    let (mut compared, mut wrong) = (0, Vec::new());
    for decl in registry.prog_types().map(|def| &def.decl) {
        let subject = Subject::of(decl.prog_type);
        for off in 0..decl.ctx.size + 8 {
            let kernel_off = i16::try_from(off).expect("contexts are small");
            for size in [1, 2, 4, 8] {
                for access in [probe::CtxAccess::Load, probe::CtxAccess::Store] {
                    compared += 1;
                    let kernel = subject.may_access(access, kernel_off, size);
                    let ours = allows(&decl.ctx, access, off, size);
                    if kernel != ours {
                        let (prog_type, field) = (decl.prog_type, decl.ctx.field_at(off));
                        let name = field.map_or("no field", |f| f.name);
                        wrong.push(format!(
                            "{prog_type} {access:?} {size} at {off} ({name}): kernel {kernel}, \
                             registry {ours}"
                        ));
                    }
                }
            }
        }
    }
    println!("{compared} context accesses compared");
    assert!(compared > 0 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
