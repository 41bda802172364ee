//! The registry: whole definitions of helpers, kernel functions, map types and program types, as
//! values.
//!
//! A definition is a description, which verifier and tools read through
//! [`Platform`], and a behaviour, which only the engines call.
//! Built-in definitions and those a host adds are the same thing.

use crate::call::{HelperFn, NativeFn};
use crate::map::Map;
use crate::run::{Input, InputError, RunState};
use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;
use ubpf_abi::helper::{HelperDecl, HelperId};
use ubpf_abi::kfunc::KfuncDecl;
use ubpf_abi::map::{MapDef, MapOp, MapType, MapTypeDecl};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::{ProgType, ProgTypeDecl};
use ubpf_abi::{Errno, Kernel};

/// A helper: what it is and what it does.
#[derive(Clone, Copy)]
pub struct HelperDef {
    /// Description.
    pub decl: HelperDecl,
    /// Behaviour; `None` where only the description is known, so that programs can be verified
    /// but not run.
    pub body: Option<HelperFn>,
    /// The same for generated code, which makes do with `body` where this is not there.
    pub native: Option<NativeFn>,
}

impl HelperDef {
    /// Whether programs that call it can run. Tail calls need no body: engines perform them.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        self.body.is_some() || self.decl.map_op == Some(MapOp::TailCall)
    }
}

/// A kernel function: what it is and what it does.
#[derive(Clone, Copy)]
pub struct KfuncDef {
    /// Description.
    pub decl: KfuncDecl,
    /// Behaviour; `None` where only the description is known, so that programs can be verified
    /// but not run.
    pub body: Option<HelperFn>,
}

/// How a map is made.
pub type CreateMap = fn(&World, &MapDef) -> Result<Arc<dyn Map>, Errno>;

/// How an input becomes a context.
pub type PrepareRun = fn(&World, &Input) -> Result<Box<dyn RunState>, InputError>;

/// A map type: what it is and how one is made.
#[derive(Clone, Copy)]
pub struct MapTypeDef {
    /// Description.
    pub decl: MapTypeDecl,
    /// Creates a map, checking the definition as the kernel does. `inner` is the template of
    /// maps of maps.
    pub create: CreateMap,
}

/// A program type: what it is and how an input becomes its context.
#[derive(Clone, Copy)]
pub struct ProgTypeDef {
    /// Description.
    pub decl: ProgTypeDecl,
    /// Builds the context and whatever it points to inside the world's cage.
    pub prepare: PrepareRun,
}

/// Everything a platform offers.
#[derive(Clone, Default)]
pub struct Registry {
    helpers: BTreeMap<HelperId, HelperDef>,
    kfuncs: BTreeMap<&'static str, KfuncDef>,
    map_types: BTreeMap<MapType, MapTypeDef>,
    prog_types: BTreeMap<ProgType, ProgTypeDef>,
    /// Types whose programs can be verified, but not run.
    described: BTreeMap<ProgType, ProgTypeDecl>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a helper, replacing one with the same number.
    pub fn add_helper(&mut self, def: HelperDef) -> &mut Self {
        self.helpers.insert(def.decl.id, def);
        self
    }

    /// Adds a kernel function, replacing one of the same name.
    pub fn add_kfunc(&mut self, def: KfuncDef) -> &mut Self {
        self.kfuncs.insert(def.decl.name, def);
        self
    }

    /// Adds a map type, replacing an earlier definition of it.
    pub fn add_map_type(&mut self, def: MapTypeDef) -> &mut Self {
        self.map_types.insert(def.decl.map_type, def);
        self
    }

    /// Adds a program type, replacing an earlier definition of it.
    pub fn add_prog_type(&mut self, def: ProgTypeDef) -> &mut Self {
        self.prog_types.insert(def.decl.prog_type, def);
        self
    }

    /// Adds a program type of which only the description is known: its programs can be verified,
    /// but not run. A whole definition, added before or later, goes first.
    pub fn describe_prog_type(&mut self, decl: ProgTypeDecl) -> &mut Self {
        self.described.insert(decl.prog_type, decl);
        self
    }

    /// Takes out what this kernel does not have yet.
    pub fn restrict_to(&mut self, kernel: Kernel) -> &mut Self {
        self.helpers.retain(|_, def| kernel.has(def.decl.since));
        self.kfuncs.retain(|_, def| kernel.has(def.decl.since));
        self.map_types.retain(|map_type, _| kernel.has(map_type.since()));
        self.prog_types.retain(|prog_type, _| kernel.has(prog_type.since()));
        self.described.retain(|prog_type, _| kernel.has(prog_type.since()));
        self
    }

    /// The helper with this number.
    #[must_use]
    pub fn helper_def(&self, id: HelperId) -> Option<&HelperDef> {
        self.helpers.get(&id)
    }

    /// The kernel function of this name.
    #[must_use]
    pub fn kfunc_def(&self, name: &str) -> Option<&KfuncDef> {
        self.kfuncs.get(name)
    }

    /// The map type's definition.
    #[must_use]
    pub fn map_type_def(&self, map_type: MapType) -> Option<&MapTypeDef> {
        self.map_types.get(&map_type)
    }

    /// The program type's definition.
    #[must_use]
    pub fn prog_type_def(&self, prog_type: ProgType) -> Option<&ProgTypeDef> {
        self.prog_types.get(&prog_type)
    }

    /// All helpers by number.
    pub fn helpers(&self) -> impl Iterator<Item = &HelperDef> {
        self.helpers.values()
    }

    /// All kernel functions by name.
    pub fn kfuncs(&self) -> impl Iterator<Item = &KfuncDef> {
        self.kfuncs.values()
    }

    /// All map types by number.
    pub fn map_types(&self) -> impl Iterator<Item = &MapTypeDef> {
        self.map_types.values()
    }

    /// All program types that can be run, by number.
    pub fn prog_types(&self) -> impl Iterator<Item = &ProgTypeDef> {
        self.prog_types.values()
    }

    /// All program types that can be verified but not run, by number.
    pub fn described_prog_types(&self) -> impl Iterator<Item = &ProgTypeDecl> {
        self.described.values().filter(|decl| !self.prog_types.contains_key(&decl.prog_type))
    }
}

impl Platform for Registry {
    fn helper(&self, id: HelperId) -> Option<&HelperDecl> {
        self.helpers.get(&id).map(|d| &d.decl)
    }

    fn kfunc(&self, name: &str) -> Option<&KfuncDecl> {
        self.kfuncs.get(name).map(|d| &d.decl)
    }

    fn map_type(&self, map_type: MapType) -> Option<&MapTypeDecl> {
        self.map_types.get(&map_type).map(|d| &d.decl)
    }

    fn prog_type(&self, prog_type: ProgType) -> Option<&ProgTypeDecl> {
        let def = self.prog_types.get(&prog_type).map(|d| &d.decl);
        def.or_else(|| self.described.get(&prog_type))
    }
}
