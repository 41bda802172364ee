//! Clang-built BPF objects, and classic filters: from the bytes of a file to programs ready for
//! verification.
//!
//! The loader is the first stage of ubpf; you probably want the `ubpf` facade. It follows
//! libbpf (1.7), so that a program has the same instructions here as on its way into a
//! kernel. It is deterministic and looks at nothing but its arguments: the target's types and
//! configuration are part of [`LoadOptions`]; [`btf_source`] and [`kconfig_source`] find the running
//! kernel's.
//!
//! ```no_run
//! use ubpf_loader::{LoadOptions, find_program, link, load};
//!
//! let object = load(&std::fs::read("prog.o")?, &LoadOptions::default())?;
//! let program = link(&object, find_program(&object, None)?, None)?;
//! println!("{}: {} slots", program.name, program.slots.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!   bytes ─ elf ─▶ sections, symbols ─┬─ types ──────▶ BTF                        ┐
//!                                     ├─ functions ──▶ code ─ annotate ─▶ CO-RE   │
//!                                     ├─ maps ───────▶ definitions                ├▶ Object ─ link ─▶ Program
//!                                     ├─ externs ────▶ .ksyms, .kconfig           │
//!                                     └─ refs ───────▶ what instructions refer to ┘
//! ```
#![forbid(unsafe_code)]

mod annotate;
pub mod btf;
pub mod btf_source;
mod classic;
mod elf;
mod error;
mod externs;
mod functions;
pub mod kconfig_source;
mod link;
mod maps;
mod refs;
mod sections;
pub mod setup;
mod struct_ops;
mod types;

pub use error::{KconfigError, LoadError, LoadErrorKind, MapError, StructOpsError};
pub use link::{find_program, link};
pub use sections::{section_info, section_names};

use elf::Elf;
use externs::Externs;
use functions::Functions;
use maps::Maps;
use refs::Targets;
use std::sync::Arc;
use types::Types;
use ubpf_abi::btf::Btf;
use ubpf_abi::kernel::Kernel;
use ubpf_abi::object::Object;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::Slot;

/// What an object is loaded for.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Types of the target kernel. Without them CO-RE relocations are resolved against the
    /// object's own types, and kernel functions and variables stay unresolved.
    pub target_btf: Option<Arc<Btf>>,
    /// Kernel that `LINUX_KERNEL_VERSION` and the like tell of.
    pub kernel: Kernel,
    /// Kernel configuration for `.kconfig` externs: lines of `CONFIG_NAME=value`, as in
    /// `/boot/config-*`.
    pub kconfig: Option<String>,
}

/// Parses an object file, or a [classic filter](ubpf_isa::cbpf::parse) in any of its forms, which
/// is an object of one program called `filter`.
///
/// # Errors
/// [`LoadError`] says which section and symbol is wrong, and how. Nothing in an object can make
/// loading panic or use memory out of proportion to the object's size.
pub fn load(bytes: &[u8], options: &LoadOptions) -> Result<Object, LoadError> {
    if !Elf::recognises(bytes) {
        return classic::load(bytes);
    }
    let elf = Elf::parse(bytes)?;
    let mut types = Types::parse(&elf)?;
    let target = options.target_btf.as_deref();
    let mut functions = Functions::collect(&elf, bytes.len())?;
    let mut maps = Maps::collect(&elf, &types, &functions)?;
    let externs = Externs::collect(&elf, &mut types, &mut maps, options)?;
    struct_ops::collect(&mut maps, &elf, &types, &mut functions, target)?;
    let targets = Targets { elf: &elf, maps: &maps, externs: &externs };
    refs::resolve(&mut functions, &targets)?;
    annotate::annotate(&mut functions, &elf, &types, target)?;
    Ok(Object {
        license: license(&elf),
        kernel_version: kernel_version(&elf)?,
        functions: functions.list,
        maps: maps.list.into(),
        externs: externs.list.into(),
        btf: types.btf.map(Arc::new),
        target_btf: options.target_btf.clone(),
    })
}

/// A program of bare instructions, such as a `.bin` file: no maps, no types.
///
/// # Errors
/// A length that is not a whole number of instructions.
pub fn load_raw(bytes: &[u8], prog_type: ProgType) -> Result<Program, LoadError> {
    let (slots, rest) = bytes.as_chunks::<{ Slot::BYTES }>();
    if slots.is_empty() || !rest.is_empty() {
        return Err(LoadErrorKind::RawLength(bytes.len()).into());
    }
    let slots = slots.iter().map(|&b| Slot::from_le_bytes(b)).collect();
    Ok(Program::from_slots(prog_type, slots))
}

/// The text of the `license` section; libbpf looks at its first 63 bytes.
fn license(elf: &Elf<'_>) -> String {
    const MAX_BYTES: usize = 63;
    let data = elf.data_section("license").map_or(&[][..], |s| s.data);
    let text = data.split(|&b| b == 0).next().unwrap_or(&[]);
    let text = text.get(..MAX_BYTES).unwrap_or(text);
    String::from_utf8_lossy(text).into_owned()
}

/// The number in the `version` section.
fn kernel_version(elf: &Elf<'_>) -> Result<Option<u32>, LoadError> {
    let Some(section) = elf.data_section("version") else {
        return Ok(None);
    };
    match <[u8; 4]>::try_from(section.data) {
        Ok(bytes) => Ok(Some(u32::from_le_bytes(bytes))),
        Err(_) => {
            let error = LoadError::from(LoadErrorKind::Version(section.size));
            Err(error.in_section(section.name))
        }
    }
}
