//! Context structs by their fields' names, from TOML or JSON.
//!
//! A file holds one context, or as many as it has `[[run]]` tables.

use crate::failure::Failure;
use crate::files;
use serde_json::{Map, Value};
use std::path::Path;
use thiserror::Error;
use ubpf::Input;
use ubpf::abi::ctx::{CtxField, CtxLayout};
use ubpf::abi::nearest::nearest;

/// Why a table is not a context.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldError {
    /// No such field.
    #[error("struct {layout} has no field `{field}`; {known}")]
    Unknown {
        /// Struct.
        layout: &'static str,
        /// What was asked for.
        field: String,
        /// What was probably meant, or all that there are.
        known: String,
    },
    /// A value of the wrong shape.
    #[error("`{field}` takes {expected}")]
    Shape {
        /// Field.
        field: &'static str,
        /// What it takes.
        expected: String,
    },
    /// The file is not a table of fields.
    #[error("expected a table of fields, or an array `run` of such tables")]
    NotATable,
}

/// Reads the contexts that a `.toml` or `.json` file describes.
///
/// # Errors
/// It cannot be read or parsed, or names what the struct does not have.
pub fn read(path: &Path, layout: &CtxLayout) -> Result<Vec<Vec<u8>>, Failure> {
    let table = files::read_table(path)?;
    contexts(&table, layout).map_err(|e| {
        let name = files::name(path);
        Failure::unusable(format!("{name} does not describe a struct {}", layout.name)).because(e)
    })
}

/// The context that a table of fields describes.
///
/// # Errors
/// It names what the struct does not have, or is no table.
pub fn one(table: &Value, layout: &CtxLayout) -> Result<Vec<u8>, FieldError> {
    context(table.as_object().ok_or(FieldError::NotATable)?, layout)
}

/// The contexts that TOML describes.
///
/// # Errors
/// It is not TOML, or names what the struct does not have.
pub fn parse(text: &str, layout: &CtxLayout) -> Result<Vec<Vec<u8>>, FieldError> {
    let table: Value = toml::from_str(text).map_err(|_| FieldError::NotATable)?;
    contexts(&table, layout)
}

/// The context struct that an input describes, before the program runs: its bytes, and the fields
/// set over them. What does not fit is left out; the run refuses it.
#[must_use]
pub fn given(input: &Input, layout: &CtxLayout) -> Vec<u8> {
    let mut bytes = input.ctx.clone().unwrap_or_default();
    bytes.resize(layout.size as usize, 0);
    for (name, value) in &input.ctx_fields {
        let (base, index) = match name.strip_suffix(']').and_then(|n| n.split_once('[')) {
            Some((base, index)) => (base, index.parse().ok()),
            None => (name.as_str(), Some(0)),
        };
        let place = layout.field(base).zip(index).and_then(|(field, index)| {
            let elem = field.elem_size as usize;
            let at = (field.off as usize).checked_add(elem.checked_mul(index)?)?;
            bytes.get_mut(at..at.checked_add(elem)?)
        });
        if let Some(place) = place {
            place.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
        }
    }
    bytes
}

fn contexts(table: &Value, layout: &CtxLayout) -> Result<Vec<Vec<u8>>, FieldError> {
    let table = table.as_object().ok_or(FieldError::NotATable)?;
    match table.get("run") {
        None => Ok(vec![context(table, layout)?]),
        Some(runs) => runs
            .as_array()
            .ok_or(FieldError::NotATable)?
            .iter()
            .map(|run| context(run.as_object().ok_or(FieldError::NotATable)?, layout))
            .collect(),
    }
}

fn context(table: &Map<String, Value>, layout: &CtxLayout) -> Result<Vec<u8>, FieldError> {
    let mut bytes = vec![0; layout.size as usize];
    for (name, value) in table {
        let field = layout.field(name).ok_or_else(|| FieldError::Unknown {
            layout: layout.name,
            field: name.clone(),
            known: {
                let names = || layout.fields.iter().map(|field| field.name);
                match nearest(name, names()) {
                    Some(near) => format!("is `{near}` meant?"),
                    None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
                }
            },
        })?;
        let at = field.off as usize;
        let target = bytes.get_mut(at..at + field.size as usize).ok_or_else(|| shape(field))?;
        encode(field, value, target)?;
    }
    Ok(bytes)
}

