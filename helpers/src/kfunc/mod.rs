//! Kernel functions, by topic: the flags and sets that the running kernel (6.18) has them
//! registered with, read from it.

pub mod cgroup;
pub mod control;
pub mod cpumask;
pub mod crypto;
pub mod dynptr;
pub mod fs;
pub mod iter;
pub mod lock;
pub mod memory;
pub mod net;
pub mod object;
pub mod set;
pub mod string;
pub mod task;
pub mod tcp;

use ubpf_vm::registry::KfuncDef;

/// Every kernel function, by topic.
pub const ALL: &[&[KfuncDef]] = &[
    control::ALL,
    object::ALL,
    task::ALL,
    cgroup::ALL,
    cpumask::ALL,
    dynptr::ALL,
    iter::ALL,
    lock::ALL,
    memory::ALL,
    string::ALL,
    crypto::ALL,
    fs::ALL,
    net::ALL,
    tcp::ALL,
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::BTreeSet;

    #[test]
    fn every_kernel_function_is_declared_once() {
        let mut declared = BTreeSet::new();
        for decl in ALL.iter().copied().flatten().map(|def| &def.decl) {
            assert!(declared.insert(decl.name), "{} is declared twice", decl.name);
            assert!(!decl.sets.is_empty(), "nobody may call {}", decl.name);
        }
    }
}
