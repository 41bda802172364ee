//! A program of an object on ubpf, as a [`Machine`].

use crate::kernel::{has_contents, possible_cpus};
use crate::machine::{Contents, Machine, Records, RunError, RunResult, Stimulus, perf_padded};
use std::sync::Arc;
use ubpf::abi::Errno;
use ubpf::abi::map::MapType;
use ubpf::abi::object::Object;
use ubpf::platform::env::EnvConfig;
use ubpf::{Engine, EngineBuilder, Input, Instance, Rejection, VerifyError};

/// Why an object's program does not run on ubpf.
#[derive(Debug, thiserror::Error)]
pub enum EmulatedError {
    /// It cannot be linked.
    #[error(transparent)]
    Load(#[from] ubpf::loader::LoadError),
    /// It cannot be instantiated.
    #[error(transparent)]
    Instantiate(#[from] ubpf::InstantiateError),
}

/// An engine that stands in for the kernel of this machine: as many CPUs, the same types.
///
/// # Errors
/// When the kernel's type information cannot be read.
pub fn engine_like_this_machine() -> Result<Engine, ubpf::loader::btf_source::BtfSourceError> {
    Ok(builder_like_this_machine()?.build())
}

/// The same, still to be built.
///
/// # Errors
/// When the kernel's type information cannot be read.
pub fn builder_like_this_machine() -> Result<EngineBuilder, ubpf::loader::btf_source::BtfSourceError>
{
    let cpus = u32::try_from(possible_cpus()).unwrap_or(1);
    Ok(Engine::builder()
        .target_btf(ubpf::loader::btf_source::target_btf(None)?)
        .environment(EnvConfig { cpus, ..EnvConfig::default() }))
}

/// An instance of a program.
pub struct EmulatedMachine {
    instance: Instance,
}

impl EmulatedMachine {
    /// Creates the object's maps and makes the program `entry` ready.
    ///
    /// # Errors
    /// [`EmulatedError`] with the reason.
    pub fn create(
        engine: &Engine,
        object: &Arc<Object>,
        entry: &str,
    ) -> Result<Self, EmulatedError> {
        let module = engine.prepare(object, entry)?;
        Ok(Self { instance: engine.instantiate(&module)? })
    }

    /// The same for a verified program, or the verifier's reason against it.
    ///
    /// # Errors
    /// [`EmulatedError`] with another reason.
    pub fn create_verified(
        engine: &Engine,
        object: &Arc<Object>,
        entry: &str,
    ) -> Result<Result<Self, Rejection>, EmulatedError> {
        match engine.verify(object, entry) {
            Ok(module) => Ok(Ok(Self { instance: engine.instantiate(&module)? })),
            Err(VerifyError::Rejected(rejection)) => Ok(Err(rejection)),
            Err(VerifyError::Load(error)) => Err(error.into()),
        }
    }
}

impl Machine for EmulatedMachine {
    fn run(&mut self, stimulus: &Stimulus) -> Result<RunResult, RunError> {
        let input =
            Input { data: stimulus.data.clone(), ctx: stimulus.ctx.clone(), ..Input::default() };
        let outcome = self.instance.run_repeated(&input, stimulus.repeat).map_err(run_error)?;
        let output = outcome.output;
        Ok(RunResult {
            retval: output.retval,
            data: output.data.unwrap_or_default(),
            ctx: stimulus.ctx.as_ref().map(|_| output.ctx.unwrap_or_default()),
        })
    }

    fn contents(&mut self) -> Result<Contents, Errno> {
        let mut contents = Contents::new();
        for map in self.instance.maps().filter(|m| has_contents(m.def())) {
            let value_bytes = map.def().value_size as usize;
            let mut elements = Vec::new();
            for key in map.keys()? {
                let mut value = map.user_lookup(&key, 0)?;
                value.truncate(value_bytes);
                elements.push((key, value));
            }
            elements.sort();
            contents.insert(map.def().name.clone(), elements);
        }
        Ok(contents)
    }

    fn records(&mut self) -> Records {
        let mut records = Records::new();
        for event in self.instance.drain_events() {
            let map = self.instance.map(&event.map);
            let perf = map.is_some_and(|m| m.def().map_type == Ok(MapType::PerfEventArray));
            let data = if perf { perf_padded(event.data) } else { event.data };
            records.entry(event.map).or_default().push(data);
        }
        records
    }
}

fn run_error(error: ubpf::RunError) -> RunError {
    match error {
        ubpf::RunError::Input(refused) => RunError::Refused(refused.errno),
        trapped => RunError::Trapped(trapped.to_string()),
    }
}
