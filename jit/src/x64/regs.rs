//! Which register is which.
//!
//! BPF's registers map one to one, as in the kernel's JIT: arguments where the C convention has
//! them, `r6` to `r9` in registers that C functions preserve, `r0` where results come back.
//!
//! | register | holds |
//! | --- | --- |
//! | `rax` | `r0` |
//! | `rdi rsi rdx rcx r8` | `r1` to `r5` |
//! | `rbx r13 r14 r15` | `r6` to `r9` |
//! | `rbp` | the host address that `r10` stands for |
//! | `r12` | the run |
//! | `r9` | checked code: the counter. Otherwise: the host address of guest address 0 |
//! | `r10 r11` | nothing for longer than an op |

use ubpf_isa::Reg;

pub(super) const RAX: u8 = 0;
pub(super) const RCX: u8 = 1;
pub(super) const RDX: u8 = 2;
pub(super) const RBX: u8 = 3;
pub(super) const RBP: u8 = 5;
pub(super) const R9: u8 = 9;
pub(super) const R10: u8 = 10;
pub(super) const R11: u8 = 11;
pub(super) const R12: u8 = 12;
pub(super) const R13: u8 = 13;
pub(super) const R14: u8 = 14;
pub(super) const R15: u8 = 15;

/// The register of each of `r0` to `r10`; what `r10`'s holds is no guest address.
const MAP: [u8; Reg::COUNT] = [RAX, 7, 6, RDX, RCX, 8, 3, 13, 14, 15, RBP];

/// Where a BPF register other than `r10` is.
pub(super) fn native(reg: Reg) -> u8 {
    debug_assert!(reg != Reg::FP, "r10 is not in a register as it is");
    MAP[reg.index()]
}

/// The same; for `r10` the one with the host address.
pub(super) fn any_native(reg: Reg) -> u8 {
    MAP[reg.index()]
}
