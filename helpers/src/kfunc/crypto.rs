//! Keys, and what is encrypted with them.

use super::set::GENERIC;
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Rcu, Release, RetNull, Sleepable};
use ubpf_abi::kfunc::KfuncSet;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_crypto_ctx_create, since 6.10, "Prepares a cipher.", &[KfuncSet::Syscall], flags: &[Acquire, RetNull, Sleepable]),
    kfunc!(bpf_crypto_ctx_acquire, since 6.10, "Takes a reference to a cipher.", &[KfuncSet::Syscall], flags: &[Acquire, RetNull, Rcu]),
    kfunc!(bpf_crypto_ctx_release, since 6.10, "Gives a reference to a cipher back.", &[KfuncSet::Syscall], flags: &[Release]),
    kfunc!(bpf_crypto_encrypt, since 6.10, "Encrypts memory of dynptrs.", &[KfuncSet::Xdp, KfuncSet::Tc, KfuncSet::SchedAct], flags: &[Rcu]),
    kfunc!(bpf_crypto_decrypt, since 6.10, "Decrypts memory of dynptrs.", &[KfuncSet::Xdp, KfuncSet::Tc, KfuncSet::SchedAct], flags: &[Rcu]),
    kfunc!(bpf_lookup_user_key, since 6.1, "A key by its number.", GENERIC, flags: &[Acquire, RetNull, Sleepable]),
    kfunc!(bpf_lookup_system_key, since 6.1, "A keyring of the system's.", GENERIC, flags: &[Acquire, RetNull]),
    kfunc!(bpf_key_put, since 6.1, "Gives a reference to a key back.", GENERIC, flags: &[Release]),
];
