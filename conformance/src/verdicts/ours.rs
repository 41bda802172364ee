//! ubpf's side.

use super::{Effort, Refusal, Stage, Verdict};
use crate::kernel::possible_cpus;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;
use ubpf::abi::program::Program;
use ubpf::loader::btf_source::{self, BtfSourceError};
use ubpf::loader::{LoadOptions, kconfig_source};
use ubpf::platform::env::EnvConfig;
use ubpf::verifier::{Class, Options, verify};
use ubpf::{Engine, Object, SetupError};

/// Why there is no verifier like this machine's.
pub type VerifierError = BtfSourceError;

/// ubpf's verifier with all it needs to know of the kernel that it is held against.
pub struct Verifier {
    engine: Engine,
    load: LoadOptions,
    options: Options,
}

impl Verifier {
    /// The one that stands in for the kernel of this machine: same types, configuration and CPUs.
    ///
    /// # Errors
    /// The kernel's type information cannot be read.
    pub fn like_this_machine() -> Result<Self, VerifierError> {
        let load = LoadOptions {
            target_btf: btf_source::target_btf(None)?,
            kconfig: kconfig_source::kernel_config(),
            ..LoadOptions::default()
        };
        let cpus = u32::try_from(possible_cpus()).ok().and_then(NonZeroU32::new);
        let mut options = Options::default();
        options.cpus = cpus.unwrap_or(options.cpus);
        let environment = EnvConfig { cpus: options.cpus.get(), ..EnvConfig::default() };
        let engine = Engine::builder().environment(environment).build();
        Ok(Self { engine, load, options })
    }

    /// The same with other conditions.
    #[must_use]
    pub fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The conditions of a verification.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// What objects are loaded for.
    #[must_use]
    pub const fn load_options(&self) -> &LoadOptions {
        &self.load
    }

    /// Whether programs of an object get as far as the verifier.
    ///
    /// # Errors
    /// What fails all of them.
    pub fn check_setup(&self, object: &Object) -> Result<(), SetupError> {
        self.engine.check_setup(object)
    }

    /// What it says of a program.
    #[must_use]
    pub fn judge(&self, program: &Arc<Program>) -> Verdict {
        self.judge_by(program, &self.options)
    }

    /// What it says of a program by other conditions.
    #[must_use]
    pub fn judge_by(&self, program: &Arc<Program>, options: &Options) -> Verdict {
        let start = Instant::now();
        let report = verify(program, &**self.engine.registry(), options);
        let time = start.elapsed();
        let effort = Effort {
            insns: report.stats.insns.into(),
            states: report.stats.states.into(),
            peak_states: report.stats.peak_states.into(),
            time,
        };
        let refusal = report.verdict.err().map(|rejection| {
            let reason = rejection.to_string();
            match rejection.reason.class() {
                Class::Unsupported => Refusal { stage: Stage::Unsupported, errno: None, reason },
                _ => {
                    let errno = Some(rejection.reason.errno());
                    Refusal { stage: Stage::Verifier, errno, reason }
                }
            }
        });
        Verdict { refusal, effort }
    }
}
