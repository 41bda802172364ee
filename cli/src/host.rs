//! What the verdicts depend on of the machine that programs are loaded on.

use std::fs;
use std::num::NonZeroU32;

/// CPUs that the machine may have, which is what the kernel knows the numbers of CPUs to be below;
/// `None` where it does not say.
#[must_use]
pub fn cpus() -> Option<NonZeroU32> {
    count(&fs::read_to_string("/sys/devices/system/cpu/possible").ok()?)
}

/// How many there are up to the last of a list of ranges: `0-3,8-11`.
fn count(ranges: &str) -> Option<NonZeroU32> {
    let last: u32 = ranges.trim().rsplit([',', '-']).next()?.parse().ok()?;
    NonZeroU32::new(last.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cpu_counts() {
        assert_eq!(count("0\n").map(NonZeroU32::get), Some(1));
        assert_eq!(count("0-3,8-11\n").map(NonZeroU32::get), Some(12));
        assert_eq!(count("none"), None);
    }
}
