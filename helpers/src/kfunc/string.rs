//! Strings of which nothing is known.

use super::set::COMMON;
use crate::func::memory::space_of;
use core::cmp::Ordering;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, IntFail};
use ubpf_vm::kfunc;
use ubpf_vm::mem::Space;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_strcmp, since 6.17, "Compares two strings.", COMMON; strcmp),
    kfunc!(bpf_strcasecmp, since 6.18, "Compares two strings, upper and lower case alike.", COMMON; strcasecmp),
    kfunc!(bpf_strchr, since 6.17, "Finds a character.", COMMON; strchr),
    kfunc!(bpf_strchrnul, since 6.17, "Finds a character, or the end.", COMMON; strchrnul),
    kfunc!(bpf_strnchr, since 6.17, "Finds a character among the first ones.", COMMON; strnchr),
    kfunc!(bpf_strrchr, since 6.17, "Finds the last one of a character.", COMMON; strrchr),
    kfunc!(bpf_strlen, since 6.17, "Length of a string.", COMMON; strlen),
    kfunc!(bpf_strnlen, since 6.17, "Length of a string, up to a limit.", COMMON; strnlen),
    kfunc!(bpf_strspn, since 6.17, "How many characters at the beginning are of a set.", COMMON; strspn),
    kfunc!(bpf_strcspn, since 6.17, "How many characters at the beginning are not of a set.", COMMON; strcspn),
    kfunc!(bpf_strstr, since 6.17, "Finds a string in another.", COMMON; strstr),
    kfunc!(bpf_strnstr, since 6.17, "Finds a string in the beginning of another.", COMMON; strnstr),
];

/// Most characters that are looked at (`XATTR_SIZE_MAX`).
const MAX_CHARS: u64 = 65536;

/// A string at a kernel address, read as far as it is needed.
#[derive(Clone, Copy)]
struct Str(u64);

impl Str {
    /// # Errors
    /// `ERANGE` for an address of user space.
    fn new(addr: u64) -> Result<Self, Errno> {
        if space_of(addr) == Space::Kernel { Ok(Self(addr)) } else { Err(Errno::ERANGE) }
    }

    /// The character at an index.
    ///
    /// # Errors
    /// `EFAULT` where nothing is mapped.
    fn at(self, cx: &CallCx<'_>, index: u64) -> Result<u8, Errno> {
        cx.cage().load(self.0.wrapping_add(index)).map_err(|_| Errno::EFAULT)
    }

    /// The first index for which `found` has an answer.
    ///
    /// # Errors
    /// `E2BIG` for a string that goes on and on.
    fn find(
        self,
        cx: &CallCx<'_>,
        mut found: impl FnMut(u64, u8) -> Result<Option<i32>, Errno>,
    ) -> Result<i32, Errno> {
        for index in 0..MAX_CHARS {
            if let Some(answer) = found(index, self.at(cx, index)?)? {
                return Ok(answer);
            }
        }
        Err(Errno::E2BIG)
    }
}

/// A result in 32 bits, where negative numbers are not error numbers alone.
fn int(result: Result<i32, Errno>) -> Result<u32, IntFail> {
    Ok(result.map(i32::cast_unsigned)?)
}

fn compare(cx: &CallCx<'_>, a: u64, b: u64, fold: impl Fn(u8) -> u8) -> Result<i32, Errno> {
    let (a, b) = (Str::new(a)?, Str::new(b)?);
    a.find(cx, |index, char_a| {
        let (char_a, char_b) = (fold(char_a), fold(b.at(cx, index)?));
        Ok(match char_a.cmp(&char_b) {
            Ordering::Less => Some(-1),
            Ordering::Greater => Some(1),
            Ordering::Equal if char_a == 0 => Some(0),
            Ordering::Equal => None,
        })
    })
}

fn strcmp(cx: &mut CallCx<'_>, a: u64, b: u64) -> Result<u32, IntFail> {
    int(compare(cx, a, b, |c| c))
}

fn strcasecmp(cx: &mut CallCx<'_>, a: u64, b: u64) -> Result<u32, IntFail> {
    int(compare(cx, a, b, lower))
}

/// A letter's lower case, in Latin-1, as the kernel's table has it.
const fn lower(char: u8) -> u8 {
    match char {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => char + 32,
        _ => char,
    }
}

