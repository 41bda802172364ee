//! Dynptrs: bounded memory whose size is known only when the program runs.

use super::group::BASE;
use ubpf_abi::map::MapOp;
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{
    AllocSizeOrZero, Callback, DynptrAny, DynptrInitLocal, DynptrInitRingbuf, DynptrRingbuf,
    DynptrSlice, MapRef, MemReadOrEmpty, MemWriteOrEmpty, Released, StackPtr, Void,
};
use ubpf_vm::describe;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    describe!(197 dynptr_from_mem(MemWriteOrEmpty, u64, DynptrInitLocal) -> i64, since 5.19,
        "Makes a dynptr of memory.", groups: &[BASE]),
    describe!(198 ringbuf_reserve_dynptr(MapRef<'_>, u32, u64, DynptrInitRingbuf) -> i64,
        since 5.19, "Reserves a record as a dynptr.",
        groups: &[BASE], map_op: Some(MapOp::Ringbuf)),
    describe!(199 ringbuf_submit_dynptr(Released<DynptrRingbuf>, u64) -> Void, since 5.19,
        "Sends a record that is a dynptr.", groups: &[BASE]),
    describe!(200 ringbuf_discard_dynptr(Released<DynptrRingbuf>, u64) -> Void, since 5.19,
        "Drops a record that is a dynptr.", groups: &[BASE]),
    describe!(201 dynptr_read(MemWriteOrEmpty, DynptrAny, u32, u64) -> i64, since 5.19,
        "Copies memory of a dynptr out.", groups: &[BASE]),
    describe!(202 dynptr_write(DynptrAny, u32, MemReadOrEmpty, u64) -> i64, since 5.19,
        "Copies memory into a dynptr.", groups: &[BASE]),
    describe!(203 dynptr_data(DynptrAny, u32, AllocSizeOrZero) -> Option<DynptrSlice>, since 5.19,
        "Address of memory of a dynptr.", groups: &[BASE]),
    describe!(209 user_ringbuf_drain(MapRef<'_>, Callback<callback::UserRingbuf>,
            Option<StackPtr>, u64) -> i64, since 6.1,
        "Calls a subprogram for the records that user space has sent.",
        groups: &[BASE], map_op: Some(MapOp::UserRingbuf)),
];
