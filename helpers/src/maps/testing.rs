//! Definitions and worlds for unit tests.

use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapType};

/// A definition with these sizes and no flags.
pub(super) fn def(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
    MapDef {
        name: "test".into(),
        map_type: Ok(map_type),
        key_size,
        value_size,
        max_entries,
        flags: MapFlags(0),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    }
}
