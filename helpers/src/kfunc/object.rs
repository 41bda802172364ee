//! Objects of the program's own, and what they are kept in.

use super::set::GENERIC;
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Rcu, Release, RetNull};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_obj_new_impl, since 6.2, "Makes an object.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ObjNew { percpu: false })),
    kfunc!(bpf_obj_drop_impl, since 6.2, "Gives an object back.", GENERIC, flags: &[Release], special: Some(KfuncSpecial::ObjDrop { percpu: false })),
    kfunc!(bpf_percpu_obj_new_impl, since 6.7, "Makes an object for each CPU.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ObjNew { percpu: true })),
    kfunc!(bpf_percpu_obj_drop_impl, since 6.7, "Gives an object of each CPU back.", GENERIC, flags: &[Release], special: Some(KfuncSpecial::ObjDrop { percpu: true })),
    kfunc!(bpf_refcount_acquire_impl, since 6.4, "Takes one more reference to an object.", GENERIC, flags: &[Acquire, RetNull, Rcu], special: Some(KfuncSpecial::RefcountAcquire)),
    kfunc!(bpf_list_push_front_impl, since 6.2, "Puts an object at the front of a list.", GENERIC, special: Some(KfuncSpecial::ListPush)),
    kfunc!(bpf_list_push_back_impl, since 6.2, "Puts an object at the back of a list.", GENERIC, special: Some(KfuncSpecial::ListPush)),
    kfunc!(bpf_list_pop_front, since 6.2, "Takes the first object of a list.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ListPop)),
    kfunc!(bpf_list_pop_back, since 6.2, "Takes the last object of a list.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::ListPop)),
    kfunc!(bpf_list_front, since 6.16, "Shows the first object of a list.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::ListPeek)),
    kfunc!(bpf_list_back, since 6.16, "Shows the last object of a list.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::ListPeek)),
    kfunc!(bpf_rbtree_add_impl, since 6.3, "Puts an object into a tree.", GENERIC, special: Some(KfuncSpecial::RbtreeAdd)),
    kfunc!(bpf_rbtree_remove, since 6.3, "Takes an object out of a tree.", GENERIC, flags: &[Acquire, RetNull], special: Some(KfuncSpecial::RbtreeRemove)),
    kfunc!(bpf_rbtree_first, since 6.3, "Shows the first node of a tree.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
    kfunc!(bpf_rbtree_root, since 6.16, "Shows the root of a tree.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
    kfunc!(bpf_rbtree_left, since 6.16, "Shows a node's left child.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
    kfunc!(bpf_rbtree_right, since 6.16, "Shows a node's right child.", GENERIC, flags: &[RetNull], special: Some(KfuncSpecial::RbtreePeek)),
];
