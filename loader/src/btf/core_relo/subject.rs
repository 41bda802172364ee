//! What a relocation is about: a type, an enumerator, or a field reached from a type.
//!
//! The compiler writes a field as the way to it. `&s->a[3]` in
//!
//! ```c
//! struct sample { int x; struct { int y, z; int a[7]; }; };
//! ```
//!
//! is `0:1:2:3`: element 0 of the pointer, member 1 (anonymous), its member 2 (`a`), element 3.
//! Other layouts nest differently, so only what has a meaning in C is kept as a [`Step`]:
//! `[0]`, `.a`, `[3]`.

use super::super::ext::{CoreRelo, CoreReloKind};
use super::error::CoreReloErrorKind as ErrorKind;
use std::fmt::Write as _;
use ubpf_abi::btf::{Array, Btf, BtfId, Def, Kind, Type};

/// libbpf's limit for levels of members.
pub(super) const MAX_LEVELS: usize = 64;

/// Longest description; an object can have many relocations with very long names.
const MAX_DESCRIPTION_CHARS: usize = 256;

/// What a relocation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A type as a whole.
    Type(BtfId),
    /// A named value of an enumeration.
    Enumerator {
        /// The enumeration.
        of: BtfId,
        /// Its index in it.
        idx: usize,
    },
    /// A field.
    Field(Field),
}

/// The way to a field, and where it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// Steps that have a meaning in C.
    pub(super) steps: Vec<Step>,
    /// Levels, anonymous members included.
    pub(super) levels: usize,
    /// Bit offset from the start of the root type.
    pub(super) bit_off: u32,
}

/// One step towards a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Array element, or what a pointer points to (the first step).
    Element {
        /// Type of the elements, without modifiers.
        ty: BtfId,
        /// Index.
        idx: u32,
    },
    /// Named member.
    Member {
        /// The structure or union.
        of: BtfId,
        /// Index of the member.
        idx: usize,
    },
}

impl Field {
    /// Moves on by some bits.
    pub(super) fn advance(&mut self, bits: u32) -> Result<(), ErrorKind> {
        self.bit_off = self.bit_off.checked_add(bits).ok_or(ErrorKind::OffsetTooLarge)?;
        Ok(())
    }

    /// Goes to element `idx` of an array of `ty`.
    pub(super) fn element(&mut self, btf: &Btf, ty: BtfId, idx: u32) -> Result<(), ErrorKind> {
        let bits = btf
            .size_of(ty)?
            .checked_mul(idx)
            .and_then(|bytes| bytes.checked_mul(8))
            .ok_or(ErrorKind::OffsetTooLarge)?;
        self.level()?;
        self.steps.push(Step::Element { ty, idx });
        self.advance(bits)
    }

    /// Counts one level of nesting.
    pub(super) fn level(&mut self) -> Result<(), ErrorKind> {
        if self.levels >= MAX_LEVELS {
            return Err(ErrorKind::TooDeep);
        }
        self.levels += 1;
        Ok(())
    }

    /// Whether an array that was just reached allows this index: all do that are declared
    /// without a length as the last member of their structure.
    pub(super) fn allows_index(&self, btf: &Btf, array: &Array, idx: u32) -> bool {
        let is_flexible = array.len == 0
            && matches!(self.steps.last(), Some(&Step::Member { of, idx })
                if idx + 1 == btf.members(of).len());
        is_flexible || idx < array.len
    }
}

impl Subject {
    /// Makes sense of a relocation in the object's types.
    pub(super) fn parse(local: &Btf, relo: &CoreRelo) -> Result<Self, ErrorKind> {
        let text = local.name(relo.access);
        let bad_access = || ErrorKind::Access(text.to_owned());
        let path = parse_path(text)?;
        let (&first, rest) = path.split_first().ok_or_else(bad_access)?;
        match relo.kind {
            CoreReloKind::TypeIdLocal
            | CoreReloKind::TypeIdTarget
            | CoreReloKind::TypeExists
            | CoreReloKind::TypeSize
            | CoreReloKind::TypeMatches => {
                local.ty(relo.ty).ok_or_else(bad_access)?;
                if (first, rest) != (0, &[]) {
                    return Err(bad_access());
                }
                Ok(Self::Type(relo.ty))
            }
            CoreReloKind::EnumvalExists | CoreReloKind::EnumvalValue => {
                let (of, _) = local.resolve(relo.ty)?;
                let idx = first as usize;
                if !rest.is_empty() || idx >= local.enumerators(of).len() {
                    return Err(bad_access());
                }
                Ok(Self::Enumerator { of, idx })
            }
            CoreReloKind::FieldByteOffset
            | CoreReloKind::FieldByteSize
            | CoreReloKind::FieldExists
            | CoreReloKind::FieldSigned
            | CoreReloKind::FieldLshiftU64
            | CoreReloKind::FieldRshiftU64 => {
                let mut field = Field::default();
                let (mut at, _) = local.resolve(relo.ty)?;
                field.element(local, at, first)?;
                for &idx in rest {
                    at = step(local, &mut field, at, idx)?.ok_or_else(bad_access)?;
                }
                Ok(Self::Field(field))
            }
        }
    }

