//! Loads from maps themselves, not from their values: a program with a map's address may look at
//! the kernel's struct of the map.

use super::Step;
use super::mem::Place;
use super::typed::Object;
use crate::reason::{MemoryReason, R, Reason};
use crate::state::{MapRef, Pointer, PtrTo, Reg, Space, Trust};
use ubpf_abi::map::MapType;

impl Step<'_> {
    /// A load from the kernel's struct of a map.
    pub(super) fn load_map(&mut self, map: MapRef, at: Place) -> Result<Reg, Reason> {
        let name = self.map_struct(map)?;
        if at.off < 0 {
            let (reg, off) = (R(at.base), at.off);
            return Err(MemoryReason::NegativeMap { reg, map: name, off }.into());
        }
        let id = self.kernel_struct(name)?;
        let object = Object { id, trust: Trust::Plain, space: Space::Kernel };
        let Object { id, trust, space } = object;
        self.field_of(&Pointer::new(PtrTo::Btf { id, trust, space }), object, at)
    }

    /// A store to the kernel's struct of a map, which no program may do.
    pub(super) fn store_map(&self, map: MapRef, at: Place) -> Result<(), Reason> {
        let name = self.map_struct(map)?;
        Err(if at.off < 0 {
            let (reg, off) = (R(at.base), at.off);
            MemoryReason::NegativeMap { reg, map: name, off }.into()
        } else {
            MemoryReason::MapWrite(name).into()
        })
    }

    fn map_struct(&self, map: MapRef) -> Result<&'static str, Reason> {
        let map_type = self.cx.map_def(map)?.map_type;
        map_type.map(struct_of).map_err(|_| Reason::Unsupported("this map type"))
    }
}

/// The kernel's struct of maps of a type.
const fn struct_of(map_type: MapType) -> &'static str {
    use MapType::*;
    match map_type {
        Array | PercpuArray | ProgArray | PerfEventArray | CgroupArray | ArrayOfMaps => "bpf_array",
        Hash | PercpuHash | LruHash | LruPercpuHash | HashOfMaps => "bpf_htab",
        StackTrace => "bpf_stack_map",
        LpmTrie => "lpm_trie",
        Devmap | DevmapHash => "bpf_dtab",
        Sockmap => "bpf_stab",
        Sockhash => "bpf_shtab",
        Cpumap => "bpf_cpu_map",
        Xskmap => "xsk_map",
        CgroupStorage | PercpuCgroupStorage => "bpf_cgroup_storage_map",
        ReuseportSockarray => "reuseport_array",
        Queue | Stack => "bpf_queue_stack",
        SkStorage | InodeStorage | TaskStorage | CgrpStorage => "bpf_local_storage_map",
        StructOps => "bpf_struct_ops_map",
        Ringbuf | UserRingbuf => "bpf_ringbuf_map",
        BloomFilter => "bpf_bloom_filter",
        Arena => "bpf_arena",
    }
}
