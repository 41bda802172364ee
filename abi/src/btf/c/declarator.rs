//! Pointers, arrays and functions around a name: C's types read from the inside out.
//!
//! ```text
//!   PTR ▶ FUNC_PROTO ▶ ARRAY?   "f"  ▶ "*f" ▶ "(*f)(int)" ▶ … ▶ "int (*f)(int)"
//! ```

use super::order::fwd_keyword;
use super::{CError, Nesting, Printer, Text, names};
use crate::btf::{Array, BtfId, Def, Kind, MAX_DEPTH, Type, TypeError};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

impl Printer<'_> {
    /// Writes a declaration of `name`, or the bare type when that is empty.
    pub(super) fn declaration(
        &self,
        out: &mut Text,
        id: BtfId,
        name: &str,
        nesting: Nesting,
    ) -> Result<(), CError> {
        let mut declarator = name.to_owned();
        // `const` and the like, which go before a name and after a star; tags go after both.
        let (mut qualifiers, mut tags) = (String::new(), String::new());
        let mut at = id;
        // One step for each pointer, array, prototype or qualifier.
        for _ in 0..=MAX_DEPTH * 2 {
            let ty = self.btf.ty(at).ok_or(TypeError::Unknown(at))?;
            match ty.def {
                Def::Const(to) => {
                    push_qualifier(&mut qualifiers, "const");
                    at = to;
                }
                Def::Volatile(to) => {
                    push_qualifier(&mut qualifiers, "volatile");
                    at = to;
                }
                Def::Restrict(to) => {
                    push_qualifier(&mut qualifiers, "restrict");
                    at = to;
                }
                Def::TypeTag { target, attribute } => {
                    if let Some(attribute) = tag_attribute(self.btf.name(ty.name), attribute) {
                        push_qualifier(&mut tags, &attribute);
                    }
                    at = target;
                }
                Def::Ptr(to) => {
                    let space =
                        if qualifiers.is_empty() || declarator.is_empty() { "" } else { " " };
                    declarator = format!("*{qualifiers}{space}{declarator}");
                    qualifiers.clear();
                    at = to;
                }
                Def::Array(Array { elem, len, .. }) => {
                    declarator = format!("{}[{len}]", parenthesised(declarator));
                    // Qualifiers of an array are its elements'.
                    at = elem;
                }
                Def::FuncProto(proto) => {
                    let params = self.params(at, nesting)?;
                    declarator = format!("{}({params})", parenthesised(declarator));
                    // Functions have no qualifiers, whatever a compiler wrote down.
                    (qualifiers, tags) = (String::new(), String::new());
                    at = proto.ret;
                }
                _ => {
                    if !qualifiers.is_empty() {
                        out.add(&qualifiers)?;
                        out.add(" ")?;
                    }
                    self.specifier(out, at, ty, nesting)?;
                    for part in [&tags, &declarator].into_iter().filter(|part| !part.is_empty()) {
                        out.add(" ")?;
                        out.add(part)?;
                    }
                    return Ok(());
                }
            }
        }
        Err(TypeError::TooDeep(id).into())
    }

    /// What stands at the left: a name, or a whole definition when there is none.
    fn specifier(
        &self,
        out: &mut Text,
        id: BtfId,
        ty: &Type,
        nesting: Nesting,
    ) -> Result<(), CError> {
        let keyword = match ty.def {
            Def::Void => return out.add("void"),
            Def::Int(int) => return out.add(names::int(self.btf, ty, &int)),
            Def::Float { bytes } => return out.add(names::float(bytes)),
            Def::Typedef(_) => return out.add(&self.names.of_type(self.btf, id)),
            Def::Struct(_) => "struct",
            Def::Union(_) => "union",
            Def::Enum(_) | Def::Enum64(_) => "enum",
            Def::Fwd(kind) => fwd_keyword(kind),
            _ => return Err(CError::NotDefinable(id)),
        };
        match ty.name.is_empty() {
            true if ty.kind() != Kind::Fwd => self.body(out, id, nesting.inner(id)?),
            _ => out.fmt(format_args!("{keyword} {}", self.names.of_type(self.btf, id))),
        }
    }

    /// The parameters of a prototype.
    fn params(&self, proto: BtfId, nesting: Nesting) -> Result<String, CError> {
        let params = self.btf.params(proto);
        let inner = nesting.inner(proto)?;
        let mut text = Text::default();
        for (i, param) in params.iter().enumerate() {
            if i > 0 {
                text.add(", ")?;
            }
            match param.is_variadic() && i + 1 == params.len() {
                // C17 wants a parameter before the dots.
                true if i == 0 => {}
                true => text.add("...")?,
                false => {
                    let name = match self.btf.name(param.name) {
                        "" => "".into(),
                        name => names::identifier(name),
                    };
                    self.declaration(&mut text, param.ty, &name, inner)?;
                }
            }
        }
        if params.is_empty() {
            text.add("void")?;
        }
        Ok(text.text)
    }
}

/// Brackets bind tighter than the star.
fn parenthesised(declarator: String) -> String {
    if declarator.starts_with('*') { format!("({declarator})") } else { declarator }
}

fn push_qualifier(qualifiers: &mut String, qualifier: &str) {
    if !qualifiers.is_empty() && !qualifier.is_empty() {
        qualifiers.push(' ');
    }
    qualifiers.push_str(qualifier);
}

/// A type tag as an attribute, unless it holds characters that would end the text it stands in.
fn tag_attribute(tag: &str, is_attribute: bool) -> Option<String> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_:.,() =-".contains(c);
    let balanced = tag.matches('(').count() == tag.matches(')').count();
    if tag.is_empty() || !tag.chars().all(is_safe) || !balanced {
        return None;
    }
    Some(match is_attribute {
        true => format!("__attribute__(({tag}))"),
        false => format!("__attribute__((btf_type_tag(\"{tag}\")))"),
    })
}
