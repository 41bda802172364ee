//! The running kernel as an oracle: programs, maps, test runs and events through bpf(2).
//!
//! Nothing here attaches a program to anything but sockets of ours, or changes a setting: programs
//! are loaded, run on data of ours through `BPF_PROG_TEST_RUN`, and vanish with their descriptors. [`available`] says once
//! whether this machine lets us; tests that need the kernel start with
//! [`skip_without_kernel!`](crate::skip_without_kernel), which says so loudly.

pub mod classic;
mod events;
mod ksyms;
mod machine;
mod map;
pub mod probe;
mod prog;
mod shared;
mod sys;
mod types;
mod world;

pub use machine::{KernelMachine, MachineError};
pub use map::{Element, KernelMap, has_contents};
pub use prog::{Loaded, LogLevel, ProgLoad, Refused, Stats, TestInput, TestOutput};
pub use sys::MapFd;
pub use world::{KernelWorld, WorldError};

use std::sync::OnceLock;
use ubpf_abi::Errno;
use ubpf_abi::prog_type::ProgType;
use ubpf_isa::Slot;

/// Whether programs can be loaded and run here; the error of the attempt where they cannot.
///
/// # Errors
/// The kernel's error number, `EPERM` without the privilege.
pub fn available() -> Result<(), Errno> {
    static PROBED: OnceLock<Result<(), Errno>> = OnceLock::new();
    *PROBED.get_or_init(|| {
        let spec = ProgLoad {
            prog_type: ProgType::Xdp.id(),
            license: "GPL",
            slots: &RETURN_ZERO,
            ..ProgLoad::default()
        };
        let prog = Loaded::load(&spec, LogLevel::None).map_err(|refused| refused.errno)?;
        prog.test_run(&TestInput { data: &[0; 64], ..TestInput::default() })?;
        Ok(())
    })
}

/// `r0 = 0; exit`
const RETURN_ZERO: [Slot; 2] = [
    Slot { opcode: 0xb7, dst: 0, src: 0, off: 0, imm: 0 },
    Slot { opcode: 0x95, dst: 0, src: 0, off: 0, imm: 0 },
];

/// Binds the calling thread to CPU 0, so that per-CPU values and `smp_processor_id` are those
/// of an emulated machine with one CPU in use.
///
/// # Errors
/// The kernel's error number.
pub fn pin_to_cpu_0() -> Result<(), Errno> {
    sys::pin_thread(0)
}

/// CPUs that the kernel could bring up: per-CPU maps have a value for each.
#[must_use]
pub fn possible_cpus() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let ranges = std::fs::read_to_string("/sys/devices/system/cpu/possible");
        let last = ranges.ok().and_then(|text| {
            let last = text.trim().rsplit(['-', ',']).next()?;
            last.parse::<usize>().ok()
        });
        last.map_or(1, |highest| highest + 1)
    })
}

/// Returns from the calling test, loudly, where the kernel cannot be asked.
#[macro_export]
macro_rules! skip_without_kernel {
    () => {
        if let Err(errno) = $crate::kernel::available() {
            eprintln!(
                "SKIPPED {}: bpf(2) is not available here: {errno}; run as root on Linux 6.18",
                module_path!()
            );
            return;
        }
    };
}
