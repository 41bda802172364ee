//! Files, by what security hooks know of them.

use ubpf_abi::kfunc::KfuncFlag::{Sleepable, TrustedArgs};
use ubpf_abi::kfunc::{KfuncOnly, KfuncSet};
use ubpf_abi::prog_type::ProgType;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_get_dentry_xattr, since 6.11, "Reads an extended attribute of a directory entry.", &[KfuncSet::Tracing], flags: &[TrustedArgs, Sleepable], only: Some(KfuncOnly::For(ProgType::Lsm))),
    kfunc!(bpf_get_file_xattr, since 6.8, "Reads an extended attribute of a file.", &[KfuncSet::Tracing], flags: &[TrustedArgs, Sleepable], only: Some(KfuncOnly::For(ProgType::Lsm))),
    kfunc!(bpf_set_dentry_xattr, since 6.15, "Sets an extended attribute of a directory entry.", &[KfuncSet::Tracing], flags: &[TrustedArgs, Sleepable], only: Some(KfuncOnly::For(ProgType::Lsm))),
    kfunc!(bpf_remove_dentry_xattr, since 6.15, "Removes an extended attribute of a directory entry.", &[KfuncSet::Tracing], flags: &[TrustedArgs, Sleepable], only: Some(KfuncOnly::For(ProgType::Lsm))),
    kfunc!(bpf_path_d_path, since 6.12, "Writes the name of a path.", &[KfuncSet::Tracing], flags: &[TrustedArgs], only: Some(KfuncOnly::For(ProgType::Lsm))),
];
