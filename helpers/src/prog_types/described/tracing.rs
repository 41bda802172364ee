//! Tracing and relatives: programs on kernel functions and tracepoints, on security hooks, in
//! place of kernel operations, and those that user space runs.

use super::rows::{BOOL, ZERO, array, decl, long, pointer, wide};
use crate::func::group;
use crate::prog_types::context::{self, runs_on_context};
use ubpf_abi::ctx::{
    CtxAccess, CtxField, CtxFieldKind, CtxLayout,
    CtxWidth::{Any, NarrowLoads, WholeFirst},
};
use ubpf_abi::prog_type::{AttachType, Hook, ProgType, ProgTypeDecl, RetRange};
use ubpf_vm::registry::ProgTypeDef;

/// Largest record of a tracepoint (`PERF_MAX_TRACE_SIZE`).
const MAX_RECORD_BYTES: u32 = 8192;
/// Arguments that a traced function may have (`MAX_BPF_FUNC_ARGS`).
const MAX_ARGS: u32 = 12;
/// Registers in `struct pt_regs` of x86-64.
const REGS: u32 = 21;
/// Where the kernel stops looking into the context of a program that user space runs.
const SYSCALL_CTX_BYTES: u32 = 0xffff;

const HELPERS: &[ubpf_abi::helper::HelperGroup] =
    &[group::BASE, group::EVENTS, group::TRACING, group::ATTACHED];

static PT_REGS: &[CtxField] = &[wide(array("regs", 0, 8, REGS), Any)];
/// The first eight bytes of a record are the kernel's.
static RECORD: &[CtxField] = &[wide(array("record", 8, 8, MAX_RECORD_BYTES / 8 - 1), Any)];
static PERF_EVENT: &[CtxField] = &[
    array("regs", 0, 8, REGS),
    wide(long("sample_period", 168), NarrowLoads),
    wide(long("addr", 176), NarrowLoads),
];
static RAW_ARGS: &[CtxField] = &[wide(array("args", 0, 8, MAX_ARGS), Any)];
static RAW_WRITABLE_ARGS: &[CtxField] = &[
    wide(pointer("buffer", 0, CtxFieldKind::TpBuffer), WholeFirst),
    wide(array("args", 8, 8, MAX_ARGS - 1), Any),
];
static SYSCALL: &[CtxField] = &[CtxField {
    size: SYSCALL_CTX_BYTES,
    access: CtxAccess::ReadWrite,
    ..wide(long("data", 0), Any)
}];

/// The arguments of the function that a program is attached to, which its prototype describes.
const PROTOTYPE: CtxLayout = CtxLayout { name: "u64[]", size: MAX_ARGS * 8, fields: &[] };

/// The types of this family that run on their context.
pub const ALL: &[ProgTypeDef] = &[
    runs_on_context!(ProgTypeDecl {
        helpers: HELPERS,
        hooks: &[Hook {
            attach_types: &[AttachType::TRACE_KPROBE_SESSION, AttachType::TRACE_UPROBE_SESSION],
            helpers: &[],
            ret: BOOL,
        }],
        ..decl(
            ProgType::Kprobe,
            "Runs at a function of the kernel or of a process.",
            CtxLayout { name: "pt_regs", size: 8 * REGS, fields: PT_REGS },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        helpers: HELPERS,
        ..decl(
            ProgType::Tracepoint,
            "Runs at a tracepoint, on its formatted record.",
            CtxLayout { name: "trace_entry", size: MAX_RECORD_BYTES, fields: RECORD },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::TRACING, group::ATTACHED, group::PERF_EVENT],
        ..decl(
            ProgType::PerfEvent,
            "Runs when a performance counter overflows.",
            CtxLayout { name: "bpf_perf_event_data", size: 184, fields: PERF_EVENT },
        )
    }),
    ProgTypeDef {
        decl: RAW_TRACEPOINT,
        prepare: |world, input| {
            context::prepare_bytes(world, input, &RAW_TRACEPOINT, MAX_ARGS as usize * 8, false)
        },
    },
    runs_on_context!(ProgTypeDecl {
        helpers: HELPERS,
        ..decl(
            ProgType::RawTracepointWritable,
            "Runs at a tracepoint whose first argument it may write.",
            CtxLayout {
                name: "bpf_raw_tracepoint_args",
                size: 8 * MAX_ARGS,
                fields: RAW_WRITABLE_ARGS,
            },
        )
    }),
    ProgTypeDef {
        decl: SYSCALL_DECL,
        prepare: |world, input| {
            context::prepare_bytes(world, input, &SYSCALL_DECL, SYSCALL_CTX_BYTES as usize, true)
        },
    },
];

const RAW_TRACEPOINT: ProgTypeDecl = ProgTypeDecl {
    helpers: HELPERS,
    ..decl(
        ProgType::RawTracepoint,
        "Runs at a tracepoint, on its raw arguments.",
        CtxLayout { name: "bpf_raw_tracepoint_args", size: 8 * MAX_ARGS, fields: RAW_ARGS },
    )
};

const SYSCALL_DECL: ProgTypeDecl = ProgTypeDecl {
    helpers: &[group::BASE, group::EVENTS, group::TRACING, group::TRACING_BTF, group::SYSCALL],
    ..decl(
        ProgType::Syscall,
        "Runs when user space asks for it, and may make system calls of bpf(2).",
        CtxLayout { name: "u8[]", size: SYSCALL_CTX_BYTES, fields: SYSCALL },
    )
};

/// The types whose context is that of the function they are attached to.
pub const DESCRIBED: &[ProgTypeDecl] = &[
    ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::TRACING, group::TRACING_BTF],
        ret: ZERO,
        hooks: &[
            Hook {
                attach_types: &[AttachType::TRACE_RAW_TP],
                helpers: &[group::ATTACHED],
                ret: RetRange::Any,
            },
            Hook {
                attach_types: &[AttachType::MODIFY_RETURN],
                helpers: &[group::ATTACHED, group::TRACED],
                ret: RetRange::Any,
            },
            Hook {
                attach_types: &[AttachType::TRACE_FENTRY, AttachType::TRACE_FEXIT],
                helpers: &[group::ATTACHED, group::TRACED],
                ret: ZERO,
            },
            Hook { attach_types: &[AttachType::TRACE_ITER], helpers: &[group::ITER], ret: BOOL },
        ],
        ..decl(ProgType::Tracing, "Runs at a kernel function, with its typed arguments.", PROTOTYPE)
    },
    ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::TRACING, group::TRACING_BTF, group::LSM],
        ..decl(ProgType::Lsm, "Decides at a security hook.", PROTOTYPE)
    },
    ProgTypeDecl {
        helpers: &[group::BASE],
        ..decl(ProgType::StructOps, "Implements an operation of a kernel struct.", PROTOTYPE)
    },
];
