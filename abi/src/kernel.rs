//! Kernel versions, and the profiles that ubpf can stand in for.
//!
//! Every definition (instruction, helper, map type, context field, …) carries the [`Version`]
//! that brought it; a [`Kernel`] profile says which of them a run may use and which limits hold.

use core::fmt;
use core::str::FromStr;

/// A kernel version, compared by major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 6 in 6.18.
    pub major: u8,
    /// 18 in 6.18.
    pub minor: u8,
}

impl Version {
    /// `Version::new(6, 18)` is 6.18.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The kernel whose rules hold: a version together with what changed the rules since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kernel(Version);

impl Kernel {
    /// The profiles that are known, oldest first: the long-term kernels and the default.
    pub const PROFILES: [Self; 8] = [
        Self(Version::new(4, 19)),
        Self(Version::new(5, 4)),
        Self(Version::new(5, 10)),
        Self(Version::new(5, 15)),
        Self(Version::new(6, 1)),
        Self(Version::new(6, 6)),
        Self(Version::new(6, 12)),
        Self(Version::new(6, 18)),
    ];
    /// Linux 6.18, the default.
    pub const V6_18: Self = Self(Version::new(6, 18));

    /// The version this profile stands for.
    #[must_use]
    pub const fn version(self) -> Version {
        self.0
    }

    /// Whether something that appeared in `since` exists here.
    #[must_use]
    pub fn has(self, since: Version) -> bool {
        self.0 >= since
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::V6_18
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A version that is not one of [`Kernel::PROFILES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such kernel profile; choose one of 4.19, 5.4, 5.10, 5.15, 6.1, 6.6, 6.12, 6.18")]
pub struct UnknownKernel;

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(s: &str) -> Result<Self, UnknownKernel> {
        let (major, minor) = s.split_once('.').ok_or(UnknownKernel)?;
        let version = Version {
            major: major.parse().map_err(|_| UnknownKernel)?,
            minor: minor.parse().map_err(|_| UnknownKernel)?,
        };
        Self::PROFILES.into_iter().find(|k| k.0 == version).ok_or(UnknownKernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn profiles_are_ordered_and_parse_back() {
        assert!(Kernel::PROFILES.is_sorted());
        for k in Kernel::PROFILES {
            assert_eq!(k.to_string().parse(), Ok(k));
        }
        assert_eq!("6.17".parse::<Kernel>(), Err(UnknownKernel));
    }

    #[test]
    fn minor_versions_compare_as_numbers() {
        let five_ten: Kernel = "5.10".parse().unwrap();
        assert!(five_ten.has(Version::new(5, 4)));
        assert!(!five_ten.has(Version::new(5, 15)));
    }
}
