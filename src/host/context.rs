//! Context structs of a host's own.

use ubpf_abi::Version;
use ubpf_abi::ctx::{CtxAccess, CtxField, CtxFieldKind, CtxWidth};

mod sealed {
    pub trait Sealed {}
}

/// A number that a context can hold.
pub trait CtxScalar: sealed::Sealed + Copy + Default {
    /// Bytes.
    const BYTES: usize;

    /// Appends it as C has it in memory.
    fn put(self, to: &mut [u8]);

    /// Reads it back.
    fn get(from: &[u8]) -> Self;
}

macro_rules! scalars {
    ($($ty:ty)*) => {$(
        impl sealed::Sealed for $ty {}
        impl CtxScalar for $ty {
            const BYTES: usize = size_of::<$ty>();

            fn put(self, to: &mut [u8]) {
                to.iter_mut().zip(self.to_le_bytes()).for_each(|(to, byte)| *to = byte);
            }

            fn get(from: &[u8]) -> Self {
                from.first_chunk().map_or(0, |bytes| Self::from_le_bytes(*bytes))
            }
        }
    )*};
}
scalars!(u8 u16 u32 u64 i8 i16 i32 i64);

/// Offsets of fields of these sizes, each aligned to its own, and behind them the size of the whole
/// struct: as C lays them out.
#[must_use]
pub const fn offsets<const N: usize, const M: usize>(sizes: [usize; N]) -> [usize; M] {
    assert!(M == N + 1, "an offset for each field, and the struct's size");
    let mut offsets = [0; M];
    let (mut off, mut align, mut at) = (0_usize, 1, 0);
    while at < N {
        off = off.next_multiple_of(sizes[at]);
        offsets[at] = off;
        off += sizes[at];
        if sizes[at] > align {
            align = sizes[at];
        }
        at += 1;
    }
    offsets[N] = off.next_multiple_of(align);
    offsets
}

/// The row of a field.
#[must_use]
pub const fn field(name: &'static str, off: usize, bytes: usize, writable: bool) -> CtxField {
    CtxField {
        name,
        off: off as u32,
        size: bytes as u32,
        elem_size: bytes as u32,
        kind: CtxFieldKind::Scalar,
        access: if writable { CtxAccess::ReadWrite } else { CtxAccess::Read },
        width: CtxWidth::NarrowLoads,
        attach_types: &[],
        since: Version::new(0, 0),
    }
}

/// Defines a context struct, and the program type whose programs get it.
///
/// ```
/// use ubpf::{Engine, abi::prog_type::ProgType};
///
/// ubpf::context! {
///     /// A request, as filters see it.
///     pub struct Request = 7 {
///         /// Bytes of its body.
///         length: u64,
///         method: u32,
///         /// What to answer.
///         status: u32 [writable],
///     }
/// }
///
/// let engine = Engine::builder().prog_type(Request::DEF).build();
/// assert_eq!(Request::PROG_TYPE, ProgType::Host(7));
///
/// let request = Request { length: 10, method: 1, status: 0 };
/// assert_eq!(request.to_bytes()[..8], 10_u64.to_le_bytes());
/// assert_eq!(Request::from_bytes(&request.to_bytes()).method, 1);
/// ```
///
/// In C it is the struct that it looks like; fields are little-endian and lie where C puts them. The
/// verifier lets programs load every field, whole or in part, and store those that are `[writable]`.
/// The number after `=` is the program type's, among the host's own.
#[macro_export]
macro_rules! context {
    ($(#[$doc:meta])* $vis:vis struct $name:ident = $number:literal {
        $($(#[$field_doc:meta])* $field:ident: $ty:ty $([$writable:ident])?),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl $name {
            /// The type of programs that get it.
            pub const PROG_TYPE: $crate::abi::prog_type::ProgType =
                $crate::abi::prog_type::ProgType::Host($number);

            const FIELDS: usize = [$(stringify!($field)),*].len();
            const OFFSETS: [usize; Self::FIELDS + 1] = $crate::host::offsets([
                $(<$ty as $crate::host::CtxScalar>::BYTES),*
            ]);
            /// Bytes of the struct.
            pub const BYTES: usize = Self::OFFSETS[Self::FIELDS];

            const ROWS: [$crate::abi::ctx::CtxField; Self::FIELDS] = {
                let mut at = 0;
                [$({
                    let bytes = <$ty as $crate::host::CtxScalar>::BYTES;
                    let writable = false $(|| $crate::context!(@ $writable))?;
                    at += 1;
                    let off = Self::OFFSETS[at - 1];
                    $crate::host::field(stringify!($field), off, bytes, writable)
                }),*]
            };

            const DECL: &'static $crate::abi::prog_type::ProgTypeDecl =
                &$crate::abi::prog_type::ProgTypeDecl {
                    prog_type: Self::PROG_TYPE,
                    doc: concat!("Gets a struct ", stringify!($name), " of the host's."),
                    ctx: $crate::abi::ctx::CtxLayout {
                        name: stringify!($name),
                        size: Self::BYTES as u32,
                        fields: &Self::ROWS,
                    },
                    input: $crate::abi::prog_type::InputKind::Context,
                    packet: $crate::abi::prog_type::PacketAccess::None,
                    helpers: &[$crate::host::HOST, $crate::platform::func::group::BASE],
                    ret: $crate::abi::prog_type::RetRange::Any,
                    verdicts: $crate::abi::prog_type::Verdicts::Numbers,
                    legacy_loads: false,
                    hooks: &[],
                };

            /// The program type, for
            #[doc = "[`EngineBuilder::prog_type`](ubpf::EngineBuilder::prog_type)."]
            pub const DEF: $crate::host::ProgTypeDef = $crate::host::ProgTypeDef {
                decl: *Self::DECL,
                prepare: |world, input| {
                    $crate::platform::prog_types::context::prepare(world, input, Self::DECL)
                },
            };

            /// The struct as programs see it.
            #[must_use]
            pub fn to_bytes(&self) -> [u8; Self::BYTES] {
                let mut bytes = [0; Self::BYTES];
                let mut offsets = Self::OFFSETS.iter();
                $(if let Some(&off) = offsets.next() {
                    let place = bytes.get_mut(off..).unwrap_or_default();
                    $crate::host::CtxScalar::put(self.$field, place);
                })*
                bytes
            }

            /// The struct as a program left it.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Self {
                let mut offsets = Self::OFFSETS.iter();
                let mut place = || {
                    let off = offsets.next().copied().unwrap_or(usize::MAX);
                    bytes.get(off..).unwrap_or_default()
                };
                Self { $($field: $crate::host::CtxScalar::get(place()),)* }
            }

            /// What a run takes.
            #[must_use]
            pub fn to_input(&self) -> $crate::Input {
                $crate::Input::context(self.to_bytes())
            }

            /// The struct as a run left it.
            #[must_use]
            pub fn from_outcome(outcome: &$crate::Outcome) -> Self {
                Self::from_bytes(outcome.output.ctx.as_deref().unwrap_or_default())
            }
        }
    };
    (@ writable) => { true };
}
