//! Reasons found where programs meet the kernel's own types.

use super::R;
use crate::domain::Tnum;
use crate::domain::width::W64;
use ubpf_abi::Errno;
use ubpf_abi::btf::BtfId;
use ubpf_abi::prog_type::{AttachType, ProgType};

/// Reasons found where programs meet the kernel's own types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedReason {
    /// The program says nothing of what it is for, or the kernel has no such thing.
    #[error("Tracing programs must provide btf_id")]
    NoTarget,
    /// The attach type is none of the program type's; the kernel says no more.
    #[error("programs of type {prog_type} have no attach type {attach_type}")]
    AttachType {
        /// The program's type.
        prog_type: ProgType,
        /// Its attach type.
        attach_type: AttachType,
    },
    /// The target cannot be attached to; the kernel says no more.
    #[error("the kernel has nothing that programs of this kind can be attached to at {0}")]
    NotAttachable(String),
    /// Programs of this kind may not sleep.
    #[error(
        "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable"
    )]
    MayNotSleep,
    /// Programs of type `syscall` must be allowed to sleep.
    #[error("Syscall programs can only be sleepable")]
    MustSleep,
    /// What is attached to the function may not sleep.
    #[error("{0} is not sleepable")]
    NotSleepable(String),
    /// What the function returns cannot be changed.
    #[error("{0}() is not modifiable")]
    NotModifiable(String),
    /// The kernel would go round in a circle.
    #[error("Attaching tracing programs to function '{0}' is rejected.")]
    Denied(String),
    /// The function has no return to be attached to.
    #[error("Attaching fexit/fmod_ret to __noreturn function '{0}' is rejected.")]
    NoReturn(String),
    /// More arguments than trampolines pass on.
    #[error("The function {name} has {args} arguments. Too many.")]
    ManyArgs {
        /// The function.
        name: String,
        /// How many it has.
        args: usize,
    },
    /// A result that trampolines do not pass on.
    #[error("The function {0} return type STRUCT is unsupported.")]
    ReturnsStruct(String),
    /// Arguments without number.
    #[error("The function {0} with variable args is unsupported.")]
    VariableArgs(String),
    /// An argument that trampolines do not pass on.
    #[error("The function {name} arg{index} type STRUCT is unsupported.")]
    LargeArg {
        /// The function.
        name: String,
        /// Which argument, from 0.
        index: usize,
    },
    /// Programs at security hooks are GPL only.
    #[error("LSM programs must have a GPL compatible license")]
    HookGpl,
    /// A security hook that is not for programs.
    #[error("attach_btf_id {} points to disabled hook {name}", .id.0)]
    HookDisabled {
        /// Its number in the kernel's types.
        id: BtfId,
        /// Its name.
        name: String,
    },
    /// A function that is no security hook.
    #[error("attach_btf_id {} points to wrong type name {name}", .id.0)]
    NoHook {
        /// Its number in the kernel's types.
        id: BtfId,
        /// Its name.
        name: String,
    },
    /// Operations of the kernel are GPL only.
    #[error("struct ops programs must have a GPL compatible license")]
    OpsGpl,
    /// The struct is not one whose operations programs can implement.
    #[error("attach_btf_id {} is not a supported struct", .0.0)]
    OpsStruct(BtfId),
    /// A member that the struct does not have.
    #[error("attach to invalid member idx {index} of struct {name}")]
    OpsIndex {
        /// Its number.
        index: u32,
        /// Struct.
        name: String,
    },
    /// An operation that programs cannot implement.
    #[error("attach to unsupported member {member} of struct {name}")]
    OpsMember {
        /// Member.
        member: String,
        /// Struct.
        name: String,
    },
    /// An operation that may not sleep, for a program that may.
    #[error("attach to unsupported member {member} of struct {name}")]
    OpsSleep {
        /// Member.
        member: String,
        /// Struct.
        name: String,
    },
    /// Kernel objects are open to programs under a licence compatible with the GPL alone.
    #[error("Cannot access kernel 'struct {0}' from non-GPL compatible program")]
    ObjectGpl(String),
    /// Kernel objects are open to those who may see pointers alone.
    #[error("'struct {0}' access is allowed only to CAP_PERFMON and CAP_SYS_ADMIN")]
    ObjectPrivilege(String),
    /// An object of another type than a helper takes.
    #[error("{reg} is of type {name} but {wanted} is expected")]
    WrongStruct {
        /// The argument's register.
        reg: R,
        /// Its struct.
        name: String,
        /// The one that is expected.
        wanted: &'static str,
    },
    /// Another struct than the one that programs can write.
    #[error("only access to {0} is supported")]
    OnlyWrites(&'static str),
    /// More than the struct.
    #[error("write access at off {off} with size {size}")]
    WritesBeyond {
        /// Byte offset.
        off: u32,
        /// Bytes.
        size: u32,
    },
    /// A member that programs cannot write.
    #[error("no write support to {name} at off {off}")]
    NoWrite {
        /// Its struct.
        name: &'static str,
        /// Byte offset.
        off: u32,
    },
    /// More than the member that programs can write.
    #[error(
        "write access at off {off} with size {size} beyond the member of {name} ended at {end}"
    )]
    WriteBeyond {
        /// Its struct.
        name: &'static str,
        /// Byte offset.
        off: u32,
        /// Bytes.
        size: u32,
        /// Where the member ends.
        end: u32,
    },
    /// Kernel objects cannot be written.
    #[error("only read is supported")]
    ReadOnly,
    /// An offset before the object.
    #[error("{reg} is ptr_{name} invalid negative access: off={off}")]
    Negative {
        /// The address register.
        reg: R,
        /// Struct.
        name: String,
        /// Offset.
        off: i64,
    },
    /// An offset that is not a constant.
    #[error("{reg} is ptr_{name} invalid variable offset: off={off}, var_off={var}")]
    Variable {
        /// The address register.
        reg: R,
        /// Struct.
        name: String,
        /// Constant part.
        off: i64,
        /// Variable part.
        var: Tnum<W64>,
    },
    /// An object in the memory of a process, or of every CPU.
    #[error("{reg} is ptr_{name} access {space} memory: off={off}")]
    ElsewhereSpace {
        /// The address register.
        reg: R,
        /// Struct.
        name: String,
        /// `user` or `percpu`.
        space: &'static str,
        /// Offset.
        off: i64,
    },
    /// An access past the end of a struct.
    #[error("access beyond struct {name} at off {off} size {size}")]
    BeyondStruct {
        /// Struct.
        name: String,
        /// Offset into it.
        off: u32,
        /// Bytes.
        size: u32,
    },
    /// An access that begins in a member and ends outside of it.
    #[error(
        "access beyond the end of member {member} (mend:{end}) in struct {name} with off {off} size {size}"
    )]
    BeyondMember {
        /// Member.
        member: String,
        /// Where it ends.
        end: u32,
        /// Struct.
        name: String,
        /// Offset into it.
        off: u32,
        /// Bytes.
        size: u32,
    },
    /// An access to a part of a pointer.
    #[error(
        "cannot access ptr member {member} with moff {start} in struct {name} with off {off} size {size}"
    )]
    PartOfPointer {
        /// Member.
        member: String,
        /// Where it begins.
        start: u32,
        /// Struct.
        name: String,
        /// Offset into it.
        off: u32,
        /// Bytes.
        size: u32,
    },
    /// A hole between members.
    #[error("struct {name} doesn't have field at offset {off}")]
    NoField {
        /// Struct.
        name: String,
        /// Offset into it.
        off: u32,
    },
    /// A member whose size cannot be told.
    #[error("field {0} doesn't have size")]
    NoSize(String),
    /// The object's type is no struct.
    #[error("Type '{0}' is not a struct")]
    NotStruct(String),
    /// An offset before a buffer.
    #[error("{reg} invalid {kind} buffer access: off={off}, size={size}")]
    NegativeBuffer {
        /// The address register.
        reg: R,
        /// `rdonly`, `rdwr` or `tracepoint`.
        kind: &'static str,
        /// Constant part of the offset.
        off: i64,
        /// Bytes.
        size: u32,
    },
    /// An offset into a buffer that is not a constant.
    #[error("{reg} invalid variable buffer offset: off={off}, var_off={var}")]
    VariableBuffer {
        /// The address register.
        reg: R,
        /// Constant part of the offset.
        off: i64,
        /// Variable part.
        var: Tnum<W64>,
    },
    /// A variable that the kernel does not have.
    #[error("ldimm64 unable to resolve the kernel symbol '{0}'")]
    NoVariable(String),
    /// The address of an untyped symbol that the kernel does not have.
    #[error("ldimm64 failed to find the address for kernel symbol '{0}'.")]
    NoAddress(String),
}

