//! What the registry says of helpers and contexts, against what the kernel's verifier says.

use ubpf_abi::Access;
use ubpf_abi::helper::HelperDecl;
use ubpf_abi::prog_type::{AttachType, ProgType, ProgTypeDecl};
use ubpf_conformance::kernel::probe::{self, Admission, Subject};
use ubpf_conformance::skip_without_kernel;

/// Attach types of each type that differ from each other, or that the kernel asks for.
fn attach_types(prog_type: ProgType) -> Vec<u32> {
    match prog_type {
        ProgType::CgroupSkb => vec![0, 1],
        ProgType::CgroupSock => vec![2, 12, 13, 34],
        ProgType::CgroupSockAddr => {
            vec![8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53]
        }
        ProgType::CgroupSockopt => vec![21, 22],
        ProgType::SkLookup => vec![36],
        ProgType::SkReuseport => vec![39, 40],
        ProgType::Netfilter => vec![45],
        ProgType::Kprobe => vec![0, 42, 56],
        // Typed by the function that they are attached to.
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps => vec![],
        // Classic filters, which bpf(2) does not load.
        ProgType::Classic | ProgType::Seccomp => vec![],
        _ => vec![0],
    }
}

/// Every program type with its description, at its attach types.
fn subjects() -> Vec<(ProgTypeDecl, Subject)> {
    let registry = ubpf::linux();
    let known = registry.prog_types().map(|def| def.decl);
    let decls = known.chain(registry.described_prog_types().copied());
    let at = |decl: ProgTypeDecl| {
        let subject = move |at| {
            (decl, Subject { attach_type: AttachType(at), ..Subject::of(decl.prog_type) })
        };
        attach_types(decl.prog_type).into_iter().map(subject)
    };
    decls.flat_map(at).collect()
}

/// What the registry says of a helper and a program type.
fn admission(helper: &HelperDecl, prog_type: &ProgTypeDecl, attach_type: AttachType) -> Admission {
    if prog_type.args_of(helper, attach_type, None).is_none() {
        Admission::Refused
    } else if helper.gpl_only {
        Admission::GplOnly
    } else {
        Admission::Admitted
    }
}

/// Helpers with a second prototype for some program types, which the registry does not have: it
/// takes the stricter licence, or none of these types.
fn has_another_prototype(prog_type: ProgType, helper: &HelperDecl) -> bool {
    match prog_type {
        ProgType::Kprobe => helper.name == "get_func_ip",
        ProgType::PerfEvent => helper.name == "get_stackid",
        ProgType::Syscall => matches!(
            helper.name,
            "get_socket_cookie"
                | "sk_storage_get"
                | "sk_storage_delete"
                | "d_path"
                | "xdp_get_buff_len"
        ),
        _ => false,
    }
}

#[test]
fn program_types_admit_the_helpers_that_the_kernel_admits() {
    skip_without_kernel!();
    let registry = ubpf::linux();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (decl, subject) in subjects() {
        for helper in registry.helpers().map(|def| &def.decl) {
            if has_another_prototype(decl.prog_type, helper) {
                continue;
            }
            compared += 1;
            let ours = admission(helper, &decl, subject.attach_type);
            let kernel = subject.admits(helper.id);
            if kernel != ours {
                let (name, prog_type) = (helper.name, decl.prog_type);
                let at = subject.attach_type;
                wrong
                    .push(format!("{prog_type}/{at} {name}: kernel {kernel:?}, registry {ours:?}"));
            }
        }
    }
    println!("{compared} helpers x program types compared");
    assert!(compared > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Offsets into a context at which rules may change: all of a small one, both ends of a large one.
fn offsets(decl: &ProgTypeDecl) -> impl Iterator<Item = u32> {
    const NEAR: u32 = 256;
    let end = decl.ctx.size + 8;
    (0..end.min(NEAR)).chain(end.saturating_sub(24).max(NEAR)..end)
}

#[test]
fn contexts_allow_the_accesses_that_the_kernel_allows() {
    skip_without_kernel!();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (decl, subject) in subjects() {
        for off in offsets(&decl) {
            let Ok(kernel_off) = i16::try_from(off) else { continue };
            for size in [1, 2, 4, 8] {
                for (access, kind) in [
                    (Access::Read, probe::CtxAccess::Load),
                    (Access::Write, probe::CtxAccess::Store),
                ] {
                    compared += 1;
                    let kernel = subject.may_access(kind, kernel_off, size);
                    let field = decl.ctx.field_for(off, subject.attach_type);
                    let ours = field.is_some_and(|f| f.allows(access, off, size));
                    if kernel != ours {
                        let (prog_type, at) = (decl.prog_type, subject.attach_type);
                        let name = field.map_or("no field", |f| f.name);
                        wrong.push(format!(
                            "{prog_type}/{at} {access:?} {size} at {off} ({name}): kernel {kernel}, \
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
