//! Any bytes parse as BTF or are refused; what parses answers every question, circles included.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ubpf_abi::btf::c;
use ubpf_loader::btf;

fuzz_target!(|data: &[u8]| {
    let Ok(types) = btf::parse(data) else { return };
    for (id, _) in types.types() {
        let _ = (types.name_of(id), types.resolve(id), types.size_of(id), types.align_of(id));
    }
    let _ = c::dump(&types);
});
