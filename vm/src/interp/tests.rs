//! Both backends, in whatever way the tests are built.

use super::backend::{Looped, Threaded, calls_are_jumps};
use super::*;
use crate::call::{CallCx, Callback, MemWrite, arg::callback};
use crate::lower::{LowerErrorKind, Target, lower};
use crate::map::Map;
use crate::mem::{Cage, GuestAddr, Perm, Region, RegionKind, RegionSpec};
use crate::registry::Registry;
use crate::run::{Cpu, CtxStoreError, InputError, NoState, Output, RunState};
use crate::testing::FakeMap;
use crate::world::World;
use crate::{helper, registry::HelperDef};
use ubpf_abi::map::MapOp;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::{Kernel, Trap, TrapKind};
use ubpf_isa::{Pc, Size, Slot, assemble};

const ADD_THREE: HelperDef = helper!(
    100 add_three, since 6.18, "Adds.",
);
fn add_three(_: &mut CallCx<'_>, a: u64, b: u64, c: u64) -> u64 {
    a.wrapping_add(b).wrapping_add(c)
}

const FILL: HelperDef = helper!(
    101 fill, since 6.18, "Fills memory with sevens.",
);
fn fill(cx: &mut CallCx<'_>, mem: MemWrite) -> Result<(), Trap> {
    mem.write(cx, &vec![7; mem.len() as usize]).map_err(|e| cx.fault(e))
}

const REPEAT: HelperDef = helper!(
    102 repeat, since 6.18, "Calls back until told to stop.",
);
fn repeat(
    cx: &mut CallCx<'_>,
    n: u64,
    body: Callback<callback::Loop>,
    data: u64,
) -> Result<u64, Trap> {
    for index in 0..n {
        if body.call(cx, [index, data, 0, 0, 0])? != 0 {
            return Ok(index + 1);
        }
    }
    Ok(n)
}

const TAIL_CALL: HelperDef = HelperDef {
    body: None,
    ..helper!(
        12 tail_call_shape, since 4.2, "Another program.", map_op: Some(MapOp::TailCall),
    )
};
fn tail_call_shape(_: &mut CallCx<'_>, _ctx: u64, _map: u64, _index: u64) -> u64 {
    0
}

/// A world with the helpers above and one prog array.
pub(super) struct Host {
    pub(super) registry: Registry,
    pub(super) world: World,
    pub(super) maps: Vec<Option<GuestAddr>>,
    slot: Arc<FakeMap>,
    pub(super) budget: u64,
}

impl Host {
    pub(super) fn new() -> Self {
        let mut registry = Registry::new();
        for def in [ADD_THREE, FILL, REPEAT, TAIL_CALL] {
            registry.add_helper(def);
        }
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        let slot = FakeMap::new("progs", None);
        let maps = vec![Some(world.add_map(Arc::clone(&slot) as Arc<dyn Map>).unwrap())];
        Self { registry, world, maps, slot, budget: 1_000_000 }
    }

    fn code(&self, text: &str) -> Arc<Code> {
        self.lowered(assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}")))
    }

    fn lowered(&self, slots: Vec<Slot>) -> Arc<Code> {
        let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
        let target = Target { registry: &self.registry, world: &self.world, maps: &self.maps };
        Arc::new(lower(&program, target).unwrap_or_else(|e| panic!("{e}")))
    }

    fn outcome(&self, text: &str, args: [u64; 5]) -> Outcome {
        self.outcome_of(assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}")), args)
    }

    /// Runs in both backends, which must agree.
    pub(super) fn outcome_of(&self, slots: Vec<Slot>, args: [u64; 5]) -> Outcome {
        let code = self.lowered(slots);
        let mut thread = Thread::new(&self.world, Cpu(0)).unwrap();
        thread.budget = self.budget;
        let mut run = |image: &Interpreted| {
            let (world, func) = (&self.world, SubprogId(0));
            image.call(&mut thread, Call { world, state: &mut NoState, func, args })
        };
        let looped = run(&Interpreted::new::<Looped>(Arc::clone(&code)));
        // Where calls are no jumps, a long chain of them would need too much stack.
        if calls_are_jumps() || looped.insns < 2000 {
            let threaded = run(&Interpreted::new::<Threaded>(code));
            assert_eq!(looped, threaded);
        }
        looped
    }

    fn run(&self, text: &str) -> Result<u64, Trap> {
        self.outcome(text, [0; 5]).result
    }

