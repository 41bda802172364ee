//! The engine: what is emulated, and the way from a file to a program.

use crate::error::{InstantiateError, VerifyError};
use crate::instance::Instance;
use crate::module::Module;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use ubpf_abi::Kernel;
use ubpf_abi::btf::Btf;
use ubpf_abi::object::Object;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_abi::verified::Verified;
use ubpf_helpers::env::EnvConfig;
use ubpf_loader::{LoadError, LoadOptions};
use ubpf_verifier::{Options as VerifyOptions, Rejection, Report};
use ubpf_vm::code::MemMode;
use ubpf_vm::engine::Engine as Executor;
use ubpf_vm::interp::Interp;
use ubpf_vm::registry::{HelperDef, MapTypeDef, ProgTypeDef, Registry};

/// What programs are loaded for and run on. Cheap to clone and to share between threads.
#[derive(Clone)]
pub struct Engine {
    registry: Arc<Registry>,
    options: LoadOptions,
    env: EnvConfig,
    budget: Option<u64>,
    memory: Option<u64>,
    deadline: Option<Duration>,
    mode: MemMode,
    executor: Arc<dyn Executor>,
}

/// An [`Engine`] to be.
#[derive(Clone)]
pub struct EngineBuilder {
    registry: Registry,
    options: LoadOptions,
    env: EnvConfig,
    budget: Option<u64>,
    memory: Option<u64>,
    deadline: Option<Duration>,
    mode: MemMode,
    executor: Arc<dyn Executor>,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            registry: ubpf_helpers::linux(),
            options: LoadOptions::default(),
            env: EnvConfig::default(),
            budget: None,
            memory: None,
            deadline: None,
            mode: MemMode::Proved,
            executor: Arc::new(Interp),
        }
    }
}

impl EngineBuilder {
    /// Replaces what Linux has by another set of helpers, map types and program types.
    #[must_use]
    pub fn platform(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Adds a helper, or replaces the one with its number.
    #[must_use]
    pub fn helper(mut self, def: HelperDef) -> Self {
        self.registry.add_helper(def);
        self
    }

    /// Adds a map type, or replaces its definition.
    #[must_use]
    pub fn map_type(mut self, def: MapTypeDef) -> Self {
        self.registry.add_map_type(def);
        self
    }

    /// Adds a program type, or replaces its definition.
    #[must_use]
    pub fn prog_type(mut self, def: ProgTypeDef) -> Self {
        self.registry.add_prog_type(def);
        self
    }

    /// Emulates this kernel; 6.18 by default.
    #[must_use]
    pub const fn kernel(mut self, kernel: Kernel) -> Self {
        self.options.kernel = kernel;
        self
    }

    /// Resolves CO-RE relocations against these types; against the object's own by default.
    #[must_use]
    pub fn target_btf(mut self, btf: Option<Arc<Btf>>) -> Self {
        self.options.target_btf = btf;
        self
    }

    /// Fills `.kconfig` externs from lines of `CONFIG_NAME=value`; by default there are none.
    #[must_use]
    pub fn kconfig(mut self, config: Option<String>) -> Self {
        self.options.kconfig = config;
        self
    }

    /// The world around the programs; one CPU, the host's clocks and `lo` by default.
    #[must_use]
    pub fn environment(mut self, env: EnvConfig) -> Self {
        self.env = env;
        self
    }

    /// Instructions that a run may execute; some seconds' worth by default.
    #[must_use]
    pub const fn budget(mut self, insns: u64) -> Self {
        self.budget = Some(insns);
        self
    }

    /// Time that a run may take, all its repetitions together; it ends in a trap
    /// ([`TrapKind::HostLimit`](ubpf_abi::TrapKind::HostLimit)). The clock is looked at every 65 536
    /// instructions, so that helpers which take long are not interrupted. Only the interpreter
    /// does it: an engine with a deadline runs everything there.
    ///
    /// ```
    /// use std::time::Duration;
    /// let engine = ubpf::Engine::builder().deadline(Duration::from_millis(50)).build();
    /// assert_eq!(engine.executor().name(), "interp");
    /// ```
    #[must_use]
    pub const fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Bytes of guest memory that an instance may have: its maps' keys and values, its stack,
    /// packets and contexts. 4 GiB of addresses by default. Maps that do not fit make
    /// [`Engine::instantiate`] fail, elements of maps that do not fit are `-ENOMEM` to the program.
    #[must_use]
    pub const fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Confines verified programs to their world's memory even where the verifier should err, at
    /// the price of an instruction for most accesses.
    #[must_use]
    pub const fn caged(mut self) -> Self {
        self.mode = MemMode::Caged;
        self
    }

    /// Holds all that the verifier believes of registers against what they hold, before every
    /// instruction; a program in which something is otherwise ends in a trap
    /// ([`TrapKind::Disproved`](ubpf_abi::TrapKind::Disproved)). For tests of the verifier; only the
    /// interpreter does it.
    #[must_use]
    pub const fn check_facts(mut self) -> Self {
        self.mode = MemMode::Checked;
        self
    }

    /// What executes programs: [`Jit`](crate::Jit) or another; the interpreter by default.
    #[must_use]
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = executor;
        self
    }

    /// The engine. Of what the platform offers, it has what the emulated kernel has.
    #[must_use]
    pub fn build(mut self) -> Engine {
        self.registry.restrict_to(self.options.kernel);
        if self.deadline.is_some() {
            self.executor = Arc::new(Interp);
        }
        Engine {
            registry: Arc::new(self.registry),
            options: self.options,
            env: self.env,
            budget: self.budget,
            memory: self.memory,
            deadline: self.deadline,
            mode: self.mode,
            executor: self.executor,
        }
    }
}

