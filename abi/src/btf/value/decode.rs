//! Bytes to a tree of values.

use super::{Place, Value, ValueError, bits};
use crate::btf::{Btf, BtfId, Def, Int, IntEncoding, MAX_DEPTH, Type, TypeError};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Parts that a tree may have. Bytes alone do not bound it: elements can be empty, and unions
/// show the same bytes many times.
const MAX_PARTS: u32 = 1 << 20;

/// Reads a value of type `ty` from the start of `data`.
///
/// # Errors
/// `data` is too short, or the type has no values.
pub fn decode(btf: &Btf, ty: BtfId, data: &[u8]) -> Result<Value, ValueError> {
    let needed = btf.size_of(ty)?;
    if (needed as usize) > data.len() {
        return Err(ValueError::TooShort { needed: needed.into(), have: data.len() });
    }
    Decoder { btf, data, parts: 0 }.value(Place::whole(ty), 0)
}

struct Decoder<'a> {
    btf: &'a Btf,
    data: &'a [u8],
    parts: u32,
}

impl Decoder<'_> {
    fn value(&mut self, place: Place, depth: u32) -> Result<Value, ValueError> {
        let btf = self.btf;
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(ValueError::TooManyParts(MAX_PARTS));
        }
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(place.ty).into());
        }
        let (here, ty) = btf.resolve(place.ty)?;
        match ty.def {
            Def::Int(int) => self.int(place, ty, &int),
            Def::Ptr(_) => Ok(Value::Ptr(self.raw(place)? as u64)),
            Def::Enum(e) | Def::Enum64(e) => {
                let (raw, width) = (self.raw(place)?, self.width(place)?);
                let value = match e.signed {
                    true => bits::sign_extend(raw, width) as i64,
                    false => (raw as u64).cast_signed(),
                };
                let name = btf.enumerators(here).iter().find(|e| e.value == value);
                let name = name.map(|e| btf.name(e.name).to_owned());
                Ok(Value::Enum { value, name })
            }
            Def::Float { bytes: 4 } => {
                Ok(Value::Float(f32::from_bits(self.raw(place)? as u32).into()))
            }
            Def::Float { bytes: 8 } => Ok(Value::Float(f64::from_bits(self.raw(place)? as u64))),
            Def::Float { .. } => Ok(Value::UInt(self.raw(place)?)),
            Def::Array(array) => {
                let mut items = Vec::new();
                for index in 0..u64::from(array.len) {
                    items.push(self.value(place.element(btf, index)?, depth + 1)?);
                }
                Ok(as_string(&items).map_or(Value::Array(items), Value::Str))
            }
            Def::Struct(_) | Def::Union(_) => {
                let mut fields = Vec::new();
                self.members(place, here, depth, &mut fields)?;
                Ok(Value::Struct(fields))
            }
            Def::Var(var) => self.value(Place { ty: var.ty, ..place }, depth + 1),
            Def::Datasec(_) => {
                let mut fields = Vec::new();
                for var in btf.vars(here) {
                    let bit_off = place.bit_off.saturating_add(u64::from(var.off) * 8);
                    let place = Place { ty: var.ty, bit_off, bitfield_bits: None };
                    let value = self.value(place, depth + 1)?;
                    fields.push((btf.name_of(var.ty).to_owned(), value));
                }
                Ok(Value::Struct(fields))
            }
            _ => Err(ValueError::NoValue(ty.kind())),
        }
    }

    /// Members of the structure or union `here`, those of anonymous members among them.
    fn members(
        &mut self,
        place: Place,
        here: BtfId,
        depth: u32,
        fields: &mut Vec<(String, Value)>,
    ) -> Result<(), ValueError> {
        let btf = self.btf;
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(here).into());
        }
        for member in btf.members(here) {
            let place = place.of_member(btf, member)?;
            let (inner, ty) = btf.resolve(member.ty)?;
            if member.name.is_empty() && ty.def.composite().is_some() {
                self.parts += 1;
                if self.parts > MAX_PARTS {
                    return Err(ValueError::TooManyParts(MAX_PARTS));
                }
                self.members(place, inner, depth + 1, fields)?;
            } else {
                let value = self.value(place, depth + 1)?;
                fields.push((btf.name(member.name).to_owned(), value));
            }
        }
        Ok(())
    }

    fn int(&mut self, place: Place, ty: &Type, int: &Int) -> Result<Value, ValueError> {
        let (raw, width) = (self.raw(place)?, self.width(place)?);
        Ok(match int.encoding {
            // Compilers encode `char` as a signed integer and leave it to the name.
            IntEncoding::Signed if self.btf.name(ty.name) == "char" => Value::Char(raw as u8),
            IntEncoding::Char => Value::Char(raw as u8),
            IntEncoding::Bool if raw <= 1 => Value::Bool(raw == 1),
            IntEncoding::Bool | IntEncoding::Unsigned => Value::UInt(raw),
            IntEncoding::Signed => Value::Int(bits::sign_extend(raw, width)),
        })
    }

    /// Width in bits, 1 to 128.
    fn width(&self, place: Place) -> Result<u32, ValueError> {
        let bits = match place.bitfield_bits {
            Some(bits) => bits,
            None => self.btf.size_of(place.ty)?.saturating_mul(8),
        };
        Ok(bits.clamp(1, 128))
    }

    fn raw(&self, place: Place) -> Result<u128, ValueError> {
        let width = self.width(place)?;
        bits::read(self.data, place.bit_off, width).ok_or(ValueError::TooShort {
            needed: place.bit_off.saturating_add(width.into()).div_ceil(8),
            have: self.data.len(),
        })
    }
}

/// Characters as text: printable ones up to a zero, and nothing but zeros after it.
fn as_string(items: &[Value]) -> Option<String> {
    let mut text = String::new();
    let mut ended = false;
    for item in items {
        match item {
            Value::Char(0) => ended = true,
            Value::Char(c @ (b' '..=b'~')) if !ended => text.push(char::from(*c)),
            _ => return None,
        }
    }
    (ended && !items.is_empty()).then_some(text)
}
