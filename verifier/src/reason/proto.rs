//! Reasons found in the prototypes of global functions, and in the arguments brought to them.

use super::R;
use super::kfunc::kind_word;
use ubpf_abi::Errno;
use ubpf_abi::btf::Kind;

/// Reasons found in the prototypes of global functions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoReason {
    /// Nothing says what the function takes.
    #[error("Global functions need valid BTF")]
    NoBtf,
    /// More arguments than there are registers for.
    #[error("Global function {function}() with {args} > 5 args. Buggy compiler.")]
    TooManyArgs {
        /// The function.
        function: String,
        /// How many it has.
        args: usize,
    },
    /// The function returns something other than a number.
    #[error("Global function {0}() doesn't return scalar. Only those are supported.")]
    Returns(String),
    /// An argument's tag that the kernel does not know.
    #[error("arg#{0} has unsupported set of tags")]
    UnknownTag(u32),
    /// Tags that exclude each other.
    #[error("arg#{0} has invalid combination of tags")]
    Tags(u32),
    /// `__arg_untrusted` with another tag.
    #[error("arg#{0} untrusted cannot be combined with any other tags")]
    UntrustedTags(u32),
    /// `__arg_arena` with another tag.
    #[error("arg#{0} arena cannot be combined with any other tags")]
    ArenaTags(u32),
    /// A tag for pointers on something else.
    #[error("arg#{0} has pointer tag, but is not a pointer type")]
    TagOnNumber(u32),
    /// A pointer to something whose size nobody knows.
    #[error(
        "arg#{index} reference type('{} {name}') size cannot be determined: -22", kind_word(*kind)
    )]
    NoSize {
        /// Which argument, from 0.
        index: u32,
        /// What it points to.
        kind: Kind,
        /// The name of that.
        name: String,
    },
    /// An argument that is neither number nor pointer.
    #[error("Arg#{index} type {} in {function}() is not supported yet.", kind.name())]
    ArgKind {
        /// Which argument, from 0.
        index: u32,
        /// What it is.
        kind: Kind,
        /// The function.
        function: String,
    },
    /// More than one function is to handle exceptions.
    #[error("multiple exception callback tags for main subprog")]
    ExceptionTags,
    /// The function that is to handle exceptions is not in the types.
    #[error("exception callback '{0}' could not be found in BTF")]
    NoException(String),
    /// The function that is to handle exceptions has no code.
    #[error("exception callback type id not found in func_info")]
    ExceptionNoCode,
    /// The function that handles exceptions takes something else than what was thrown.
    #[error("exception cb only supports single integer argument")]
    ExceptionArgs,
    /// A pointer, or nothing, where a number is expected.
    #[error("{0} is not a scalar")]
    NotScalar(R),
    /// No type of the kernel's has the name, or several have.
    #[error(
        "arg#{index} reference type('{} {name}') {}",
        kind_word(*kind),
        if *ambiguous { "is ambiguous" } else { "has no matches" }
    )]
    NoMatch {
        /// Which argument, from 0.
        index: u32,
        /// What it points to.
        kind: Kind,
        /// The name of that.
        name: String,
        /// There are several.
        ambiguous: bool,
    },
    /// An untrusted pointer to something that cannot be read.
    #[error("arg#{index} has type {} '{name}', but only struct or primitive types are allowed", kind_word(*kind))]
    UntrustedKind {
        /// Which argument, from 0.
        index: u32,
        /// What it points to.
        kind: Kind,
        /// The name of that.
        name: String,
    },
    /// A context of a type without name.
    #[error("arg#{0} type doesn't have a name")]
    CtxNameless(u32),
    /// A context of some type, where contexts have none.
    #[error("arg#{0} should be void pointer")]
    CtxVoid(u32),
    /// A context of another type.
    #[error("arg#{index} should be `struct {wanted} *`")]
    CtxStruct {
        /// Which argument, from 0.
        index: u32,
        /// The context's struct.
        wanted: &'static str,
    },
    /// Something else where a kernel object is expected.
    #[error("arg#{0} is no kernel object of this type")]
    NotObject(usize),
    /// Something else where an address in an arena is expected.
    #[error("{0} is not a pointer to arena or scalar.")]
    NotArena(R),
    /// Something else where the context is expected.
    #[error("arg#{0} expects pointer to ctx")]
    NotCtx(usize),
    /// A pointer that may be null where it must not be.
    #[error("arg#{0} is expected to be non-NULL")]
    MayBeNull(usize),
}

impl ProtoReason {
    /// Whether the function cannot be verified at all, whoever calls it: the kernel says no more
    /// than that.
    pub(crate) const fn is_fatal(&self) -> bool {
        matches!(self, Self::NoBtf)
    }

    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::NoBtf => Errno::EFAULT,
            Self::ExceptionTags => Errno::EEXIST,
            Self::NotObject(_) => Errno::EACCES,
            Self::NoMatch { ambiguous: false, .. } => Errno::ENOENT,
            Self::NoMatch { ambiguous: true, .. } => Errno::ESRCH,
            Self::UnknownTag(_) => Errno::EOPNOTSUPP,
            _ => Errno::EINVAL,
        }
    }
}
