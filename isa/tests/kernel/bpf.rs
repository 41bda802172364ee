//! As much of bpf(2) as the comparison needs: load a program, read the log, run it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use ubpf_isa::Slot;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
const LOG_BYTES: usize = 1 << 20;

/// The head of `union bpf_attr` for BPF_PROG_LOAD, up to `expected_attach_type`.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
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
}

/// The head of `union bpf_attr` for BPF_PROG_TEST_RUN, up to `duration`.
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// What the verifier said.
pub struct Verdict {
    pub program: io::Result<OwnedFd>,
    pub log: String,
}

/// Whether programs can be loaded here; says so when not.
pub fn available() -> bool {
    // Has the youngest instruction of the table.
    let program = "r0 = 0\n*(u64 *)(r10 -8) = 0\nr0 = load_acquire((u64 *)(r10 -8))\nexit";
    let program = ubpf_isa::assemble(program).expect("a program");
    match load(&program, 0).program {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: bpf(2) refused, or the kernel is older than 6.15: {error}");
            false
        }
    }
}

/// Loads a socket filter.
pub fn load(slots: &[Slot], log_level: u32) -> Verdict {
    let insns: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let mut log = vec![0u8; if log_level == 0 { 0 } else { LOG_BYTES }];
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_SOCKET_FILTER,
        insn_cnt: u32::try_from(slots.len()).expect("test programs are short"),
        insns: insns.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level,
        log_size: log.len() as u32,
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        ..ProgLoad::default()
    };
    // SAFETY: `attr` is laid out as the kernel's union for this command, and what it points to
    // (instructions, licence, log) lives until the call returns.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw mut attr, size_of::<ProgLoad>())
    };
    let program = match i32::try_from(fd) {
        // SAFETY: the kernel returned a new descriptor that nothing else owns.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    };
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    Verdict { program, log: String::from_utf8_lossy(&log[..end]).into_owned() }
}

/// An Ethernet frame of no known protocol. Socket filters see it from byte 14 on.
pub const FRAME: [u8; 64] = {
    let mut frame = [0; 64];
    let mut i = 14;
    while i < frame.len() {
        frame[i] = (i * 37) as u8;
        i += 1;
    }
    frame
};

/// Runs a program once on [`FRAME`] and gives the low half of its `r0`.
pub fn run(program: &OwnedFd) -> io::Result<u32> {
    let packet = FRAME;
    let mut attr = TestRun {
        prog_fd: program.as_raw_fd() as u32,
        data_size_in: packet.len() as u32,
        data_in: packet.as_ptr() as u64,
        ..TestRun::default()
    };
    // SAFETY: `attr` is laid out as the kernel's union for this command, and the packet lives
    // until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attr, size_of::<TestRun>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(attr.retval) }
}
