//! Addresses of the kernel's symbols, as `/proc/kallsyms` has them.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The address of a symbol; of several with the same name, the first.
pub fn address(name: &str) -> Option<u64> {
    static SYMBOLS: OnceLock<HashMap<String, u64>> = OnceLock::new();
    let symbols = SYMBOLS.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        let mut symbols = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (address, _kind, name) = (words.next(), words.next(), words.next());
            let address = address.and_then(|a| u64::from_str_radix(a, 16).ok());
            if let (Some(address), Some(name)) = (address, name) {
                symbols.entry(name.to_owned()).or_insert(address);
            }
        }
        symbols
    });
    symbols.get(name).copied()
}
