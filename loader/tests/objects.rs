//! What the committed objects hold after loading and linking, without a kernel: their types come
//! from the objects themselves. `libbpf-compare` checks the same objects against libbpf.

use std::collections::BTreeSet;
use std::path::Path;
use ubpf_abi::map::{DataSection, MapDef, MapFlags, MapId, MapInit, MapType, SlotTarget};
use ubpf_abi::object::{ExternKind, Object, RefTarget};
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_abi::program::Program;
use ubpf_loader::{LoadErrorKind, LoadOptions, find_program, link, load, load_raw};

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn object(name: &str) -> Object {
    let options = LoadOptions {
        kconfig: Some(
            "CONFIG_HZ=250\nCONFIG_NET=y\nCONFIG_INET=y\nCONFIG_BPF_SYSCALL=y\n\
             CONFIG_DEFAULT_HOSTNAME=\"box\"\n"
                .to_owned(),
        ),
        ..LoadOptions::default()
    };
    load(&bytes(name), &options).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn program(object: &Object, name: &str) -> Program {
    link(object, find_program(object, Some(name)).unwrap(), None).unwrap()
}

fn map<'a>(object: &'a Object, name: &str) -> &'a MapDef {
    let found = object.maps.iter().find(|m| m.name == name);
    found.unwrap_or_else(|| panic!("no map {name}"))
}

fn subprogs(program: &Program) -> Vec<&str> {
    program.subprogs.iter().map(|s| s.name.as_str()).collect()
}

/// Every call and function address of a linked program leads to the start of a subprogram.
fn assert_calls_hit_subprogs(program: &Program) {
    let starts: BTreeSet<_> = program.subprogs.iter().map(|s| s.start).collect();
    let mut calls = 0;
    for (pc, slot) in program.slots.iter().enumerate() {
        if matches!((slot.opcode, slot.src), (0x85, 1) | (0x18, 4)) {
            let target = ubpf_isa::Pc(pc as u32).target(slot.imm).unwrap();
            assert!(starts.contains(&target), "{}: {pc} to {target}", program.name);
            calls += 1;
        }
    }
    assert!(calls + 1 >= starts.len(), "a subprogram that nothing reaches");
}

#[test]
fn btf_maps_are_read_in_all_their_forms() {
    for cpu in ["v1", "v2", "v3", "v4"] {
        let object = object(&format!("maps.{cpu}.o"));
        let typed = map(&object, "typed");
        assert_eq!(typed.map_type, Ok(MapType::Hash));
        assert_eq!((typed.key_size, typed.value_size, typed.max_entries), (8, 8, 64));
        assert!(typed.flags.has(MapFlags::NO_PREALLOC) && typed.pin_by_name);
        let btf = object.btf.as_ref().unwrap();
        assert_eq!(btf.name_of(typed.key_type.unwrap()), "key");
        assert_eq!(map(&object, "sized").value_size, 24);
        assert_eq!(map(&object, "bloom").extra, 3);
        assert_eq!(map(&object, "ring").max_entries, 8192);

        let id = |name: &str| {
            let at = object.maps.iter().position(|m| m.name == name).unwrap();
            MapId(at as u32)
        };
        let outer = map(&object, "outer");
        assert_eq!(
            outer.init,
            MapInit::Slots(vec![
                (0, SlotTarget::Map(id("inner_a"))),
                (3, SlotTarget::Map(id("inner_b")))
            ])
        );
        assert_eq!(outer.value_size, 4);
        let inner = map(&object, "outer_hash").inner.as_deref().unwrap();
        assert_eq!(inner.name, "outer_hash.inner");
        assert_eq!((inner.map_type, inner.value_size), (Ok(MapType::Hash), 8));
        assert_eq!(
            map(&object, "jumps").init,
            MapInit::Slots(vec![
                (0, SlotTarget::Prog("second".to_owned())),
                (2, SlotTarget::Prog("first".to_owned()))
            ])
        );

        let first = program(&object, "first");
        let used: Vec<_> = first
            .slots
            .iter()
            .filter(|s| (s.opcode, s.src) == (0x18, 1))
            .map(|s| first.maps[s.imm as usize].name.as_str())
            .collect();
        assert_eq!(used, ["typed", "outer", "bloom", "ring", "events"], "{cpu}");
    }
}

