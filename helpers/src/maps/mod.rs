//! Map types: one file each, over shared mechanics.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `guard` | what bpf(2) checks in front of every type: access modes, sizes, freezing |
//! | `create`, `flags` | checks that several types share |
//! | `slab`, `percpu` | values and keys in guest memory |
//! | `special` | fields with rules of their own inside values |
//! | `sparse` | the host's side of large maps, lazily |
//! | `table`, `supply` | hash table with lock-free look-ups; its unused slots |
//! | `rings`, `lru`, `evicting` | which element an LRU map gives up |
//! | `index`, `references`, `cells` | maps keyed by index; what they hold in place of values |
//! | `trie` | prefixes |
//! | `jhash` | the kernel's hash function |
//!
//! Behaviour is that of Linux 6.18: error numbers, limits, order of iteration, who is evicted.
//! `conformance` runs random histories against both. Known differences: hash order without
//! `BPF_F_ZERO_SEED` depends on a random seed in the kernel and is always the same here.

mod array;
mod array_of_maps;
mod bloom_filter;
mod cells;
pub(crate) mod cgroup_array;
pub(crate) mod cgroup_storage;
mod cpumap;
mod create;
mod devmap;
mod devmap_hash;
mod evicting;
mod flags;
mod guard;
mod hash;
mod hash_of_maps;
mod index;
mod jhash;
pub(crate) mod local_storage;
mod lpm_trie;
mod lru;
mod lru_hash;
mod lru_percpu_hash;
mod percpu;
mod percpu_array;
mod percpu_hash;
pub(crate) mod perf_event_array;
mod prog_array;
mod queue;
mod references;
pub(crate) mod ringbuf;
mod rings;
mod slab;
pub(crate) mod sockmap;
mod sparse;
mod special;
mod stack;
pub(crate) mod stack_trace;
mod supply;
mod table;
#[cfg(test)]
mod testing;
mod trie;
pub(crate) mod user_ringbuf;
mod xskmap;

use ubpf_vm::registry::MapTypeDef;

/// Every map type that can be created.
pub const ALL: &[MapTypeDef] = &[
    hash::DEF,
    array::DEF,
    prog_array::DEF,
    perf_event_array::DEF,
    cgroup_array::DEF,
    percpu_hash::DEF,
    percpu_array::DEF,
    lru_hash::DEF,
    lru_percpu_hash::DEF,
    lpm_trie::DEF,
    array_of_maps::DEF,
    hash_of_maps::DEF,
    devmap::DEF,
    cpumap::DEF,
    xskmap::DEF,
    devmap_hash::DEF,
    queue::DEF,
    stack::DEF,
    ringbuf::DEF,
    bloom_filter::DEF,
    user_ringbuf::DEF,
    stack_trace::DEF,
    cgroup_storage::SHARED,
    cgroup_storage::PERCPU,
    local_storage::SK,
    local_storage::INODE,
    local_storage::TASK,
    local_storage::CGRP,
    sockmap::MAP,
    sockmap::HASH,
    sockmap::REUSEPORT,
];

#[cfg(test)]
mod tests {
    use super::{ALL, testing};
    use crate::env::{EnvConfig, Environment};
    use ubpf_abi::Kernel;
    use ubpf_abi::map::MapType;
    use ubpf_vm::mem::Cage;
    use ubpf_vm::world::World;

    /// The keys of all slots of such maps would be 100 GB.
    #[test]
    fn slots_that_hold_nothing_have_no_keys() {
        let environment = Box::new(Environment::new(EnvConfig::default()));
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 2, environment);
        let mut created = 0;
        for def in ALL {
            let map_type = def.decl.map_type;
            // Their values take room from the start, so the cage bounds them.
            if matches!(map_type, MapType::Array | MapType::PercpuArray) {
                continue;
            }
            let mut definition = testing::def(map_type, 4, 4, 1 << 31);
            definition.inner =
                map_type.is_map_in_map().then(|| Box::new(testing::def(MapType::Array, 4, 4, 1)));
            let Ok(map) = (def.create)(&world, &definition) else { continue };
            created += 1;
            assert!(map.keys().unwrap_or_default().is_empty(), "{map_type:?}");
        }
        assert!(created >= 6, "{created} types take so many");
    }
}
