//! `.kconfig`: configuration values of the kernel, laid out as libbpf lays them out.

use crate::error::KconfigError;
use std::collections::HashMap;
use ubpf_abi::btf::{Btf, BtfId, Def, Int, IntEncoding};
use ubpf_abi::kernel::{Kernel, Version};

/// One extern of `.kconfig`.
#[derive(Clone, Debug)]
pub(super) struct Config {
    name: String,
    symbol: u32,
    var: BtfId,
    weak: bool,
    ty: ConfigType,
    bytes: u32,
    align: u32,
}

/// Types that hold configuration values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConfigType {
    Bool,
    Char { signed: bool },
    Int { signed: bool },
    Tristate,
    CharArray,
}

/// A value as the configuration gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    /// `y`, `m` or `n`.
    Tristate(u8),
    /// A quoted string, without the quotes.
    String(&'a str),
    Number(u64),
}

impl Config {
    pub(super) fn new(
        btf: &Btf,
        name: String,
        symbol: u32,
        var: BtfId,
        ty: BtfId,
        weak: bool,
    ) -> Result<Self, KconfigError> {
        Ok(Self {
            name,
            symbol,
            var,
            weak,
            ty: config_type(btf, ty).ok_or(KconfigError::Type)?,
            bytes: btf.size_of(ty).map_err(|_| KconfigError::Type)?,
            align: btf.align_of(ty).map_err(|_| KconfigError::Type)?.max(1),
        })
    }
}

/// The kind of value a type holds; nothing else may stand in `.kconfig`.
fn config_type(btf: &Btf, id: BtfId) -> Option<ConfigType> {
    let (id, ty) = btf.resolve(id).ok()?;
    match ty.def {
        Def::Int(Int { bytes, encoding, .. }) => {
            let signed = encoding == IntEncoding::Signed;
            match (encoding, bytes) {
                (IntEncoding::Bool, 1) => Some(ConfigType::Bool),
                (IntEncoding::Bool, _) => None,
                (_, 1) => Some(ConfigType::Char { signed }),
                (_, 2 | 4 | 8) => Some(ConfigType::Int { signed }),
                _ => None,
            }
        }
        Def::Enum(e) if e.bytes == 4 && btf.name_of(id) == "libbpf_tristate" => {
            Some(ConfigType::Tristate)
        }
        Def::Array(array) if array.len > 0 => {
            let elem = btf.resolve(array.elem).ok()?.1.def;
            let is_char =
                matches!(elem, Def::Int(i) if i.bytes == 1 && i.encoding != IntEncoding::Bool);
            is_char.then_some(ConfigType::CharArray)
        }
        _ => None,
    }
}

/// All externs with their offsets.
pub(super) struct Layout {
    configs: Vec<(Config, u32)>,
}

impl Layout {
    /// libbpf's order: by alignment from large to small, then by size and name.
    pub(super) fn new(mut configs: Vec<Config>) -> Self {
        configs.sort_by(|a, b| (b.align, a.bytes, &a.name).cmp(&(a.align, b.bytes, &b.name)));
        let mut end = 0u32;
        let configs = configs
            .into_iter()
            .map(|config| {
                let off = end.checked_next_multiple_of(config.align).unwrap_or(end);
                end = off.saturating_add(config.bytes);
                (config, off)
            })
            .collect();
        Self { configs }
    }

    /// Symbols with their offsets.
    pub(super) fn symbols(&self) -> impl Iterator<Item = (u32, u32)> {
        self.configs.iter().map(|(c, off)| (c.symbol, *off))
    }

    /// Where the variables lie.
    pub(super) fn offs(&self) -> HashMap<BtfId, u32> {
        self.configs.iter().map(|(c, off)| (c.var, *off)).collect()
    }