#[test]
fn subprograms_follow_depth_first() {
    for cpu in ["v1", "v2", "v3", "v4"] {
        let object = object(&format!("calls.{cpu}.o"));
        assert_eq!(object.license, "Dual MIT/GPL");
        assert_eq!(object.kernel_version, Some(0x06_0c_00));
        let deep = program(&object, "deep");
        assert_eq!(
            subprogs(&deep),
            ["deep", "hidden_one", "weak_one", "middle", "leaf", "global_last", "on_iteration"],
        );
        let global: Vec<_> = deep.subprogs.iter().map(|s| s.global).collect();
        assert_eq!(global, [true, false, true, false, false, true, false]);
        assert!(deep.subprogs.iter().all(|s| s.btf_func.is_some()));
        let shallow = program(&object, "shallow");
        assert_eq!(subprogs(&shallow), ["shallow", "global_last", "leaf", "global_iteration"]);
        let alone = program(&object, "alone");
        assert_eq!(subprogs(&alone), ["alone"]);
        assert_eq!(alone.prog_type, ProgType::SchedCls);
        for name in ["deep", "shallow", "optional"] {
            assert_calls_hit_subprogs(&program(&object, name));
        }
        assert!(program(&object, "optional").section.optional);
    }
}

#[test]
fn lines_belong_to_the_linked_slots() {
    let object = object("calls.v3.o");
    let deep = program(&object, "deep");
    let btf = deep.btf.clone().unwrap();
    assert!(deep.lines.is_sorted_by_key(|l| l.slot));
    let leaf = deep.subprogs.iter().find(|s| s.name == "leaf").unwrap();
    let line = deep.line_at(leaf.start).unwrap();
    assert_eq!(line.slot, leaf.start.0);
    let text = btf.string(ubpf_abi::btf::StrOff(line.line_off)).unwrap();
    assert!(text.contains("a * 3 +") || text.contains("leaf(int a)"), "{text}");
    let file = btf.string(ubpf_abi::btf::StrOff(line.file_off)).unwrap();
    assert!(file.ends_with("calls.c"), "{file}");
}

#[test]
fn data_sections_are_maps_with_contents() {
    for cpu in ["v1", "v2", "v3", "v4"] {
        let object = object(&format!("data.{cpu}.o"));
        let data = map(&object, ".data");
        assert_eq!(data.max_entries, 1);
        let MapInit::Data { section, bytes } = &data.init else {
            panic!("{:?}", data.init);
        };
        assert_eq!((*section, bytes.len()), (DataSection::Data, data.value_size as usize));
        let btf = object.btf.as_ref().unwrap();
        let counter = btf
            .vars(data.value_type.unwrap())
            .iter()
            .find(|v| btf.name_of(v.ty) == "counter")
            .unwrap();
        assert_eq!(bytes[counter.off as usize], 7);
        assert!(map(&object, ".rodata").flags.has(MapFlags::RDONLY_PROG));
        assert!(map(&object, ".bss").flags.has(MapFlags::MMAPABLE));
        let strings = map(&object, ".rodata.str1.1");
        assert!(strings.value_type.is_none() && !strings.flags.has(MapFlags::MMAPABLE));
        // Nothing but a hidden variable: not for user space.
        assert_eq!(map(&object, ".data.hidden").flags, MapFlags(0));
        assert_eq!(map(&object, ".bss.later").value_size, 4);
        assert_eq!(map(&object, ".data.named").value_size, 8);
        assert_eq!(map(&object, ".rodata.fixed").value_size, 4);

        let function = &object.functions[find_program(&object, None).unwrap()];
        let value_size = |m: MapId| object.maps[m.index()].value_size;
        for reference in &function.refs {
            let RefTarget::MapValue { map, off } = reference.target else {
                panic!("{reference:?}");
            };
            assert!(off < value_size(map));
        }
    }
}

