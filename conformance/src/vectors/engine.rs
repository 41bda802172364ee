//! Vectors on ubpf, as programs that nobody has verified: every access is checked.

use super::kernel::Outcome;
use super::{Memory, Row};
use crate::bare::{Bare, BareError};
use std::sync::Arc;
use ubpf::vm::engine::Engine as Executor;
use ubpf::vm::interp::Interp;
use ubpf::{Engine, Input, InstantiateError, RunError};
use ubpf_abi::Trap;
use ubpf_abi::object::{Function, Object, SectionInfo};
use ubpf_abi::prog_type::ProgType;
use ubpf_isa::Slot;

/// Why a vector gave no result.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The program is not valid, or its memory does not fit.
    #[error(transparent)]
    Bare(#[from] BareError),
    /// It did not get to its end.
    #[error(transparent)]
    Trapped(#[from] Trap),
    /// The packet program cannot be linked.
    #[error(transparent)]
    Load(#[from] ubpf::loader::LoadError),
    /// The packet program cannot be instantiated.
    #[error(transparent)]
    Instantiate(#[from] InstantiateError),
    /// The packet is refused, or the program traps on it.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Interprets the program on a row's input.
///
/// # Errors
/// [`VectorError`] when there is no result.
pub fn run(slots: &[Slot], row: &Row) -> Result<Outcome, VectorError> {
    let interp: Arc<dyn Executor> = Arc::new(Interp);
    run_on(&interp, slots, row)
}

/// The same with another engine.
///
/// # Errors
/// As [`run`].
pub fn run_on(
    executor: &Arc<dyn Executor>,
    slots: &[Slot],
    row: &Row,
) -> Result<Outcome, VectorError> {
    match &row.input {
        Memory::Words(_) => run_on_memory(&**executor, slots, &row.input.bytes()),
        Memory::Packet(packet) => run_on_packet(executor, slots, packet),
    }
}

/// Whether the program is none.
#[must_use]
pub fn refuses(slots: &[Slot]) -> bool {
    Bare::new(slots.to_vec(), &[]).is_err()
}

fn run_on_memory(
    executor: &dyn Executor,
    slots: &[Slot],
    memory: &[u8],
) -> Result<Outcome, VectorError> {
    let mut bare = Bare::on(executor, slots.to_vec(), memory)?;
    let result = bare.run().result?;
    let bytes = bare.memory()?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(Outcome { result, after: words.iter().map(|&w| u64::from_le_bytes(w)).collect() })
}

fn run_on_packet(
    executor: &Arc<dyn Executor>,
    slots: &[Slot],
    packet: &[u8],
) -> Result<Outcome, VectorError> {
    const NAME: &str = "vector";
    let function = Function {
        name: NAME.into(),
        section: "socket".into(),
        entry: Some(SectionInfo {
            prog_type: Some(ProgType::SocketFilter),
            ..SectionInfo::default()
        }),
        global: true,
        slots: slots.to_vec(),
        classic: None,
        refs: Vec::new(),
        lines: Vec::new(),
        btf_func: None,
        failed_relos: Vec::new(),
    };
    let object = Arc::new(Object { functions: vec![function], ..Object::default() });
    let engine = Engine::builder().executor(Arc::clone(executor)).build();
    let module = engine.prepare(&object, NAME)?;
    let mut instance = engine.instantiate(&module)?;
    let outcome = instance.run(&Input { data: packet.to_vec(), ..Input::default() })?;
    Ok(Outcome { result: u64::from(outcome.output.retval), after: Vec::new() })
}
