//! Names as C wants them: identifiers, no keywords, and no two alike in one name space.
//!
//! BTF has several types of one name when a kernel's source files disagree, and languages other
//! than C put characters into names that C cannot read.

use crate::btf::{Btf, BtfId, Def, Int, IntEncoding, Kind, Type};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

/// Words of C that are no names (C17, GNU), as far as other languages might use them, and the
/// compiler's own typedef, which is another type on another machine.
const KEYWORDS: [&str; 38] = [
    "__builtin_va_list",
    "_Bool",
    "asm",
    "auto",
    "break",
    "case",
    "char",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "float",
    "for",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "register",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "typeof",
    "union",
    "unsigned",
    "void",
    "volatile",
    "while",
];

/// Words that names of integer types are made of.
const INT_WORDS: [&str; 8] =
    ["char", "short", "int", "long", "signed", "unsigned", "_Bool", "__int128"];

/// C's two name spaces that matter here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    /// `struct`, `union` and `enum` tags.
    Tag,
    /// Typedefs and enumerators.
    Ordinary,
}

/// Which use of its name a type or enumerator is, where it is not the first.
#[derive(Default)]
pub(super) struct Names {
    types: BTreeMap<BtfId, u32>,
    enumerators: BTreeMap<(BtfId, usize), u32>,
}

impl Names {
    /// Numbers the uses of all names, by ascending id.
    pub(super) fn of_all(btf: &Btf) -> Self {
        let mut names = Self::default();
        let mut uses: BTreeMap<(Space, Cow<'_, str>), u32> = BTreeMap::new();
        let mut next = |space, name| {
            let count = uses.entry((space, name)).or_insert(0);
            *count += 1;
            Some(*count).filter(|&n| n > 1)
        };
        for (id, ty) in btf.types() {
            let space = match ty.kind() {
                Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 => Space::Tag,
                Kind::Fwd if !has_definition(btf, ty) => Space::Tag,
                Kind::Typedef => Space::Ordinary,
                _ => continue,
            };
            if !ty.name.is_empty()
                && let Some(n) = next(space, identifier(btf.name(ty.name)))
            {
                names.types.insert(id, n);
            }
            for (idx, e) in btf.enumerators(id).iter().enumerate() {
                if let Some(n) = next(Space::Ordinary, identifier(btf.name(e.name))) {
                    names.enumerators.insert((id, idx), n);
                }
            }
        }
        names
    }

    /// The name of a type, without `struct` and the like; empty when it has none.
    pub(super) fn of_type(&self, btf: &Btf, id: BtfId) -> String {
        match btf.name_of(id) {
            "" => String::new(),
            name => numbered(name, self.types.get(&id)),
        }
    }

    /// The name of an enumerator.
    pub(super) fn of_enumerator(&self, btf: &Btf, id: BtfId, idx: usize) -> String {
        let name = btf.enumerators(id).get(idx).map_or("", |e| btf.name(e.name));
        numbered(name, self.enumerators.get(&(id, idx)))
    }
}

fn numbered(name: &str, nth: Option<&u32>) -> String {
    match nth {
        Some(n) => format!("{}___{n}", identifier(name)),
        None => identifier(name).to_string(),
    }
}

/// Whether a forward declaration stands for a type that is defined in the same BTF.
fn has_definition(btf: &Btf, fwd: &Type) -> bool {
    let kind = match fwd.def {
        Def::Fwd(crate::btf::FwdKind::Union) => Kind::Union,
        _ => Kind::Struct,
    };
    btf.find(kind, btf.name(fwd.name)).is_some()
}

/// A name with everything replaced that C does not allow in one.
pub(super) fn identifier(name: &str) -> Cow<'_, str> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_well = name.starts_with(|c: char| is_legal(c) && !c.is_ascii_digit());
    if starts_well && name.chars().all(is_legal) && !KEYWORDS.contains(&name) {
        return Cow::Borrowed(name);
    }
    let mut legal = String::from("_");
    legal.extend(name.chars().map(|c| if is_legal(c) { c } else { '_' }));
    Cow::Owned(legal)
}

/// An integer type in C: by its name where C has that name, else by what it is.
pub(super) fn int<'a>(btf: &'a Btf, ty: &Type, int: &Int) -> &'a str {
    let name = btf.name(ty.name);
    if !name.is_empty() && name.split(' ').all(|word| INT_WORDS.contains(&word)) {
        return name;
    }
    match (int.encoding, int.bytes) {
        (IntEncoding::Bool, 1) => "_Bool",
        (IntEncoding::Char, 1) => "char",
        (IntEncoding::Signed, 1) => "signed char",
        (IntEncoding::Signed, 2) => "short",
        (IntEncoding::Signed, 4) => "int",
        (IntEncoding::Signed, 8) => "long long",
        (IntEncoding::Signed, _) => "__int128",
        (_, 1) => "unsigned char",
        (_, 2) => "unsigned short",
        (_, 4) => "unsigned int",
        (_, 8) => "unsigned long long",
        (_, _) => "unsigned __int128",
    }
}

/// A floating-point type in C.
pub(super) const fn float(bytes: u32) -> &'static str {
    match bytes {
        2 => "_Float16",
        4 => "float",
        8 => "double",
        _ => "long double",
    }
}