#[test]
fn externs_become_data_or_stay_symbolic() {
    let object = object("externs.o");
    let kconfig = map(&object, ".kconfig");
    let MapInit::Data { section: DataSection::Kconfig, bytes } = &kconfig.init else {
        panic!("{:?}", kconfig.init);
    };
    let btf = object.btf.as_ref().unwrap();
    let value = |name: &str| {
        let vars = btf.vars(kconfig.value_type.unwrap());
        let var = vars.iter().find(|v| btf.name_of(v.ty) == name).unwrap();
        &bytes[var.off as usize..][..var.bytes as usize]
    };
    assert_eq!(value("CONFIG_HZ"), 250u64.to_le_bytes());
    assert_eq!(value("LINUX_KERNEL_VERSION"), 0x06_12_00u32.to_le_bytes());
    assert_eq!(value("CONFIG_BPF_SYSCALL"), 1u32.to_le_bytes());
    assert_eq!(value("CONFIG_INET"), b"y");
    assert!(value("CONFIG_DEFAULT_HOSTNAME").starts_with(b"box\0"));
    assert_eq!(value("CONFIG_NO_SUCH_THING"), [0]);
    assert!(kconfig.flags.has(MapFlags::RDONLY_PROG));

    let ext = |name: &str| object.externs.iter().find(|e| e.name == name).unwrap();
    assert!(matches!(ext("bpf_rcu_read_lock").kind, ExternKind::Kfunc { target: None, .. }));
    assert!(matches!(ext("runqueues").kind, ExternKind::Var { .. }));
    assert_eq!(ext("schedule").kind, ExternKind::Address);
    assert!(ext("bpf_no_such_kfunc").weak && !ext("bpf_rcu_read_lock").weak);
    // Known without its flavor.
    assert!(ext("bpf_task_acquire").weak);

    let symbols = program(&object, "symbols");
    let kfuncs = symbols.slots.iter().filter(|s| (s.opcode, s.src) == (0x85, 2));
    let names: BTreeSet<_> =
        kfuncs.map(|s| symbols.externs[s.imm as usize].name.as_str()).collect();
    assert!(names.contains("bpf_rcu_read_lock") && names.contains("bpf_no_such_kfunc"));
}

#[test]
fn missing_configuration_is_an_error() {
    let error = load(&bytes("externs.o"), &LoadOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), LoadErrorKind::Kconfig(_)), "{error}");
    assert_eq!(error.section(), Some(".kconfig"));
    assert!(error.symbol().unwrap().starts_with("CONFIG_"));
}

#[test]
fn core_relocations_work_without_a_kernel() {
    let object = object("core.o");
    let task = program(&object, "task");
    assert_eq!(subprogs(&task), ["task", "from_subprog"]);
    // Against its own types everything is found, even what no kernel has.
    assert_eq!(task.failed_relos, []);
}

#[test]
fn struct_ops_programs_know_their_member() {
    let object = object("struct_ops.o");
    let plain = map(&object, "plain");
    assert_eq!(plain.map_type, Ok(MapType::StructOps));
    assert_eq!(map(&object, "linked").flags, MapFlags(MapFlags::LINK));
    let undo = program(&object, "mine_undo");
    let member = undo.section.struct_ops.clone().unwrap();
    assert_eq!(member.struct_name, "tcp_congestion_ops");
    assert_eq!(member.member, "undo_cwnd");
    assert_eq!(undo.section.attach_type, AttachType(2));
    assert_eq!(object.maps[member.map.index()].name, "plain");
}

#[test]
fn linked_objects_keep_statics_apart() {
    let object = object("linked.o");
    let a = program(&object, "prog_a");
    let b = program(&object, "prog_b");
    assert_eq!(subprogs(&a), ["prog_a", "same_static", "helper_b", "same_static", "overridden"]);
    for program in [&a, &b, &program(&object, "prog_tc")] {
        assert_calls_hit_subprogs(program);
    }
}

#[test]
fn exception_callbacks_come_last() {
    let object = object("exception.o");
    let program = program(&object, "with_callback");
    assert_eq!(subprogs(&program), ["with_callback", "may_throw", "on_throw", "callback_helper"]);
}

#[test]
fn arena_variables_are_its_contents() {
    let object = object("arena.o");
    let arena = map(&object, "arena");
    assert_eq!(arena.map_type, Ok(MapType::Arena));
    let MapInit::Data { section: DataSection::Arena, bytes } = &arena.init else {
        panic!("{:?}", arena.init);
    };
    assert_eq!(bytes.first(), Some(&5));
}

