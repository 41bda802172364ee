//! Where the kernel's configuration comes from: the places where libbpf looks for it.

use flate2::read::GzDecoder;
use std::fs::File;
use std::io::Read;

/// A configuration has some 10,000 lines; more than this is none.
const MAX_BYTES: u64 = 16 << 20;

/// The running kernel's configuration, from `/boot/config-RELEASE` or else `/proc/config.gz`; `None`
/// where neither can be read.
#[must_use]
pub fn kernel_config() -> Option<String> {
    boot_config().or_else(|| unpack(File::open("/proc/config.gz").ok()?))
}

fn boot_config() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let file = File::open(format!("/boot/config-{}", release.trim_end())).ok()?;
    text(file)
}

fn unpack(packed: impl Read) -> Option<String> {
    text(GzDecoder::new(packed))
}

fn text(file: impl Read) -> Option<String> {
    let mut text = String::new();
    let read = file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    (read > 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn packed_configurations_are_unpacked() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"CONFIG_HZ=250\n").unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(unpack(packed.as_slice()).as_deref(), Some("CONFIG_HZ=250\n"));
        assert_eq!(unpack(&packed[..10]), None);
        assert_eq!(unpack(&b"not packed"[..]), None);
    }
}
