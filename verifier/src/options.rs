//! For whom and by which kernel's rules a program is judged.

use core::num::NonZeroU32;
use ubpf_abi::limits;
use ubpf_abi::{Kernel, Version};

/// What the loader of the program may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// `CAP_BPF` and `CAP_PERFMON`, as root has.
    #[default]
    Privileged,
    /// Neither: no loops, no subprograms, no pointers in the open.
    Unprivileged,
}

/// The conditions of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whose rules hold.
    pub kernel: Kernel,
    /// For whom.
    pub privilege: Privilege,
    /// Whether to write the log of the walk.
    pub log: bool,
    /// Whether to note all that is believed of registers, to be held against executions: as
    /// [`Facts::claims`](ubpf_abi::verified::Facts::claims). The verdict is the same.
    pub claims: bool,
    /// The kernel knows where its variables lie (`CONFIG_KALLSYMS_ALL`), so that programs may use
    /// them.
    pub variables: bool,
    /// Accesses must be aligned whatever the machine can do, as `BPF_F_STRICT_ALIGNMENT` asks.
    pub strict_alignment: bool,
    /// The kernel lets errors be injected (`CONFIG_FUNCTION_ERROR_INJECTION`), so that programs on
    /// its system calls may sleep and change what they return.
    pub error_injection: bool,
    /// CPUs that the host may have: `bpf_get_smp_processor_id` returns less.
    pub cpus: NonZeroU32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel: Kernel::default(),
            privilege: Privilege::default(),
            log: false,
            claims: false,
            variables: false,
            strict_alignment: false,
            error_injection: true,
            cpus: limits::MAX_CPUS,
        }
    }
}

/// The kernel that brought programs of up to a million instructions.
const LARGE_PROGRAMS: Version = Version::new(5, 2);
/// The kernel that brought bounded loops.
const BOUNDED_LOOPS: Version = Version::new(5, 3);

impl Options {
    /// Slots that a program may have.
    #[must_use]
    pub fn max_slots(&self) -> u32 {
        if self.privilege == Privilege::Privileged && self.kernel.has(LARGE_PROGRAMS) {
            limits::MAX_PROCESSED_INSNS
        } else {
            limits::MAX_INSNS_SMALL
        }
    }

    /// Whether a jump may go back.
    #[must_use]
    pub fn loops_allowed(&self) -> bool {
        self.privilege == Privilege::Privileged && self.kernel.has(BOUNDED_LOOPS)
    }
}
