//! What one BTF type is: a name and a definition, with lists kept elsewhere.
//!
//! A kernel's BTF has well over 100,000 types, so a [`Type`] is small and `Copy`: members,
//! parameters, enumerators and section variables lie in arenas of the [`Btf`](super::Btf), and a
//! definition holds the [`List`] that says which part of an arena is its own.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

/// A type's number; 0 is `void`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BtfId(pub u32);

impl BtfId {
    /// The type that BTF does not list.
    pub const VOID: Self = Self(0);

    /// Whether this is `void`.
    #[must_use]
    pub const fn is_void(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for BtfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

/// Byte offset into the string section; 0 is the empty string, which means "no name".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrOff(pub u32);

impl StrOff {
    /// No name.
    pub const EMPTY: Self = Self(0);

    /// Whether this means "no name".
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The kinds of types, with their numbers in the format (`BTF_KIND_*`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $variant = $number,)* }

        impl Kind {
            /// The kind with this number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The number in the format.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The name in the format's documentation, which bpftool prints: `STRUCT`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// `void`, id 0; never written in a file.
    Void = 0, "VOID";
    /// Integer.
    Int = 1, "INT";
    /// Pointer.
    Ptr = 2, "PTR";
    /// Array.
    Array = 3, "ARRAY";
    /// Structure.
    Struct = 4, "STRUCT";
    /// Union.
    Union = 5, "UNION";
    /// Enumeration with values of up to 32 bits.
    Enum = 6, "ENUM";
    /// Forward declaration of a structure or union.
    Fwd = 7, "FWD";
    /// Type name.
    Typedef = 8, "TYPEDEF";
    /// `volatile`.
    Volatile = 9, "VOLATILE";
    /// `const`.
    Const = 10, "CONST";
    /// `restrict`.
    Restrict = 11, "RESTRICT";
    /// Function: a name for a prototype.
    Func = 12, "FUNC";
    /// Function prototype.
    FuncProto = 13, "FUNC_PROTO";
    /// Global variable.
    Var = 14, "VAR";
    /// Variables of one ELF section.
    Datasec = 15, "DATASEC";
    /// Floating-point number.
    Float = 16, "FLOAT";
    /// `__attribute__((btf_decl_tag))` of a type, member, parameter, function or variable.
    DeclTag = 17, "DECL_TAG";
    /// `__attribute__((btf_type_tag))`.
    TypeTag = 18, "TYPE_TAG";
    /// Enumeration with values of up to 64 bits.
    Enum64 = 19, "ENUM64";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which part of an arena belongs to a type.
pub struct List<T> {
    start: u32,
    len: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> List<T> {
    /// How many items.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The items from `start` to the arena's end. An arena past the 32-bit range, which no BTF
    /// section can fill, gives a list that finds nothing.
    pub(super) fn since(start: usize, arena: &[T]) -> Self {
        let to_u32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            start: to_u32(start),
            len: to_u32(arena.len().saturating_sub(start)),
            of: PhantomData,
        }
    }

    /// The items, out of the arena they lie in.
    pub(super) fn of<'a>(&self, arena: &'a [T]) -> &'a [T] {
        let start = self.start as usize;
        let range: Range<usize> = start..start.saturating_add(self.len());
        arena.get(range).unwrap_or(&[])
    }

    /// The same for changing them.
    pub(super) fn of_mut<'a>(&self, arena: &'a mut [T]) -> &'a mut [T] {
        let start = self.start as usize;
        let range: Range<usize> = start..start.saturating_add(self.len());
        arena.get_mut(range).unwrap_or(&mut [])
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<T> {}

impl<T> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.start, self.len) == (other.start, other.len)
    }
}

impl<T> Eq for List<T> {}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..+{}", self.start, self.len)
    }
}

/// A type: its name and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// Name; empty for anonymous types and for kinds that have none.
    pub name: StrOff,
    /// What it is.
    pub def: Def,
}

impl Type {
    /// `void`.
    pub const VOID: Self = Self { name: StrOff::EMPTY, def: Def::Void };

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.def.kind()
    }
}

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Def {
    /// No type.
    Void,
    /// Integer.
    Int(Int),
    /// Pointer to a type.
    Ptr(BtfId),
    /// Array.
    Array(Array),
    /// Structure.
    Struct(Composite),
    /// Union.
    Union(Composite),
    /// Enumeration with 32-bit values.
    Enum(Enumeration),
    /// Enumeration with 64-bit values.
    Enum64(Enumeration),
    /// Forward declaration.
    Fwd(FwdKind),
    /// Another name for a type.
    Typedef(BtfId),
    /// `volatile` type.
    Volatile(BtfId),
    /// `const` type.
    Const(BtfId),
    /// `restrict` type.
    Restrict(BtfId),
    /// Function.
    Func(Func),
    /// Function prototype.
    FuncProto(FuncProto),
    /// Global variable.
    Var(Var),
    /// Variables of one section.
    Datasec(Datasec),
    /// Floating-point number.
    Float {
        /// Size: 2, 4, 8, 12 or 16.
        bytes: u32,
    },
    /// Tag of a declaration; the type's name is the tag.
    DeclTag(DeclTag),
    /// Tag of a type; the type's name is the tag.
    TypeTag {
        /// What is tagged.
        target: BtfId,
        /// The name is a whole attribute rather than a `btf_type_tag` (kernel 6.15).
        attribute: bool,
    },
}

