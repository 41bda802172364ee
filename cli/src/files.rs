//! Reading files whose size nobody vouches for.

use crate::failure::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes that an object may have.
pub const MAX_OBJECT_BYTES: u64 = 64 << 20;
/// Most bytes that a file with BTF may have; a kernel image with debug information is large.
pub const MAX_BTF_BYTES: u64 = 1 << 30;
/// Most bytes that a text file (environment, map contents) may have.
pub const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The whole file; `-` is standard input.
///
/// # Errors
/// It cannot be read, or has more than `max_bytes`.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |e: io::Error| Failure::unusable(format!("cannot read {}", name(path))).because(e);
    let mut bytes = Vec::new();
    open(path)
        .map_err(unreadable)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Failure::unusable(format!(
            "{} is larger than the {} MiB expected of such a file",
            name(path),
            max_bytes >> 20
        )));
    }
    Ok(bytes)
}

/// The whole file as text; `-` is standard input.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, max_bytes)?).map_err(|e| {
        Failure::unusable(format!("{} is not text", name(path))).because(e.utf8_error())
    })
}

/// Opens a file, or standard input for `-`.
///
/// # Errors
/// The file's.
pub fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}

/// Writes a whole file.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes)
        .map_err(|e| Failure::unusable(format!("cannot write {}", name(path))).because(e))
}

/// A file's name for messages.
#[must_use]
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

/// A TOML file, or a JSON file by its extension, as a JSON value.
///
/// # Errors
/// It cannot be read or parsed.
pub fn read_table(path: &Path) -> Result<serde_json::Value, Failure> {
    let text = read_text(path, MAX_TEXT_BYTES)?;
    if path.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text)
            .map_err(|e| Failure::unusable(format!("{} is not JSON", name(path))).because(e))
    } else {
        toml::from_str(&text).map_err(|e| {
            Failure::unusable(format!("{} is not TOML", name(path))).because(e.message().to_owned())
        })
    }
}
