//! One linked program in every way that ubpf has of running it: unverified, with what was proved
//! held against what happens, and trusted; interpreted and compiled.

use std::sync::Arc;
use ubpf::Jit;
use ubpf::platform::env::{EnvConfig, Environment};
use ubpf::verifier::{Options, Rejection, verify};
use ubpf::vm::code::{Code, MemMode};
use ubpf::vm::engine::{Call, CompileError, Engine, Image, Thread};
use ubpf::vm::interp::{Interp, claimed};
use ubpf::vm::lower::{LowerError, Target, lower, lower_verified};
use ubpf::vm::map::Map;
use ubpf::vm::mem::{Cage, GuestAddr, MemError};
use ubpf::vm::registry::Registry;
use ubpf::vm::run::{Cpu, Input};
use ubpf::vm::world::World;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::Verified;
use ubpf_abi::{Errno, Kernel, Trap, TrapKind};

/// What a run on a packet gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `r0`, or the trap that ended the run.
    pub result: Result<u64, Trap>,
    /// Instructions executed.
    pub insns: u64,
    /// The packet afterwards.
    pub data: Option<Vec<u8>>,
    /// Contents of each map, by ascending key.
    pub maps: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Why a program could not be run in some way.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A map cannot be created.
    #[error("a map cannot be made: {0}")]
    Map(Errno),
    /// It refers to what is not there.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The engine cannot run it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// There is no room.
    #[error(transparent)]
    Mem(#[from] MemError),
    /// Nothing runs programs of this type.
    #[error("programs of this type cannot be run")]
    NotRun,
    /// A way came to something else than the unverified program did.
    #[error("{way}, packet {packet}: {found:x?} instead of {expected:x?}{}", Claim(.claim))]
    Differs {
        /// Which.
        way: &'static str,
        /// On which packet.
        packet: usize,
        /// What it came to.
        found: Box<Observed>,
        /// What the unverified program came to.
        expected: Box<Observed>,
        /// What had been claimed, where that was disproved.
        claim: Option<String>,
    },
}

struct Claim<'a>(&'a Option<String>);

impl std::fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |claim| write!(f, ": claimed was {claim}"))
    }
}

/// Instructions that a run may execute: as many as the verifier walks.
const BUDGET: u64 = 1 << 20;

/// A program in a world of its own.
struct Lab<'a> {
    registry: &'a Registry,
    world: World,
    maps: Vec<Arc<dyn Map>>,
    image: Arc<dyn Image>,
    thread: Thread,
}

impl<'a> Lab<'a> {
    fn new(
        registry: &'a Registry,
        program: &Program,
        engine: &dyn Engine,
        lowered: impl FnOnce(Target<'_>) -> Result<Code, LowerError>,
    ) -> Result<Self, WayError> {
        let environment = Box::new(Environment::new(EnvConfig::default()));
        let world = World::new(Cage::new()?, Kernel::default(), 1, environment);
        let (mut maps, mut addrs): (Vec<Arc<dyn Map>>, Vec<Option<GuestAddr>>) = Default::default();
        for def in &*program.maps {
            let type_def = def.map_type.ok().and_then(|t| registry.map_type_def(t));
            let type_def = type_def.ok_or(WayError::Map(Errno::EINVAL))?;
            let map = (type_def.create)(&world, def).map_err(WayError::Map)?;
            addrs.push(Some(world.add_map(Arc::clone(&map)).map_err(WayError::Map)?));
            maps.push(map);
        }
        let code = lowered(Target { registry, world: &world, maps: &addrs })?;
        let image = engine.compile(Arc::new(code))?;
        let mut thread = Thread::new(&world, Cpu(0))?;
        thread.counts = true;
        thread.budget = BUDGET;
        Ok(Self { registry, world, maps, image, thread })
    }

    fn run(&mut self, packet: &[u8]) -> Result<Observed, WayError> {
        let prog_type = self.image.code().program().prog_type;
        let def = self.registry.prog_type_def(prog_type).ok_or(WayError::NotRun)?;
        let input = Input { data: packet.to_vec(), ..Input::default() };
        let Ok(mut state) = (def.prepare)(&self.world, &input) else {
            return Err(WayError::NotRun);
        };
        let args = [state.ctx().into(), 0, 0, 0, 0];
        let call = Call { world: &self.world, state: &mut *state, func: SubprogId(0), args };
        let outcome = self.image.call(&mut self.thread, call);
        let output = state.finish(&self.world, outcome.result.unwrap_or_default()).ok();
        let maps = self.maps.iter().map(|map| contents(&**map)).collect();
        let data = output.and_then(|output| output.data);
        Ok(Observed { result: outcome.result, insns: outcome.insns, data, maps })
    }
}

fn contents(map: &dyn Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    let keys = map.keys().unwrap_or_default();
    let mut all: Vec<_> =
        keys.into_iter().map(|k| (k.clone(), map.user_lookup(&k, 0).unwrap_or_default())).collect();
    all.sort();
    all
}

/// Verifies a program, and where it is accepted, runs it on the packets in all ways. Returns what
/// it came to on each packet.
///
/// # Errors
/// [`WayError`] when one way comes to something else than the others; within, the verifier's
/// reason to refuse the program.
pub fn compare(
    registry: &Registry,
    program: &Arc<Program>,
    packets: &[Vec<u8>],
) -> Result<Result<Vec<Observed>, Rejection>, WayError> {
    let judge = |claims| {
        let options = Options { claims, ..Options::default() };
        verify(program, registry, &options).verdict
    };
    let (proved, claimed): (Verified, Verified) = match (judge(false), judge(true)) {
        (Ok(proved), Ok(claimed)) => (proved, claimed),
        (Err(rejection), _) | (_, Err(rejection)) => return Ok(Err(rejection)),
    };
    let mut reference = Lab::new(registry, program, &Interp, |target| lower(program, target))?;
    let runs = packets.iter().map(|packet| reference.run(packet));
    let expected: Vec<Observed> = runs.collect::<Result<_, _>>()?;
    let jit = Jit::new().ok();
    let jit = jit.as_ref().map(|jit| jit as &dyn Engine);
    let ways: [(&'static str, Option<&dyn Engine>, &Verified, MemMode); 5] = [
        ("facts checked", Some(&Interp), &claimed, MemMode::Checked),
        ("caged", Some(&Interp), &proved, MemMode::Caged),
        ("proved", Some(&Interp), &proved, MemMode::Proved),
        ("compiled, caged", jit, &proved, MemMode::Caged),
        ("compiled, proved", jit, &proved, MemMode::Proved),
    ];
    for (way, engine, verified, mode) in ways {
        let Some(engine) = engine else { continue };
        let mut lab =
            Lab::new(registry, program, engine, |target| lower_verified(verified, target, mode))?;
        for (packet, (bytes, expected)) in packets.iter().zip(&expected).enumerate() {
            let found = lab.run(bytes)?;
            if found != *expected {
                let claim = claim(&lab, &found);
                let (found, expected) = (Box::new(found), Box::new(expected.clone()));
                return Err(WayError::Differs { way, packet, found, expected, claim });
            }
        }
    }
    Ok(Ok(expected))
}

fn claim(lab: &Lab<'_>, found: &Observed) -> Option<String> {
    let trap = found.result.err().filter(|trap| trap.kind == TrapKind::Disproved)?;
    claimed(lab.image.code(), trap.pc, trap.size)
}