    pub(super) fn memory(&self, bytes: u64) -> Region {
        self.world.cage().alloc(RegionSpec::new(bytes, RegionKind::Host, "memory")).unwrap()
    }
}

fn run(text: &str) -> Result<u64, Trap> {
    Host::new().run(text)
}

#[test]
fn arithmetic_jumps_and_counting() {
    let sum = "r0 = 0
               r1 = 10
        again: r0 += r1
               r1 -= 1
               if r1 != 0 goto again
               exit";
    let outcome = Host::new().outcome(sum, [0; 5]);
    assert_eq!(outcome, Outcome { result: Ok(55), insns: 2 + 3 * 10 + 1 });
    assert_eq!(run("w0 = -1\nexit"), Ok(0xffff_ffff));
    assert_eq!(run("r0 = 0x1122334455667788 ll\nr0 = be16 r0\nexit"), Ok(0x8877));
}

#[test]
fn the_budget_is_looked_at_on_the_way_back() {
    let mut host = Host::new();
    host.budget = 10;
    let forever = host.outcome("r0 = 1\nspin: goto spin\nexit", [0; 5]);
    assert_eq!(forever.result, Err(Trap::new(TrapKind::BudgetExhausted, Pc(1))));
    assert_eq!(forever.insns, 11);
    let straight = "r0 = 1\n".repeat(50) + "exit";
    assert_eq!(host.outcome(&straight, [0; 5]), Outcome { result: Ok(1), insns: 51 });
    host.budget = u64::MAX;
    assert_eq!(host.run(&straight), Ok(1));
}

#[test]
fn the_stack_is_clear_private_and_bounded() {
    assert_eq!(run("*(u64 *)(r10 - 8) = 7\nr0 = *(u32 *)(r10 - 8)\nexit"), Ok(7));
    assert_eq!(run("r2 = r10\nr2 += -512\nr0 = *(u64 *)(r2 + 0)\nexit"), Ok(0));
    let above = run("r0 = *(u8 *)(r10 + 0)\nexit").unwrap_err();
    assert_eq!((above.kind, above.size, above.pc), (TrapKind::LoadFault, 1, Pc(0)));
    let below = run("r2 = r10\n*(u64 *)(r2 - 513) = 1\nexit").unwrap_err();
    assert_eq!((below.kind, below.size, below.pc), (TrapKind::StoreFault, 8, Pc(1)));
}

#[test]
fn accesses_are_checked_to_the_byte() {
    let host = Host::new();
    let memory = host.memory(12);
    let args = [memory.addr().into(), 0, 0, 0, 0];
    memory.write(0, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x80]).unwrap();
    let load = |text: &str| host.outcome(text, args).result;
    assert_eq!(load("r0 = *(u64 *)(r1 + 4)\nexit"), Ok(0x800b_0a09_0807_0605));
    assert_eq!(load("r0 = *(s8 *)(r1 + 11)\nexit"), Ok(0xffff_ffff_ffff_ff80));
    let trap = load("r0 = *(u64 *)(r1 + 5)\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.info), (TrapKind::LoadFault, u64::from(memory.addr()) + 5));
    assert!(load("*(u32 *)(r1 + 9) = 1\nexit").is_err());
    assert!(load("r1 <<= 1\nr0 = *(u8 *)(r1 + 0)\nexit").is_err());
    assert_eq!(load("r0 = 0\nr0 = *(u8 *)(r0 + 0)\nexit").unwrap_err().info, 0);
    memory.set_perm(Perm::Read);
    assert!(load("r0 = *(u64 *)(r1 + 0)\n*(u8 *)(r1 + 0) = 1\nexit").is_err());
    // Five places, more than there are windows, in turn.
    let places: Vec<_> = (0..5_u8).map(|n| (n, host.memory(8 + u64::from(n)))).collect();
    for (n, place) in &places {
        place.store(0, *n).unwrap();
    }
    let args = core::array::from_fn(|n| places[n].1.addr().into());
    let rounds = "r0 = 0
                  r6 = 3
           again: r7 = *(u8 *)(r1 + 0)
                  r0 += r7
                  r7 = *(u8 *)(r2 + 0)
                  r0 += r7
                  r7 = *(u8 *)(r3 + 0)
                  r0 += r7
                  r7 = *(u8 *)(r4 + 0)
                  r0 += r7
                  r7 = *(u8 *)(r5 + 0)
                  r0 += r7
                  r6 -= 1
                  if r6 != 0 goto again
                  exit";
    assert_eq!(host.outcome(rounds, args).result, Ok(30));
}

