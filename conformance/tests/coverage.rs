//! The example objects together use what they are there to test.

use std::collections::BTreeSet;
use ubpf_abi::map::MapType;
use ubpf_abi::prog_type::ProgType;
use ubpf_conformance::objects;
use ubpf_isa::{CallTarget, Insn, decode_all};
use ubpf_loader::LoadOptions;

const PROG_TYPES: [ProgType; 5] = [
    ProgType::Xdp,
    ProgType::SchedCls,
    ProgType::SchedAct,
    ProgType::SocketFilter,
    ProgType::CgroupSkb,
];

const MAP_TYPES: [MapType; 11] = [
    MapType::Array,
    MapType::PercpuArray,
    MapType::Hash,
    MapType::PercpuHash,
    MapType::LruHash,
    MapType::LruPercpuHash,
    MapType::LpmTrie,
    MapType::ProgArray,
    MapType::PerfEventArray,
    MapType::Ringbuf,
    MapType::Devmap,
];

const HELPERS: [&str; 37] = [
    "map_lookup_elem",
    "map_update_elem",
    "map_delete_elem",
    "ktime_get_ns",
    "ktime_get_boot_ns",
    "trace_printk",
    "trace_vprintk",
    "get_prandom_u32",
    "get_smp_processor_id",
    "tail_call",
    "perf_event_output",
    "ringbuf_output",
    "ringbuf_reserve",
    "ringbuf_submit",
    "ringbuf_discard",
    "ringbuf_query",
    "redirect",
    "redirect_map",
    "csum_diff",
    "fib_lookup",
    "xdp_adjust_head",
    "xdp_adjust_meta",
    "xdp_adjust_tail",
    "xdp_load_bytes",
    "xdp_store_bytes",
    "xdp_get_buff_len",
    "skb_load_bytes",
    "skb_load_bytes_relative",
    "skb_store_bytes",
    "l3_csum_replace",
    "l4_csum_replace",
    "loop",
    "for_each_map_elem",
    "snprintf",
    "strtol",
    "strtoul",
    "strncmp",
];

#[test]
fn every_program_type_map_type_and_helper_is_used() {
    let registry = ubpf::linux();
    let (mut prog_types, mut map_types) = (BTreeSet::new(), BTreeSet::new());
    let mut helpers = BTreeSet::new();
    for file in objects::all().expect("the suite can be read") {
        let object = ubpf_loader::load(&file.bytes, &LoadOptions::default())
            .unwrap_or_else(|e| panic!("{}: {e}", file.name));
        prog_types.extend(object.programs().filter_map(|(_, f)| f.entry.as_ref()?.prog_type));
        map_types.extend(object.maps.iter().filter_map(|m| m.map_type.ok()));
        for function in &object.functions {
            helpers.extend(decode_all(&function.slots).filter_map(|(_, insn)| match insn {
                Ok(Insn::Call(CallTarget::Helper(id))) => Some(id),
                _ => None,
            }));
        }
    }
    let used = |name: &str| {
        registry.helpers().any(|def| def.decl.name == name && helpers.contains(&def.decl.id.0))
    };
    let unused: Vec<_> = HELPERS.into_iter().filter(|name| !used(name)).collect();
    assert!(unused.is_empty(), "no example calls {unused:?}");
    assert!(PROG_TYPES.iter().all(|t| prog_types.contains(t)), "only {prog_types:?}");
    assert!(MAP_TYPES.iter().all(|t| map_types.contains(t)), "only {map_types:?}");
}
