//! The committed example objects, found by looking.

use std::io;
use std::path::{Path, PathBuf};

/// An object file of the suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFile {
    /// Its name without directory and `.bpf.o`, such as `firewall.v4`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The directory of the suite called `name`.
#[must_use]
pub fn suite_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("suites").join(name)
}

/// Every example object, by name.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn all() -> io::Result<Vec<ObjectFile>> {
    of_suite("object")
}

/// Every object of the suite called `name`, by name.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn of_suite(name: &str) -> io::Result<Vec<ObjectFile>> {
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(suite_dir(name))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if let Some(name) = file.strip_suffix(".bpf.o") {
            objects.push(ObjectFile { name: name.to_owned(), bytes: std::fs::read(&path)? });
        }
    }
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(objects)
}