impl TypedReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::BeyondStruct { .. }
            | Self::BeyondMember { .. }
            | Self::PartOfPointer { .. }
            | Self::OnlyWrites(_)
            | Self::WritesBeyond { .. }
            | Self::NoWrite { .. }
            | Self::WriteBeyond { .. }
            | Self::ReadOnly
            | Self::WrongStruct { .. }
            | Self::Negative { .. }
            | Self::Variable { .. }
            | Self::NegativeBuffer { .. }
            | Self::VariableBuffer { .. }
            | Self::ElsewhereSpace { .. } => Errno::EACCES,
            Self::ObjectPrivilege(_) => Errno::EPERM,
            Self::NoSize(_) => Errno::EFAULT,
            Self::NoVariable(_) | Self::NoAddress(_) => Errno::ENOENT,
            Self::OpsStruct(_) | Self::OpsMember { .. } => Errno::ENOTSUPP,
            Self::NotSleepable(_)
            | Self::NotModifiable(_)
            | Self::Denied(_)
            | Self::NoReturn(_)
            | Self::ManyArgs { .. }
            | Self::ReturnsStruct(_)
            | Self::VariableArgs(_)
            | Self::LargeArg { .. }
            | Self::HookGpl
            | Self::OpsIndex { .. }
            | Self::HookDisabled { .. }
            | Self::NoHook { .. }
            | Self::NoTarget
            | Self::AttachType { .. }
            | Self::NotAttachable(_)
            | Self::MayNotSleep
            | Self::MustSleep
            | Self::OpsGpl
            | Self::OpsSleep { .. }
            | Self::ObjectGpl(_)
            | Self::NoField { .. }
            | Self::NotStruct(_) => Errno::EINVAL,
        }
    }
}
