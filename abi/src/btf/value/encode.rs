//! A tree of values to bytes.

use super::place::list_names;
use super::{Place, Value, ValueError, bits};
use crate::btf::{Btf, BtfId, Def, IntEncoding, MAX_DEPTH, Type, TypeError};
use alloc::borrow::ToOwned;
use alloc::string::ToString;

/// Writes `value` to `place` in `data`.
///
/// Fields and elements that the value does not mention keep their bytes. Numbers of any sort go
/// into integers, enumerations and pointers where they fit; strings name an enumerator or fill
/// an array of bytes, the rest of which becomes zero.
///
/// # Errors
/// The value does not fit the type, or `data` is too short.
pub fn encode(btf: &Btf, place: Place, value: &Value, data: &mut [u8]) -> Result<(), ValueError> {
    Encoder { btf, data }.value(place, value, 0)
}

struct Encoder<'a> {
    btf: &'a Btf,
    data: &'a mut [u8],
}

impl Encoder<'_> {
    fn value(&mut self, place: Place, value: &Value, depth: u32) -> Result<(), ValueError> {
        let btf = self.btf;
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(place.ty).into());
        }
        let (here, ty) = btf.resolve(place.ty)?;
        match (ty.def, value) {
            (Def::Var(var), value) => self.value(Place { ty: var.ty, ..place }, value, depth + 1),
            (Def::Struct(_) | Def::Union(_), Value::Struct(fields)) => {
                for (name, value) in fields {
                    self.value(place.member(btf, name)?, value, depth + 1)?;
                }
                Ok(())
            }
            (Def::Array(_), Value::Array(items)) => {
                for (index, item) in (0_u64..).zip(items) {
                    self.value(place.element(btf, index)?, item, depth + 1)?;
                }
                Ok(())
            }
            (Def::Array(_), Value::Str(text)) => self.text(place, text),
            (Def::Enum(_) | Def::Enum64(_), Value::Str(name)) => {
                let number = self.enumerator(here, name)?;
                self.number(place, ty, number, value)
            }
            (Def::Enum(_) | Def::Enum64(_) | Def::Int(_) | Def::Ptr(_), value) => {
                match as_number(value) {
                    Some(number) => self.number(place, ty, number, value),
                    None => Err(mismatch(value, ty)),
                }
            }
            (Def::Float { bytes: 4 }, Value::Float(x)) => {
                self.raw(place, 32, (*x as f32).to_bits().into())
            }
            (Def::Float { bytes: 8 }, Value::Float(x)) => self.raw(place, 64, x.to_bits().into()),
            _ => Err(mismatch(value, ty)),
        }
    }

    /// Fills an array of bytes.
    fn text(&mut self, place: Place, text: &str) -> Result<(), ValueError> {
        let (_, ty) = self.btf.resolve(place.ty)?;
        let room = match self.btf.array(place.ty) {
            Some(array) if self.btf.size_of(array.elem)? == 1 => array.len,
            _ => return Err(mismatch(&Value::Str(text.to_owned()), ty)),
        };
        if text.len() > room as usize {
            let value = text.to_owned();
            return Err(ValueError::OutOfRange { value, bits: room.saturating_mul(8) });
        }
        let bytes = text.bytes().chain(core::iter::repeat(0));
        for (at, byte) in (0..u64::from(room)).zip(bytes) {
            self.raw(Place { bit_off: place.bit_off + at * 8, ..place }, 8, byte.into())?;
        }
        Ok(())
    }

    fn enumerator(&self, of: BtfId, name: &str) -> Result<i128, ValueError> {
        let btf = self.btf;
        let values = btf.enumerators(of);
        let found = values.iter().find(|e| btf.name(e.name) == name);
        let found = found.ok_or_else(|| ValueError::NoEnumerator {
            name: name.to_owned(),
            known: list_names(values.iter().map(|e| btf.name(e.name))),
        })?;
        Ok(found.value.into())
    }

    /// Writes a number that must fit, as signed or unsigned.
    fn number(
        &mut self,
        place: Place,
        ty: &Type,
        number: i128,
        value: &Value,
    ) -> Result<(), ValueError> {
        let bits = match place.bitfield_bits {
            Some(bits) => bits,
            None => self.btf.size_of(place.ty)?.saturating_mul(8),
        };
        let bits = bits.clamp(1, 128);
        let is_bool = matches!(ty.def, Def::Int(int) if int.encoding == IntEncoding::Bool);
        let fits = match bits {
            _ if is_bool => (0..=1).contains(&number),
            // As 128 bits, unsigned numbers past the middle look negative; all of them fit.
            128 => true,
            bits if number < 0 && !matches!(value, Value::UInt(_)) => number >> (bits - 1) == -1,
            bits => number >= 0 && number >> bits == 0,
        };
        if !fits {
            return Err(ValueError::OutOfRange { value: value.to_string(), bits });
        }
        self.raw(place, bits, number.cast_unsigned())
    }

    fn raw(&mut self, place: Place, bits: u32, value: u128) -> Result<(), ValueError> {
        let have = self.data.len();
        bits::write(self.data, place.bit_off, bits, value).ok_or(ValueError::TooShort {
            needed: place.bit_off.saturating_add(bits.into()).div_ceil(8),
            have,
        })
    }
}

fn as_number(value: &Value) -> Option<i128> {
    match *value {
        Value::Int(n) => Some(n),
        Value::UInt(n) => Some(n.cast_signed()),
        Value::Char(c) => Some(c.into()),
        Value::Bool(b) => Some(b.into()),
        Value::Enum { value, .. } => Some(value.into()),
        Value::Ptr(address) => Some(address.into()),
        Value::Float(_) | Value::Str(_) | Value::Array(_) | Value::Struct(_) => None,
    }
}

fn mismatch(value: &Value, ty: &Type) -> ValueError {
    ValueError::Mismatch { value: value.to_string(), kind: ty.kind() }
}
