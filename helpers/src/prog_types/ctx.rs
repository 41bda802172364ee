//! The context that a run may bring (`ctx_in`), stores to it, and how an input is refused.

use ubpf_abi::ctx::{CtxField, CtxLayout};
use ubpf_abi::nearest::nearest;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::{Access, Errno};
use ubpf_vm::mem::MemError;
use ubpf_vm::run::{Input, InputError};

/// What test-run takes at most for a context, all zero bytes behind the struct included.
const MAX_CTX_BYTES: usize = 4096;

/// A refusal with test-run's error.
pub fn refuse(errno: Errno, message: impl Into<String>) -> InputError {
    InputError { errno, message: message.into() }
}

/// A refusal because guest memory could not be had.
pub fn no_memory(error: &MemError) -> InputError {
    refuse(error.errno(), error.to_string())
}

/// A refusal because the kernel's test-run does not run programs of this type.
pub fn no_test_run(prog_type: ProgType) -> InputError {
    let message = format!("programs of type {prog_type} have no test run; they can be verified");
    refuse(Errno::ENOTSUPP, message)
}

/// The context that `input` brings, as `N` bytes of the UAPI struct, or `None` when it brings
/// none. Without bytes of its own, single fields are set over `blank`.
///
/// A shorter context is filled up with zeros. A longer one must hold nothing but zeros behind the
/// struct.
///
/// # Errors
/// `E2BIG` for a context that is too long; `EINVAL` for a field that does not exist or a value
/// that does not fit it.
pub fn context<const N: usize>(
    input: &Input,
    layout: &CtxLayout,
    blank: [u8; N],
) -> Result<Option<[u8; N]>, InputError> {
    let ctx = context_bytes(input, layout, blank.to_vec())?;
    Ok(ctx.and_then(|ctx| ctx.try_into().ok()))
}

/// The same for a struct whose size only the layout knows.
///
/// # Errors
/// As [`context`].
pub fn context_bytes(
    input: &Input,
    layout: &CtxLayout,
    blank: Vec<u8>,
) -> Result<Option<Vec<u8>>, InputError> {
    let mut ctx = match &input.ctx {
        None if input.ctx_fields.is_empty() => return Ok(None),
        None => blank,
        Some(bytes) => struct_bytes(bytes, layout, blank.len())?,
    };
    for (name, value) in &input.ctx_fields {
        set_field(&mut ctx, layout, name, *value)?;
    }
    Ok(Some(ctx))
}

fn struct_bytes(bytes: &[u8], layout: &CtxLayout, len: usize) -> Result<Vec<u8>, InputError> {
    let too_long = || {
        let (have, want) = (bytes.len(), layout.size);
        let message =
            format!("context of {have} bytes for struct {}, which has {want}", layout.name);
        refuse(Errno::E2BIG, message)
    };
    if bytes.len() > len.max(MAX_CTX_BYTES) {
        return Err(too_long());
    }
    let (head, tail) = bytes.split_at(bytes.len().min(len));
    if tail.iter().any(|&b| b != 0) {
        return Err(too_long());
    }
    let mut ctx = vec![0; len];
    ctx.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
    Ok(ctx)
}

