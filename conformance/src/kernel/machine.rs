//! A program of an object on the running kernel, as a [`Machine`].

use super::map::has_contents;
use super::prog::{Loaded, LogLevel, TestInput};
use super::world::{KernelWorld, WorldError};
use crate::machine::{Contents, Machine, Records, RunError, RunResult, Stimulus};
use std::os::fd::AsFd;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapInit, SlotTarget};
use ubpf_abi::object::Object;
use ubpf_abi::prog_type::ProgType;
use ubpf_loader::{LoadError, find_program, link};

/// Why an object's program does not run on the kernel.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The object holds no such program, or one that cannot be linked.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel does not take it.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// A loaded program with maps of its own.
pub struct KernelMachine {
    world: KernelWorld,
    program: Loaded,
    prog_type: ProgType,
    /// Programs in prog arrays, which live as long as their descriptors.
    _tail_called: Vec<Loaded>,
}

impl KernelMachine {
    /// Room for the context afterwards, enough for any struct.
    const CTX_BYTES: usize = 256;
    /// Room for the packet afterwards beyond the packet before.
    const HEADROOM_BYTES: usize = 1 << 16;

    /// Creates the object's maps, loads the program `entry`, and fills prog arrays.
    ///
    /// # Errors
    /// [`MachineError`] with the kernel's reason.
    pub fn create(object: &Object, entry: &str) -> Result<Self, MachineError> {
        let mut world = KernelWorld::like_libbpf(object)?;
        for map in world.maps_mut() {
            let name = map.def().name.clone();
            map.listen().map_err(|errno| WorldError::Map { name, errno })?;
        }
        let load = |name: &str| -> Result<(Loaded, ProgType), MachineError> {
            let program = link(object, find_program(object, Some(name))?, None)?;
            let loaded = world
                .load(&program, LogLevel::None)
                .or_else(|_| world.load(&program, LogLevel::Brief))?;
            Ok((loaded, program.prog_type))
        };
        let (program, prog_type) = load(entry)?;
        let mut tail_called = Vec::new();
        for map in world.maps() {
            let MapInit::Slots(slots) = &map.def().init else { continue };
            for (index, target) in slots {
                let SlotTarget::Prog(name) = target else { continue };
                let (target, _) = load(name)?;
                map.set_slot(*index, target.as_fd())
                    .map_err(|errno| WorldError::Map { name: map.def().name.clone(), errno })?;
                tail_called.push(target);
            }
        }
        Ok(Self { world, program, prog_type, _tail_called: tail_called })
    }

    /// The program's type.
    #[must_use]
    pub const fn prog_type(&self) -> ProgType {
        self.prog_type
    }
}

impl Machine for KernelMachine {
    fn run(&mut self, stimulus: &Stimulus) -> Result<RunResult, RunError> {
        let ctx = stimulus.ctx.as_deref().unwrap_or_default();
        // What takes a context alone refuses to be asked for a packet, some even for the context.
        let (packet, context, repeat) = match self.prog_type {
            ProgType::SkLookup => (false, true, stimulus.repeat),
            ProgType::Netfilter => (true, false, stimulus.repeat),
            ProgType::RawTracepoint | ProgType::Syscall => {
                (false, false, stimulus.repeat.saturating_sub(1))
            }
            _ => (true, true, stimulus.repeat),
        };
        let data_out_bytes = stimulus.data.len() + Self::HEADROOM_BYTES;
        let input = TestInput {
            data: &stimulus.data,
            ctx,
            data_out_bytes: if packet { data_out_bytes } else { 0 },
            ctx_out_bytes: if context && !ctx.is_empty() { Self::CTX_BYTES } else { 0 },
            repeat,
            flags: 0,
        };
        let output = self.program.test_run(&input).map_err(RunError::Refused)?;
        let ctx = match self.prog_type {
            // These keep their context.
            ProgType::RawTracepoint | ProgType::Netfilter => Vec::new(),
            _ => output.ctx,
        };
        Ok(RunResult {
            retval: output.retval,
            // Without room for a packet, the kernel says how large the one was that went in.
            data: if packet { output.data } else { Vec::new() },
            ctx: stimulus.ctx.is_some().then_some(ctx),
        })
    }

    fn contents(&mut self) -> Result<Contents, Errno> {
        let mut contents = Contents::new();
        for map in self.world.maps().iter().filter(|m| has_contents(m.def())) {
            let elements = map.dump()?.into_iter();
            let of_cpu_0 = elements
                .map(|e| (e.key, e.values.into_iter().next().unwrap_or_default()))
                .collect();
            contents.insert(map.def().name.clone(), of_cpu_0);
        }
        Ok(contents)
    }

    fn records(&mut self) -> Records {
        let mut records = Records::new();
        for map in self.world.maps_mut() {
            let taken = map.drain_events();
            if !taken.is_empty() {
                records.insert(map.def().name.clone(), taken);
            }
        }
        records
    }
}
