//! Executable pages: written once, then executable and never writable again.
//!
//! Machine code is assembled in ordinary memory, copied into fresh pages, and the pages' protection
//! is changed from writable to executable before anybody can jump there. The pages live as long
//! as the image that owns them.

use dynasmrt::AssemblyOffset;
use dynasmrt::mmap::{ExecutableBuffer, MutableBuffer};
use std::io;

/// Machine code, ready to be jumped to.
#[derive(Debug)]
pub(crate) struct Executable {
    pages: ExecutableBuffer,
}

impl Executable {
    /// Makes a copy of `code` executable.
    ///
    /// # Errors
    /// The system's, when it has no memory or allows no executable pages.
    pub(crate) fn new(code: &[u8]) -> io::Result<Self> {
        let mut pages = MutableBuffer::new(code.len())?;
        pages.set_len(code.len());
        pages.copy_from_slice(code);
        Ok(Self { pages: pages.make_exec()? })
    }

    /// The address of an instruction.
    pub(crate) fn at(&self, offset: AssemblyOffset) -> *const u8 {
        self.pages.ptr(offset)
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.pages
    }
}
