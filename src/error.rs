//! Errors of the steps from a module to an outcome.

use std::any::Any;
use std::sync::Arc;
use ubpf_abi::map::MapType;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_abi::{Errno, Trap, Version};
use ubpf_loader::LoadError;
use ubpf_verifier::Rejection;
use ubpf_vm::engine::CompileError;
use ubpf_vm::lower::LowerError;
use ubpf_vm::mem::{MemError, Near};
use ubpf_vm::run::InputError;
use ubpf_vm::world::HostError;

/// Whatever can go wrong, for callers that do not care at which step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The verifier refuses the program.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The program cannot be run here.
    #[error(transparent)]
    Instantiate(#[from] InstantiateError),
    /// A run did not come to its end.
    #[error(transparent)]
    Run(#[from] RunError),
    /// There is no such map.
    #[error(transparent)]
    Map(#[from] NoSuchMap),
}

/// Why there is no verified module.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The object has no such program, or it cannot be linked.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The verifier refuses the program.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Load(error) => Self::Load(error),
            VerifyError::Rejected(rejection) => Self::Rejected(rejection),
        }
    }
}

/// Why a program cannot be run here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// Its type is described, so that its programs can be verified, but nothing makes its context.
    #[error(
        "programs of type {0} can be verified but not run yet; `ubpf features` lists what is emulated"
    )]
    NotRun(ProgType),
    /// Its type is not emulated, or not there yet in the emulated kernel.
    #[error(
        "programs of type {prog_type} cannot be run here; Linux has them since {since}, `ubpf features` lists what is emulated"
    )]
    ProgType {
        /// The type.
        prog_type: ProgType,
        /// The kernel that brought it.
        since: Version,
    },
    /// A module of another program type cannot replace the one that runs.
    #[error("the instance runs a {now} program, and the new one is of type {new}")]
    ReloadType {
        /// What runs.
        now: ProgType,
        /// What was to replace it.
        new: ProgType,
    },
    /// A map's type does not exist, is not emulated, or not there yet in the emulated kernel.
    #[error("map `{name}` cannot exist here: nothing emulates {}", type_name(.map_type))]
    MapType {
        /// The map.
        name: String,
        /// Its type, or a number that is none.
        map_type: Result<MapType, u32>,
    },
    /// The emulated kernel refuses to create a map.
    #[error(
        "map `{name}` cannot be created ({map_type}, {key_size}-byte keys, {value_size}-byte values, {max_entries} entries)"
    )]
    CreateMap {
        /// The map.
        name: String,
        /// Its type.
        map_type: MapType,
        /// Bytes in a key.
        key_size: u32,
        /// Bytes in a value.
        value_size: u32,
        /// Entries at most.
        max_entries: u32,
        /// What bpf(2) would return.
        source: Errno,
    },
    /// A map does not take what the object initialises it with.
    #[error("map `{name}` cannot be initialised")]
    InitMap {
        /// The map.
        name: String,
        /// What bpf(2) would return.
        source: Errno,
    },
    /// A program that a prog array refers to cannot be linked.
    #[error("program `{name}`, which map `{map}` refers to, cannot be linked")]
    LinkSlot {
        /// The program.
        name: String,
        /// The prog array.
        map: String,
        /// Why.
        source: LoadError,
    },
    /// A program that this one can tail-call would be refused by the kernel.
    #[error("program `{}`, which can be tail-called, is refused", .program.name)]
    Rejected {
        /// The program.
        program: Arc<Program>,
        /// Why.
        source: Rejection,
    },
    /// A program uses what does not exist here.
    #[error("program `{}` cannot be run here", .program.name)]
    Lower {
        /// The program.
        program: Arc<Program>,
        /// Which instruction, and why.
        source: LowerError,
    },
    /// The engine cannot run the program.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Guest memory cannot be had.
    #[error("the program's memory cannot be set up")]
    Memory(#[from] MemError),
    /// There are more programs than a world holds.
    #[error("too many programs")]
    TooManyPrograms(#[source] Errno),
}

fn type_name(map_type: &Result<MapType, u32>) -> String {
    match map_type {
        Ok(map_type) => format!("type {map_type} (in Linux since {})", map_type.since()),
        Err(id) => format!("type {id}, which Linux does not have either"),
    }
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input was refused before the program ran, or its result afterwards.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The program trapped.
    #[error(transparent)]
    Trap(#[from] Trapped),
    /// A helper of the host ended the run with an error of the host's own.
    #[error(transparent)]
    Host(#[from] HostFailure),
    /// A helper of the host panicked. The instance can go on.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl RunError {
    /// The trap that ended the run, where it was one.
    #[must_use]
    pub const fn trap(&self) -> Option<&Trapped> {
        match self {
            Self::Trap(trapped) | Self::Host(HostFailure { trapped, .. }) => Some(trapped),
            Self::Input(_) | Self::Panicked(_) => None,
        }
    }
}

/// An error of a host's helper, which ended the run.
#[derive(Debug, thiserror::Error)]
#[error("a helper of the host failed")]
pub struct HostFailure {
    /// Where.
    pub trapped: Trapped,
    /// The host's error.
    pub source: HostError,
}

/// A panic in a host's helper.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a helper of the host panicked: {message}")]
pub struct Panicked {
    /// What it panicked with, where that was text.
    pub message: String,
}

impl Panicked {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self { message: text.unwrap_or_else(|| "no message".to_owned()) }
    }
}

/// There is no map of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no map is called `{name}`; there are {}", .have.join(", "))]
pub struct NoSuchMap {
    /// What was asked for.
    pub name: String,
    /// The maps that there are.
    pub have: Vec<String>,
}

/// A trap, with what was known where it happened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{trap}")]
pub struct Trapped {
    /// What happened.
    pub trap: Trap,
    /// The program that it happened in: the one that was run, or one that it tail-called.
    pub program: Arc<Program>,
    /// The memory nearest to the address that was accessed.
    pub near: Option<Near>,
    /// What the verifier had claimed, where that was disproved.
    pub claim: Option<String>,
}
