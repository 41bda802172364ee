//! Where the target's types come from: a file that is asked for, else the running kernel.

use crate::btf::{self, BtfError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ubpf_abi::btf::Btf;

/// The running kernel's types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// A file of target types that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfSourceError {
    /// The file cannot be read.
    #[error("cannot read BTF from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no valid BTF.
    #[error("{} holds no usable BTF", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BtfError,
    },
}

/// The target's types: from `path` if one is given, else from the running kernel where it
/// shows them. `None` means that an object has to do with its own types.
///
/// # Errors
/// A `path` that cannot be read or parsed, or a kernel whose types do not parse.
pub fn target_btf(path: Option<&Path>) -> Result<Option<Arc<Btf>>, BtfSourceError> {
    let (path, required) = match path {
        Some(path) => (path, true),
        None => (Path::new(KERNEL_BTF), false),
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(_) if !required => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(BtfSourceError::Read { path, source });
        }
    };
    let parsed = btf::parse_file(&bytes, None)
        .map_err(|source| BtfSourceError::Parse { path: path.to_owned(), source })?;
    Ok(Some(Arc::new(parsed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error = target_btf(Some(Path::new("/nonexistent/types"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot read BTF from /nonexistent/types");
    }
}