#[test]
fn atomics_need_alignment_and_any_size_of_region() {
    let host = Host::new();
    let memory = host.memory(12);
    let args = [memory.addr().into(), 5, 0, 0, 0];
    let go = |text: &str| host.outcome(text, args).result;
    assert_eq!(
        go("*(u64 *)(r1 + 0) = 1\nlock *(u64 *)(r1 + 0) += r2\nr0 = *(u64 *)(r1 + 0)\nexit"),
        Ok(6)
    );
    let exchange = "*(u32 *)(r1 + 8) = 9\nr0 = 9\nr0 = cmpxchg32_32(r1 + 8, w0, w2)\nexit";
    assert_eq!(go(exchange), Ok(9));
    assert_eq!(memory.load(8), Ok(5_u32));
    let trap = go("lock *(u32 *)(r1 + 2) += r2\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.size), (TrapKind::Misaligned, 4));
    assert_eq!(go("lock *(u64 *)(r1 + 8) += r2\nexit").unwrap_err().kind, TrapKind::StoreFault);
    let four = host.memory(4);
    let add = "lock *(u32 *)(r1 + 0) += r2\nr0 = 0\nexit";
    assert_eq!(host.outcome(add, [four.addr().into(), 3, 0, 0, 0]).result, Ok(0));
    assert_eq!(four.load(0), Ok(6_u32), "once in each backend");
}

#[test]
fn helpers_get_arguments_and_traps_name_the_call() {
    assert_eq!(run("r1 = 1\nr2 = 2\nr3 = 3\ncall 100\nexit"), Ok(6));
    let fill = "r1 = r10
                r1 += -16
                r2 = 12
                call 101
                r0 = *(u64 *)(r10 - 8)
                exit";
    assert_eq!(run(fill), Ok(0x0707_0707));
    let trap = run("r1 = 0\nr2 = 8\ncall 101\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.pc), (TrapKind::StoreFault, Pc(2)));
    let trap = run("r1 = r10\nr2 = 0\ncall 101\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.info), (TrapKind::BadArgument, 101 << 8 | 2));
}

#[test]
fn subprograms_have_their_own_frame_and_preserve_registers() {
    let text = "r6 = 40
                *(u64 *)(r10 - 8) = 2
                r1 = r10
                call sub
                r0 += r6
                exit
           sub: r6 = 99
                *(u64 *)(r10 - 8) = 99
                r0 = *(u64 *)(r1 - 8)
                exit";
    assert_eq!(run(text), Ok(42));
    let deep = "call sub\nexit\nsub: call sub\nexit";
    let trap = run(deep).unwrap_err();
    assert_eq!((trap.kind, trap.pc), (TrapKind::CallDepth, Pc(2)));
}

#[test]
fn callbacks_share_budget_and_frames() {
    let mut host = Host::new();
    let text = "r1 = 5
                r2 = subprog[body]
                r3 = r10
                r3 += -8
                call 102
                r0 = *(u64 *)(r10 - 8)
                exit
          body: r3 = *(u64 *)(r2 + 0)
                r3 += r1
                *(u64 *)(r2 + 0) = r3
                r0 = 0
                exit";
    let outcome = host.outcome(text, [0; 5]);
    assert_eq!(outcome, Outcome { result: Ok(10), insns: 7 + 5 * 5 });
    host.budget = 20;
    let trap = host.run(text).unwrap_err();
    assert_eq!((trap.kind, trap.pc), (TrapKind::BudgetExhausted, Pc(5)));
    let trap = run("r1 = 1\nr2 = 5\nr3 = 0\ncall 102\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.info), (TrapKind::BadCallTarget, 5));
    let recursive = "main: r1 = 1\nr2 = subprog[main]\nr3 = 0\ncall 102\nexit";
    assert_eq!(run(recursive).unwrap_err().kind, TrapKind::CallDepth);
}

#[test]
fn tail_calls_replace_one_frame_thirty_three_times() {
    let host = Host::new();
    let call = "r2 = map[fd:0]\nr3 = 0\ncall 12\n";
    // An empty slot, and an index past the end: nothing happens.
    assert_eq!(host.run(&format!("r0 = 7\n{call}exit")), Ok(7));
    // The callee counts in memory that r1 points to and calls itself.
    let counter = host.memory(8);
    let callee =
        host.code(&format!("r0 = *(u64 *)(r1 + 0)\nr0 += 1\n*(u64 *)(r1 + 0) = r0\n{call}exit"));
    let args = [counter.addr().into(), 0, 0, 0, 0];
    let in_subprog = format!("r6 = r1\ncall sub\nr0 += 1000\nexit\nsub: {call}exit");
    for image in [
        Interpreted::new::<Looped>(Arc::clone(&callee)),
        Interpreted::new::<Threaded>(Arc::clone(&callee)),
    ] {
        let id = host.world.add_prog(Arc::new(image)).unwrap();
        *host.slot.prog.lock().unwrap() = Some(id);
        counter.store(0, 0_u64).unwrap();
        let code = host.code(&in_subprog);
        let mut thread = Thread::new(&host.world, Cpu(0)).unwrap();
        let (world, func) = (&host.world, SubprogId(0));
        let call = Call { world, state: &mut NoState, func, args };
        let outcome = Interpreted::new::<Looped>(code).call(&mut thread, call);
        assert_eq!(outcome.result, Ok(1033));
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes half a minute without optimisation")]
fn may_goto_ends_a_loop_after_eight_million() {
    let mut host = Host::new();
    host.budget = 1 << 30;
    let text = "r0 = 0\nagain: may_goto out\nr0 += 1\ngoto again\nout: exit";
    assert_eq!(host.run(text), Ok(8 << 20));
}

/// A context of 8 bytes whose first four may be written, and a packet of three bytes.
struct Hooked {
    ctx: Region,
}

impl RunState for Hooked {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }
    fn ctx_store(&mut self, _: &World, off: u32, _: u32, value: u64) -> Result<(), CtxStoreError> {
        if off >= 4 {
            return Err(CtxStoreError);
        }
        self.ctx.store(off, value as u32 + 1).map_err(|_| CtxStoreError)
    }
    fn load_packet(&mut self, _: &World, off: i32, size: Size) -> Option<u32> {
        (size == Size::B && (0..3).contains(&off)).then_some(off as u32 + 10)
    }
    fn finish(&mut self, _: &World, _: u64) -> Result<Output, InputError> {
        Ok(Output::default())
    }
    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

#[test]
fn context_stores_and_packet_loads_go_to_the_program_type() {
    let host = Host::new();
    let spec = RegionSpec::new(8, RegionKind::Context, "xdp_md").perm(Perm::Hooked);
    let mut state = Hooked { ctx: host.world.cage().alloc(spec).unwrap() };
    let mut go = |text: &str| {
        let mut thread = Thread::new(&host.world, Cpu(0)).unwrap();
        let (world, func) = (&host.world, SubprogId(0));
        let args = [state.ctx().into(), 0, 0, 0, 0];
        let call = Call { world, state: &mut state, func, args };
        Interpreted::new::<Looped>(host.code(text)).call(&mut thread, call).result
    };
    assert_eq!(go("*(u32 *)(r1 + 0) = 4\nr0 = *(u32 *)(r1 + 0)\nexit"), Ok(5));
    let trap = go("*(u32 *)(r1 + 4) = 4\nexit").unwrap_err();
    assert_eq!((trap.kind, trap.size), (TrapKind::CtxAccess, 4));
    assert_eq!(go("r6 = r1\nr0 = *(u8 *)skb[2]\nexit"), Ok(12));
    assert_eq!(go("r6 = r1\nr7 = 1\nr0 = *(u8 *)skb[r7 + 1]\nexit"), Ok(12));
    assert_eq!(go("r6 = r1\nr0 = 5\nr0 = *(u8 *)skb[3]\nr0 = 1\nexit"), Ok(0));
}

#[test]
fn what_cannot_run_is_refused_with_its_place() {
    let host = Host::new();
    let refuse = |text: &str| {
        let program = Program::from_slots(ProgType::Xdp, assemble(text).unwrap());
        let target = Target { registry: &host.registry, world: &host.world, maps: &host.maps };
        lower(&Arc::new(program), target).unwrap_err()
    };
    let error = refuse("r0 = 0\ncall 25\nexit");
    assert_eq!(
        error.to_string(),
        "insn 1: helper 25 (perf_event_output) does not exist here; Linux has it since 4.4"
    );
    assert_eq!(refuse("r0 = 0").kind, LowerErrorKind::FallsOff);
    assert_eq!(refuse("r10 = 0\nexit").kind, LowerErrorKind::WritesFramePointer);
    assert_eq!(refuse("goto +5\nexit").kind, LowerErrorKind::TargetOutside { off: 5 });
    let wide = refuse("goto +1\nr0 = 1 ll\nexit").kind;
    assert_eq!(wide, LowerErrorKind::TargetInWideLoad { target: Pc(2) });
    let other = refuse("call sub\ngoto sub\nsub: r0 = 0\nexit").kind;
    assert_eq!(other, LowerErrorKind::TargetInOtherSubprog { target: Pc(2) });
    assert!(matches!(refuse("r1 = map[fd:9]\nexit").kind, LowerErrorKind::NoMap(_)));
}

#[test]
fn straight_code_of_any_length_needs_no_stack() {
    // One of every kind of handler, also of those that take a slow path.
    let round = "r6 += 1
                 *(u64 *)(r10 - 8) = r6
                 r1 = *(u32 *)(r10 - 8)
                 if r1 == 0 goto +0
                 r2 = r10
                 r3 = *(u8 *)(r2 - 8)
                 *(u16 *)(r2 - 10) = r3
                 lock *(u64 *)(r2 - 8) += r3
                 r4 = load_acquire((u32 *)(r2 - 16))
                 store_release((u32 *)(r2 - 16), r4)
                 may_goto +0
                 r5 = be16 r5
                 r5 = -r5
                 call 100
                 call sub
                 ";
    let text = format!("r6 = 0\n{}r0 = r6\nexit\nsub: r0 = 0\nexit", round.repeat(2_000));
    let host = Host::new();
    let code = host.code(&text);
    let small_stack = std::thread::Builder::new().stack_size(128 << 10);
    let result = std::thread::scope(|scope| {
        let run = || {
            let image = Interp.compile(code).unwrap();
            let mut thread = Thread::new(&host.world, Cpu(0)).unwrap();
            let (world, func) = (&host.world, SubprogId(0));
            let call = Call { world, state: &mut NoState, func, args: [0; 5] };
            image.call(&mut thread, call).result
        };
        small_stack.spawn_scoped(scope, run).unwrap().join().unwrap()
    });
    assert_eq!(result, Ok(2_000));
}

#[test]
fn threads_share_images_and_memory() {
    let host = Host::new();
    let counter = host.memory(8);
    let add = "r2 = 5000
        again: r3 = 1
               lock *(u64 *)(r1 + 0) += r3
               r2 -= 1
               if r2 != 0 goto again
               r0 = 0
               exit";
    let image = Interp.compile(host.code(add)).unwrap();
    std::thread::scope(|scope| {
        for cpu in 0..4 {
            let (world, image, args) = (&host.world, &image, [counter.addr().into(), 0, 0, 0, 0]);
            scope.spawn(move || {
                let mut thread = Thread::new(world, Cpu(cpu)).unwrap();
                let call = Call { world, state: &mut NoState, func: SubprogId(0), args };
                assert_eq!(image.call(&mut thread, call).result, Ok(0));
            });
        }
    });
    assert_eq!(counter.load(0), Ok(20_000_u64));
}

#[test]
fn windows_do_not_outlive_what_they_show() {
    let host = Host::new();
    let code = host.code("r0 = *(u64 *)(r1 + 0)\nexit");
    let image = Interp.compile(code).unwrap();
    let mut thread = Thread::new(&host.world, Cpu(0)).unwrap();
    let mut load = |addr: GuestAddr| {
        let (world, func, args) = (&host.world, SubprogId(0), [addr.into(), 0, 0, 0, 0]);
        image.call(&mut thread, Call { world, state: &mut NoState, func, args }).result
    };
    let memory = host.memory(64);
    let addr = memory.addr();
    assert_eq!(load(addr), Ok(0));
    memory.set_bounds(8, 8).unwrap();
    assert!(load(addr).is_err());
    memory.set_bounds(0, 64).unwrap();
    assert_eq!(load(addr), Ok(0));
    drop(memory);
    assert!(load(addr).is_err());
}

#[test]
fn optimised_builds_are_threaded() {
    assert_eq!(calls_are_jumps(), !cfg!(debug_assertions) && !cfg!(miri));
}
