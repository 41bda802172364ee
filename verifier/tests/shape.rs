//! The shape checks, one program a rule. The reasons are those the 6.18 kernel gives.

use ubpf_abi::helper::{HelperDecl, HelperId};
use ubpf_abi::kfunc::KfuncDecl;
use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapType, MapTypeDecl};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::{ProgType, ProgTypeDecl};
use ubpf_abi::program::Program;
use ubpf_isa::{Pc, Slot};
use ubpf_verifier::cfg::Cfg;
use ubpf_verifier::{Options, Privilege, Rejection, structure};

const EXIT: u64 = 0x95;
const R0_IS_0: u64 = 0xb7;
/// The first slot of `r1 = 0 ll`; a zero slot must follow.
const WIDE: u64 = 0x118;

fn jump(off: i16) -> u64 {
    0x05 | u64::from(off as u16) << 16
}

fn branch(off: i16) -> u64 {
    0x15 | u64::from(off as u16) << 16
}

fn call(imm: i32) -> u64 {
    0x1085 | u64::from(imm as u32) << 32
}

/// A host that has nothing.
struct NoHost;

impl Platform for NoHost {
    fn helper(&self, _: HelperId) -> Option<&HelperDecl> {
        None
    }

    fn kfunc(&self, _: &str) -> Option<&KfuncDecl> {
        None
    }

    fn map_type(&self, _: MapType) -> Option<&MapTypeDecl> {
        None
    }

    fn prog_type(&self, _: ProgType) -> Option<&ProgTypeDecl> {
        None
    }
}

fn array() -> MapDef {
    MapDef {
        name: String::from("array"),
        map_type: Ok(MapType::Array),
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: MapFlags(0),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    }
}

fn build(slots: &[u64], options: Options) -> Result<Cfg, Rejection> {
    let slots = slots.iter().map(|s| Slot::from_le_bytes(s.to_le_bytes())).collect();
    let mut program = Program::from_slots(ProgType::Xdp, slots);
    program.maps = vec![array(); 65].into();
    let text = structure::check(&program, &NoHost, &options)?;
    Cfg::build(&program, &text, None, options.loops_allowed(), &NoHost)
}

#[track_caller]
fn refused(slots: &[u64], pc: Option<u32>, text: &str) {
    let rejection = build(slots, Options::default()).expect_err("must be refused");
    assert_eq!((rejection.pc, rejection.to_string().as_str()), (pc.map(Pc), text));
}

#[test]
fn faults_have_the_kernels_words() {
    refused(&[jump(5), EXIT], Some(0), "jump out of range from insn 0 to 6");
    refused(&[R0_IS_0], Some(0), "last insn is not an exit or jmp");
    refused(&[0xff, EXIT], Some(0), "unknown opcode ff");
    refused(&[jump(1), R0_IS_0, EXIT], Some(1), "unreachable insn 1");
    refused(&[branch(1), WIDE, 0, EXIT], Some(2), "jump into the middle of ldimm64 insn 1");
    refused(&[call(7), EXIT], Some(0), "call to invalid destination");
    refused(&[call(1), EXIT, branch(-3), EXIT], Some(2), "jump out of range from insn 2 to 0");
}

#[test]
fn loops_need_a_kernel_and_the_privilege() {
    let slots = [R0_IS_0, branch(-2), EXIT];
    assert!(build(&slots, Options::default()).is_ok());
    let old = Options { kernel: "4.19".parse().unwrap(), ..Options::default() };
    let plugin = Options { privilege: Privilege::Unprivileged, ..Options::default() };
    for options in [old, plugin] {
        let rejection = build(&slots, options).unwrap_err();
        assert_eq!(rejection.to_string(), "back-edge from insn 1 to 0");
    }
}

#[test]
fn loops_are_numbered_and_straight_code_is_not() {
    let cfg = build(&[R0_IS_0, branch(-2), branch(-1), EXIT], Options::default()).unwrap();
    let loops: Vec<u32> = (0..4).map(|pc| cfg.mark(Pc(pc)).scc).collect();
    assert_eq!(loops[0], loops[1]);
    assert!(loops[0] != 0 && loops[2] != 0 && loops[0] != loops[2]);
    assert_eq!(loops[3], 0);
}

#[test]
fn a_million_slots_in_a_row_do_not_exhaust_the_stack() {
    let mut slots = vec![R0_IS_0; 999_999];
    slots.push(EXIT);
    assert!(build(&slots, Options::default()).is_ok());
    slots.push(EXIT);
    assert!(build(&slots, Options::default()).is_err());
}

#[test]
fn a_program_refers_to_64_maps_at_most() {
    let loads = |maps: u64| {
        let mut slots: Vec<u64> = (0..maps).flat_map(|fd| [0x1118 | fd << 32, 0]).collect();
        slots.extend([R0_IS_0, EXIT]);
        slots
    };
    assert!(build(&loads(64), Options::default()).is_ok());
    refused(
        &loads(65),
        Some(128),
        "The total number of maps per program has reached the limit of 64",
    );
}