#[test]
fn legacy_maps_of_both_kinds() {
    let libbpf = object("legacy_libbpf.o");
    assert_eq!(map(&libbpf, "flows").key_size, 12);
    assert!(map(&libbpf, "flows").flags.has(MapFlags::NO_PREALLOC));
    assert!(libbpf.btf.is_none());
    let prog = program(&libbpf, "prog");
    let maps = prog.slots.iter().filter(|s| (s.opcode, s.src) == (0x18, 1));
    assert_eq!(maps.count(), 2);

    let iproute2 = object("legacy_iproute2.o");
    let id = |name: &str| {
        let at = iproute2.maps.iter().position(|m| m.name == name).unwrap();
        SlotTarget::Map(MapId(at as u32))
    };
    assert!(map(&iproute2, "in0").pin_by_name);
    let out = map(&iproute2, "out");
    assert_eq!(out.inner.as_deref().unwrap().value_size, 4);
    assert_eq!(out.init, MapInit::Slots(vec![(0, id("in0")), (1, id("in1"))]));
    assert_eq!(
        map(&iproute2, "jmp").init,
        MapInit::Slots(vec![(2, SlotTarget::Prog("tail".to_owned()))])
    );
}

#[test]
fn subprograms_may_be_in_any_section() {
    let object = object("local.o");
    let program = program(&object, "prog");
    assert_eq!(subprogs(&program), ["prog", "elsewhere", "beside"]);
    assert_calls_hit_subprogs(&program);
}

#[test]
fn an_object_of_plain_functions_needs_a_type() {
    let object = object("text_only.o");
    let names: Vec<_> = object.programs().map(|(_, f)| f.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    let first = find_program(&object, Some("first")).unwrap();
    let error = link(&object, first, None).unwrap_err();
    assert!(matches!(error.kind(), LoadErrorKind::UnknownType { .. }), "{error}");
    let program = link(&object, first, Some(ProgType::Xdp)).unwrap();
    assert_eq!(subprogs(&program), ["first", "twice"]);
}

#[test]
fn calls_in_a_circle_are_linked_once() {
    let program = program(&object("recursion.o"), "prog");
    assert_eq!(subprogs(&program), ["prog", "even", "odd"]);
    assert_calls_hit_subprogs(&program);
}

#[test]
fn messages_say_what_to_do() {
    let message = |name| {
        let error = load(&bytes(name), &LoadOptions::default()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        message("undefined.o"),
        "section `xdp` at 0x8: `prog`: `helper_of_another_file` is not defined in this object; \
         define it, link the object that does with `bpftool gen object`, or declare it \
         `extern … __ksym` or `__kconfig` and compile with `-g`"
    );
    assert_eq!(
        message("maps.untyped.o"),
        "section `.maps`: a map in `.maps` needs type information; compile with `-g`"
    );
    assert_eq!(
        message("big_endian.o"),
        "a big-endian object; rebuild it with `-target bpfel` (or `-target bpf` on a \
         little-endian host)"
    );
    let object = object("sections.o");
    let link_error = |name| {
        let at = find_program(&object, Some(name)).unwrap();
        link(&object, at, None).unwrap_err().to_string()
    };
    assert_eq!(
        link_error("p50"),
        "section `custom/name`: `p50`: the section's name gives no program type; \
         choose one with `--type TYPE`"
    );
    assert!(link_error("p56").ends_with("choose one with `--type xdp`"));
}

#[test]
fn choosing_a_program_says_what_there_is() {
    let object = object("calls.v1.o");
    let error = find_program(&object, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the object has several programs: deep, shallow, optional, alone; \
         choose one with `--prog NAME`"
    );
    let error = find_program(&object, Some("nope")).unwrap_err();
    assert!(matches!(error.kind(), LoadErrorKind::UnknownProgram { .. }), "{error}");
}

#[test]
fn raw_programs_are_whole_instructions() {
    let code = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(load_raw(&code, ProgType::Xdp).unwrap().slots.len(), 2);
    for len in [0, 7, 9] {
        let error = load_raw(&code[..len], ProgType::Xdp).unwrap_err();
        assert!(matches!(error.kind(), LoadErrorKind::RawLength(_)), "{error}");
    }
}
