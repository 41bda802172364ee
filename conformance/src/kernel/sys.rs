//! bpf(2) and a few more system calls behind safe functions.
//!
//! bpf(2) takes one struct of integers a command, some of which are addresses of buffers. Every
//! function here builds that struct from slices it holds borrowed for the duration of the call, with
//! lengths that the kernel is told or knows from the map's definition; nothing else reaches the
//! kernel. Together with
//! [`shared`](super::shared) and [`classic`](super::classic) this is the crate's only unsafe code.
#![allow(unsafe_code)]

use super::possible_cpus;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use ubpf_abi::Errno;
use ubpf_abi::map::MapType;
use ubpf_isa::Slot;

/// `enum bpf_cmd`, the commands used here.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Cmd {
    MapCreate = 0,
    MapLookupElem = 1,
    MapUpdateElem = 2,
    MapDeleteElem = 3,
    MapGetNextKey = 4,
    ProgLoad = 5,
    ProgTestRun = 10,
    BtfLoad = 18,
    MapLookupAndDeleteElem = 21,
    MapFreeze = 22,
}

/// Issues one command.
///
/// # Safety
/// `attr` must be the struct that `cmd` takes, zero beyond its used fields, and every address in
/// it must be valid for the length that the kernel uses with it.
unsafe fn bpf<A>(cmd: Cmd, attr: &mut A) -> Result<i32, Errno> {
    // SAFETY: `attr` is live and as long as stated; its contents are the caller's promise.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            cmd as libc::c_ulong,
            std::ptr::from_mut(attr),
            size_of::<A>() as libc::c_ulong,
        )
    };
    i32::try_from(ret).ok().filter(|&r| r >= 0).ok_or_else(last_errno)
}

pub fn last_errno() -> Errno {
    let raw = io::Error::last_os_error().raw_os_error();
    Errno(raw.and_then(|e| u16::try_from(e).ok()).unwrap_or(Errno::EINVAL.0))
}

/// Takes ownership of a descriptor that a system call has just returned.
fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel returned it to this call, so it is open and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn addr<T>(data: &[T]) -> u64 {
    if data.is_empty() { 0 } else { data.as_ptr() as u64 }
}

fn addr_mut<T>(data: &mut [T]) -> u64 {
    if data.is_empty() { 0 } else { data.as_mut_ptr() as u64 }
}

fn len32<T>(data: &[T]) -> Result<u32, Errno> {
    u32::try_from(data.len()).map_err(|_| Errno::E2BIG)
}

/// A kernel object name: what fits of `name` and is allowed in one, zero-terminated.
fn obj_name(name: &str) -> [u8; 16] {
    let mut out = [0; 16];
    let allowed = name.bytes().map(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => b,
        _ => b'_',
    });
    for (slot, byte) in out.iter_mut().take(15).zip(allowed) {
        *slot = byte;
    }
    out
}

/// What `BPF_MAP_CREATE` is asked for; field names as in the kernel's `union bpf_attr`.
#[derive(Clone, Copy, Default)]
pub struct MapCreate<'a> {
    pub map_type: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub map_flags: u32,
    pub inner_map: Option<BorrowedFd<'a>>,
    pub numa_node: u32,
    pub name: &'a str,
    pub btf: Option<MapBtf<'a>>,
    pub map_extra: u64,
    /// The kernel's struct that a map of operations holds.
    pub vmlinux_value: u32,
}

/// Key and value types of a map.
#[derive(Clone, Copy)]
pub struct MapBtf<'a> {
    pub fd: BorrowedFd<'a>,
    pub key: u32,
    pub value: u32,
}

#[repr(C)]
#[derive(Default)]
struct MapCreateAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    btf_vmlinux_value_type_id: u32,
    map_extra: u64,
}