impl Def {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Void => Kind::Void,
            Self::Int(_) => Kind::Int,
            Self::Ptr(_) => Kind::Ptr,
            Self::Array(_) => Kind::Array,
            Self::Struct(_) => Kind::Struct,
            Self::Union(_) => Kind::Union,
            Self::Enum(_) => Kind::Enum,
            Self::Enum64(_) => Kind::Enum64,
            Self::Fwd(_) => Kind::Fwd,
            Self::Typedef(_) => Kind::Typedef,
            Self::Volatile(_) => Kind::Volatile,
            Self::Const(_) => Kind::Const,
            Self::Restrict(_) => Kind::Restrict,
            Self::Func(_) => Kind::Func,
            Self::FuncProto(_) => Kind::FuncProto,
            Self::Var(_) => Kind::Var,
            Self::Datasec(_) => Kind::Datasec,
            Self::Float { .. } => Kind::Float,
            Self::DeclTag(_) => Kind::DeclTag,
            Self::TypeTag { .. } => Kind::TypeTag,
        }
    }

    /// Structure or union.
    #[must_use]
    pub const fn composite(&self) -> Option<&Composite> {
        match self {
            Self::Struct(c) | Self::Union(c) => Some(c),
            _ => None,
        }
    }

    /// Enumeration of either width.
    #[must_use]
    pub const fn enumeration(&self) -> Option<&Enumeration> {
        match self {
            Self::Enum(e) | Self::Enum64(e) => Some(e),
            _ => None,
        }
    }

    /// What a typedef, `const`, `volatile`, `restrict` or type tag stands in front of.
    #[must_use]
    pub const fn modified(&self) -> Option<BtfId> {
        match *self {
            Self::Typedef(to)
            | Self::Const(to)
            | Self::Volatile(to)
            | Self::Restrict(to)
            | Self::TypeTag { target: to, .. } => Some(to),
            _ => None,
        }
    }
}

/// Integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// Storage size: 1, 2, 4, 8 or 16.
    pub bytes: u32,
    /// Significant bits; fewer than the storage holds in bitfields of old compilers.
    pub bits: u8,
    /// First significant bit, for such bitfields; else 0.
    pub bit_off: u8,
    /// How to read it.
    pub encoding: IntEncoding,
}

/// How an integer's bits are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntEncoding {
    /// Unsigned.
    Unsigned,
    /// Two's complement.
    Signed,
    /// A character; compilers mark `char` as signed instead.
    Char,
    /// `_Bool`.
    Bool,
}

/// Array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Element type.
    pub elem: BtfId,
    /// Type of the index.
    pub index: BtfId,
    /// Number of elements; 0 for flexible arrays.
    pub len: u32,
}

/// Structure or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composite {
    /// Size.
    pub bytes: u32,
    /// The format's `kind_flag`: members state their bitfield sizes. Without it bitfields have
    /// an [`Int`] type of few bits.
    pub kind_flag: bool,
    /// Members, to be looked up with [`Btf::members`](super::Btf::members).
    pub members: List<Member>,
}

/// Member of a structure or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name; empty for anonymous structures and unions.
    pub name: StrOff,
    /// Type.
    pub ty: BtfId,
    /// Offset from the start of the structure, in bits.
    pub bit_off: u32,
    /// Bits of a bitfield; 0 for ordinary members.
    pub bitfield_bits: u8,
}

/// Enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumeration {
    /// Size: 1, 2, 4 or 8.
    pub bytes: u32,
    /// Values are signed.
    pub signed: bool,
    /// Names and values.
    pub enumerators: List<Enumerator>,
}

/// A named value of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// Name.
    pub name: StrOff,
    /// Value, extended to 64 bits by the enumeration's sign; of unsigned 64-bit enumerations
    /// the bits.
    pub value: i64,
}

/// What a forward declaration promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FwdKind {
    /// `struct name;`
    Struct,
    /// `union name;`
    Union,
}

/// Function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Func {
    /// A [`FuncProto`].
    pub proto: BtfId,
    /// Linkage.
    pub linkage: Linkage,
}

/// Linkage of a function or variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Linkage {
    /// Seen in its own file only.
    Static = 0,
    /// Seen by all.
    Global = 1,
    /// Defined elsewhere.
    Extern = 2,
}

impl Linkage {
    /// The linkage with this number in the format.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Static),
            1 => Some(Self::Global),
            2 => Some(Self::Extern),
            _ => None,
        }
    }
}

/// Function prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncProto {
    /// Type returned.
    pub ret: BtfId,
    /// Parameters.
    pub params: List<Param>,
}

/// Parameter of a prototype. A last one without name and of type `void` stands for `...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name, empty in prototypes of pointers.
    pub name: StrOff,
    /// Type.
    pub ty: BtfId,
}

impl Param {
    /// Whether this, as the last parameter, stands for `...`.
    #[must_use]
    pub const fn is_variadic(&self) -> bool {
        self.name.is_empty() && self.ty.is_void()
    }
}

/// Global variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var {
    /// Type.
    pub ty: BtfId,
    /// Linkage.
    pub linkage: Linkage,
}

/// Variables of one ELF section, which the type is named after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datasec {
    /// Size; 0 where the compiler leaves it to the loader.
    pub bytes: u32,
    /// Variables by ascending offset.
    pub vars: List<SecVar>,
}

/// Place of a variable in its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecVar {
    /// The [`Var`], or the [`Func`] for kernel functions in `.ksyms`.
    pub ty: BtfId,
    /// Byte offset in the section; 0 where the compiler leaves it to the loader.
    pub off: u32,
    /// Size in bytes.
    pub bytes: u32,
}

/// Tag of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclTag {
    /// What is tagged.
    pub target: BtfId,
    /// Which member or parameter of it; `None` for the whole.
    pub component: Option<u32>,
    /// The name is a whole attribute rather than a `btf_decl_tag` (kernel 6.15).
    pub attribute: bool,
}
