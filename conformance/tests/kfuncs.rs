//! Kernel functions are registered in the definitions as they are in the running kernel: the
//! same ones, with the same flags, in the same sets; and programs may call those that the kernel
//! lets them call.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use ubpf_abi::btf::{Btf, Kind};
use ubpf_abi::kfunc::{KfuncFlag, KfuncSet, KfuncSpecial};
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_abi::program::Program;
use ubpf_conformance::kernel::{KernelWorld, Loaded, LogLevel, ProgLoad, TestInput};
use ubpf_conformance::{objects, skip_without_kernel};
use ubpf_isa::Slot;
use ubpf_loader::{LoadOptions, btf_source, find_program, link, load};

/// Bits of the flags in the kernel's tables.
const FLAGS: [(KfuncFlag, u32); 15] = [
    (KfuncFlag::Acquire, 0),
    (KfuncFlag::Release, 1),
    (KfuncFlag::RetNull, 2),
    (KfuncFlag::TrustedArgs, 4),
    (KfuncFlag::Sleepable, 5),
    (KfuncFlag::Destructive, 6),
    (KfuncFlag::Rcu, 7),
    (KfuncFlag::IterNew, 8),
    (KfuncFlag::IterNext, 9),
    (KfuncFlag::IterDestroy, 10),
    (KfuncFlag::RcuProtected, 11),
    (KfuncFlag::Fastcall, 12),
    (KfuncFlag::ArenaRet, 13),
    (KfuncFlag::ArenaArg1, 14),
    (KfuncFlag::ArenaArg2, 15),
];

/// Sets in the order of the kernel's tables.
const SETS: [KfuncSet; 14] = [
    KfuncSet::Common,
    KfuncSet::Xdp,
    KfuncSet::Tc,
    KfuncSet::StructOps,
    KfuncSet::Tracing,
    KfuncSet::Syscall,
    KfuncSet::FmodRet,
    KfuncSet::Cgroup,
    KfuncSet::SchedAct,
    KfuncSet::SkSkb,
    KfuncSet::SocketFilter,
    KfuncSet::Lwt,
    KfuncSet::Netfilter,
    KfuncSet::Kprobe,
];

fn types() -> Arc<Btf> {
    let found = btf_source::target_btf(None).expect("the kernel's BTF is well formed");
    found.expect("a kernel with bpf(2) shows its BTF")
}

/// Flags as bits, and numbers of sets, by name.
type Registered = BTreeMap<String, (u32, BTreeSet<usize>)>;

fn registered_in_the_kernel(types: &Arc<Btf>) -> Registered {
    let file = objects::suite_dir("kfunc").join("registered.bpf.o");
    let bytes = std::fs::read(file).expect("the suite can be read");
    let options = LoadOptions { target_btf: Some(Arc::clone(types)), ..LoadOptions::default() };
    let object = load(&bytes, &options).expect("it is an object");
    let world = KernelWorld::create(&object.maps, None).expect("its map can be made");
    let loaded = |name| {
        let entry = find_program(&object, Some(name)).expect("it has the program");
        let program = link(&object, entry, None).expect("it links");
        world.load(&program, LogLevel::None).expect("the kernel takes it")
    };
    let (anchor, read_set) = (loaded("anchor"), loaded("read_set"));
    let mut found = Registered::new();
    for set in 0..SETS.len() {
        let fd = anchor.as_fd().as_raw_fd();
        let ctx: Vec<u8> =
            [fd, set as i32].iter().flat_map(|number| number.to_le_bytes()).collect();
        let run = read_set.test_run(&TestInput { ctx: &ctx, ..TestInput::default() });
        let count = run.expect("it runs").retval as i32;
        let count = usize::try_from(count).expect("the tables have the shape that is known");
        let elements = world.maps()[0].dump().expect("the map can be read");
        let words: Vec<u32> = elements[0].values[0]
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        for pair in words.chunks_exact(2).take(count) {
            let name = types.name_of(ubpf_abi::btf::BtfId(pair[0]));
            let entry = found.entry(name.to_owned()).or_default();
            entry.0 |= pair[1];
            entry.1.insert(set);
        }
    }
    found
}

fn registered_here() -> Registered {
    let bits = |flags: &[KfuncFlag]| {
        let bit = |&(flag, bit): &(KfuncFlag, u32)| u32::from(flags.contains(&flag)) << bit;
        FLAGS.iter().map(bit).sum()
    };
    let sets = |sets: &[KfuncSet]| (0..SETS.len()).filter(|&n| sets.contains(&SETS[n])).collect();
    let registry = ubpf::linux();
    let decls = registry.kfuncs().map(|def| &def.decl);
    decls.map(|decl| (decl.name.to_owned(), (bits(decl.flags), sets(decl.sets)))).collect()
}