#[repr(C)]
#[derive(Default)]
struct ElemAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A map with the sizes of what bpf(2) transfers for it.
///
/// Invariant: `key_size` and `value_bytes` are at least what the kernel reads or writes through
/// the key and value addresses of an element command.
pub struct MapFd {
    fd: OwnedFd,
    key_size: usize,
    value_bytes: usize,
}

impl AsFd for MapFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl MapFd {
    /// `BPF_MAP_CREATE`.
    pub fn create(spec: &MapCreate<'_>) -> Result<Self, Errno> {
        let mut attr = MapCreateAttr {
            map_type: spec.map_type,
            key_size: spec.key_size,
            value_size: spec.value_size,
            max_entries: spec.max_entries,
            map_flags: spec.map_flags,
            inner_map_fd: spec.inner_map.map_or(0, raw),
            numa_node: spec.numa_node,
            map_name: obj_name(spec.name),
            btf_fd: spec.btf.map_or(0, |b| raw(b.fd)),
            btf_key_type_id: spec.btf.map_or(0, |b| b.key),
            btf_value_type_id: spec.btf.map_or(0, |b| b.value),
            btf_vmlinux_value_type_id: spec.vmlinux_value,
            map_extra: spec.map_extra,
            ..MapCreateAttr::default()
        };
        // SAFETY: the struct is that of the command and holds no addresses.
        let fd = owned(unsafe { bpf(Cmd::MapCreate, &mut attr) }?);
        // Per-CPU types transfer a value for each possible CPU, rounded up to 8 bytes; so do, for
        // all we know, types we do not know. Maps of maps and the like transfer an id.
        let percpu = MapType::from_id(spec.map_type).is_none_or(MapType::is_percpu);
        let values = if percpu { possible_cpus() } else { 1 };
        let one = (spec.value_size as usize).next_multiple_of(8).max(8);
        let value_bytes = one.saturating_mul(values);
        Ok(Self { fd, key_size: spec.key_size as usize, value_bytes })
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Errno> {
        if key.len() == self.key_size { Ok(()) } else { Err(Errno::EINVAL) }
    }

    /// `BPF_MAP_LOOKUP_ELEM`: the whole transfer buffer, at least 8 bytes.
    pub fn lookup(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        self.fetch(Cmd::MapLookupElem, key, &[], flags)
    }

    /// `BPF_MAP_LOOKUP_ELEM` in a map that is asked about a value, as Bloom filters are.
    pub fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        self.fetch(Cmd::MapLookupElem, &[], value, 0).map(drop)
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`, as [`MapFd::lookup`].
    pub fn take(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        self.fetch(Cmd::MapLookupAndDeleteElem, key, &[], flags)
    }

    fn fetch(&self, cmd: Cmd, key: &[u8], asked: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        self.check_key(key)?;
        if asked.len() > self.value_bytes {
            return Err(Errno::EINVAL);
        }
        let mut value = asked.to_vec();
        value.resize(self.value_bytes, 0);
        let mut attr = ElemAttr {
            map_fd: raw(self.fd.as_fd()),
            key: addr(key),
            value: addr_mut(&mut value),
            flags,
            ..ElemAttr::default()
        };
        // SAFETY: `cmd` is one of the two that read an element; key and value have the map's
        // sizes, by the type's invariant.
        unsafe { bpf(cmd, &mut attr) }?;
        Ok(value)
    }

    /// `BPF_MAP_UPDATE_ELEM`. A value shorter than the transfer is filled up with zeros.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.check_key(key)?;
        if value.len() > self.value_bytes {
            return Err(Errno::EINVAL);
        }
        let mut whole = value.to_vec();
        whole.resize(self.value_bytes, 0);
        let mut attr = ElemAttr {
            map_fd: raw(self.fd.as_fd()),
            key: addr(key),
            value: addr(&whole),
            flags,
            ..ElemAttr::default()
        };
        // SAFETY: key and value have the map's sizes, by the type's invariant.
        unsafe { bpf(Cmd::MapUpdateElem, &mut attr) }.map(drop)
    }

    /// `BPF_MAP_DELETE_ELEM`.
    pub fn delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.check_key(key)?;
        let mut attr =
            ElemAttr { map_fd: raw(self.fd.as_fd()), key: addr(key), ..ElemAttr::default() };
        // SAFETY: the key has the map's key size.
        unsafe { bpf(Cmd::MapDeleteElem, &mut attr) }.map(drop)
    }

    /// `BPF_MAP_GET_NEXT_KEY`; the first key for `None`, `ENOENT` after the last.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if let Some(key) = key {
            self.check_key(key)?;
        }
        let mut next = vec![0; self.key_size];
        let mut attr = ElemAttr {
            map_fd: raw(self.fd.as_fd()),
            key: key.map_or(0, addr),
            value: addr_mut(&mut next),
            ..ElemAttr::default()
        };
        // SAFETY: both keys have the map's key size; a null key is allowed.
        unsafe { bpf(Cmd::MapGetNextKey, &mut attr) }?;
        Ok(next)
    }

    /// `BPF_MAP_FREEZE`.
    pub fn freeze(&self) -> Result<(), Errno> {
        let mut attr = ElemAttr { map_fd: raw(self.fd.as_fd()), ..ElemAttr::default() };
        // SAFETY: the command takes the descriptor only.
        unsafe { bpf(Cmd::MapFreeze, &mut attr) }.map(drop)
    }
}

/// The number of a borrowed descriptor, as the kernel's structs hold it.
pub fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

#[repr(C)]
#[derive(Default)]
struct BtfLoadAttr {
    btf: u64,
    btf_log_buf: u64,
    btf_size: u32,
    btf_log_size: u32,
    btf_log_level: u32,
    btf_log_true_size: u32,
}

/// `BPF_BTF_LOAD`.
pub fn btf_load(btf: &[u8], log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let mut attr = BtfLoadAttr {
        btf: addr(btf),
        btf_size: len32(btf)?,
        btf_log_size: len32(log)?,
        btf_log_level: u32::from(!log.is_empty()),
        btf_log_buf: addr_mut(log),
        ..BtfLoadAttr::default()
    };
    // SAFETY: both buffers are live and their lengths stated.
    unsafe { bpf(Cmd::BtfLoad, &mut attr) }.map(owned)
}

/// What `BPF_PROG_LOAD` is asked for; field names as in the kernel's `union bpf_attr`.
#[derive(Clone, Copy, Default)]
pub struct ProgLoad<'a> {
    /// `enum bpf_prog_type`.
    pub prog_type: u32,
    /// `enum bpf_attach_type`.
    pub expected_attach_type: u32,
    /// `BPF_F_*` for programs.
    pub prog_flags: u32,
    /// Name; characters that the kernel does not take become underscores.
    pub name: &'a str,
    /// Licence.
    pub license: &'a str,
    /// Code, with descriptors and BTF ids in place.
    pub slots: &'a [Slot],
    /// Bits of the log level; 0 without a buffer.
    pub log_level: u32,
    /// The object's type information.
    pub btf: Option<BorrowedFd<'a>>,
    /// Pairs of first slot and BTF id, one a subprogram.
    pub func_info: &'a [[u32; 2]],
    /// The kernel function that the program is for.
    pub attach_btf_id: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_obj_fd: u32,
    core_relo_cnt: u32,
    fd_array: u64,
    core_relos: u64,
    core_relo_rec_size: u32,
    log_true_size: u32,
}

/// `BPF_PROG_LOAD`. The verifier's log goes to `log`, zero-terminated.
pub fn prog_load(spec: &ProgLoad<'_>, log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let insns: Vec<[u8; 8]> = spec.slots.iter().map(|s| s.to_le_bytes()).collect();
    let mut license = spec.license.as_bytes().to_vec();
    license.push(0);
    let mut attr = ProgLoadAttr {
        prog_type: spec.prog_type,
        insn_cnt: len32(&insns)?,
        insns: addr(&insns),
        license: addr(&license),
        log_level: if log.is_empty() { 0 } else { spec.log_level },
        log_size: len32(log)?,
        log_buf: addr_mut(log),
        prog_flags: spec.prog_flags,
        prog_name: obj_name(spec.name),
        expected_attach_type: spec.expected_attach_type,
        prog_btf_fd: spec.btf.map_or(0, raw),
        func_info_rec_size: if spec.func_info.is_empty() { 0 } else { 8 },
        func_info: addr(spec.func_info),
        func_info_cnt: len32(spec.func_info)?,
        attach_btf_id: spec.attach_btf_id,
        ..ProgLoadAttr::default()
    };
    // SAFETY: all buffers are live, their lengths stated, the licence is zero-terminated.
    unsafe { bpf(Cmd::ProgLoad, &mut attr) }.map(owned)
}

/// Input and output of one `BPF_PROG_TEST_RUN`.
#[derive(Default)]
pub struct TestRunArgs<'a> {
    pub data_in: &'a [u8],
    pub data_out: &'a mut [u8],
    /// Writable, because `syscall` programs get their context back in it.
    pub ctx_in: &'a mut [u8],
    pub ctx_out: &'a mut [u8],
    pub repeat: u32,
    pub flags: u32,
}

/// Numbers that `BPF_PROG_TEST_RUN` gives back.
pub struct TestRunNumbers {
    pub retval: u32,
    /// Mean nanoseconds a repetition.
    pub duration_ns: u32,
    pub data_size_out: u32,
    pub ctx_size_out: u32,
}

#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    pad: u32,
}

/// `BPF_PROG_TEST_RUN`.
pub fn test_run(prog: BorrowedFd<'_>, args: TestRunArgs<'_>) -> Result<TestRunNumbers, Errno> {
    let mut attr = TestRunAttr {
        prog_fd: raw(prog),
        data_size_in: len32(args.data_in)?,
        data_in: addr(args.data_in),
        data_size_out: len32(args.data_out)?,
        data_out: addr_mut(args.data_out),
        ctx_size_in: len32(args.ctx_in)?,
        ctx_in: addr_mut(args.ctx_in),
        ctx_size_out: len32(args.ctx_out)?,
        ctx_out: addr_mut(args.ctx_out),
        repeat: args.repeat,
        flags: args.flags,
        ..TestRunAttr::default()
    };
    // SAFETY: all four buffers are live and their lengths stated.
    unsafe { bpf(Cmd::ProgTestRun, &mut attr) }?;
    Ok(TestRunNumbers {
        retval: attr.retval,
        duration_ns: attr.duration,
        data_size_out: attr.data_size_out,
        ctx_size_out: attr.ctx_size_out,
    })
}

/// `struct perf_event_attr` up to its first published size (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    bits: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// Opens the software event through which BPF programs send records on `cpu`.
pub fn perf_bpf_output(cpu: i32) -> Result<OwnedFd, Errno> {
    const PERF_TYPE_SOFTWARE: u32 = 1;
    const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
    const PERF_SAMPLE_RAW: u64 = 1 << 10;
    const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
    let attr = PerfEventAttr {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<PerfEventAttr>() as u32,
        config: PERF_COUNT_SW_BPF_OUTPUT,
        sample_period: 1,
        sample_type: PERF_SAMPLE_RAW,
        wakeup_events: 1,
        ..PerfEventAttr::default()
    };
    let (any_process, no_group) = (-1, -1);
    // SAFETY: `attr` is live and states its size; the rest are plain numbers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&attr),
            any_process,
            cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    i32::try_from(fd).ok().filter(|&f| f >= 0).map(owned).ok_or_else(last_errno)
}

/// Binds the calling thread to one CPU.
pub fn pin_thread(cpu: usize) -> Result<(), Errno> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(Errno::EINVAL);
    }
    // SAFETY: `cpu` is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is live and its size stated; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}
