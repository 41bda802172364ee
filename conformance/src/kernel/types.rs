//! Type information as the kernel takes it.
//!
//! Compilers list what an object leaves to the kernel (`.ksyms`) with its own types, functions
//! included, where the kernel expects variables with a place. libbpf rewrites that section before
//! it loads the types; so does this.

/// Bytes of the format's header, of a type without its tail, and of a data section's entry.
const HEADER: usize = 24;
const TYPE: usize = 12;
const ENTRY: usize = 12;
/// Bytes of a symbol's stand-in.
const INT_BYTES: u32 = 4;

const KIND_INT: u32 = 1;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
/// A function that is in the object, a variable that has a place there.
const GLOBAL: u32 = 1;

/// The same types with stand-ins for the symbols in `.ksyms`, or as they are where there are
/// none.
pub(super) fn without_externs(btf: &[u8]) -> Vec<u8> {
    rewritten(btf).unwrap_or_else(|| btf.to_vec())
}

fn rewritten(btf: &[u8]) -> Option<Vec<u8>> {
    let word = |at| get(btf, at).map(|v| v as usize);
    let (type_off, type_len) = (word(8)?, word(12)?);
    let (str_off, str_len) = (word(16)?, word(20)?);
    let mut types = btf.get(HEADER + type_off..HEADER + type_off + type_len)?.to_vec();
    let mut strings = btf.get(HEADER + str_off..HEADER + str_off + str_len)?.to_vec();
    let places = places(&types)?;
    let named = |at: usize, name: &str| {
        let off = get(&types, at)? as usize;
        Some(strings.get(off..)?.starts_with(&[name.as_bytes(), &[0]].concat()))
    };
    let is = |at: usize, wanted| get(&types, at + 4).map(kind) == Some(wanted);
    let section =
        *places.iter().find(|&&at| is(at, KIND_DATASEC) && named(at, ".ksyms") == Some(true))?;
    let int =
        places.iter().position(|&at| is(at, KIND_INT) && get(&types, at + 8) == Some(INT_BYTES));
    let int = u32::try_from(int? + 1).ok()?;
    let stand_in = u32::try_from(places.len() + 1).ok()?;
    let name = u32::try_from(strings.len()).ok()?;
    strings.extend(b"dummy_ksym\0");
    let count = get(&types, section + 4)? & 0xffff;
    for n in 0..count {
        let entry = section + TYPE + n as usize * ENTRY;
        let symbol = *places.get((get(&types, entry)? as usize).checked_sub(1)?)?;
        match kind(get(&types, symbol + 4)?) {
            KIND_FUNC => {
                let info = get(&types, symbol + 4)?;
                put(&mut types, symbol + 4, info & !0xffff | GLOBAL)?;
                let proto = *places.get((get(&types, symbol + 8)? as usize).checked_sub(1)?)?;
                name_parameters(&mut types, proto, name)?;
                put(&mut types, entry, stand_in)?;
            }
            KIND_VAR => {
                put(&mut types, symbol + 8, int)?;
                put(&mut types, symbol + TYPE, GLOBAL)?;
            }
            _ => return None,
        }
        put(&mut types, entry + 4, n * INT_BYTES)?;
        put(&mut types, entry + 8, INT_BYTES)?;
    }
    put(&mut types, section + 8, count * INT_BYTES)?;
    for word in [name, KIND_VAR << 24, int, GLOBAL] {
        types.extend(word.to_le_bytes());
    }
    let mut out = btf.get(..HEADER)?.to_vec();
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    for (at, value) in [(8, 0), (12, types_len), (16, types_len), (20, strings_len)] {
        put(&mut out, at, value)?;
    }
    out.extend(types);
    out.extend(strings);
    Some(out)
}

/// Parameters must have names in functions that are in the object.
fn name_parameters(types: &mut [u8], proto: usize, name: u32) -> Option<()> {
    if kind(get(types, proto + 4)?) != KIND_FUNC_PROTO {
        return None;
    }
    for n in 0..get(types, proto + 4)? & 0xffff {
        let param = proto + TYPE + n as usize * 8;
        if get(types, param)? == 0 && get(types, param + 4)? != 0 {
            put(types, param, name)?;
        }
    }
    Some(())
}

/// Where each type begins, by its id less 1.
fn places(types: &[u8]) -> Option<Vec<usize>> {
    let (mut at, mut places) = (0, Vec::new());
    while at < types.len() {
        places.push(at);
        let info = get(types, at + 4)?;
        let count = (info & 0xffff) as usize;
        at += TYPE
            + match kind(info) {
                KIND_INT | KIND_VAR | 17 => 4,
                3 => 12,
                4 | 5 | KIND_DATASEC | 19 => count * 12,
                6 | KIND_FUNC_PROTO => count * 8,
                _ => 0,
            };
    }
    Some(places)
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

fn get(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, value: u32) -> Option<()> {
    bytes.get_mut(at..at.checked_add(4)?)?.copy_from_slice(&value.to_le_bytes());
    Some(())
}
