//! The kernel's own objects: tasks, inodes, files, per-CPU variables, and what belongs to them.

use super::group::{BASE, SYSCALL, TRACING_BTF};
use super::memory;
use super::structs::{Cgroup, File, Inode, LinuxBinprm, OfTheField, Path, PtRegs, Socket, Task};
use crate::env;
use crate::maps::local_storage::{LocalStorage, Owner};
use core::sync::atomic::Ordering;
use ubpf_abi::btf::{Btf, Kind};
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::arg::{Writes, callback};
use ubpf_vm::call::{
    Acquired, Aligned, BtfObject, BtfPtr, CallCx, Callback, Fail, FixedMem, KptrField, KptrObject,
    MapRef, MapValue, MapValueIn, MemOrBtf, MemRead, MemReadOrEmpty, MemReadWrite,
    MemReadWriteOrEmpty, MemWrite, MemWriteOrEmpty, PercpuBtfPtr, Released, StackPtr,
};
use ubpf_vm::mem::{GuestAddr, Space};
use ubpf_vm::registry::HelperDef;
use ubpf_vm::{describe, helper};

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(35 get_current_task, since 4.8,
        "Address of the current task.", groups: &[BASE], gpl_only: true),
    describe!(109 send_signal(u32) -> i64, since 5.3,
        "Sends a signal to the current process.", groups: &[BASE]),
    describe!(117 send_signal_thread(u32) -> i64, since 5.6,
        "Sends a signal to the current thread.", groups: &[BASE]),
    describe!(141 get_task_stack(BtfPtr<Task>, MemWriteOrEmpty, u64) -> i64, since 5.9,
        "Copies the call stack of a task.", groups: &[BASE]),
    helper!(145 inode_storage_get, since 5.10,
        "The storage that belongs to an inode, made where it is missing and asked for.",
        map_op: Some(MapOp::InodeStorage)),
    helper!(146 inode_storage_delete, since 5.10,
        "Deletes the storage that belongs to an inode.", map_op: Some(MapOp::InodeStorage)),
    describe!(147 d_path(BtfPtr<Path>, MemReadWriteOrEmpty) -> i64, since 5.10,
        "Copies the full name of a path.", groups: &[TRACING_BTF]),
    helper!(148 copy_from_user, since 5.10,
        "Copies user memory, waiting for it where need be.",
        groups: &[BASE], might_sleep: true),
    describe!(149 snprintf_btf(MemReadWrite, MemRead, u64) -> i64, since 5.10,
        "Formats an object by its type.", groups: &[BASE]),
    helper!(153 per_cpu_ptr, since 5.10,
        "Address of a variable on a CPU.", groups: &[BASE]),
    helper!(154 this_cpu_ptr, since 5.10,
        "Address of a variable on this CPU.", groups: &[BASE]),
    helper!(156 task_storage_get, since 5.11,
        "The storage that belongs to a task, made where it is missing and asked for.",
        groups: &[BASE], map_op: Some(MapOp::TaskStorage)),
    helper!(157 task_storage_delete, since 5.11,
        "Deletes the storage that belongs to a task.",
        groups: &[BASE], map_op: Some(MapOp::TaskStorage)),
    helper!(158 get_current_task_btf, since 5.11,
        "The current task.", groups: &[BASE], gpl_only: true),
    describe!(159 bprm_opts_set(BtfPtr<LinuxBinprm>, u64) -> i64, since 5.11,
        "Sets options of a program about to be executed."),
    describe!(161 ima_inode_hash(BtfPtr<Inode>, MemWrite) -> i64, since 5.11,
        "Copies the integrity hash of an inode.", might_sleep: true),
    describe!(162 sock_from_file(BtfPtr<File>) -> Option<BtfObject<Socket>>, since 5.11,
        "The socket behind a file, where there is one.", groups: &[TRACING_BTF]),
    describe!(175 task_pt_regs(BtfPtr<Task>) -> BtfObject<PtRegs>, since 5.15,
        "The registers that a task had in user space.", groups: &[BASE], gpl_only: true),
    describe!(180 find_vma(BtfPtr<Task>, u64, Callback<callback::FindVma>, Option<StackPtr>, u64)
            -> i64, since 5.17,
        "Calls a subprogram for the memory area around an address.", groups: &[BASE]),
    helper!(191 copy_from_user_task, since 5.18,
        "Copies memory of a task, waiting for it where need be.",
        groups: &[BASE], gpl_only: true, might_sleep: true),
    describe!(193 ima_file_hash(BtfPtr<File>, MemWrite) -> i64, since 5.18,
        "Copies the integrity hash of a file.", might_sleep: true),
    helper!(194 kptr_xchg, since 5.19,
        "Exchanges the object in a field of a map value.", groups: &[BASE]),
    helper!(210 cgrp_storage_get, since 6.2,
        "The storage that belongs to a cgroup, made where it is missing and asked for.",
        groups: &[BASE], map_op: Some(MapOp::CgrpStorage)),
    helper!(211 cgrp_storage_delete, since 6.2,
        "Deletes the storage that belongs to a cgroup.",
        groups: &[BASE], map_op: Some(MapOp::CgrpStorage)),
    // Only programs of type syscall may call these.
    describe!(166 sys_bpf(u32, MemRead) -> i64, since 5.14,
        "Does what bpf(2) does.", groups: &[SYSCALL]),
    helper!(167 btf_find_by_name_kind, since 5.14,
        "Finds a type in the kernel's type information.", groups: &[SYSCALL]),
    describe!(168 sys_close(u32) -> i64, since 5.14,
        "Closes a file descriptor.", groups: &[SYSCALL]),
    describe!(179 kallsyms_lookup_name(MemReadOrEmpty, i32, FixedMem<Writes, 8, Aligned>) -> i64,
        since 5.16, "Address of a kernel symbol.", groups: &[SYSCALL]),
];

