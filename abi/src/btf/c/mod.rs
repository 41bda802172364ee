//! Types as C source.
//!
//! [`dump`] writes a whole BTF as a header that a compiler lays out the same again, like
//! bpftool's `vmlinux.h`; [`define`] and [`declare`] print single types.
//!
//! - `names`: legal C names, no two alike
//! - `order`: what must stand before what
//! - `declarator`: pointers, arrays and functions around a name
//! - `layout`: definitions, with the padding that the recorded offsets need
//!
//! ```
//! use ubpf_abi::btf::{BtfId, Builder, Int, IntEncoding, c};
//!
//! let mut b = Builder::new();
//! let int = b.str("int");
//! let int = b.int(int, Int { bytes: 4, bits: 32, bit_off: 0, encoding: IntEncoding::Signed });
//! let proto = b.func_proto(int, []);
//! let ptr = b.ptr(proto);
//! let table = b.array(ptr, int, 4);
//! assert_eq!(c::declare(&b.finish(), table, "table")?, "int (*table[4])(void)");
//! # Ok::<(), c::CError>(())
//! ```

mod declarator;
mod layout;
mod names;
mod order;
#[cfg(test)]
mod tests;

use super::{Btf, BtfId, MAX_DEPTH, TypeError};
use alloc::string::String;
use core::fmt::{self, Write};
use names::Names;
use order::Order;

/// Bytes that a text may have: types without names are written out wherever they are used, so
/// hostile BTF could make the text exponential in its size. A kernel's takes 3 MB.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// Types that cannot be written as C.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CError {
    /// A type cannot answer.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The text would be absurdly long.
    #[error("the types take more than {MAX_TEXT_BYTES} bytes of C")]
    TooLong,
    /// A structure that contains itself, or an array of itself.
    #[error("BTF type {0} needs itself to be complete")]
    Circular(BtfId),
    /// A kind of type that C has no definition of.
    #[error("BTF type {0} is nothing that C can define")]
    NotDefinable(BtfId),
}

/// Writes all types as a C header; of a split BTF its own and what they need of its base.
///
/// Names used twice get suffixes `___2`, `___3` and so on, which CO-RE ignores, and records are
/// marked for CO-RE as bpftool's are.
///
/// # Errors
/// Types without end.
pub fn dump(btf: &Btf) -> Result<String, CError> {
    let mut out = Text::default();
    out.line(
        "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n\
         #pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n\
         #endif\n",
    )?;
    let printer = Printer { btf, names: Names::of_all(btf) };
    let mut order = Order::new(&printer, &mut out);
    for (id, _) in btf.own_types() {
        order.top_level(id)?;
    }
    out.line(
        "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n\
         #pragma clang attribute pop\n\
         #endif",
    )?;
    Ok(out.text)
}

/// The definition of one type: `struct pair { … }`, `enum color { … }`, `typedef int pid_t`,
/// `int main(void)`.
///
/// # Errors
/// A type without end, or one that cannot be defined: a pointer, say.
pub fn define(btf: &Btf, id: BtfId) -> Result<String, CError> {
    let printer = Printer { btf, names: Names::default() };
    let mut out = Text::default();
    printer.definition(&mut out, id)?;
    Ok(out.text)
}

/// The declaration of a variable or parameter `name` of this type; without a name, the type as
/// in a cast.
///
/// # Errors
/// A type without end.
pub fn declare(btf: &Btf, id: BtfId, name: &str) -> Result<String, CError> {
    let printer = Printer { btf, names: Names::default() };
    let mut out = Text::default();
    printer.declaration(&mut out, id, name, Nesting::TOP)?;
    Ok(out.text)
}

/// Prints types by their names.
struct Printer<'a> {
    btf: &'a Btf,
    names: Names,
}

/// How deep a definition stands in others.
#[derive(Clone, Copy)]
struct Nesting(u32);

impl Nesting {
    const TOP: Self = Self(0);

    /// One level further in.
    fn inner(self, id: BtfId) -> Result<Self, CError> {
        match self.0 < MAX_DEPTH {
            true => Ok(Self(self.0 + 1)),
            false => Err(TypeError::TooDeep(id).into()),
        }
    }

    fn indent(self, out: &mut Text) -> Result<(), CError> {
        (0..self.0).try_for_each(|_| out.add("\t"))
    }
}

/// Text of bounded length.
#[derive(Default)]
struct Text {
    text: String,
}

impl Text {
    fn add(&mut self, s: &str) -> Result<(), CError> {
        if self.text.len().saturating_add(s.len()) > MAX_TEXT_BYTES {
            return Err(CError::TooLong);
        }
        self.text.push_str(s);
        Ok(())
    }

    fn line(&mut self, s: &str) -> Result<(), CError> {
        self.add(s)?;
        self.add("\n")
    }

    fn fmt(&mut self, args: fmt::Arguments<'_>) -> Result<(), CError> {
        self.write_fmt(args).map_err(|_| CError::TooLong)
    }
}

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.add(s).map_err(|_| fmt::Error)
    }
}
