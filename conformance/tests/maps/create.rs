//! Which definitions are refused, and how.

use crate::twin::{def, ours, world};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapType};
use ubpf_conformance::kernel::KernelMap;
use ubpf_conformance::skip_without_kernel;

/// A definition of each type that is accepted.
fn accepted() -> Vec<MapDef> {
    use MapType::*;
    let inner = def(Hash, [4, 4, 4], 0);
    let mut defs: Vec<MapDef> = [
        (Hash, [4, 8, 4], 0),
        (Array, [4, 8, 4], 0),
        (ProgArray, [4, 4, 4], 0),
        (PerfEventArray, [4, 4, 4], 0),
        (PercpuHash, [4, 8, 4], 0),
        (PercpuArray, [4, 8, 4], 0),
        (StackTrace, [4, 8, 4], 0),
        (LruHash, [4, 8, 4], 0),
        (LruPercpuHash, [4, 8, 4], 0),
        (LpmTrie, [8, 8, 4], 1),
        (ArrayOfMaps, [4, 4, 4], 0),
        (HashOfMaps, [4, 4, 4], 0),
        (CgroupArray, [4, 4, 4], 0),
        (Devmap, [4, 4, 4], 0),
        (Cpumap, [4, 8, 4], 0),
        (Xskmap, [4, 4, 4], 0),
        (DevmapHash, [4, 8, 4], 0),
        (Queue, [0, 8, 4], 0),
        (Stack, [0, 8, 4], 0),
        (Ringbuf, [0, 0, 4096], 0),
        (BloomFilter, [0, 8, 4], 0),
        (Sockmap, [4, 4, 4], 0),
        (Sockhash, [4, 8, 4], 0),
        (ReuseportSockarray, [4, 4, 4], 0),
        (CgroupStorage, [16, 8, 0], 0),
        (PercpuCgroupStorage, [8, 8, 0], 0),
        (UserRingbuf, [0, 0, 4096], 0),
        (StackTrace, [4, 64, 4], 0),
    ]
    .map(|(map_type, sizes, flags)| def(map_type, sizes, flags))
    .into();
    for def in &mut defs {
        if def.map_type.is_ok_and(MapType::is_map_in_map) {
            def.inner = Some(Box::new(inner.clone()));
        }
    }
    defs
}

/// Every variation of a definition in one field. No accepted one is large: the kernel would
/// allocate it.
fn variations(base: &MapDef) -> Vec<MapDef> {
    let with = |change: &dyn Fn(&mut MapDef)| {
        let mut def = base.clone();
        change(&mut def);
        def
    };
    let sizes = [
        0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 64, 256, 260, 261, 1024, 32_760, 32_761, 32_768, 32_769,
        65_536, 4_194_240, 4_194_251, 4_194_252, 4_194_256, 4_194_304, 4_194_305,
    ];
    let refused_sizes = [1 << 31, u32::MAX];
    let entries = [0, 1, 2, 3, 5, 100, 4095, 4096, 4097, 8192, 12_288];
    let mut all = vec![with(&|_| {})];
    for bit in 0..32 {
        // Bits 13 to 16 and 18 ask for objects by descriptor.
        if !matches!(bit, 13..=16 | 18) {
            all.push(with(&|def| def.flags.0 ^= 1 << bit));
        }
    }
    for both in [0x18, 0x180, 3, 0x42, 0x88, 0x400 | 0x80] {
        all.push(with(&|def| def.flags.0 ^= both));
    }
    all.push(with(&|def| (def.flags.0, def.numa_node) = (def.flags.0 | 4, 5)));
    for extra in [1, 5, 15, 16, 1 << 32] {
        all.push(with(&|def| def.extra = extra));
    }
    for size in sizes.into_iter().chain(refused_sizes) {
        all.push(with(&|def| def.key_size = size));
        all.push(with(&|def| (def.value_size, def.max_entries) = (size, def.max_entries.min(2))));
    }
    for max_entries in entries {
        all.push(with(&|def| def.max_entries = max_entries));
    }
    let hash = matches!(
        base.map_type,
        Ok(MapType::Hash
            | MapType::PercpuHash
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::HashOfMaps)
    );
    if hash {
        for max_entries in [(1 << 27) + 1, 1 << 28, (1 << 31) + 1, u32::MAX] {
            all.push(with(&|def| def.max_entries = max_entries));
        }
    }
    all
}

/// The oracle opens a buffer in new perf event arrays, and gives those without entries some.
fn is_opened(def: &MapDef) -> bool {
    def.map_type == Ok(MapType::PerfEventArray)
        && (def.max_entries == 0 || def.flags.has(MapFlags::RDONLY))
}

#[test]
fn definitions_are_refused_alike() {
    skip_without_kernel!();
    let world = world();
    let mut differ = Vec::new();
    let mut compared = 0;
    for def in accepted().iter().flat_map(variations).filter(|def| !is_opened(def)) {
        let ours = ours(&world, &def).err();
        let kernels = KernelMap::create(&def, None).err();
        compared += 1;
        if ours != kernels {
            differ.push(format!(
                "{:?}: {ours:?}, the kernel {kernels:?}: key {} value {} entries {} flags {:#x} \
                 node {} extra {}",
                def.map_type,
                def.key_size,
                def.value_size,
                def.max_entries,
                def.flags.0,
                def.numa_node,
                def.extra,
            ));
        }
    }
    assert!(compared > 1000);
    assert!(differ.is_empty(), "{} of {compared} differ:\n{}", differ.len(), differ.join("\n"));
}

/// What the kernel allocates lazily can be defined far larger than it ever gets.
#[test]
fn large_definitions_cost_nothing() {
    let world = world();
    let no_prealloc = 1;
    for def in [
        def(MapType::Hash, [16, 64, 1 << 27], no_prealloc),
        def(MapType::LpmTrie, [8, 8, u32::MAX], no_prealloc),
        def(MapType::Hash, [4, 8, 1 << 24], 0),
        def(MapType::Array, [4, 8, 1 << 24], 0),
    ] {
        let map = ours(&world, &def).expect("a large map");
        let key: Vec<u8> = (0..def.key_size as u8).map(|n| n / 4).collect();
        let value = vec![1; def.value_size as usize];
        map.user_update(&key, &value, 0).expect("an element");
        assert_eq!(map.user_lookup(&key, 0), Ok(value));
    }
    let too_large = def(MapType::Array, [4, 1 << 20, 1 << 20], 0);
    assert_eq!(ours(&world, &too_large).err(), Some(Errno::ENOMEM));
}
