//! Fields with rules of their own: locks, timers, lists, pointers to kernel objects.
//!
//! They lie in map values, in global variables and in objects that programs allocate. Types say
//! where: the kernel looks for structs of certain names, and for pointers with certain tags, when
//! it is given an object's BTF and when it creates a map. Programs reach such fields through
//! helpers and kernel functions; plain loads and stores, and memory that is handed to helpers,
//! must not touch them.
//!
//! - `find`: where a type has fields
//! - `object`: all structs of an object that have some, and its maps

mod find;
mod object;

pub use object::ObjectFields;

use crate::Errno;
use crate::btf::BtfId;
use alloc::vec::Vec;
use core::fmt;

/// The fields of one type, by offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    fields: Vec<Field>,
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the start of the value.
    pub off: u32,
    /// What it is.
    pub kind: FieldKind,
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// `bpf_spin_lock`.
    SpinLock,
    /// `bpf_res_spin_lock`.
    ResSpinLock,
    /// `bpf_timer`.
    Timer,
    /// `bpf_wq`.
    Workqueue,
    /// `bpf_task_work`.
    TaskWork,
    /// A pointer to an object.
    Kptr(Kptr),
    /// `bpf_list_head`.
    ListHead(Root),
    /// `bpf_list_node`.
    ListNode,
    /// `bpf_rb_root`.
    RbRoot(Root),
    /// `bpf_rb_node`.
    RbNode,
    /// `bpf_refcount`.
    Refcount,
}

/// A pointer to an object, kept in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kptr {
    /// Who owns the object.
    pub kind: KptrKind,
    /// Its type.
    pub to: KptrTo,
}

/// Who owns the object that a kptr points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KptrKind {
    /// Nobody: it may be gone.
    Untrusted,
    /// The value that holds the pointer.
    Ref,
    /// The same, for an object that exists once for each CPU.
    Percpu,
    /// User space, whose page is pinned.
    User,
}

/// What a kptr points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KptrTo {
    /// A struct of the kernel's, by its id in the kernel's BTF.
    Kernel(BtfId),
    /// A struct of the program's own, by its id in the object's BTF.
    Own(BtfId),
}

impl KptrTo {
    /// The struct's id, in the BTF that has it.
    #[must_use]
    pub const fn id(self) -> BtfId {
        match self {
            Self::Kernel(id) | Self::Own(id) => id,
        }
    }
}

/// What a list or a tree holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The struct of its elements, in the object's BTF.
    pub value: BtfId,
    /// Where in it the node lies.
    pub node_off: u32,
}

impl Record {
    /// The fields, by ascending offset.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field that begins at `off`.
    #[must_use]
    pub fn at(&self, off: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.off == off)
    }

    /// The first field that has bytes among `len` ones from `off` on.
    #[must_use]
    pub fn overlapping(&self, off: u64, len: u64) -> Option<&Field> {
        self.fields.iter().find(|field| {
            let (start, end) = (u64::from(field.off), u64::from(field.off + field.kind.bytes()));
            off < end && start < off.saturating_add(len)
        })
    }

    /// The field of which a value has one at most; where types hide a second one, the last.
    #[must_use]
    pub fn only(&self, kind: FieldKind) -> Option<&Field> {
        self.fields.iter().rfind(|field| field.kind == kind)
    }

    /// The lock that guards the value's lists and trees.
    #[must_use]
    pub fn lock(&self) -> Option<&Field> {
        self.only(FieldKind::SpinLock).or_else(|| self.only(FieldKind::ResSpinLock))
    }

    /// Whether a field is of a kind.
    pub fn has(&self, kind: impl Fn(&FieldKind) -> bool) -> bool {
        self.fields.iter().any(|field| kind(&field.kind))
    }
}

impl FieldKind {
    /// Bytes of the field.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        match self {
            Self::SpinLock | Self::ResSpinLock | Self::Refcount => 4,
            Self::TaskWork | Self::Kptr(_) => 8,
            Self::Timer | Self::Workqueue | Self::ListHead(_) | Self::RbRoot(_) => 16,
            Self::ListNode => 24,
            Self::RbNode => 32,
        }
    }

    /// What it must be aligned to: others of its name are no fields.
    #[must_use]
    const fn align(&self) -> u32 {
        match self {
            Self::SpinLock | Self::ResSpinLock | Self::Refcount => 4,
            _ => 8,
        }
    }

    /// It is a list or a tree.
    #[must_use]
    pub const fn root(&self) -> Option<&Root> {
        match self {
            Self::ListHead(root) | Self::RbRoot(root) => Some(root),
            _ => None,
        }
    }

    /// It makes the struct around it an element of a list or a tree.
    #[must_use]
    pub const fn is_node(&self) -> bool {
        matches!(self, Self::ListNode | Self::RbNode)
    }

    /// It is a lock.
    #[must_use]
    pub const fn is_lock(&self) -> bool {
        matches!(self, Self::SpinLock | Self::ResSpinLock)
    }

    /// The pointer, where it is one.
    #[must_use]
    pub const fn kptr(&self) -> Option<&Kptr> {
        match self {
            Self::Kptr(kptr) => Some(kptr),
            _ => None,
        }
    }
}