fn char_in(cx: &CallCx<'_>, text: u64, limit: u64, wanted: u8) -> Result<i32, Errno> {
    let text = Str::new(text)?;
    if limit == 0 {
        return Err(Errno::ENOENT);
    }
    text.find(cx, |index, char| match char {
        char if char == wanted => Ok(Some(index as i32)),
        0 => Err(Errno::ENOENT),
        _ if index + 1 == limit && limit < MAX_CHARS => Err(Errno::ENOENT),
        _ => Ok(None),
    })
}

fn strchr(cx: &mut CallCx<'_>, text: u64, wanted: u32) -> Result<u32, IntFail> {
    int(char_in(cx, text, u64::MAX, wanted as u8))
}

fn strnchr(cx: &mut CallCx<'_>, text: u64, limit: u64, wanted: u32) -> Result<u32, IntFail> {
    int(char_in(cx, text, limit, wanted as u8))
}

fn strchrnul(cx: &mut CallCx<'_>, text: u64, wanted: u32) -> Result<u32, IntFail> {
    let text = Str::new(text)?;
    let found = |index: u64, char| Ok((char == wanted as u8 || char == 0).then_some(index as i32));
    int(text.find(cx, found))
}

fn strrchr(cx: &mut CallCx<'_>, text: u64, wanted: u32) -> Result<u32, IntFail> {
    let text = Str::new(text)?;
    let mut last = Err(Errno::ENOENT);
    int(text.find(cx, |index, char| {
        // The character comes as a whole number, and is compared as one.
        if u32::from(char) == wanted {
            last = Ok(index as i32);
        }
        if char == 0 { last.map(Some) } else { Ok(None) }
    }))
}

fn length(cx: &CallCx<'_>, text: u64, limit: u64) -> Result<i32, Errno> {
    let text = Str::new(text)?;
    if limit == 0 {
        return Ok(0);
    }
    text.find(cx, |index, char| match char {
        0 => Ok(Some(index as i32)),
        _ if index + 1 == limit && limit < MAX_CHARS => Ok(Some(limit as i32)),
        _ => Ok(None),
    })
}

fn strlen(cx: &mut CallCx<'_>, text: u64) -> Result<u32, IntFail> {
    int(length(cx, text, u64::MAX))
}

fn strnlen(cx: &mut CallCx<'_>, text: u64, limit: u64) -> Result<u32, IntFail> {
    int(length(cx, text, limit))
}

/// Characters at the beginning that are, or are not, of a set.
fn span(cx: &CallCx<'_>, text: u64, set: u64, of_set: bool) -> Result<i32, Errno> {
    let (text, set) = (Str::new(text)?, Str::new(set)?);
    text.find(cx, |index, char| {
        if char == 0 {
            return Ok(Some(index as i32));
        }
        let member = |_, one| Ok((one == char || one == 0).then_some(i32::from(one != 0)));
        let is_member = set.find(cx, member)? != 0;
        Ok((is_member != of_set).then_some(index as i32))
    })
}

fn strspn(cx: &mut CallCx<'_>, text: u64, set: u64) -> Result<u32, IntFail> {
    int(span(cx, text, set, true))
}

fn strcspn(cx: &mut CallCx<'_>, text: u64, set: u64) -> Result<u32, IntFail> {
    int(span(cx, text, set, false))
}

/// Where the first `limit` characters of a string have another.
fn within(cx: &CallCx<'_>, text: u64, part: u64, limit: u64) -> Result<i32, Errno> {
    let (text, part) = (Str::new(text)?, Str::new(part)?);
    for start in 0..MAX_CHARS {
        let mut len = 0;
        loop {
            if len == MAX_CHARS {
                return Err(Errno::E2BIG);
            }
            // The end of the part may lie right behind the limit.
            if start + len > limit {
                break;
            }
            let wanted = part.at(cx, len)?;
            if wanted == 0 {
                return Ok(start as i32);
            }
            if start + len == limit {
                break;
            }
            match text.at(cx, start + len)? {
                0 => return Err(Errno::ENOENT),
                char if char != wanted => break,
                _ => len += 1,
            }
        }
        if start + len >= limit {
            return Err(Errno::ENOENT);
        }
    }
    Err(Errno::E2BIG)
}

fn strstr(cx: &mut CallCx<'_>, text: u64, part: u64) -> Result<u32, IntFail> {
    int(within(cx, text, part, MAX_CHARS))
}

fn strnstr(cx: &mut CallCx<'_>, text: u64, part: u64, limit: u64) -> Result<u32, IntFail> {
    int(within(cx, text, part, limit))
}
