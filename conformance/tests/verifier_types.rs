//! Typed contexts and kernel objects: the verifier's verdict, error number and reason, and what
//! it knows after a load, are the kernel's.

use std::sync::{Arc, OnceLock};
use ubpf_abi::Errno;
use ubpf_abi::btf::{Btf, BtfId, Kind};
use ubpf_abi::map::MapId;
use ubpf_abi::object::StructOpsMember;
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_abi::program::Program;
use ubpf_conformance::kernel::{KernelWorld, LogLevel, WorldError};
use ubpf_conformance::skip_without_kernel;
use ubpf_isa::asm::assemble;
use ubpf_loader::btf_source;
use ubpf_verifier::{Class, Options, verify};

fn types() -> &'static Arc<Btf> {
    static TYPES: OnceLock<Arc<Btf>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let found = btf_source::target_btf(None).expect("the kernel's BTF is well formed");
        found.expect("a kernel with bpf(2) shows its BTF")
    })
}

fn program(prog_type: ProgType, attach_type: AttachType, target: &str, text: &str) -> Program {
    let slots = assemble(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut program = Program::from_slots(prog_type, slots);
    program.section.attach_type = attach_type;
    program.section.target = Some(target.to_owned());
    program.target_btf = Some(Arc::clone(types()));
    program
}

fn tp_btf(event: &str, text: &str) -> Program {
    program(ProgType::Tracing, AttachType::TRACE_RAW_TP, event, text)
}

fn iter(target: &str, text: &str) -> Program {
    program(ProgType::Tracing, AttachType::TRACE_ITER, target, text)
}

fn operation(name: &str, member: &str, text: &str) -> Program {
    let id = types().find(Kind::Struct, name).expect("the kernel has the struct");
    let members = types().members(id);
    let index =
        members.iter().position(|m| types().name(m.name) == member).unwrap_or(members.len());
    let index = u32::try_from(index).expect("structs are small");
    let mut program = program(ProgType::StructOps, AttachType(index), "", text);
    program.section.struct_ops = Some(StructOpsMember {
        map: MapId(0),
        struct_name: name.to_owned(),
        target: Some(id),
        member: member.to_owned(),
        index,
    });
    program
}

/// What the kernel says: its log, with its error and reason where it refuses.
fn kernel(program: &Program) -> (String, Result<(), (Errno, String)>) {
    let world = KernelWorld::create(&[], None).expect("a world without maps");
    match world.load(program, LogLevel::Full) {
        Ok(loaded) => (loaded.log().to_owned(), Ok(())),
        Err(WorldError::Prog(refused)) => {
            let mut lines = refused
                .log
                .lines()
                .filter(|l| !l.starts_with("processed ") && !l.starts_with("func#"));
            let reason = lines.next_back().unwrap_or_default().to_owned();
            (refused.log.clone(), Err((refused.errno, reason)))
        }
        Err(error) => panic!("{error}"),
    }
}

/// Values of registers after each instruction: the words `Rn=…` of a log's lines.
fn registers(log: &str) -> Vec<(u32, String)> {
    let line = |text: &str| {
        let (pc, rest) = text.split_once(": (")?;
        let (_, state) = rest.split_once("; ")?;
        let words = state.split(' ').filter(|w| w.starts_with('R') && w.contains('='));
        Some((pc.parse().ok()?, words.map(without_ids).collect::<Vec<_>>().join(" ")))
    };
    log.lines().filter_map(line).collect()
}

fn without_ids(word: &str) -> String {
    let Some((head, tail)) = word.split_once('(') else { return word.to_owned() };
    let own = |item: &&str| !item.starts_with("id=");
    let kept: Vec<_> = tail.trim_end_matches(')').split(',').filter(own).collect();
    format!("{head}({})", kept.join(","))
}

/// Differences between the verifier and the kernel; empty where they agree.
fn differences(program: Program, what: &str) -> Vec<String> {
    let (log, theirs) = kernel(&program);
    let options = Options { log: true, ..Options::default() };
    let report = verify(&Arc::new(program), &ubpf_helpers::linux(), &options);
    let mut found = Vec::new();
    match (&theirs, &report.verdict) {
        (Ok(()), Ok(_)) => {}
        (_, Err(r)) if r.reason.class() == Class::Unsupported => {
            found.push(format!("{what}: {r}, the kernel says {theirs:?}"));
        }
        (Err((errno, reason)), Err(r)) => {
            let ours = r.to_string();
            if *errno != r.reason.errno() || !reason.is_empty() && *reason != ours {
                let our_errno = r.reason.errno();
                found.push(format!(
                    "{what}: {our_errno} `{ours}`, the kernel says {errno} `{reason}`"
                ));
            }
        }
        (theirs, ours) => {
            let ours = ours.as_ref().map(drop);
            found.push(format!("{what}: {ours:?}, the kernel says {theirs:?}"));
        }
    }
    let ours = registers(&report.log.unwrap_or_default());
    for (pc, expected) in registers(&log) {
        for (_, known) in ours.iter().filter(|(at, _)| *at == pc) {
            let wrong: Vec<_> = known
                .split(' ')
                .filter(|word| {
                    let name = word.split_once('=').map_or(*word, |(name, _)| name);
                    let same = |w: &&str| w.split_once('=').is_some_and(|(n, _)| n == name);
                    expected.split(' ').find(same).is_some_and(|e| e != *word)
                })
                .collect();
            if !wrong.is_empty() {
                found.push(format!("{what}, insn {pc}: {wrong:?}, the kernel says {expected}"));
            }
        }
    }
    found
}

fn agree(cases: impl IntoIterator<Item = (Program, String)>) {
    let (mut compared, mut wrong) = (0, Vec::new());
    for (program, what) in cases {
        compared += 1;
        wrong.extend(differences(program, &what));
    }
    println!("{compared} programs compared");
    assert!(compared > 0 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

const END: &str = "\nr0 = 0\nexit\n";

#[test]
fn arguments_of_tracepoints_are_typed() {
    skip_without_kernel!();
    let events = types().types().filter_map(|(_, ty)| {
        let name = types().name(ty.name).strip_prefix("btf_trace_")?;
        (ty.kind() == Kind::Typedef).then(|| name.to_owned())
    });
    // A sample that includes the events with arguments that may be null.
    let nullable = ubpf_verifier::typed::facts::NULLABLE_TRACEPOINT_ARGS;
    let sample = events
        .enumerate()
        .filter(|(n, event)| n % 12 == 0 || nullable.iter().any(|(known, _)| known == event));
    agree(sample.flat_map(|(_, event)| {
        (0..6).map(move |arg| {
            let text = format!("r2 = *(u64 *)(r1 + {}){END}", arg * 8);
            (tp_btf(&event, &text), format!("{event} argument {arg}"))
        })
    }));
}

#[test]
fn arguments_of_iterators_are_typed() {
    skip_without_kernel!();
    agree(ubpf_verifier::typed::facts::ITERATORS.iter().flat_map(|(name, _)| {
        (0..6).map(move |arg| {
            let text = format!("r2 = *(u64 *)(r1 + {}){END}", arg * 8);
            (iter(name, &text), format!("{name} argument {arg}"))
        })
    }));
}

#[test]
fn contexts_of_arguments_are_read_in_whole() {
    skip_without_kernel!();
    let cases = [
        ("half a pointer", "r2 = *(u32 *)(r1 + 8)"),
        ("half a number", "r2 = *(u32 *)(r1 + 0)"),
        ("a byte", "r2 = *(u8 *)(r1 + 0)"),
        ("inside", "r2 = *(u8 *)(r1 + 1)"),
        ("beyond", "r2 = *(u64 *)(r1 + 64)"),
        ("far beyond", "r2 = *(u64 *)(r1 + 96)"),
        ("before", "r2 = *(u64 *)(r1 - 8)"),
        ("a store", "*(u64 *)(r1 + 0) = 0"),
        ("a moved context", "r1 += 8\nr2 = *(u64 *)(r1 + 0)"),
    ];
    agree(
        cases
            .map(|(what, text)| (tp_btf("sched_switch", &format!("{text}{END}")), what.to_owned())),
    );
}

#[test]
fn targets_must_exist_and_fit() {
    skip_without_kernel!();
    let ret = |r0: i32| format!("r0 = {r0}\nexit\n");
    let sleepable = |mut program: Program| {
        program.section.sleepable = true;
        program
    };
    let proprietary = |mut program: Program| {
        program.license = "Proprietary".into();
        program
    };
    let xdp = program(ProgType::Xdp, AttachType(0), "", &ret(0));
    let kprobe = program(ProgType::Kprobe, AttachType(0), "", &ret(0));
    let syscall = program(ProgType::Syscall, AttachType(0), "", &ret(0));
    let cases = [
        ("no such event", tp_btf("no_such_event", &ret(0))),
        ("an iterator that is none", iter("bits_new", &ret(0))),
        ("a sleeping tracepoint", sleepable(tp_btf("sched_switch", &ret(0)))),
        ("a sleeping iterator", sleepable(iter("task", &ret(0)))),
        ("sleeping XDP", sleepable(xdp)),
        ("a sleeping probe", sleepable(kprobe)),
        ("a syscall that may not sleep", syscall.clone()),
        ("a syscall", sleepable(syscall)),
        ("any result of a tracepoint", tp_btf("sched_switch", &ret(77))),
        ("results of iterators", iter("task", &ret(1))),
        ("wrong results of iterators", iter("task", &ret(2))),
        ("a struct without operations", operation("task_struct", "flags", &ret(0))),
        ("an operation", operation("bpf_dummy_ops", "test_1", &ret(7))),
        (
            "an operation that may not sleep",
            sleepable(operation("bpf_dummy_ops", "test_1", &ret(7))),
        ),
        ("one that may", sleepable(operation("bpf_dummy_ops", "test_sleepable", &ret(7)))),
        (
            "a sleeping congestion control",
            sleepable(operation("tcp_congestion_ops", "ssthresh", &ret(7))),
        ),
        ("an unsupported operation", operation("tcp_congestion_ops", "get_info", &ret(0))),
        ("an operation without result", operation("tcp_congestion_ops", "init", "exit\n")),
        ("an operation with one", operation("tcp_congestion_ops", "ssthresh", "exit\n")),
        ("a proprietary operation", proprietary(operation("bpf_dummy_ops", "test_1", &ret(7)))),
    ];
    agree(cases.map(|(what, program)| (program, what.to_owned())));
}

#[test]
fn arguments_of_operations_are_typed() {
    skip_without_kernel!();
    let members = [
        ("bpf_dummy_ops", "test_1"),
        ("bpf_dummy_ops", "test_2"),
        ("tcp_congestion_ops", "ssthresh"),
        ("tcp_congestion_ops", "cong_avoid"),
        ("tcp_congestion_ops", "pkts_acked"),
        ("tcp_congestion_ops", "cong_control"),
    ];
    agree(members.into_iter().flat_map(|(name, member)| {
        (0..6).map(move |arg| {
            let text = format!("r2 = *(u64 *)(r1 + {}){END}", arg * 8);
            (operation(name, member, &text), format!("{name}.{member} argument {arg}"))
        })
    }));
}

#[test]
fn loads_from_objects_give_what_the_types_say() {
    skip_without_kernel!();
    let structs = [
        ("sched_switch", 1, "task_struct"),
        ("kfree_skb", 0, "sk_buff"),
        ("inet_sock_set_state", 0, "sock"),
        ("block_rq_issue", 0, "request"),
        ("cgroup_mkdir", 0, "cgroup"),
        ("sched_process_exec", 2, "linux_binprm"),
    ];
    let cases = structs.into_iter().flat_map(|(event, arg, name)| {
        let id = types().find(Kind::Struct, name).expect("the kernel has the struct");
        let size = types().size_of(id).expect("structs have sizes");
        let places =
            [(8, 8), (4, 52), (2, 58), (1, 67)].into_iter().flat_map(move |(bytes, step)| {
                (0..size + 16).step_by(step).map(move |off| (bytes, off))
            });
        places.map(move |(bytes, off)| {
            let text = format!(
                "r2 = *(u64 *)(r1 + {})\nr3 = *(u{} *)(r2 + {off}){END}",
                arg * 8,
                bytes * 8
            );
            (tp_btf(event, &text), format!("{name} {bytes} bytes at {off}"))
        })
    });
    agree(cases.collect::<Vec<_>>());
}

/// Byte offset of a member, inside anonymous ones too.
fn offset(id: BtfId, field: &str) -> Option<u32> {
    types().members(id).iter().find_map(|m| match types().name(m.name) {
        name if name == field => Some(m.bit_off / 8),
        "" => Some(m.bit_off / 8 + offset(types().resolve(m.ty).ok()?.0, field)?),
        _ => None,
    })
}

#[test]
fn pointers_are_trusted_as_far_as_the_kernel_does() {
    skip_without_kernel!();
    let off = |name: &str, field: &str| {
        let id = types().find(Kind::Struct, name).expect("the kernel has the struct");
        offset(id, field).unwrap_or_else(|| panic!("{name}.{field}"))
    };
    let task = |field| off("task_struct", field);
    let chain = |fields: &[u32]| {
        let mut text = "r2 = *(u64 *)(r1 + 8)\n".to_owned();
        for off in fields {
            text += &format!("r2 = *(u64 *)(r2 + {off})\n");
        }
        text + END
    };
    let checked = |fields: &[u32]| {
        let mut text = "r2 = *(u64 *)(r1 + 8)\n".to_owned();
        for off in fields {
            text += &format!("r2 = *(u64 *)(r2 + {off})\nif r2 == 0 goto out\n");
        }
        format!("{text}out:{END}")
    };
    let mm = off("mm_struct", "exe_file");
    let cases = [
        ("group leader", chain(&[task("group_leader"), task("group_leader")])),
        ("parent", chain(&[task("real_parent")])),
        ("unchecked parent", chain(&[task("real_parent"), task("group_leader")])),
        ("checked parents", checked(&[task("real_parent"), task("real_parent")])),
        ("mm", chain(&[task("mm"), mm])),
        ("cgroups", checked(&[task("cgroups"), off("css_set", "dfl_cgrp"), off("cgroup", "kn")])),
        ("cpus_ptr", chain(&[task("cpus_ptr")])),
        ("a pointer to a number", chain(&[task("set_child_tid")])),
        ("through a pointer to a number", chain(&[task("set_child_tid"), 0])),
        ("stack", chain(&[task("stack"), 0])),
        ("files", chain(&[task("files"), off("files_struct", "fdt"), 8, 0])),
        ("sighand", checked(&[task("sighand")])),
        ("signal", chain(&[task("signal"), 8])),
        ("a store", "r2 = *(u64 *)(r1 + 8)\n*(u64 *)(r2 + 0) = 0\nr0 = 0\nexit\n".into()),
        ("a negative offset", "r2 = *(u64 *)(r1 + 8)\nr3 = *(u64 *)(r2 - 8)\nr0 = 0\nexit\n".into()),
        ("a moved pointer", "r2 = *(u64 *)(r1 + 8)\nr2 += 8\nr3 = *(u64 *)(r2 + 8)\nr0 = 0\nexit\n".into()),
        ("an unknown offset", "r2 = *(u64 *)(r1 + 8)\nr3 = *(u64 *)(r2 + 0)\nr3 &= 8\nr2 += r3\nr3 = *(u64 *)(r2 + 8)\nr0 = 0\nexit\n".into()),
        ("an argument that is no object", "r2 = *(u64 *)(r1 + 0)\nr3 = *(u64 *)(r2 + 0)\nr0 = 0\nexit\n".into()),
    ];
    agree(cases.map(|(what, text)| (tp_btf("sched_switch", &text), what.to_owned())));
}

#[test]
fn objects_that_may_be_null_are_checked_first() {
    skip_without_kernel!();
    let cases = [
        ("unchecked", "r2 = *(u64 *)(r1 + 8)\nr3 = *(u64 *)(r2 + 0)\nr0 = 0\nexit\n"),
        (
            "checked",
            "r2 = *(u64 *)(r1 + 8)\nr0 = 0\nif r2 == 0 goto out\nr3 = *(u64 *)(r2 + 0)\nout:\nexit\n",
        ),
        ("moved", "r2 = *(u64 *)(r1 + 8)\nr2 += 8\nr0 = 0\nexit\n"),
    ];
    agree(cases.map(|(what, text)| (iter("task", text), what.to_owned())));
    let proprietary = |mut program: Program| {
        program.license = "Proprietary".into();
        program
    };
    let text = "r2 = *(u64 *)(r1 + 8)\nr3 = *(u64 *)(r2 + 0)\nr0 = 0\nexit\n";
    agree([(proprietary(tp_btf("sched_switch", text)), "proprietary".to_owned())]);
}

#[test]
fn buffers_of_iterators_are_read_and_written() {
    skip_without_kernel!();
    let with = |arg: u32, access: &str| {
        format!(
            "r2 = *(u64 *)(r1 + {arg})\nr0 = 0\nr4 = *(u64 *)(r1 + 16)\nr4 &= 8\nif r2 == 0 goto out\n{access}\nout:\nexit\n"
        )
    };
    let cases = [
        ("key", with(16, "r3 = *(u64 *)(r2 + 8)")),
        ("key written", with(16, "*(u64 *)(r2 + 0) = 0")),
        ("value", with(24, "*(u64 *)(r2 + 8) = 0")),
        ("before the value", with(24, "r3 = *(u32 *)(r2 - 4)")),
        ("moved", with(24, "r2 += 8\nr3 = *(u32 *)(r2 + 4)")),
        ("moved before", with(24, "r2 += -8\nr3 = *(u32 *)(r2 + 4)")),
        ("moved somewhere", with(24, "r2 += r4\nr3 = *(u32 *)(r2 + 4)")),
    ];
    agree(cases.map(|(what, text)| (iter("bpf_map_elem", &text), what.to_owned())));
}

#[test]
fn typed_programs_call_the_helpers_that_the_kernel_admits() {
    skip_without_kernel!();
    type Typed = fn(&str) -> Program;
    let kinds: [(&str, Typed, &[u32]); 4] = [
        // Missing are helpers with a second prototype, and one for few functions.
        ("tp_btf", |text| tp_btf("sched_switch", text), &[46, 107, 108, 147, 188]),
        ("iter", |text| iter("task", text), &[46, 107, 108, 147, 188]),
        ("dummy", |text| operation("bpf_dummy_ops", "test_1", text), &[]),
        (
            "congestion",
            |text| operation("tcp_congestion_ops", "ssthresh", text),
            &[49, 57, 107, 108, 116, 160],
        ),
    ];
    let (mut compared, mut wrong) = (0, Vec::new());
    for (what, typed, missing) in kinds {
        for id in 1..=211 {
            compared += 1;
            let program = typed(&format!("call {id}{END}"));
            let refused = |reason: &str| {
                ["cannot use helper", "unknown func", "invalid func"]
                    .iter()
                    .any(|w| reason.contains(w))
            };
            let kernel = kernel(&program).1.is_err_and(|(_, reason)| refused(&reason));
            let report = verify(&Arc::new(program), &ubpf_helpers::linux(), &Options::default());
            let ours = report.verdict.is_err_and(|r| refused(&r.to_string()));
            if kernel != ours && !(ours && missing.contains(&id)) {
                wrong.push(format!("{what} {id}: the kernel refuses: {kernel}, we refuse: {ours}"));
            }
        }
    }
    println!("{compared} calls compared");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn helpers_take_and_return_objects() {
    skip_without_kernel!();
    let group_leader = {
        let id = types().find(Kind::Struct, "task_struct").expect("the kernel has tasks");
        offset(id, "group_leader").expect("tasks have leaders")
    };
    let cases = [
        ("the current task", "call 158\nr1 = *(u64 *)(r0 + 0)".to_owned()),
        ("its registers", "call 158\nr1 = r0\ncall 175\nr1 = *(u64 *)(r0 + 8)".to_owned()),
        (
            "registers of an argument",
            "r1 = *(u64 *)(r1 + 8)\ncall 175\nr1 = *(u64 *)(r0 + 8)".to_owned(),
        ),
        (
            "registers of a leader",
            format!(
                "call 158\nr1 = *(u64 *)(r0 + {group_leader})\ncall 175\nr1 = *(u64 *)(r0 + 8)"
            ),
        ),
        ("registers of a moved task", "call 158\nr1 = r0\nr1 += 8\ncall 175".to_owned()),
        ("registers of registers", "call 158\nr1 = r0\ncall 175\nr1 = r0\ncall 175".to_owned()),
        ("registers of a number", "r1 = 1\ncall 175".to_owned()),
        ("registers of the stack", "r1 = r10\ncall 175".to_owned()),
        ("registers of a pointer before", "r1 = *(u64 *)(r1 + 8)\nr1 += -8\ncall 175".to_owned()),
        (
            "registers of an unknown place",
            "r2 = *(u64 *)(r1 + 0)\nr2 &= 8\nr1 = *(u64 *)(r1 + 8)\nr1 += r2\ncall 175".to_owned(),
        ),
        (
            "an object as memory",
            "r2 = 8\nr3 = *(u64 *)(r1 + 8)\nr1 = r10\nr1 += -8\ncall 113".to_owned(),
        ),
    ];
    agree(
        cases
            .map(|(what, text)| (tp_btf("sched_switch", &format!("{text}{END}")), what.to_owned())),
    );
}

#[test]
fn addresses_in_contexts_are_not_numbers() {
    skip_without_kernel!();
    let signed = |prog_type, off: u32| {
        program(prog_type, AttachType(0), "", &format!("r2 = *(s32 *)(r1 + {off}){END}"))
    };
    agree([
        (signed(ProgType::Xdp, 0), "xdp data".to_owned()),
        (signed(ProgType::Xdp, 4), "xdp data_end".to_owned()),
        (signed(ProgType::Xdp, 12), "xdp ingress_ifindex".to_owned()),
        (signed(ProgType::SchedCls, 76), "skb data".to_owned()),
        (signed(ProgType::SchedCls, 0), "skb len".to_owned()),
    ]);
}

#[test]
fn attach_types_belong_to_their_types() {
    skip_without_kernel!();
    let types = [
        ProgType::SocketFilter,
        ProgType::SchedCls,
        ProgType::Xdp,
        ProgType::CgroupSkb,
        ProgType::CgroupSock,
        ProgType::CgroupSockAddr,
        ProgType::CgroupSockopt,
        ProgType::SkLookup,
        ProgType::SkReuseport,
        ProgType::Netfilter,
        ProgType::CgroupDevice,
        ProgType::RawTracepoint,
    ];
    agree(types.into_iter().flat_map(|prog_type| {
        (0..58).map(move |attach| {
            let one = "r0 = 1\nexit\n";
            let program = program(prog_type, AttachType(attach), "", one);
            (program, format!("{prog_type} attach type {attach}"))
        })
    }));
}

#[test]
fn results_are_those_of_the_attach_type() {
    skip_without_kernel!();
    let hooks: [(ProgType, &[u32]); 12] = [
        (ProgType::CgroupSkb, &[0, 1]),
        (ProgType::CgroupSock, &[2, 12, 34]),
        (
            ProgType::CgroupSockAddr,
            &[8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53],
        ),
        (ProgType::CgroupSockopt, &[21, 22]),
        (ProgType::SkLookup, &[36]),
        (ProgType::Netfilter, &[45]),
        (ProgType::CgroupDevice, &[0]),
        (ProgType::CgroupSysctl, &[0]),
        (ProgType::SockOps, &[0]),
        (ProgType::Kprobe, &[0, 42, 56]),
        (ProgType::SkMsg, &[0]),
        (ProgType::FlowDissector, &[0]),
    ];
    agree(hooks.into_iter().flat_map(|(prog_type, attach_types)| {
        attach_types.iter().flat_map(move |&attach| {
            (-1..5).map(move |r0| {
                let text = format!("r0 = {r0}\nexit\n");
                let program = program(prog_type, AttachType(attach), "", &text);
                (program, format!("{prog_type} attach type {attach} returns {r0}"))
            })
        })
    }));
}

#[test]
fn kernel_sockets_stand_in_for_sockets() {
    skip_without_kernel!();
    let cases = [
        (
            "a cast",
            "r1 = *(u64 *)(r1 + 0)\ncall 137\nif r0 == 0 goto out\nr1 = *(u64 *)(r0 + 0)\nout:",
        ),
        ("an unchecked cast", "r1 = *(u64 *)(r1 + 0)\ncall 137\nr1 = *(u64 *)(r0 + 0)"),
        ("a number", "r1 = *(u64 *)(r1 + 8)\ncall 137"),
        ("the stack", "r1 = r10\ncall 137"),
        ("a moved socket", "r1 = *(u64 *)(r1 + 0)\nr1 += 4\ncall 137"),
        (
            "a cast of a cast",
            "r1 = *(u64 *)(r1 + 0)\ncall 137\nif r0 == 0 goto out\nr1 = r0\ncall 136\nout:",
        ),
    ];
    agree(cases.map(|(what, text)| {
        (tp_btf("inet_sock_set_state", &format!("{text}{END}")), what.to_owned())
    }));
    let task = "r1 = *(u64 *)(r1 + 8)\ncall 137";
    agree([(tp_btf("sched_switch", &format!("{task}{END}")), "a task".to_owned())]);
}

#[test]
fn trusted_objects_are_read_by_helpers_as_memory() {
    skip_without_kernel!();
    let mm = {
        let id = types().find(Kind::Struct, "task_struct").expect("the kernel has tasks");
        offset(id, "mm").expect("tasks have memory")
    };
    let cases = [
        ("a number", "r1 = *(u64 *)(r1 + 8)\nr2 = 8\ncall 6".to_owned()),
        ("too much", "r1 = *(u64 *)(r1 + 8)\nr2 = 65536\ncall 6".to_owned()),
        (
            "an untrusted object",
            format!("r1 = *(u64 *)(r1 + 8)\nr1 = *(u64 *)(r1 + {mm})\nr2 = 8\ncall 6"),
        ),
        (
            "an object to compare",
            "r1 = *(u64 *)(r1 + 8)\nr2 = 8\nr3 = r1\nr4 = 8\nr5 = 0\ncall 28".to_owned(),
        ),
    ];
    agree(
        cases
            .map(|(what, text)| (tp_btf("sched_switch", &format!("{text}{END}")), what.to_owned())),
    );
}

#[test]
fn objects_are_spilled_compared_and_not_written() {
    skip_without_kernel!();
    let cases = [
        (
            "spilled",
            "r2 = *(u64 *)(r1 + 8)\n*(u64 *)(r10 - 8) = r2\nr3 = *(u64 *)(r10 - 8)\nr3 = *(u64 *)(r3 + 0)",
        ),
        ("partly filled", "r2 = *(u64 *)(r1 + 8)\n*(u64 *)(r10 - 8) = r2\nr3 = *(u32 *)(r10 - 8)"),
        (
            "compared with null",
            "r2 = *(u64 *)(r1 + 8)\nif r2 == 0 goto out\nr3 = *(u64 *)(r2 + 0)\nout:",
        ),
        (
            "compared with each other",
            "r2 = *(u64 *)(r1 + 8)\nr3 = *(u64 *)(r1 + 16)\nif r2 == r3 goto out\nr3 = *(u64 *)(r2 + 0)\nout:",
        ),
        (
            "subtracted",
            "r2 = *(u64 *)(r1 + 8)\nr3 = *(u64 *)(r1 + 16)\nr2 -= r3\nr3 = *(u64 *)(r2 + 0)",
        ),
        ("multiplied", "r2 = *(u64 *)(r1 + 8)\nr2 *= 2"),
        ("added atomically", "r2 = *(u64 *)(r1 + 8)\nr3 = 1\nlock *(u64 *)(r2 + 0) += r3"),
        ("sign-extended", "r2 = *(u64 *)(r1 + 8)\nr3 = *(s32 *)(r2 + 0)"),
    ];
    agree(
        cases
            .map(|(what, text)| (tp_btf("sched_switch", &format!("{text}{END}")), what.to_owned())),
    );
}