impl fmt::Display for FieldKind {
    /// As the kernel's messages call it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpinLock => "bpf_spin_lock",
            Self::ResSpinLock => "bpf_res_spin_lock",
            Self::Timer => "bpf_timer",
            Self::Workqueue => "bpf_wq",
            Self::TaskWork => "bpf_task_work",
            Self::Kptr(Kptr { kind, .. }) => match kind {
                KptrKind::Untrusted | KptrKind::Ref => "kptr",
                KptrKind::Percpu => "percpu_kptr",
                KptrKind::User => "uptr",
            },
            Self::ListHead(_) => "bpf_list_head",
            Self::ListNode => "bpf_list_node",
            Self::RbRoot(_) => "bpf_rb_root",
            Self::RbNode => "bpf_rb_node",
            Self::Refcount => "bpf_refcount",
        })
    }
}

/// Why the kernel does not take a type's fields. It gives an error number only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A second field of a kind that there may be one of.
    #[error("a value has one field of this kind at most")]
    Twice,
    /// More than 11 fields.
    #[error("a value has 11 fields at most")]
    TooMany,
    /// An array of fields that cannot be in arrays.
    #[error("fields of this kind cannot be in arrays")]
    Array,
    /// Types that nest too deeply.
    #[error("types nest too deeply")]
    TooDeep,
    /// A bitfield that does not begin at a byte.
    #[error("a bitfield beside fields does not begin at a byte")]
    Bitfield,
    /// A pointer with an unknown tag, with several, or to something that is no struct.
    #[error("a pointer's tag is not known, or it points to no struct")]
    Pointer,
    /// The kernel's struct cannot be owned by a value.
    #[error("nothing releases objects of this kernel struct")]
    NotOwnable,
    /// A list or a tree does not say what it contains, or not in the kernel's form.
    #[error("a list or tree does not say what it contains")]
    Contains,
    /// A list or a tree contains a struct that does not exist, or has no such member.
    #[error("a list or tree contains what does not exist")]
    NoElement,
    /// Fields that lie over each other.
    #[error("fields overlap")]
    Overlap,
    /// Two kinds of locks.
    #[error("a value has one kind of lock")]
    TwoLocks,
    /// A list or a tree without a lock.
    #[error("lists and trees need a lock beside them")]
    NoLock,
    /// Nodes of both kinds without a reference count.
    #[error("an element of both lists and trees needs a reference count")]
    NoRefcount,
    /// A struct whose fields are all in places where they do not count.
    #[error("the fields of the struct are misplaced")]
    Misplaced,
    /// Elements that could own each other in a circle.
    #[error("elements with lists of their own cannot hold elements with lists")]
    Cycle,
    /// A pointer to user memory that points to a kernel struct, or to nothing.
    #[error("a pointer to user memory needs a struct of the program's own")]
    UserPointer,
    /// A pointer to user memory that does not fit a page.
    #[error("a pointer to user memory points to a page at most")]
    UserPage,
    /// The map's type does not have fields of this kind.
    #[error("maps of this type cannot have such fields")]
    MapType,
    /// A map that programs may only read or only write.
    #[error("maps with fields must be open to programs")]
    MapFlags,
    /// The map's type does not take the type of its keys or its values.
    #[error("maps of this type do not take such a key or value")]
    MapShape,
}

impl FieldError {
    /// The kernel's answer.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::Twice | Self::TooMany | Self::TooDeep | Self::UserPage => Errno::E2BIG,
            Self::NotOwnable | Self::NoElement => Errno::ENOENT,
            Self::Overlap => Errno::EEXIST,
            Self::Misplaced => Errno::EFAULT,
            Self::Cycle => Errno::ELOOP,
            Self::MapType => Errno::EOPNOTSUPP,
            Self::MapFlags => Errno::EACCES,
            Self::Array
            | Self::Bitfield
            | Self::Pointer
            | Self::Contains
            | Self::TwoLocks
            | Self::NoLock
            | Self::NoRefcount
            | Self::UserPointer
            | Self::MapShape => Errno::EINVAL,
        }
    }
}
