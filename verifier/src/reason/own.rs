//! Reasons found where programs make and keep objects of their own.

use super::R;
use ubpf_abi::Errno;

/// Reasons found where programs make and keep objects of their own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnReason {
    /// A number that is no type's.
    #[error("local type ID argument must be in range [0, U32_MAX]")]
    TypeRange,
    /// The kernel does not have the program's types.
    #[error("bpf_obj_new/bpf_percpu_obj_new requires prog BTF")]
    NoTypes,
    /// Objects are of structs only.
    #[error("bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct")]
    NotStruct,
    /// An object for each CPU that is too large.
    #[error("bpf_percpu_obj_new type size ({bytes}) is greater than {most}")]
    PercpuSize {
        /// Its bytes.
        bytes: u32,
        /// Bytes allowed.
        most: u32,
    },
    /// An object for each CPU with pointers.
    #[error("bpf_percpu_obj_new type ID argument must be of a struct of scalars")]
    PercpuScalars,
    /// An object for each CPU with fields that have rules of their own.
    #[error("bpf_percpu_obj_new type ID argument must not contain special fields")]
    PercpuFields,
    /// An argument is no object of the program's own.
    #[error("arg#{0} expected pointer to allocated object")]
    NotAllocated(usize),
    /// An object is given back by the function for others.
    #[error("arg#{index} expected for {by}()")]
    ExpectedFor {
        /// Which argument.
        index: usize,
        /// The function that takes it.
        by: &'static str,
    },
    /// An object that the program does not own.
    #[error("allocated object must be referenced")]
    NotReferenced,
    /// An argument is neither owned nor shared.
    #[error("arg#{0} is neither owning or non-owning ref")]
    NeitherOwning(usize),
    /// The kernel takes an object without any fields for a bug of its own.
    #[error("verifier bug: Couldn't find btf_record")]
    NoRecord,
    /// An object that does not count its references.
    #[error("arg#{0} doesn't point to a type with bpf_refcount field")]
    NotCounted(usize),
    /// Lists and trees lie in map values and objects.
    #[error("arg#{0} expected pointer to map value or allocated object")]
    NoRootOwner(usize),
    /// Locks lie in map values and objects.
    #[error("arg#{0} doesn't point to map value or allocated object")]
    NoLockOwner(usize),
    /// Work items lie in map values.
    #[error("arg#{0} doesn't point to a map value")]
    NoMapValue(usize),
    /// A list, tree or node at a place that is not constant.
    #[error("{reg} doesn't have constant offset. {what} has to be at the constant offset")]
    VariablePlace {
        /// The argument's register.
        reg: R,
        /// What is looked for.
        what: &'static str,
    },
    /// No list, tree or node at this place.
    #[error("{what} not found at offset={off}")]
    NotFound {
        /// What is looked for.
        what: &'static str,
        /// Where.
        off: i64,
    },
    /// Lists and trees are used while their lock is held.
    #[error("bpf_spin_lock at off={at} must be held for {what}")]
    LockNotHeld {
        /// Where the lock lies.
        at: i64,
        /// What it guards.
        what: &'static str,
    },
    /// A node that is neither in a tree nor owned.
    #[error("{0} can only take non-owning or refcounted bpf_rb_node pointer")]
    NotShared(&'static str),
    /// Trees are not changed while they are compared.
    #[error("{0} not allowed in rbtree cb")]
    InCallback(&'static str),
    /// An element of another struct than the list or tree contains.
    #[error(
        "operation on {head} expects arg#1 {what} at offset={at} in struct {expected}, but arg is \
         at offset={off} in struct {given}"
    )]
    OtherElement {
        /// The list or tree.
        head: &'static str,
        /// The node.
        what: &'static str,
        /// Where it should lie.
        at: u32,
        /// In which struct.
        expected: String,
        /// Where it lies.
        off: i64,
        /// In which struct.
        given: String,
    },
    /// Another node of the right struct.
    #[error("arg#1 offset={off}, but expected {what} at offset={at} in struct {expected}")]
    OtherNode {
        /// Where it lies.
        off: i64,
        /// The node.
        what: &'static str,
        /// Where it should lie.
        at: u32,
        /// In which struct.
        expected: String,
    },
    /// The kernel takes an object that RCU kept, and no longer keeps, for a bug of its own.
    #[error("verifier bug: ref_obj_id for allocated object must be non-zero")]
    Stale,
}

impl OwnReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::NoRecord | Self::Stale => Errno::EFAULT,
            _ => Errno::EINVAL,
        }
    }
}