impl Engine {
    /// An engine to be, with Linux's helpers, map types and program types.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// What is emulated.
    #[must_use]
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Which kernel is emulated.
    #[must_use]
    pub const fn kernel(&self) -> Kernel {
        self.options.kernel
    }

    /// The types that CO-RE relocations are resolved against, where they are not the object's own.
    #[must_use]
    pub const fn target_btf(&self) -> Option<&Arc<Btf>> {
        self.options.target_btf.as_ref()
    }

    /// The world around the programs.
    #[must_use]
    pub const fn environment(&self) -> &EnvConfig {
        &self.env
    }

    /// Instructions that a run may execute, when the host said so.
    #[must_use]
    pub const fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// Time that a run may take, when the host said so.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Bytes of guest memory that an instance may have, when the host said so.
    #[must_use]
    pub const fn memory_limit(&self) -> Option<u64> {
        self.memory
    }

    /// What executes programs.
    #[must_use]
    pub const fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    /// Reads an object file.
    ///
    /// # Errors
    /// [`LoadError`] says which section and symbol cannot be used, and why.
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<Object>, LoadError> {
        ubpf_loader::load(bytes, &self.options).map(Arc::new)
    }

    /// Links the program of the function `entry` with what it reaches.
    ///
    /// # Errors
    /// [`LoadError`] when there is no such program, or its section's name gives no type.
    pub fn prepare(&self, object: &Arc<Object>, entry: &str) -> Result<Module, LoadError> {
        self.prepare_as(object, Some(entry), None)
    }

    /// The same for the object's only program where `entry` is `None`, and of the type
    /// `prog_type` where the section's name gives none or another.
    ///
    /// # Errors
    /// As [`Engine::prepare`], and when there are several programs to choose from.
    pub fn prepare_as(
        &self,
        object: &Arc<Object>,
        entry: Option<&str>,
        prog_type: Option<ProgType>,
    ) -> Result<Module, LoadError> {
        let index = ubpf_loader::find_program(object, entry)?;
        let program = ubpf_loader::link(object, index, prog_type)?;
        Ok(Module::new(Arc::clone(object), Arc::new(program)))
    }

    /// Links the program of the function `entry` and verifies it, by the rules of the emulated
    /// kernel. What it is instantiated as runs without the checks that the proof makes
    /// needless.
    ///
    /// ```
    /// use ubpf::{Engine, VerifyError};
    ///
    /// let engine = Engine::builder().build();
    /// let object = engine.load(&std::fs::read("examples/guard.bpf.o")?)?;
    /// let module = match engine.verify(&object, "guard") {
    ///     Ok(module) => module,
    ///     // Not modelled yet: it can run with every access checked.
    ///     Err(VerifyError::Rejected(rejection)) if rejection.is_unsupported() => {
    ///         engine.prepare(&object, "guard")?
    ///     }
    ///     Err(refused) => return Err(refused.into()),
    /// };
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Engine::prepare`], and [`Rejection`] when the kernel would refuse the program, or
    /// ubpf does not model something that it uses.
    pub fn verify(&self, object: &Arc<Object>, entry: &str) -> Result<Module, VerifyError> {
        let module = self.prepare(object, entry)?;
        Ok(self.verify_module(&module)?)
    }

    /// Verifies a program that was prepared.
    ///
    /// # Errors
    /// [`Rejection`] when the kernel would refuse the program, or ubpf does not model something
    /// that it uses.
    pub fn verify_module(&self, module: &Module) -> Result<Module, Rejection> {
        self.verify_program(module.program()).map(|verified| module.with_proof(verified))
    }

    pub(crate) fn verify_program(&self, program: &Arc<Program>) -> Result<Verified, Rejection> {
        let claims = self.mode == MemMode::Checked;
        let options =
            VerifyOptions { kernel: self.options.kernel, claims, ..VerifyOptions::default() };
        ubpf_verifier::verify(program, &*self.registry, &options).verdict
    }

    /// What the verifier says of a program under these conditions, by the rules of the emulated
    /// kernel, and what it took; for tools.
    #[must_use]
    pub fn judge(&self, module: &Module, options: &VerifyOptions) -> Report {
        let options = VerifyOptions { kernel: self.options.kernel, ..*options };
        ubpf_verifier::verify(module.program(), &*self.registry, &options)
    }

    /// How far the accesses of verified programs are trusted.
    #[must_use]
    pub const fn mode(&self) -> MemMode {
        self.mode
    }

    /// Makes a world for a program: its maps, its memory, and the programs it can tail-call.
    ///
    /// # Errors
    /// [`InstantiateError`] names the map or instruction that cannot exist here.
    pub fn instantiate(&self, module: &Module) -> Result<Instance, InstantiateError> {
        Instance::new(self, module, Box::new(()))
    }

    /// The same, with what the host's own helpers work on: they get it from
    /// [`CallCx::host`](ubpf_vm::call::CallCx::host), the host from [`Instance::host`]. See
    /// [`host`](crate::host).
    ///
    /// # Errors
    /// As [`Engine::instantiate`].
    pub fn instantiate_with<T: Any + Send + Sync>(
        &self,
        module: &Module,
        host: T,
    ) -> Result<Instance, InstantiateError> {
        Instance::new(self, module, Box::new(host))
    }
}