    /// The section's contents under a kernel configuration.
    ///
    /// # Errors
    /// What is wrong, and with which extern.
    pub(super) fn values(
        &self,
        text: Option<&str>,
        kernel: Kernel,
    ) -> Result<Vec<u8>, (KconfigError, String)> {
        /// Like the kernel's own strings; an array in the object may be larger for no use.
        const MAX_BYTES: u32 = 1 << 20;
        let set = text.map(parse_text).unwrap_or_default();
        let mut bytes = Vec::new();
        for (config, off) in &self.configs {
            let fail = |e| (e, config.name.clone());
            let end = off.saturating_add(config.bytes);
            if end > MAX_BYTES {
                return Err(fail(KconfigError::Type));
            }
            bytes.resize(end as usize, 0);
            let given = match set.get(config.name.as_str()) {
                Some(text) => Some(parse_value(text).ok_or_else(|| fail(value_error(text)))?),
                None => builtin(&config.name, kernel).map(Value::Number),
            };
            let is_config = config.name.starts_with("CONFIG_");
            let field = bytes.get_mut(*off as usize..).unwrap_or(&mut []);
            match given {
                Some(value) => config.store(value, field).map_err(fail)?,
                None if config.weak && (is_config || config.name.starts_with("LINUX_")) => {}
                None if is_config => return Err(fail(KconfigError::Missing)),
                None => return Err(fail(KconfigError::Unknown)),
            }
        }
        Ok(bytes)
    }
}

fn value_error(text: &str) -> KconfigError {
    KconfigError::Value(text.chars().take(80).collect())
}

/// The lines `CONFIG_X=value` of a configuration; the first one of a name counts.
fn parse_text(text: &str) -> HashMap<&str, &str> {
    let mut set = HashMap::new();
    for line in text.lines() {
        if let Some((name, value)) = line.trim_end().split_once('=')
            && name.starts_with("CONFIG_")
        {
            set.entry(name).or_insert(value);
        }
    }
    set
}

fn parse_value(text: &str) -> Option<Value<'_>> {
    match text.as_bytes().first()? {
        b @ (b'y' | b'm' | b'n') => Some(Value::Tristate(*b)),
        b'"' => Some(Value::String(text.strip_prefix('"')?.strip_suffix('"')?)),
        _ => parse_number(text).map(Value::Number),
    }
}

