//! `BPF_MAP_TYPE_STACK`.

use super::queue::{self, End, OPS};
use ubpf_abi::map::{MapType, MapTypeDecl};
use ubpf_vm::registry::MapTypeDef;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Stack,
        doc: "Last in, first out.",
        ops: OPS,
        direct_value: false,
        special_fields: false,
    },
    create: |_world, def| queue::create(def, End::Newest),
};
