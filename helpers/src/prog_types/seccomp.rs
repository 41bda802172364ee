//! Filters of system calls: classic filters on `struct seccomp_data`, which they only read.

use super::ctx::{context, no_memory};
use super::described::rows::{array, decl, long, wide, word};
use crate::func::group;
use std::any::Any;
use ubpf_abi::ctx::{CtxField, CtxLayout, CtxWidth};
use ubpf_abi::prog_type::{ProgType, ProgTypeDecl, Verdicts};
use ubpf_vm::mem::{GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::ProgTypeDef;
use ubpf_vm::run::{CtxStoreError, Input, InputError, Output, RunState};
use ubpf_vm::world::World;

const BYTES: usize = 64;

/// Filters load 32 bits at a time.
static FIELDS: &[CtxField] = &[
    word("nr", 0),
    word("arch", 4),
    wide(long("instruction_pointer", 8), CtxWidth::HalfLoads),
    wide(array("args", 16, 8, 6), CtxWidth::HalfLoads),
];
static LAYOUT: CtxLayout = CtxLayout { name: "seccomp_data", size: BYTES as u32, fields: FIELDS };

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        helpers: &[group::BASE],
        verdicts: Verdicts::Actions(&[
            (0x8000_0000, "KILL_PROCESS", false),
            (0x0000_0000, "KILL_THREAD", false),
            (0x0003_0000, "TRAP", true),
            (0x0005_0000, "ERRNO", true),
            (0x7fc0_0000, "USER_NOTIF", false),
            (0x7ff0_0000, "TRACE", true),
            (0x7ffc_0000, "LOG", false),
            (0x7fff_0000, "ALLOW", false),
        ]),
        ..decl(
            ProgType::Seccomp,
            "Classic BPF on system calls: lets them happen, fail, or kill the process.",
            CtxLayout { name: "seccomp_data", size: BYTES as u32, fields: FIELDS },
        )
    },
    prepare,
};

/// A system call under a filter.
struct Syscall {
    ctx: Region,
}

fn prepare(world: &World, input: &Input) -> Result<Box<dyn RunState>, InputError> {
    let bytes = context(input, &LAYOUT, [0; BYTES])?.unwrap_or([0; BYTES]);
    let spec = RegionSpec::new(BYTES as u64, RegionKind::Context, LAYOUT.name).perm(Perm::Read);
    let ctx = world.cage().alloc(spec).map_err(|e| no_memory(&e))?;
    let written = ctx.write(0, &bytes);
    debug_assert!(written.is_ok(), "the region has the struct's size");
    Ok(Box::new(Syscall { ctx }))
}

impl RunState for Syscall {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn ctx_store(&mut self, _: &World, _: u32, _: u32, _: u64) -> Result<(), CtxStoreError> {
        Err(CtxStoreError)
    }

    fn finish(&mut self, _: &World, r0: u64) -> Result<Output, InputError> {
        Ok(Output { retval: r0 as u32, ..Output::default() })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