/// Where programs see the current task.
fn current(cx: &CallCx<'_>) -> Result<GuestAddr, Trap> {
    let task = env::of(cx.world).current_task(cx.cage());
    task.map_err(|_| cx.trap(TrapKind::HostLimit))
}

fn get_current_task(cx: &mut CallCx<'_>) -> Result<u64, Trap> {
    current(cx).map(u64::from)
}

fn get_current_task_btf(cx: &mut CallCx<'_>) -> Result<BtfObject<Task>, Trap> {
    current(cx).map(BtfObject::new)
}

/// Address of a CPU's copy of an object. Variables of the kernel's have one copy here.
fn on_cpu(cx: &CallCx<'_>, addr: GuestAddr, cpu: u32) -> GuestAddr {
    env::of(cx.world).heap().copy_of(addr, cpu).unwrap_or(addr)
}

fn per_cpu_ptr(cx: &mut CallCx<'_>, of: PercpuBtfPtr, cpu: u32) -> Option<MemOrBtf> {
    (cpu < cx.world.cpus()).then(|| MemOrBtf::new(on_cpu(cx, of.addr(), cpu)))
}

fn this_cpu_ptr(cx: &mut CallCx<'_>, of: PercpuBtfPtr) -> MemOrBtf {
    MemOrBtf::new(on_cpu(cx, of.addr(), cx.cpu.0))
}

fn copy_from_user(cx: &mut CallCx<'_>, to: MemWriteOrEmpty, from: u64) -> Result<(), Errno> {
    let mut bytes = vec![0; to.len() as usize];
    let read = memory::read(cx, Space::User, from, &mut bytes);
    if read.is_err() {
        bytes.fill(0);
    }
    to.write(cx, &bytes).map_err(|_| Errno::EFAULT)?;
    read.map_err(|_| Errno::EFAULT)
}

fn copy_from_user_task(
    cx: &mut CallCx<'_>,
    to: MemWriteOrEmpty,
    from: u64,
    _task: BtfPtr<Task>,
    flags: u64,
) -> Result<(), Errno> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if to.is_empty() {
        return Ok(());
    }
    copy_from_user(cx, to, from)
}