/// The field that was probably meant, or all that there are.
fn known(layout: &CtxLayout, name: &str) -> String {
    let names = || layout.fields.iter().map(|field| field.name);
    match nearest(name, names()) {
        Some(near) => format!("is `{near}` meant?"),
        None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// Sets one field, `name` or `name[index]` for an element of an array.
fn set_field(ctx: &mut [u8], layout: &CtxLayout, name: &str, value: u64) -> Result<(), InputError> {
    let (base, index) = match name.strip_suffix(']').and_then(|n| n.split_once('[')) {
        Some((base, index)) => (base, index.parse().ok()),
        None => (name, Some(0)),
    };
    let field = layout.field(base).ok_or_else(|| {
        let message =
            format!("struct {} has no field `{base}`; {}", layout.name, known(layout, base));
        refuse(Errno::EINVAL, message)
    })?;
    let place = index.and_then(|index: u32| element(field, index)).and_then(|r| ctx.get_mut(r));
    let Some(place) = place else {
        let message = format!("`{name}`: the field has {} elements", field.size / field.elem_size);
        return Err(refuse(Errno::EINVAL, message));
    };
    let bytes = value.to_le_bytes();
    let (low, high) = bytes.split_at(place.len().min(bytes.len()));
    if high.iter().any(|&b| b != 0) {
        let message = format!("{value:#x} does not fit the {} bytes of `{name}`", low.len());
        return Err(refuse(Errno::EINVAL, message));
    }
    place.iter_mut().zip(low).for_each(|(to, from)| *to = *from);
    Ok(())
}

fn element(field: &CtxField, index: u32) -> Option<core::ops::Range<usize>> {
    let off = index.checked_mul(field.elem_size).filter(|&off| off < field.size)?;
    let start = usize::try_from(field.off.checked_add(off)?).ok()?;
    Some(start..start.checked_add(usize::try_from(field.elem_size).ok()?)?)
}

/// The little-endian number in `field` of a context; 0 where it is not one.
pub fn number(ctx: &[u8], field: &CtxField) -> u64 {
    let bytes = element(field, 0).and_then(|r| ctx.get(r)).unwrap_or_default();
    bytes.iter().take(8).rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The field that programs may store `size` bytes at `off` to.
pub fn writable(layout: &CtxLayout, off: u32, size: u32) -> Option<&'static CtxField> {
    layout.field_at(off).filter(|field| field.allows(Access::Write, off, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prog_types::xdp::LAYOUT;

    fn input(ctx: Option<&[u8]>, fields: &[(&str, u64)]) -> Input {
        let ctx_fields = fields.iter().map(|&(n, v)| (n.to_owned(), v)).collect();
        Input { ctx: ctx.map(<[u8]>::to_vec), ctx_fields, ..Input::default() }
    }

    fn errno(result: Result<Option<[u8; 24]>, InputError>) -> Errno {
        result.unwrap_err().errno
    }

    #[test]
    fn a_context_is_filled_up_with_zeros_and_may_be_followed_by_them() {
        let short = context(&input(Some(&[7]), &[]), &LAYOUT, [0; 24]).unwrap().unwrap();
        assert_eq!((short[0], &short[1..]), (7, &[0; 23][..]));
        let long = [vec![1; 24], vec![0; 100]].concat();
        assert_eq!(context(&input(Some(&long), &[]), &LAYOUT, [0; 24]), Ok(Some([1; 24])));
        let bad = [vec![1; 24], vec![1]].concat();
        assert_eq!(errno(context(&input(Some(&bad), &[]), &LAYOUT, [0; 24])), Errno::E2BIG);
        assert_eq!(errno(context(&input(Some(&[0; 4097]), &[]), &LAYOUT, [0; 24])), Errno::E2BIG);
    }

    #[test]
    fn fields_are_set_over_the_blank_context() {
        let set = context(&input(None, &[("data_end", 0x1234)]), &LAYOUT, [9; 24]);
        let set = set.unwrap().unwrap();
        assert_eq!((set[3], &set[4..8], set[8]), (9, &[0x34, 0x12, 0, 0][..], 9));
        assert_eq!(context(&input(None, &[]), &LAYOUT, [9; 24]), Ok(None));
    }

    #[test]
    fn fields_that_do_not_exist_or_overflow_are_refused() {
        for (name, value) in [("mark", 1), ("data", 1 << 32), ("data[1]", 0), ("data[", 0)] {
            let refused = context(&input(None, &[(name, value)]), &LAYOUT, [0; 24]);
            assert_eq!(errno(refused), Errno::EINVAL, "{name}");
        }
    }
}