#[test]
fn kernel_functions_have_the_flags_and_sets_that_the_kernel_has() {
    skip_without_kernel!();
    let (theirs, ours) = (registered_in_the_kernel(&types()), registered_here());
    println!("{} kernel functions compared", theirs.len());
    let names: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    let differ = names.into_iter().filter(|name| theirs.get(*name) != ours.get(*name));
    let wrong: Vec<_> = differ
        .map(|name| format!("{name}: kernel {:?}, here {:?}", theirs.get(name), ours.get(name)))
        .collect();
    assert!(!theirs.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A program type at an attach type, with the name that its place in the kernel has.
fn subjects() -> Vec<(ProgType, AttachType, &'static str)> {
    let plain = |prog_type: ProgType| -> &[u32] {
        match prog_type {
            ProgType::Tracing | ProgType::Lsm | ProgType::StructOps | ProgType::Ext => &[],
            ProgType::CgroupSkb => &[0, 1],
            ProgType::CgroupSock => &[2, 12],
            ProgType::CgroupSockAddr => &[8, 10, 14, 19, 29, 49, 50, 51, 52, 53],
            ProgType::CgroupSockopt => &[21, 22],
            ProgType::SkLookup => &[36],
            ProgType::SkReuseport => &[39, 40],
            ProgType::Netfilter => &[45],
            ProgType::Kprobe => &[0, 42, 48, 56, 57],
            _ => &[0],
        }
    };
    let mut all: Vec<_> = ProgType::ALL
        .iter()
        .flat_map(|&t| plain(t).iter().map(move |&at| (t, AttachType(at), "")))
        .collect();
    all.push((ProgType::Tracing, AttachType::TRACE_RAW_TP, "sched_switch"));
    all.push((ProgType::Tracing, AttachType::TRACE_ITER, "task"));
    all
}

/// Whether the kernel lets a program call the function; `None` where it does not even look. It
/// looks at arguments only afterwards.
fn kernel_admits(subject: (ProgType, AttachType, &str), types: &Arc<Btf>, id: u32) -> Option<bool> {
    let (prog_type, attach_type, target) = subject;
    let slot = |opcode, src, imm| Slot { opcode, dst: 0, src, off: 0, imm };
    let slots = vec![slot(0x85, 2, id.cast_signed()), slot(0xb7, 0, 0), slot(0x95, 0, 0)];
    let mut program = Program::from_slots(prog_type, slots);
    program.section.attach_type = attach_type;
    program.section.target = Some(target.to_owned());
    program.target_btf = Some(Arc::clone(types));
    const F_SLEEPABLE: u32 = 1 << 4;
    let spec = ProgLoad {
        prog_type: prog_type.id(),
        expected_attach_type: attach_type.0,
        attach_btf_id: program.attach_btf_id().map_or(0, |id| id.0),
        prog_flags: if prog_type == ProgType::Syscall { F_SLEEPABLE } else { 0 },
        license: "GPL",
        slots: &program.slots,
        ..ProgLoad::default()
    };
    match Loaded::load(&spec, LogLevel::Brief) {
        Ok(_) => Some(true),
        Err(refused) if refused.log.is_empty() => None,
        Err(refused) => Some(!refused.log.contains("is not allowed")),
    }
}

#[test]
fn programs_may_call_the_kernel_functions_that_the_kernel_lets_them_call() {
    skip_without_kernel!();
    let (types, registry) = (types(), ubpf::linux());
    let (mut compared, mut wrong) = (0, Vec::new());
    for subject in subjects() {
        for decl in registry.kfuncs().map(|def| &def.decl) {
            // Of those the kernel says first that the program must be bound to a device.
            if decl.special == Some(KfuncSpecial::DeviceBound) {
                continue;
            }
            let Some(id) = types.find(Kind::Func, decl.name) else { continue };
            let Some(kernel) = kernel_admits(subject, &types, id.0) else { continue };
            compared += 1;
            let ours = decl.admits(subject.0, subject.1);
            if ours != kernel {
                let (prog_type, at, _) = subject;
                wrong.push(format!("{prog_type}/{at} {}: kernel {kernel}, here {ours}", decl.name));
            }
        }
    }
    println!("{compared} kernel functions x program types compared");
    assert!(compared > 0 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