fn kptr_xchg(
    cx: &mut CallCx<'_>,
    field: KptrField,
    object: Option<Released<BtfPtr<OfTheField>>>,
) -> Result<Option<Acquired<KptrObject>>, Trap> {
    let cell = cx.cage().atomic_u64(field.addr()).map_err(|fault| cx.fault(fault))?;
    let new = object.map_or(0, |Released(object)| object.addr().into());
    let old = u32::try_from(cell.swap(new, Ordering::AcqRel)).unwrap_or(0);
    Ok((old != 0).then(|| Acquired(KptrObject::new(GuestAddr(old)))))
}

/// The storage of the object at an address, made where that is asked for.
fn storage_get(
    cx: &CallCx<'_>,
    map: &MapRef<'_>,
    owner: Option<GuestAddr>,
    first: Option<MapValueIn>,
    flags: u64,
) -> Result<Option<MapValue>, Trap> {
    const CREATE: u64 = 1;
    let storage = map.downcast::<LocalStorage>();
    let storage = storage.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    let Some(owner) = owner.filter(|_| flags <= CREATE) else { return Ok(None) };
    let first = first.as_deref().unwrap_or_default();
    let owner = Owner::Lasting(owner.into());
    let value = storage.get_or_make(owner, (flags == CREATE).then_some(first));
    Ok(value.map(MapValue::new))
}

fn storage_delete(cx: &CallCx<'_>, map: &MapRef<'_>, owner: Option<GuestAddr>) -> Result<(), Fail> {
    let storage = map.downcast::<LocalStorage>();
    let storage = storage.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    let owner = owner.ok_or(Errno::EINVAL)?;
    Ok(storage.delete(Owner::Lasting(owner.into()))?)
}

macro_rules! storages {
    ($($get:ident, $delete:ident: $object:ident;)*) => {$(
        fn $get(
            cx: &mut CallCx<'_>,
            map: MapRef<'_>,
            owner: Option<BtfPtr<$object>>,
            first: Option<MapValueIn>,
            flags: u64,
        ) -> Result<Option<MapValue>, Trap> {
            storage_get(cx, &map, owner.map(|owner| owner.addr()), first, flags)
        }

        fn $delete(
            cx: &mut CallCx<'_>,
            map: MapRef<'_>,
            owner: Option<BtfPtr<$object>>,
        ) -> Result<(), Fail> {
            storage_delete(cx, &map, owner.map(|owner| owner.addr()))
        }
    )*};
}

storages! {
    task_storage_get, task_storage_delete: Task;
    cgrp_storage_get, cgrp_storage_delete: Cgroup;
    inode_storage_get, inode_storage_delete: Inode;
}

fn btf_find_by_name_kind(
    cx: &mut CallCx<'_>,
    name: MemRead,
    kind: u32,
    flags: i32,
) -> Result<u32, Errno> {
    let name = name.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let (last, name) = name.split_last().ok_or(Errno::EINVAL)?;
    if flags != 0 || name.is_empty() || *last != 0 {
        return Err(Errno::EINVAL);
    }
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
    let types = env::of(cx.world).types().btf().map(|btf| &**btf);
    let found = |btf: &Btf| {
        let is_kind = |id: &ubpf_abi::btf::BtfId| {
            btf.ty(*id).is_some_and(|ty| kind_number(ty.kind()) == Some(kind))
        };
        btf.find_all(name).find(is_kind)
    };
    types.and_then(found).map(|id| id.0).ok_or(Errno::ENOENT)
}

/// `BTF_KIND_*`, of kinds that have names.
const fn kind_number(kind: Kind) -> Option<u32> {
    Some(match kind {
        Kind::Int => 1,
        Kind::Struct => 4,
        Kind::Union => 5,
        Kind::Enum => 6,
        Kind::Fwd => 7,
        Kind::Typedef => 8,
        Kind::Func => 12,
        Kind::Var => 14,
        Kind::Datasec => 15,
        Kind::Float => 16,
        _ => return None,
    })
}
