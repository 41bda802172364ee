//! The kernel's own objects: tasks, inodes, files, per-CPU variables, and what belongs to them.

use super::group::{BASE, SYSCALL, TRACING_BTF};
use super::structs::{Cgroup, File, Inode, LinuxBinprm, OfTheField, Path, PtRegs, Socket, Task};
use ubpf_abi::map::MapOp;
use ubpf_vm::call::arg::{Writes, callback};
use ubpf_vm::call::{
    Acquired, Aligned, BtfObject, BtfPtr, Callback, FixedMem, KptrField, KptrObject, MapRef,
    MapValue, MapValueIn, MemOrBtf, MemRead, MemReadOrEmpty, MemReadWrite, MemReadWriteOrEmpty,
    MemWrite, MemWriteOrEmpty, PercpuBtfPtr, Released, StackPtr, Timer,
};
use ubpf_vm::describe;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    describe!(35 get_current_task() -> u64, since 4.8,
        "Address of the current task.", groups: &[BASE], gpl_only: true),
    describe!(109 send_signal(u32) -> i64, since 5.3,
        "Sends a signal to the current process.", groups: &[BASE]),
    describe!(117 send_signal_thread(u32) -> i64, since 5.6,
        "Sends a signal to the current thread.", groups: &[BASE]),
    describe!(141 get_task_stack(BtfPtr<Task>, MemWriteOrEmpty, u64) -> i64, since 5.9,
        "Copies the call stack of a task.", groups: &[BASE]),
    describe!(145 inode_storage_get(MapRef<'_>, Option<BtfPtr<Inode>>, Option<MapValueIn>, u64)
            -> Option<MapValue>, since 5.10,
        "The storage that belongs to an inode, made where it is missing and asked for.",
        map_op: Some(MapOp::InodeStorage)),
    describe!(146 inode_storage_delete(MapRef<'_>, Option<BtfPtr<Inode>>) -> i64, since 5.10,
        "Deletes the storage that belongs to an inode.", map_op: Some(MapOp::InodeStorage)),
    describe!(147 d_path(BtfPtr<Path>, MemReadWriteOrEmpty) -> i64, since 5.10,
        "Copies the full name of a path."),
    describe!(148 copy_from_user(MemWriteOrEmpty, u64) -> i64, since 5.10,
        "Copies user memory, waiting for it where need be.",
        groups: &[BASE], might_sleep: true),
    describe!(149 snprintf_btf(MemReadWrite, MemRead, u64) -> i64, since 5.10,
        "Formats an object by its type.", groups: &[BASE]),
    describe!(153 per_cpu_ptr(PercpuBtfPtr, u32) -> Option<MemOrBtf>, since 5.10,
        "Address of a variable on a CPU.", groups: &[BASE]),
    describe!(154 this_cpu_ptr(PercpuBtfPtr) -> MemOrBtf, since 5.10,
        "Address of a variable on this CPU.", groups: &[BASE]),
    describe!(156 task_storage_get(MapRef<'_>, Option<BtfPtr<Task>>, Option<MapValueIn>, u64)
            -> Option<MapValue>, since 5.11,
        "The storage that belongs to a task, made where it is missing and asked for.",
        groups: &[BASE], map_op: Some(MapOp::TaskStorage)),
    describe!(157 task_storage_delete(MapRef<'_>, Option<BtfPtr<Task>>) -> i64, since 5.11,
        "Deletes the storage that belongs to a task.",
        groups: &[BASE], map_op: Some(MapOp::TaskStorage)),
    describe!(158 get_current_task_btf() -> BtfObject<Task>, since 5.11,
        "The current task.", groups: &[BASE], gpl_only: true),
    describe!(159 bprm_opts_set(BtfPtr<LinuxBinprm>, u64) -> i64, since 5.11,
        "Sets options of a program about to be executed."),
    describe!(161 ima_inode_hash(BtfPtr<Inode>, MemWrite) -> i64, since 5.11,
        "Copies the integrity hash of an inode.", might_sleep: true),
    describe!(162 sock_from_file(BtfPtr<File>) -> Option<BtfObject<Socket>>, since 5.11,
        "The socket behind a file, where there is one.", groups: &[TRACING_BTF]),
    describe!(169 timer_init(Timer, MapRef<'_>, u64) -> i64, since 5.15,
        "Makes a timer ready.",
        groups: &[BASE], gpl_only: true, map_op: Some(MapOp::Timer)),
    describe!(170 timer_set_callback(Timer, Callback<callback::Timer>) -> i64, since 5.15,
        "Says what a timer calls.", groups: &[BASE], gpl_only: true),
    describe!(171 timer_start(Timer, u64, u64) -> i64, since 5.15,
        "Starts a timer.", groups: &[BASE], gpl_only: true),
    describe!(172 timer_cancel(Timer) -> i64, since 5.15,
        "Stops a timer.", groups: &[BASE], gpl_only: true),
    describe!(175 task_pt_regs(BtfPtr<Task>) -> BtfObject<PtRegs>, since 5.15,
        "The registers that a task had in user space.", groups: &[BASE], gpl_only: true),
    describe!(180 find_vma(BtfPtr<Task>, u64, Callback<callback::FindVma>, Option<StackPtr>, u64)
            -> i64, since 5.17,
        "Calls a subprogram for the memory area around an address.", groups: &[BASE]),
    describe!(191 copy_from_user_task(MemWriteOrEmpty, u64, BtfPtr<Task>, u64) -> i64, since 5.18,
        "Copies memory of a task, waiting for it where need be.",
        groups: &[BASE], gpl_only: true, might_sleep: true),
    describe!(193 ima_file_hash(BtfPtr<File>, MemWrite) -> i64, since 5.18,
        "Copies the integrity hash of a file.", might_sleep: true),
    describe!(194 kptr_xchg(KptrField, Option<Released<BtfPtr<OfTheField>>>)
            -> Option<Acquired<KptrObject>>, since 5.19,
        "Exchanges the object in a field of a map value.", groups: &[BASE]),
    describe!(210 cgrp_storage_get(MapRef<'_>, Option<BtfPtr<Cgroup>>, Option<MapValueIn>, u64)
            -> Option<MapValue>, since 6.2,
        "The storage that belongs to a cgroup, made where it is missing and asked for.",
        groups: &[BASE], map_op: Some(MapOp::CgrpStorage)),
    describe!(211 cgrp_storage_delete(MapRef<'_>, Option<BtfPtr<Cgroup>>) -> i64, since 6.2,
        "Deletes the storage that belongs to a cgroup.",
        groups: &[BASE], map_op: Some(MapOp::CgrpStorage)),
    // Only programs of type syscall may call these.
    describe!(166 sys_bpf(u32, MemRead) -> i64, since 5.14,
        "Does what bpf(2) does.", groups: &[SYSCALL]),
    describe!(167 btf_find_by_name_kind(MemRead, u32, i32) -> i64, since 5.14,
        "Finds a type in the kernel's type information.", groups: &[SYSCALL]),
    describe!(168 sys_close(u32) -> i64, since 5.14,
        "Closes a file descriptor.", groups: &[SYSCALL]),
    describe!(179 kallsyms_lookup_name(MemReadOrEmpty, i32, FixedMem<Writes, 8, Aligned>) -> i64,
        since 5.16, "Address of a kernel symbol.", groups: &[SYSCALL]),
];
