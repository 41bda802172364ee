use super::*;
use crate::mem::Cage;
use crate::registry::HelperDef;
use crate::testing::FakeMap;
use ubpf_abi::Kernel;
use ubpf_abi::btf::BtfId;
use ubpf_abi::helper::HelperDecl;
use ubpf_abi::object::{Extern, ExternKind, FailedRelo};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::SubprogId;
use ubpf_isa::assemble;

/// Two maps, the second without a value whose address could be taken.
struct Host {
    registry: Registry,
    world: World,
    maps: Vec<Option<GuestAddr>>,
}

const VALUE: GuestAddr = GuestAddr(0x8123_0000);

impl Host {
    fn new() -> Self {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        let maps = [FakeMap::new(".data", Some(VALUE)), FakeMap::new("hash", None)];
        let maps = maps.map(|map| Some(world.add_map(map).unwrap())).to_vec();
        Self { registry: Registry::new(), world, maps }
    }

    fn lower(&self, program: Program) -> Result<Code, LowerErrorKind> {
        let target = Target { registry: &self.registry, world: &self.world, maps: &self.maps };
        lower(&Arc::new(program), target).map_err(|error| error.kind)
    }
}

fn program(text: &str) -> Program {
    Program::from_slots(ProgType::Xdp, assemble(text).unwrap())
}

fn first_op(text: &str) -> Result<Op, LowerErrorKind> {
    Host::new().lower(program(text)).map(|code| code.ops()[0])
}

#[test]
fn references_become_addresses() {
    let host = Host::new();
    let map = host.maps[1].unwrap();
    let constant = |value| Ok(Op::Const { dst: Reg::R1, value });
    assert_eq!(first_op("r1 = map[fd:1]\nexit"), constant(map.into()));
    assert!(host.world.map_ref(map.into()).is_some());
    assert!(host.world.map_ref(u64::from(map) + 1).is_none());
    let value = first_op("r1 = map[fd:0][0]+12\nexit");
    assert_eq!(value, constant(u64::from(VALUE) + 12));
    let name = String::from(".data");
    let outside = LowerErrorKind::OutsideValue { name, off: 16, value_bytes: 16 };
    assert_eq!(first_op("r1 = map[fd:0][0]+16\nexit"), Err(outside));
    let name = String::from("hash");
    let no_value = first_op("r1 = map[fd:1][0]+0\nexit");
    assert_eq!(no_value, Err(LowerErrorKind::NoDirectValue { name }));
}

#[test]
fn function_addresses_can_be_called_and_not_read() {
    let code = Host::new().lower(program("r1 = subprog[sub]\nexit\nsub: exit")).unwrap();
    let Op::Const { value, .. } = code.ops()[0] else { panic!("a wide load is a constant") };
    assert_eq!(code.subprog_at(value), Some(SubprogId(1)));
    assert_eq!(code.subprog_at(value + 1), None);
    assert_eq!(code.subprog_at(value + 16), None);
    assert_eq!(code.pc(code.subprogs()[1].start), Pc(3));
}

#[test]
fn frames_are_cleared_as_far_as_they_can_be_reached() {
    let stack = |text: &str| {
        let code = Host::new().lower(program(&format!("{text}\nexit"))).unwrap();
        code.subprogs()[0].stack_bytes
    };
    assert_eq!(stack("r0 = 0"), 0);
    assert_eq!(stack("*(u32 *)(r10 - 12) = 0"), 16);
    assert_eq!(stack("r0 = *(u8 *)(r10 + 4)"), 8);
    assert_eq!(stack("*(u64 *)(r10 - 8) = r10"), 512);
    assert_eq!(stack("r2 = r10\nr2 += -8"), 512);
}

#[test]
fn missing_things_are_harmless_only_where_programs_may_ask_first() {
    let mut host = Host::new();
    let mut poisoned = program("call 195896080\nexit");
    assert!(matches!(host.lower(poisoned.clone()), Err(LowerErrorKind::UnknownHelper { .. })));
    poisoned.failed_relos.push(FailedRelo { slot: 0, reason: String::from("no such field") });
    let trap = Op::Trap { kind: TrapKind::Unsupported };
    assert_eq!(host.lower(poisoned).unwrap().ops()[0], trap);

    let with_extern = |weak| {
        let kind = ExternKind::Kfunc { local: BtfId(1), target: None };
        let mut program = program("call kfunc#0\nexit");
        program.externs = Arc::from([Extern { name: String::from("bpf_new"), weak, kind }]);
        program
    };
    assert_eq!(host.lower(with_extern(true)).unwrap().ops()[0], trap);
    let name = String::from("bpf_new");
    let missing = host.lower(with_extern(false)).map(|_| ());
    assert_eq!(missing, Err(LowerErrorKind::Extern { name }));

    let ret = ubpf_abi::helper::Ret::new(ubpf_abi::helper::RetKind::Scalar);
    let decl = HelperDecl::new(HelperId(7), "described", "", Version::new(6, 1), &[], ret);
    host.registry.add_helper(HelperDef { decl, body: None, native: None });
    let error = host.lower(program("call 7\nexit")).map(|_| ()).unwrap_err();
    assert_eq!(error, LowerErrorKind::HelperWithoutBody { id: HelperId(7), name: "described" });
}

#[test]
fn absurd_programs_are_refused() {
    let host = Host::new();
    let bare = |slots| host.lower(Program::from_slots(ProgType::Xdp, slots)).map(|_| ());
    assert_eq!(bare(Vec::new()), Err(LowerErrorKind::Empty));
    let slots = vec![ubpf_isa::Slot::default(); 1_000_001];
    assert_eq!(bare(slots), Err(LowerErrorKind::TooLong { slots: 1_000_001 }));
    let decode = bare(vec![ubpf_isa::Slot::default()]);
    assert!(matches!(decode, Err(LowerErrorKind::Decode(_))));
}