    /// Bit offset of a field, 0 for all else.
    pub(super) const fn bit_off(&self) -> u32 {
        match self {
            Self::Field(field) => field.bit_off,
            Self::Type(_) | Self::Enumerator { .. } => 0,
        }
    }
}

/// Goes one level down from type `at`; `None` when there is no such member or element.
fn step(btf: &Btf, field: &mut Field, at: BtfId, idx: u32) -> Result<Option<BtfId>, ErrorKind> {
    let (here, ty) = btf.resolve(at)?;
    match &ty.def {
        Def::Struct(_) | Def::Union(_) => {
            let idx = idx as usize;
            let Some(member) = btf.members(here).get(idx) else {
                return Ok(None);
            };
            field.level()?;
            field.advance(member.bit_off)?;
            if !member.name.is_empty() {
                field.steps.push(Step::Member { of: here, idx });
            }
            Ok(Some(member.ty))
        }
        Def::Array(array) => {
            let (elem, _) = btf.resolve(array.elem)?;
            if !field.allows_index(btf, array, idx) {
                return Ok(None);
            }
            field.element(btf, elem, idx)?;
            Ok(Some(elem))
        }
        _ => Ok(None),
    }
}

/// The numbers of an access string such as `0:1:2`.
fn parse_path(text: &str) -> Result<Vec<u32>, ErrorKind> {
    let mut path = Vec::new();
    for part in text.split(':') {
        if path.len() == MAX_LEVELS {
            return Err(ErrorKind::TooDeep);
        }
        let idx: i32 = part.parse().map_err(|_| ErrorKind::Access(text.to_owned()))?;
        path.push(u32::try_from(idx).map_err(|_| ErrorKind::Access(text.to_owned()))?);
    }
    Ok(path)
}

/// A relocation for people: `byte_off of struct iphdr.daddr (0:9)`.
pub(super) fn describe(local: &Btf, relo: &CoreRelo) -> String {
    let mut text = format!("{} of ", relo.kind.name());
    describe_type(&mut text, local, relo.ty);
    match Subject::parse(local, relo) {
        Ok(Subject::Field(field)) => describe_steps(&mut text, local, &field),
        Ok(Subject::Enumerator { of, idx }) => {
            let name = local.enumerators(of).get(idx).map_or("", |e| local.name(e.name));
            let _ = write!(text, "::{name}");
        }
        Ok(Subject::Type(_)) | Err(_) => {}
    }
    let _ = write!(text, " ({})", local.name(relo.access));
    if let Some((end, _)) = text.char_indices().nth(MAX_DESCRIPTION_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn describe_type(text: &mut String, btf: &Btf, id: BtfId) {
    let name = match btf.name_of(id) {
        "" => "<anonymous>",
        name => name,
    };
    let prefix = match btf.ty(id).map(Type::kind) {
        Some(Kind::Struct) => "struct ",
        Some(Kind::Union) => "union ",
        Some(Kind::Enum | Kind::Enum64) => "enum ",
        Some(_) => "",
        None => "unknown type ",
    };
    let _ = write!(text, "{prefix}{name}");
}

fn describe_steps(text: &mut String, btf: &Btf, field: &Field) {
    for (at, step) in field.steps.iter().enumerate() {
        let _ = match *step {
            // `p->x` is `p[0].x`, which nobody writes.
            Step::Element { idx: 0, .. } if at == 0 => Ok(()),
            Step::Element { idx, .. } => write!(text, "[{idx}]"),
            Step::Member { of, idx } => {
                let name = btf.members(of).get(idx).map_or("", |m| btf.name(m.name));
                write!(text, ".{name}")
            }
        };
    }
}
