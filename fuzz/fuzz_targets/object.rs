//! Any bytes load as an object or are refused, and so does each of its programs on linking.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ubpf_loader::{LoadOptions, link, load};

fuzz_target!(|data: &[u8]| {
    match load(data, &LoadOptions::default()) {
        Ok(object) => {
            for (entry, _) in object.programs() {
                if let Err(error) = link(&object, entry, None) {
                    let _ = error.to_string();
                }
            }
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
});
