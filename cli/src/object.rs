//! Objects as commands name them: the file, the program in it, the types it is loaded against.

use crate::failure::Failure;
use crate::files;
use crate::listing::Listing;
use std::path::Path;
use std::sync::Arc;
use ubpf::abi::nearest::nearest;
use ubpf::abi::prog_type::ProgType;
use ubpf::loader::{LoadErrorKind, btf_source, kconfig_source};
use ubpf::{Engine, EngineBuilder, InstantiateError, Module, Object};

/// An object with the name of its file.
pub struct Source {
    name: String,
    object: Arc<Object>,
}

impl Source {
    /// Loads an object file.
    ///
    /// # Errors
    /// It cannot be read, or is no object that can be used.
    pub fn load(engine: &Engine, path: &Path) -> Result<Self, Failure> {
        let name = files::name(path);
        let bytes = files::read(path, files::MAX_OBJECT_BYTES)?;
        let object = engine
            .load(&bytes)
            .map_err(|e| Failure::unusable(format!("cannot load {name}")).because(e))?;
        Ok(Self { name, object })
    }

    /// Its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds.
    #[must_use]
    pub const fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// Links the program called `name`, or the only one.
    ///
    /// # Errors
    /// There is no such program, several to choose from, or no type.
    pub fn module(
        &self,
        engine: &Engine,
        name: Option<&str>,
        prog_type: Option<ProgType>,
    ) -> Result<Module, Failure> {
        let chosen = engine.prepare_as(&self.object, name, prog_type);
        chosen.map_err(|e| match e.kind() {
            LoadErrorKind::AmbiguousProgram(_) => {
                Failure::unusable(format!("{} has several programs", self.name))
                    .hint(format!("choose one with --prog:\n{}", self.programs()))
            }
            LoadErrorKind::UnknownProgram { name, .. } => {
                let names = self.object.programs().map(|(_, function)| function.name.as_str());
                Failure::unusable(format!("{} has no program called {name}", self.name)).hint(
                    match nearest(name, names) {
                        Some(near) => format!("is {near} meant?"),
                        None => format!("it has:\n{}", self.programs()),
                    },
                )
            }
            LoadErrorKind::UnknownType { .. } => {
                Failure::unusable(format!("cannot tell what type of program {} holds", self.name))
                    .because(e)
            }
            LoadErrorKind::Classic(_) => {
                Failure::failed(format!("the filter in {} is refused", self.name)).because(e)
            }
            _ => Failure::unusable(format!("cannot load {}", self.name)).because(e),
        })
    }

    /// Links all programs.
    ///
    /// # Errors
    /// There are none, or one of them has no type.
    pub fn modules(
        &self,
        engine: &Engine,
        prog_type: Option<ProgType>,
    ) -> Result<Vec<Module>, Failure> {
        let mut programs = self.object.programs().peekable();
        if programs.peek().is_none() {
            // Says that there is none.
            return self.module(engine, None, prog_type).map(|module| vec![module]);
        }
        programs.map(|(_, function)| self.module(engine, Some(&function.name), prog_type)).collect()
    }

    /// Its programs, one a line.
    fn programs(&self) -> String {
        let lines = self.object.programs().map(|(_, function)| {
            let info = function.entry.as_ref().and_then(|entry| entry.prog_type);
            let prog_type = info.map_or("type unknown", ProgType::name);
            let (name, section) = (&function.name, &function.section);
            format!("    {name}  ({prog_type}, section {section})")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A program of an object that cannot be made ready to run.
#[must_use]
pub fn cannot_run(source: &Source, error: InstantiateError) -> Failure {
    let failure = Failure::failed(format!("cannot run {}", source.name()));
    match &error {
        InstantiateError::Lower { program, source } => {
            let (program, pc) = (Arc::clone(program), source.pc);
            failure.because(error).at(Listing::new(&program).source_at(pc))
        }
        _ => failure.because(error),
    }
}

/// The program type of this name.
///
/// # Errors
/// There is none.
pub fn prog_type(name: &str) -> Result<ProgType, Failure> {
    ProgType::from_name(name).ok_or_else(|| {
        let known = || ProgType::ALL.iter().map(|t| t.name());
        Failure::unusable(format!("no program type is called {name}")).hint(
            match nearest(name, known()) {
                Some(near) => format!("is {near} meant?"),
                None => format!("the types are {}", known().collect::<Vec<_>>().join(", ")),
            },
        )
    })
}

/// An engine to be, with the types and the configuration that objects are loaded against: types
/// from a file if one is given, else the running kernel's.
///
/// # Errors
/// A file that cannot be used.
pub fn engine(btf: Option<&Path>) -> Result<EngineBuilder, Failure> {
    let target = btf_source::target_btf(btf)
        .map_err(|e| Failure::unusable("cannot use the target's BTF").because(e))?;
    Ok(Engine::builder().target_btf(target).kconfig(kconfig_source::kernel_config()))
}