/// A number as C writes it; negative ones wrap.
fn parse_number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let number = match hex {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    let number = number.ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Variables that libbpf provides beside the configuration.
fn builtin(name: &str, kernel: Kernel) -> Option<u64> {
    match name {
        "LINUX_KERNEL_VERSION" => {
            let Version { major, minor } = kernel.version();
            Some(u64::from(major) << 16 | u64::from(minor) << 8)
        }
        // bpf_get_attach_cookie() came with 5.15.
        "LINUX_HAS_BPF_COOKIE" => Some(kernel.has(Version::new(5, 15)).into()),
        // x86-64 and arm64 wrap system calls since 4.17 and 4.19, before the oldest profile.
        "LINUX_HAS_SYSCALL_WRAPPER" => Some(1),
        _ => None,
    }
}

impl Config {
    /// Writes a value to the start of `field`.
    fn store(&self, value: Value<'_>, field: &mut [u8]) -> Result<(), KconfigError> {
        let size = self.bytes as usize;
        let field = field.get_mut(..size).ok_or(KconfigError::Type)?;
        let unfit = |shown: String| KconfigError::Value(shown);
        let number = match (self.ty, value) {
            (ConfigType::Bool, Value::Tristate(b'y')) => 1,
            (ConfigType::Bool, Value::Tristate(b'n')) => 0,
            (ConfigType::Tristate, Value::Tristate(v)) => match v {
                b'y' => 1,
                b'm' => 2,
                _ => 0,
            },
            (ConfigType::Char { .. }, Value::Tristate(v)) => v.into(),
            (ConfigType::CharArray, Value::String(s)) => {
                // Cut to leave room for the final zero, as libbpf does.
                let kept = s.len().min(size.saturating_sub(1));
                for (to, from) in field.iter_mut().zip(s.as_bytes().iter().take(kept)) {
                    *to = *from;
                }
                return Ok(());
            }
            (ConfigType::Bool, Value::Number(n @ 0..=1)) => n,
            (ConfigType::Int { signed } | ConfigType::Char { signed }, Value::Number(n))
                if fits(n, self.bytes, signed) =>
            {
                n
            }
            (_, Value::Tristate(v)) => return Err(unfit(char::from(v).to_string())),
            (_, Value::String(s)) => return Err(value_error(s)),
            (_, Value::Number(n)) => return Err(unfit(n.to_string())),
        };
        for (to, from) in field.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        Ok(())
    }
}

/// Whether a number survives in an integer of this many bytes.
fn fits(n: u64, bytes: u32, signed: bool) -> bool {
    let Some(unused) = 64u32.checked_sub(bytes.saturating_mul(8)) else {
        return true;
    };
    if signed {
        (n.cast_signed() << unused) >> unused == n.cast_signed()
    } else {
        (n << unused) >> unused == n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(ty: ConfigType, bytes: u32) -> Config {
        Config {
            name: "CONFIG_X".to_owned(),
            symbol: 0,
            var: BtfId(1),
            weak: false,
            ty,
            bytes,
            align: bytes,
        }
    }

    fn value_of(config: Config, text: &str) -> Result<Vec<u8>, KconfigError> {
        let text = format!("# comment\nCONFIG_X={text}\nCONFIG_X=7\n");
        let layout = Layout::new(vec![config]);
        layout.values(Some(&text), Kernel::default()).map_err(|(e, _)| e)
    }

    #[test]
    fn values_are_stored_by_type() {
        let int = |signed| ConfigType::Int { signed };
        assert_eq!(value_of(config(ConfigType::Bool, 1), "y"), Ok(vec![1]));
        assert_eq!(value_of(config(ConfigType::Tristate, 4), "m"), Ok(vec![2, 0, 0, 0]));
        assert_eq!(value_of(config(ConfigType::Char { signed: true }, 1), "m"), Ok(vec![b'm']));
        assert_eq!(value_of(config(int(true), 2), "-2"), Ok(vec![0xfe, 0xff]));
        assert_eq!(value_of(config(int(false), 2), "0x1ff"), Ok(vec![0xff, 1]));
        assert_eq!(
            value_of(config(ConfigType::CharArray, 4), "\"abcdef\""),
            Ok(vec![b'a', b'b', b'c', 0])
        );
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let int = ConfigType::Int { signed: false };
        let refused = |ty, bytes, text| {
            matches!(value_of(config(ty, bytes), text), Err(KconfigError::Value(_)))
        };
        assert!(refused(ConfigType::Bool, 1, "m"));
        assert!(refused(int, 2, "65536"));
        assert!(refused(int, 4, "y"));
        assert!(refused(ConfigType::Int { signed: true }, 2, "32768"));
        assert!(refused(ConfigType::CharArray, 4, "5"));
        assert!(refused(int, 4, "12abc"));
    }

    #[test]
    fn layout_is_by_alignment_then_size_then_name() {
        let named = |name: &str, bytes, align| Config {
            name: name.to_owned(),
            align,
            ..config(ConfigType::CharArray, bytes)
        };
        let layout = Layout::new(vec![
            named("c", 1, 1),
            named("b", 16, 1),
            named("a", 1, 1),
            named("z", 8, 8),
        ]);
        let order: Vec<_> = layout.configs.iter().map(|(c, off)| (c.name.as_str(), *off)).collect();
        assert_eq!(order, [("z", 0), ("a", 8), ("c", 9), ("b", 10)]);
    }

    #[test]
    fn missing_options_fail_unless_weak() {
        let mut missing = config(ConfigType::Bool, 1);
        missing.name = "CONFIG_Y".to_owned();
        let value =
            |c: Config| Layout::new(vec![c]).values(None, Kernel::default()).map_err(|(e, _)| e);
        assert_eq!(value(missing.clone()), Err(KconfigError::Missing));
        missing.weak = true;
        assert_eq!(value(missing.clone()), Ok(vec![0]));
        missing.name = "OTHER".to_owned();
        assert_eq!(value(missing.clone()), Err(KconfigError::Unknown));
        missing.name = "LINUX_KERNEL_VERSION".to_owned();
        missing.ty = ConfigType::Int { signed: true };
        missing.bytes = 4;
        missing.align = 4;
        assert_eq!(value(missing), Ok(vec![0, 18, 6, 0]));
    }
}