fn encode(field: &CtxField, value: &Value, target: &mut [u8]) -> Result<(), FieldError> {
    if let Value::Array(items) = value {
        let elem = field.elem_size.max(1) as usize;
        if elem == target.len() || items.len() > target.len() / elem {
            return Err(shape(field));
        }
        for (item, target) in items.iter().zip(target.chunks_mut(elem)) {
            number(item, target).ok_or_else(|| shape(field))?;
        }
        return Ok(());
    }
    number(value, target).ok_or_else(|| shape(field))
}

/// Stores a number, given as such or as text, when it fits.
fn number(value: &Value, target: &mut [u8]) -> Option<()> {
    let bits = match value {
        Value::Number(n) => n.as_u64().or_else(|| n.as_i64().map(|n| n as u64))?,
        Value::String(text) => crate::args::parse_number(text)?,
        Value::Bool(b) => u64::from(*b),
        _ => return None,
    };
    let bytes = bits.to_le_bytes();
    let (low, high) = bytes.split_at_checked(target.len())?;
    let negative = low.last().is_some_and(|b| b & 0x80 != 0);
    let fits = high.iter().all(|&b| b == 0) || (negative && high.iter().all(|&b| b == 0xff));
    fits.then(|| target.copy_from_slice(low))
}

fn shape(field: &CtxField) -> FieldError {
    let bits = field.elem_size * 8;
    FieldError::Shape {
        field: field.name,
        expected: if field.elem_size == field.size {
            format!("a number of at most {bits} bits")
        } else {
            let n = field.size / field.elem_size.max(1);
            format!("at most {n} numbers of at most {bits} bits each")
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use ubpf::abi::Version;
    use ubpf::abi::ctx::{CtxAccess, CtxFieldKind, CtxWidth};

    const fn field(name: &'static str, off: u32, size: u32, elem_size: u32) -> CtxField {
        CtxField {
            name,
            off,
            size,
            elem_size,
            kind: CtxFieldKind::Scalar,
            access: CtxAccess::Read,
            width: CtxWidth::NarrowLoads,
            attach_types: &[],
            since: Version::new(4, 19),
        }
    }

    const LAYOUT: CtxLayout = CtxLayout {
        name: "sample",
        size: 16,
        fields: &[field("a", 0, 4, 4), field("cb", 4, 8, 4), field("b", 12, 2, 2)],
    };

    #[test]
    fn fields_land_at_their_offsets() {
        let table = json!({"a": 1, "cb": [2, "0x3"], "b": -2});
        assert_eq!(
            contexts(&table, &LAYOUT),
            Ok(vec![vec![1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0xfe, 0xff, 0, 0]])
        );
    }

    #[test]
    fn run_tables_are_several_contexts() {
        let table = json!({"run": [{"a": 1}, {"a": 2}]});
        let contexts = contexts(&table, &LAYOUT).unwrap();
        assert_eq!(contexts.iter().map(|c| c[0]).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (bad, message) in [
            (json!({"c": 1}), "struct sample has no field `c`; it has a, cb, b"),
            (json!({"a": 1_u64 << 32}), "`a` takes a number of at most 32 bits"),
            (json!({"b": -32769}), "`b` takes a number of at most 16 bits"),
            (json!({"a": [1]}), "`a` takes a number of at most 32 bits"),
            (json!({"cb": [1, 2, 3]}), "`cb` takes at most 2 numbers of at most 32 bits each"),
            (json!([1]), "expected a table of fields, or an array `run` of such tables"),
        ] {
            assert_eq!(contexts(&bad, &LAYOUT).unwrap_err().to_string(), message);
        }
    }
}
